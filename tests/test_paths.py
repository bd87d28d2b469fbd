"""From Python, a text does wherever a path does, as with `datasets`; and one source need not be in a list."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from asam_datasets.captions import merge
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.download import download
from asam_datasets.errors import CaptionsError, SourceError
from asam_datasets.formats import export_form
from asam_datasets.info import info
from asam_datasets.machine import AnyPath
from asam_datasets.organized import export, fetch, organize
from asam_datasets.preview import preview
from asam_datasets.publish import PublishOptions, publish
from asam_datasets.published import open_dataset, rows, verify
from asam_datasets.training import open_stream

KINDS = [pytest.param(str, id="text"), pytest.param(Path, id="path")]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(str(tmp_path_factory.mktemp("text")), images=2, height=192, width=192)


@pytest.fixture(scope="module")
def dataset(archive: DemoArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "out"
    publish(PublishOptions([str(archive.archive)], captions=[archive.captions], out=out, workers=1))
    return out


def tree(folder: Path) -> dict[str, bytes]:
    """The files of a folder; a run has another name each time, so nothing of a dataset is compared but its parts."""
    return {path.name: path.read_bytes() for path in folder.rglob("part-*.parquet")}


@pytest.mark.parametrize("kind", KINDS)
def test_publish(kind: Callable[[str], AnyPath], archive: DemoArchive, dataset: Path, tmp_path: Path) -> None:
    def given(name: str, content: str) -> AnyPath:
        (tmp_path / name).write_text(content)
        return kind(str(tmp_path / name))

    out = tmp_path / "out"
    summary = publish(
        PublishOptions(
            kind(str(archive.archive)),
            captions=kind(str(archive.captions)),
            out=kind(str(out)),
            ids=given("ids.txt", "1\n2\n"),
            about=given("about.md", "Drawn, not photographed."),
            rejects=kind(str(tmp_path / "rejects.jsonl")),
            workers=1,
        )
    )
    assert (summary.rows, tree(out)) == (2, tree(dataset))
    assert "Drawn, not photographed." in (out / "README.md").read_text()
    held = kind(str(tmp_path / "held"))
    publish(PublishOptions(kind(str(archive.archive)), validation=given("val.txt", "1\n"), out=held, workers=1))
    assert {path.name for path in Path(held).glob("data/*/*/*.parquet")} == {
        "part-000.parquet",
        "validation-000.parquet",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_read(kind: Callable[[str], AnyPath], dataset: Path, tmp_path: Path) -> None:
    ids = tmp_path / "ids.txt"
    ids.write_text("2\n")
    place = kind(str(dataset))
    assert [build.name for build in open_dataset(place).builds] == ["sa_000000"]
    assert verify(place).findings == []
    assert info(place).configs
    assert [row["image_id"] for row in rows(place, kind(str(ids)))] == [2]
    assert len(list(open_stream(place, rank=0, world_size=1))) == 2
    preview(place, out=kind(str(tmp_path / "sheet.png")))
    assert (tmp_path / "sheet.png").is_file()
    export(place, kind(str(tmp_path / "all")), workers=1)
    fetch(place, kind(str(ids)), kind(str(tmp_path / "one")), workers=1)
    found = [sorted(path.name for path in (tmp_path / name).rglob("sa_*.jpg")) for name in ("all", "one")]
    assert found == [["sa_1.jpg", "sa_2.jpg"], ["sa_2.jpg"]]
    export_form(place, kind(str(tmp_path / "coco")), form="coco", workers=1)
    assert os.listdir(tmp_path / "coco")


@pytest.mark.parametrize("kind", KINDS)
def test_other_ways(kind: Callable[[str], AnyPath], archive: DemoArchive, tmp_path: Path) -> None:
    folder = kind(str(tmp_path / "organised"))
    done = organize(kind(str(archive.archive)), folder, captions=kind(str(archive.captions)), workers=1)
    assert [one.images for one in done.archives] == [2]
    with pytest.raises(CaptionsError, match=r"found no .*header"):
        merge(kind(str(archive.captions)), kind(str(tmp_path / "merged.json")))
    with pytest.raises(SourceError, match="expected a list of links"):
        download(kind(str(tmp_path / "no.txt")), kind(str(tmp_path / "archives")))
