"""What a target of the campaign is: one function that makes an input by chance, tries it, and judges what came out."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from asam_datasets.errors import AsamDatasetsError


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Args:
        name: on the command line and in the table.
        try_one: makes an input and gives it to the package. True: a result, which an independent reader confirmed.
            False: refused by one of our errors. Whatever else is raised is a finding, `AssertionError` when two
            readers disagree.
        share: executions in a campaign of a million.
        short: executions in the slice of the test suite.
        prepare: makes what all executions share, outside of their limits.
    """

    name: str
    try_one: Callable[[random.Random], bool]
    share: int
    short: int
    prepare: Callable[[], object] = lambda: None


def chance(target: str, seed: int, number: int) -> random.Random:
    """The dice of one execution: the same for the same seed and number, on any machine."""
    return random.Random(f"{target} {seed} {number}")


def refused(error: AsamDatasetsError) -> bool:
    """Judge an error of ours: a sentence that a terminal can show, and something to do. False, for `try_one`."""
    said = str(error)
    assert said.isprintable(), "an error that moves a terminal"
    assert error.problem
    assert error.hint
    assert len(said) < 20_000, "an endless error"
    return False


@lru_cache(maxsize=1)
def scratch() -> Path:
    """A folder for the files of all executions of this process, in memory where the system has such a place."""
    return Path(tempfile.mkdtemp(prefix="fuzz-"))


def fresh(name: str) -> Path:
    """An empty folder below `scratch`."""
    folder = scratch() / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
