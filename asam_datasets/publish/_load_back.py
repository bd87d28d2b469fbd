"""The proof after the release commit: stock `datasets` loads every config from the Hub."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from asam_datasets.errors import HubError

_WAITS_S = (2.0, 5.0, 10.0)
_PROGRAM = Path(__file__).with_name("_read_back.py")


def load_back(repo_id: str, revision: str, configs: Sequence[tuple[str, str]], log: Callable[[str], None]) -> None:
    """Stream one record of each config, as a reader would, in a process of its own.

    Args:
        repo_id: the dataset.
        revision: branch or pull request.
        configs: name and split.
        log: gets a line when something is tried again.

    Raises:
        HubError: a config could not be loaded; the release is visible all the same.
    """
    left, attempt = list(configs), 0
    while left:
        read, failure = _read(repo_id, revision, left)
        left, attempt = left[read:], 0 if read else attempt
        if not left:
            return
        config = left[0][0]
        if attempt == len(_WAITS_S):
            raise HubError(
                f"expected config {config} to load from the Hub, found {failure}",
                where=repo_id,
                hint="It is published. Look at it with `asam-datasets verify`, or run the same command again.",
            )
        log(f"loading {config} back: {failure}; trying again in {_WAITS_S[attempt]:.0f} s")
        time.sleep(_WAITS_S[attempt])
        attempt += 1


def _read(repo_id: str, revision: str, configs: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """How many configs were read before one was not, and what kind of failure that was."""
    job = json.dumps({"repo_id": repo_id, "revision": revision, "configs": configs})
    done = subprocess.run([sys.executable, str(_PROGRAM), job], capture_output=True, text=True, check=False)
    names = done.stdout.splitlines()
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return sum(name == config for name, (config, _) in zip(names, configs, strict=False)), said[-1].strip()
