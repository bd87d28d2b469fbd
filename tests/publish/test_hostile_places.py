"""Links and names that would have us write, or empty, what is not ours."""

import shutil
from pathlib import Path

import pytest
from by_hand import reindex
from conftest import Run, run_python

from asam_datasets.builds import decode_build
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import TargetError


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("small"), images=2, height=200, width=240)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else's, with what a clean-up of ours would take for its own."""
    folder = tmp_path / "outside"
    for name in ("precious.tmp", "data/train/x-0123456789abcdef/part-000.parquet", "waiting-1/rows", "keep.txt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "link", [".asam_datasets", ".asam_datasets/data", "data", "data/train", "organized", ".asam_datasets/data/train"]
)
def test_links_in_the_folder_of_a_dataset(
    link: str, small: DemoArchive, outside: Path, publish: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    if not link.startswith("."):
        assert publish("--train", small.archive, "--out", out).code == 0
        moved = out / link
        if moved.exists():
            moved.rename(tmp_path / "moved")
    (out / link).parent.mkdir(parents=True, exist_ok=True)
    (out / link).symlink_to(outside)
    before = contents(outside)
    ran = publish("--train", small.archive, "--captions", small.captions, "--out", out, "--yes")
    assert ran.code == 1
    assert f"{out / link}: expected a folder of its own, found a link" in ran.err
    assert contents(outside) == before


@pytest.mark.parametrize("depth", [1, 2], ids=["table", "build"])
def test_a_table_or_a_build_that_is_a_link(depth: int, small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """What lies below it is another dataset's, which a removal or a replacement here must not reach."""
    second = write_demo(tmp_path / "b", archive="sa_000001", images=1, first_id=50, height=200, width=240)
    mine, others = tmp_path / "mine", tmp_path / "others"
    for archive in (small.archive, second.archive):
        assert publish("--train", archive, "--out", mine).code == 0
    shutil.copytree(mine, others)
    before = contents(others)
    (build,) = mine.glob("data/train/sa_000001-*")
    moved = build if depth == 2 else build.parent
    shutil.rmtree(moved)
    moved.symlink_to(others / moved.relative_to(mine))
    ran = publish("--out", mine, "--remove", "sa_000001", "--yes")
    assert ran.code == 1
    assert f"{moved}: expected a folder of its own, found a link" in ran.err
    assert contents(others) == before


@pytest.mark.parametrize("link", [".asam_datasets", ".asam_datasets/sa_000000", "sa_000000"])
@pytest.mark.parametrize("verb", ["organize", "export"])
def test_links_in_an_organised_folder(
    verb: str, link: str, small: DemoArchive, outside: Path, publish: Run, tmp_path: Path
) -> None:
    source = small.archive
    if verb == "export":
        source = tmp_path / "dataset"
        assert publish("--train", small.archive, "--out", source).code == 0
    (tmp_path / "org" / link).parent.mkdir(parents=True)
    (tmp_path / "org" / link).symlink_to(outside)
    before = contents(outside)
    ran = run_python("-m", "asam_datasets", verb, source, "--out", tmp_path / "org", "--workers", "1")
    assert ran.code == 1
    assert "Traceback" not in ran.err
    assert contents(outside) == before


def test_a_dataset_that_is_itself_behind_a_link_is_fine(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to(tmp_path / "real")
    assert publish("--train", small.archive, "--out", tmp_path / "out").code == 0
    assert (tmp_path / "real/README.md").is_file()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"name": "sa_000000"', '"name": "x/../../../../OUTSIDE"'),
        ('"name": "sa_000000"', '"name": "a\\u0000b"'),
        ('"name": "sa_000000"', '"name": ""'),
        ('"file": "part-000.parquet"', '"file": "../../README.md"'),
        ('"file": "part-000.parquet"', '"file": "/etc/passwd"'),
        ('"rows": 2', '"rows": -2'),
        ('"rows": 2', '"rows": 3'),
        ('"size_bytes": ', '"size_bytes": -'),
        ('"parts": [', '"parts": [], "x": ['),
        ('"digest": "', '"digest": "../'),
    ],
)  # fmt: skip
def test_names_in_a_manifest(old: str, new: str, small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "a/b/c/out"
    assert publish("--train", small.archive, "--out", out).code == 0
    (manifest,) = out.rglob("build.json")
    text = manifest.read_text()
    assert old in text
    changed = text.replace(old, new, 1)
    with pytest.raises(TargetError, match=r"expected a build\.json of asam_datasets, found"):
        decode_build(changed.encode(), "here")
    manifest.write_text(changed)
    reindex(out)
    before = contents(tmp_path)
    for ran in (
        publish("--train", small.archive, "--captions", small.captions, "--out", out, "--yes"),
        run_python("-m", "asam_datasets", "verify", out),
        run_python("-m", "asam_datasets", "export", out, "--out", tmp_path / "exported"),
    ):
        assert ran.code == 1
        assert "Traceback" not in ran.err
    assert contents(tmp_path) == before
