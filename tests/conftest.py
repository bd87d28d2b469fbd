"""What many tests share: a demo archive, the command line as a process, the other environments."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asam_datasets.demo import DemoArchive, write_demo

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Ran:
    """A finished process."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    """The demo archive: 12 images, one of them with 300 masks, one with none."""
    return write_demo(tmp_path_factory.mktemp("demo"), height=300, width=420)


@pytest.fixture(scope="session")
def members(demo: DemoArchive) -> dict[str, bytes]:
    """The members of the demo archive by file name."""
    return tar_members(demo.archive)


@pytest.fixture(scope="session")
def publish() -> Run:
    """Run `python -m asam_datasets.publish` as a process of its own."""
    return run_publish


def run_publish(*args: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Ran:
    """See the fixture `publish`."""
    environment = {**(os.environ if env is None else env), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "asam_datasets.publish", *map(str, args)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=cwd,
        timeout=300,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def tar_members(path: Path) -> dict[str, bytes]:
    """The regular members of a tar by base name."""
    with tarfile.open(path) as tar:
        return {Path(m.name).name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


def read_with(environment: str, location: str, output: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """What stock `datasets` in `.venvs/ENVIRONMENT` makes of a dataset (see readers/read_dataset.py)."""
    python = ROOT / ".venvs" / environment / "bin" / "python"
    assert python.exists(), f"{python} is missing: make it by `make readers`"
    done = subprocess.run(
        [python, "-W", "ignore", ROOT / "tests/support/readers/read_dataset.py", location, output],
        capture_output=True,
        text=True,
        env={**env, "PYTHONPATH": ""},
        cwd=output.parent,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result: dict[str, Any] = json.loads(output.read_text())
    return result


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment without anything of the Hub's, with a fresh cache."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "DATASETS_"))}
    return {**kept, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **more}
