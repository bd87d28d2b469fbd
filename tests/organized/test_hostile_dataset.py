"""A published dataset whose every text is hostile: nothing is written outside, and nothing is printed raw."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from by_hand import reindex
from conftest import Run
from evaluation_trees import TREES

from asam_datasets.builds import BUILD_FILE, decode_build
from asam_datasets.cli import main
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.machine import file_sha256

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

TEXTS: dict[str, str] = {
    "up": "../../../../outside\x1b]0;title\x07\x1b[2J\x9b2J\u202e.jpg",
    "absolute": "/outside\0.jpg",
    "newline": "a\nerror: b.jpg\r",
    "long": "n" * 4000 + ".jpg",
    "longer": "n" * 5000 + ".jpg",
    "empty": "",
}
Rows = list[dict[str, Any]]
EVALUATION_IDS = [str(number) for number in range(1, 5)]


def in_names(rows: Rows, text: str) -> None:
    rows[0]["file_name"] = text


def in_ids(rows: Rows, text: str) -> None:
    """Whole numbers where the table has them."""
    for row in rows:
        row.update({name: text for name in ("archive", "dataset") if name in row})
        row["image_id"] = text if isinstance(row["image_id"], str) else -1


def in_words(rows: Rows, text: str) -> None:
    """What nothing but people read."""
    for row in rows:
        row["image"]["path"] = text
        row.update({name: text for name in ("caption",) if name in row})
        for one in row["annotations"]:
            one.update({name: text for name in ("category",) if name in one})


def in_case(rows: Rows, text: str) -> None:
    """Names that differ by case alone."""
    rows[0]["file_name"], rows[1]["file_name"] = f"A{text}", f"a{text}"


CHANGES: list[Callable[[Rows, str], None]] = [in_names, in_ids, in_words, in_case]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("small"), images=2, height=192, width=192)


@pytest.fixture(scope="module")
def published(small: DemoArchive, tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Path:
    """An archive, a set of binary masks, and one with a COCO file."""
    folder = tmp_path_factory.mktemp("published")
    sets = []
    for name in ("hrsod_te", "coco2017_val"):
        (folder / name).mkdir()
        TREES[name](folder / name)
        sets.append(f"{name}={folder / name}")
    ran = publish(
        "--train", small.archive, "--captions", small.captions, "--evaluation", *sets, "--out", folder / "out"
    )
    assert ran.code == 0, ran.err
    return folder / "out"


def spoil(part: Path, change: Callable[[Rows, str], None], text: str) -> None:
    """Change the rows of a part, and make its manifest agree."""
    table = pq.read_table(part)
    rows = table.to_pylist()
    change(rows, text)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    manifest = part.with_name(BUILD_FILE)
    old = decode_build(manifest.read_bytes(), "").parts[0]
    said = manifest.read_text().replace(old.sha256, file_sha256(part))
    manifest.write_text(said.replace(f'"size_bytes": {old.size_bytes}', f'"size_bytes": {part.stat().st_size}'))


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("what", TEXTS)
def test_a_hostile_dataset(
    what: str, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each text in each place, through each verb: it works, or ends in one sentence."""
    text = TEXTS[what]
    place = tmp_path / "a/b/c/d"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    Path("numbers.txt").write_text("sa_1.jpg\n2\n")
    Path("texts.json").write_text(json.dumps([text or "-", *EVALUATION_IDS]))
    for number, change in enumerate(CHANGES):
        name = change.__name__
        dataset = Path(shutil.copytree(published, place / f"in{number}"))
        for part in sorted(dataset.rglob("*.parquet")):
            spoil(part, change, text)
        reindex(dataset)
        before = everything(tmp_path)
        allowed = {f"out{number}", f"fetched{number}", f"{number}-train.png", f"{number}-evaluation.png"}
        for command in (
            ("verify", dataset, "--deep", "--workers", "1", *(["--json"] if number % 2 else [])),
            ("preview", dataset, "--out", f"{number}-train.png"),
            ("preview", dataset, "--config", "evaluation", "--out", f"{number}-evaluation.png"),
            ("export", dataset, "--out", f"out{number}", "--workers", "1"),
            ("fetch", dataset, "--ids", "numbers.txt", "--out", f"fetched{number}"),
            ("fetch", dataset, "--ids", "texts.json", "--out", f"fetched{number}", "--config", "evaluation"),
        ):
            with pytest.raises(SystemExit) as ended:
                main([str(word) for word in command])
            assert ended.value.code in (0, 1), (name, command)
            shown = capsys.readouterr()
            assert all(c.isprintable() or c in "\n\r" for c in shown.out + shown.err), (name, command)
            assert not any(line.startswith("error: b.jpg") for line in (shown.out + shown.err).splitlines())
            assert shown.err.count("\nerror: ") <= 1
            assert len(shown.out + shown.err) < 100_000
            if "--json" in command:
                json.loads(shown.out)
        written = everything(tmp_path) - before
        assert {path.split("/")[4] for path in written if not path.startswith("a/b/c/d/in")} <= allowed, name
        assert not [path for path in written if path.startswith("a/b/c/d/in")], "the dataset is not touched"
    assert not Path("/outside.jpg").exists()
