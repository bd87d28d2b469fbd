"""How often a publish opens its sources: an archive is indexed once, however many rooms want to know of it."""

import json
import subprocess
import sys
from pathlib import Path

from conftest import ROOT

from asam_datasets.demo import DemoArchive

PROGRAM = """
import collections, json, os, sys
opened = collections.Counter()
sys.addaudithook(lambda event, args: opened.update([os.fspath(args[0])]) if event == "open" and
                 isinstance(args[0], (str, os.PathLike)) else None)
from asam_datasets.publish import PublishOptions, publish
from pathlib import Path
publish(PublishOptions(**json.loads(sys.argv[1], object_hook=lambda d: {**d, "out": Path(d["out"])}), workers=1))
print(json.dumps({name: count for name, count in opened.items() if name.startswith(sys.argv[2])}))
"""


def opened(source: Path, below: Path, out: Path) -> dict[str, int]:
    options = json.dumps({"train": [str(source)], "out": str(out)})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, options, str(below)],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_an_archive_is_walked_once(demo: DemoArchive, tmp_path: Path) -> None:
    """Three looks at the tar: what kind of file it is, the walk over its headers, and the records."""
    archive = tmp_path / "sa_000000.tar"
    archive.write_bytes(demo.archive.read_bytes())
    assert opened(archive, archive, tmp_path / "out") == {str(archive): 3}


def test_members_are_read_once(demo: DemoArchive, members: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "sa_000000"
    folder.mkdir()
    for name, content in members.items():
        (folder / name).write_bytes(content)
    found = opened(folder, folder, tmp_path / "out")
    assert found == {str(folder / name): 1 for name in members}
