"""The proof after the release commit: stock `datasets` loads every config from the Hub."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from asam_datasets.errors import HubError
from asam_datasets.retry import RetryPolicy

_WAITS = 4  # then it is no longer the Hub that needs a moment
_WAIT_S = 900.0  # for one program to load what is left: stock `datasets` has no bound of its own
_PROGRAM = Path(__file__).with_name("_read_back.py")


def load_back(
    repo_id: str, revision: str | None, configs: Sequence[tuple[str, str]], log: Callable[[str], None]
) -> None:
    """Stream one record of each config, as a reader would, in a process of its own.

    Args:
        repo_id: the dataset.
        revision: branch or pull request; `main` by default.
        configs: name and split.
        log: gets a line when something is tried again.

    Raises:
        HubError: a config could not be loaded; the release is visible all the same.
    """
    retry = RetryPolicy.from_environment(log).first(_WAITS)
    left, attempt = list(configs), 0
    while left:
        read, failure = _read(repo_id, revision, left)
        left, attempt = left[read:], 0 if read else attempt
        if not left:
            return
        config = left[0][0]
        if not retry.pause(f"loading {config} back", failure, attempt):
            raise HubError(
                f"expected config {config} to load from the Hub, found {failure}",
                where=repo_id,
                hint="It is published. Look at it with `asam-datasets verify`, or run the same command again.",
            )
        attempt += 1


def _read(repo_id: str, revision: str | None, configs: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """How many configs were read before one was not, and what kind of failure that was."""
    job = json.dumps({"repo_id": repo_id, "revision": revision, "configs": configs})
    try:
        done = subprocess.run(
            [sys.executable, str(_PROGRAM), job], capture_output=True, text=True, check=False, timeout=_WAIT_S
        )
        names = done.stdout.splitlines()
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    except subprocess.TimeoutExpired as error:
        names = (error.stdout or b"").decode().splitlines()  # bytes, whatever was asked for
        said = [f"no end after {_WAIT_S:.0f} s"]
    return sum(name == config for name, (config, _) in zip(names, configs, strict=False)), said[-1].strip()
