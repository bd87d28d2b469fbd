"""What many tests share: a demo archive, the command line as a process, the other environments."""

import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from commands import ROOT as ROOT
from commands import TORCH as TORCH
from commands import Ran as Ran
from commands import Run as Run
from commands import be_nice as be_nice
from commands import kill_and_wait_for_all as kill_and_wait_for_all
from commands import run_python as run_python
from commands import run_reader as run_reader
from hypothesis import settings
from many_records import publish_many

from asam_datasets.demo import DemoArchive, write_demo

# How long an example takes says how busy the machine is.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long in one piece begins first: at the end one worker would be at it, and the others idle."""
    items.sort(key=lambda item: not item.path.match("tests/typed/*.py"))


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
    """Run `python -m asam_datasets.publish`."""
    return run_publish


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Path:
    """A dataset of 500 records in 16 parts."""
    return publish_many(tmp_path_factory.mktemp("many"), publish)


@pytest.fixture(scope="session")
def each_kind(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo archive in 4 parts of 3 rows, two evaluation sets, adversarial samples of four images."""
    from preview_sets import publish_each_kind  # OpenCV, which few tests need

    return publish_each_kind(tmp_path_factory.mktemp("each_kind"), demo, publish)


def run_publish(*args: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT, fresh: bool = False) -> Ran:
    """See the fixture `publish`.

    One worker, unless `args` say how many: starting more takes longer than what most tests publish. `fresh`: as a
    user runs it, by a process that has imported nothing before, with as many workers as there are cores.
    """
    workers = () if fresh or "--workers" in args else ("--workers", "1")
    return run_python("-m", "asam_datasets.publish", *args, *workers, env=env, cwd=cwd, fresh=fresh)


def tar_members(path: Path) -> dict[str, bytes]:
    """The regular members of a tar by base name."""
    with tarfile.open(path) as tar:
        return {Path(m.name).name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


def read_with(environment: str, location: str, output: Path, env: Mapping[str, str]) -> dict[str, Any]:
    """What stock `datasets` in `.venvs/ENVIRONMENT` makes of a dataset (see readers/read_dataset.py)."""
    script = ROOT / "tests/support/readers/read_dataset.py"
    ran = run_reader(environment, script, location, output, env=env, cwd=output.parent)
    assert ran.code == 0, ran.err[-3000:]
    result: dict[str, Any] = json.loads(output.read_text())
    return result


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """The environment without anything of the Hub's, with a fresh cache."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "DATASETS_"))}
    return {**kept, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **more}
