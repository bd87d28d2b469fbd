"""What the tests of bad input share: each runs the program and looks at the one sentence that it says.

Each defect is tried in every container that can have it: a tar, a folder, gzip under the name of a tar, a URL.
"""

import functools
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from archives import (
    PACKS,
    Members,
    demo_members,
    pack_tar,
    tar_bytes,
    tiny_members,
    tree,
    without,
)

from asam_datasets.cli import main

ROOT = Path(__file__).resolve().parents[2]
ALL_IDS = [1, 2, 3, 4, 5, 6]
A = "annotations[3]"
PACK_BYTES: dict[str, Callable[[bytes], bytes]] = {"tar": bytes, "gzip": lambda content: gzip.compress(content, 1)}
each_pack = pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)


# ------------------------------------------------------------------------------------------------ running the program


@dataclass(frozen=True)
class Outcome:
    """What a run of the program showed."""

    code: object
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong, after checking that it is the only one."""
        lines = self.err.splitlines()
        assert "Traceback" not in self.err
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert self.out == ""
        return errors[0]

    @property
    def hint(self) -> str:
        """The line that says what to do about it, empty when there is none."""
        hints = [line for line in self.err.splitlines() if line.startswith("hint: ")]
        assert len(hints) <= 1, self.err
        return "".join(hints)


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process: `run("--train", ..., "--out", ...)`."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["publish", "--workers", "1", *map(str, arguments)])
        shown = capsys.readouterr()
        return Outcome(ended.value.code, shown.out, shown.err)

    return run


def run_process(arguments: Sequence[object], *, timeout_s: float = 300, **options: Any) -> Outcome:
    """The real command line, for what could hang or take this process down."""
    command = [sys.executable, "-m", "asam_datasets.publish", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout_s, check=False, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks and spools of the program go where pytest cleans up."""
    folder = tmp_path_factory.mktemp("system")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    return demo_members(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Captions of all images of `members`."""
    path = tmp_path_factory.mktemp("captions") / "captions.json"
    path.write_text("".join(f'{{"img": "sa_{i}.jpg", "prompt": "a photo of {i}"}}\n' for i in ALL_IDS))
    return path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of another archive, for what must not change it."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "sa_000009.tar").write_bytes(tar_bytes(tiny_members(2, first_id=900)))
    with pytest.raises(SystemExit) as ended:
        main(["publish", "--workers", "1", "--train", str(folder / "sa_000009.tar"), "--out", str(folder / "out")])
    assert ended.value.code == 0
    return folder / "out"


def check_refused(run: Run, tmp_path: Path, published: Path, *arguments: object) -> Outcome:
    """Run into a new folder and into one that holds a dataset: it fails, and neither shows that it ran."""
    place = Path(tempfile.mkdtemp(dir=tmp_path))
    new, held = place / "new", place / "held"
    before = tree(tmp_path)
    outcome = run(*arguments, "--out", new)
    assert outcome.code == 1
    assert outcome.error
    assert tree(tmp_path) == before
    shutil.copytree(published, held)
    again = run(*arguments, "--out", held)
    assert (again.code, again.error, again.hint) == (1, outcome.error, outcome.hint)
    assert tree(held) == tree(published)
    return outcome


def build_of(out: Path) -> Path:
    """The one build of `sa_000000` in a folder."""
    (folder,) = (out / "data" / "train").glob("*")
    assert folder.name.startswith("sa_000000-")
    return folder


def ids_by_part(out: Path) -> list[list[int]]:
    """Image ids, in the order of the dataset."""
    return [pq.read_table(part, columns=["image_id"])["image_id"].to_pylist() for part in parts_of(out)]


def parts_of(out: Path) -> list[Path]:
    return sorted(build_of(out).glob("*.parquet"))


def ids_of(out: Path) -> list[int]:
    return [image_id for part in ids_by_part(out) for image_id in part]


def files(folder: Path) -> dict[str, str]:
    return {name: content for name, content in tree(folder).items() if content != "folder"}


def rejects_of(out: Path) -> list[dict[str, str]]:
    lines = [json.loads(line) for line in (out / "rejects.jsonl").read_text("utf-8").splitlines()]
    assert all(list(line) == ["archive", "member", "reason"] for line in lines)
    return lines


@pytest.fixture(scope="module")
def digest_without(members: Members, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The name of the build of an archive that never had some records, in two parts."""

    @functools.cache
    def digest(*lost: int) -> str:
        folder = tmp_path_factory.mktemp("without")
        source = pack_tar(folder, without(members, *lost))
        with pytest.raises(SystemExit) as ended:
            main(["publish", "--workers", "1", "--parts", "2", "--train", source, "--out", str(folder / "out")])
        assert ended.value.code == 0
        return build_of(folder / "out").name

    return digest


@pytest.fixture(scope="module")
def tiny() -> Members:
    return tiny_members(3)
