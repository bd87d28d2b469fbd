"""Killed before any step that changes a folder, stock `datasets` finds the rows from before or the new ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, run_python

from asam_datasets.demo import DemoArchive, write_demo

# Ends itself before the step of this number that renames or removes something, as `kill -9` would. What happens in the
# work folder alone is tried by tests/builds.
PUBLISH = """
import os, sys
left = int(sys.argv[1])
STEPS = ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
def hook(event, args):
    global left
    if event in STEPS and os.getpid() == me and any(is_shown(str(arg)) for arg in args[:2]):
        if left == 0:
            os._exit(9)
        left -= 1
def is_shown(path):
    return path.startswith(out) and not path.startswith(out + "/.asam_datasets")
me, out = os.getpid(), sys.argv[-1]
sys.addaudithook(hook)
from asam_datasets.cli import publish_main
sys.argv[1:] = sys.argv[2:]
publish_main()
"""
READ = """
import json, sys
import datasets
try:
    stream = datasets.load_dataset(sys.argv[1], split="train", streaming=True)
    print(json.dumps(sorted(row["image_id"] for row in stream.select_columns(["image_id"]))))
except Exception as error:
    print(json.dumps(type(error).__name__))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoArchive, DemoArchive]:
    folder = tmp_path_factory.mktemp("archives")
    first = write_demo(folder / "a", images=2, height=200, width=240)
    return first, write_demo(folder / "b", archive="sa_000001", images=1, first_id=50, height=200, width=240)


def rows(out: Path) -> Any:
    ran = run_python("-c", READ, out)
    assert ran.code == 0, ran.err
    return json.loads(ran.out.splitlines()[-1])


@pytest.mark.parametrize("is_new", [True, False], ids=["a new folder", "a second version"])
def test_killed_before_any_step(
    is_new: bool, archives: tuple[DemoArchive, DemoArchive], publish: Run, tmp_path: Path
) -> None:
    """The second version replaces one archive, whose captions are new, and adds another."""
    first, second = archives
    args = ["--train", str(first.archive), str(second.archive), "--workers", "1", "--yes"]
    args += [] if is_new else ["--captions", str(first.captions)]
    seen = set()
    for step in range(100):
        out = tmp_path / str(step)
        if not is_new:
            assert publish("--train", first.archive, "--out", out).code == 0
        ran = run_python("-c", PUBLISH, str(step), *args, "--out", out)
        found = str(rows(out)) if out.exists() else "nothing"
        if is_new:
            assert found in ("[1, 2, 50]", "nothing") or "Error" in found or "DataFiles" in found, (step, found)
        else:
            assert found in ("[1, 2]", "[1, 2, 50]"), (step, found)
        seen.add(found)
        if ran.code == 0:
            break
        assert ran.code == 9, ran.err
        assert publish(*args, "--out", out).code == 0
        left = sorted(path.name for path in out.iterdir())
        assert left == ["LICENSE.md", "README.md", "assets", "data", *([] if is_new else ["organized"])], (step, left)
    assert ran.code == 0
    assert step >= 6, "steps were counted"
    assert len(seen) >= 2
