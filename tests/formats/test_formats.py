"""Exports in the forms of other programs, read back by what is here, or as others document it."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from archives import tree
from bad_input import Run
from bad_input import run as run
from conftest import Run as Publish
from conftest import run_python
from drawn_sets import draw_coco, draw_hrsod
from hypothesis import given, settings
from hypothesis import strategies as st
from own_data import coco_files, pack
from PIL import Image
from pycocotools.coco import COCO
from rlemasklib import RLEMask

from asam_datasets.cli import main
from asam_datasets.demo import DemoArchive
from asam_datasets.errors import RecordError, SourceError, TargetError
from asam_datasets.formats import FORMS, Exported, export_form, outline
from asam_datasets.formats import _export as exporting
from asam_datasets.formats._form import Space
from asam_datasets.formats._reading import Item, Object
from asam_datasets.formats._webdataset import WebDatasetForm, WebDatasetWriter
from asam_datasets.formats._yolo import YoloWriter
from asam_datasets.masks import decode

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

Rows = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def dataset(demo: DemoArchive, publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in two parts and two evaluation sets."""
    folder = tmp_path_factory.mktemp("formats")
    draw_coco(folder / "coco")
    draw_hrsod(folder / "hrsod")
    sets = ["--evaluation", f"coco2017_val={folder / 'coco'}", f"hrsod_te={folder / 'hrsod'}"]
    captions = ["--captions", demo.captions]
    ran = publish("--train", demo.archive, *captions, *sets, "--parts", "2", "--out", folder / "dataset")
    assert ran.code == 0, ran.err
    return folder / "dataset"


@pytest.fixture(scope="module")
def rows(dataset: Path) -> Rows:
    """The rows of each archive and set by the bare name of the image."""
    found: Rows = {}
    for name in ("sa_000000", "coco2017_val", "hrsod_te"):
        for part in sorted(dataset.glob(f"data/*/{name}-*/*.parquet")):
            for row in pq.read_table(part).to_pylist():
                found.setdefault(name, {})[Path(row["file_name"]).name] = row
    return found


@pytest.fixture(scope="module", params=FORMS)
def exported(request: pytest.FixtureRequest, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The dataset in one form."""
    return export_form(dataset, tmp_path_factory.mktemp("out") / "out", form=request.param, workers=1)


def masks_of(row: dict[str, Any]) -> list[np.ndarray]:
    return [decode(one["segmentation"]) for one in row["annotations"]]


def box_of(mask: np.ndarray) -> list[int]:
    found_rows, columns = np.nonzero(mask)
    return [columns.min(), found_rows.min(), np.ptp(columns) + 1, np.ptp(found_rows) + 1]


def of_coco(folder: Path) -> dict[str, tuple[bytes, list[np.ndarray], str | None]]:
    table = COCO(folder / "annotations.json")
    captions = COCO(folder / "captions.json") if (folder / "captions.json").exists() else None
    found = {}
    for image in table.loadImgs(table.getImgIds()):
        annotations = table.loadAnns(table.getAnnIds(image["id"]))
        for one in annotations:
            mask = table.annToMask(one)
            assert (one["area"], one["bbox"]) == (mask.sum(), box_of(mask) if mask.any() else [0, 0, 0, 0])
        said = captions.loadAnns(captions.getAnnIds(image["id"])) if captions else []
        content = (folder / "images" / image["file_name"]).read_bytes()
        caption = said[0]["caption"] if said else None
        found[image["file_name"]] = content, [table.annToMask(one) for one in annotations], caption
    assert len({one["id"] for one in table.dataset["annotations"]}) == len(table.dataset["annotations"])
    return found


def resampled(points: np.ndarray, count: int = 1000) -> np.ndarray:
    """As `resample_segments` of ultralytics 8.4: a closed line, by points in between, of as many points."""
    closed = np.concatenate((points, points[:1]))
    known = np.arange(len(closed))
    places = np.linspace(0, len(closed) - 1, count - len(closed) if len(closed) < count else count)
    places = np.insert(places, np.searchsorted(places, known), known) if len(closed) < count else places
    return np.stack([np.interp(places, known, column) for column in closed.T], axis=1).astype(np.float32)


def as_ultralytics(lines: list[str], shape: tuple[int, int]) -> list[np.ndarray]:
    """As ultralytics 8.4: float32, as many points of each, times the sides, fractions cut off, `fillPoly`."""
    masks = []
    segments = [np.array(line.split()[1:], np.float32).reshape(-1, 2) for line in lines]
    longest = max(map(len, segments), default=0)
    for segment in segments:
        assert 3 <= len(segment) <= 4000
        assert 0 <= segment.min() <= segment.max() <= 1
        points = resampled(segment, longest + 1 if longest > 1000 else 1000) * np.array(shape[::-1], np.float32)
        masks.append(np.zeros(shape, np.uint8))
        cv2.fillPoly(masks[-1], [points.astype(np.int32)], 1)
    return masks


def of_yolo(folder: Path) -> dict[str, tuple[bytes, list[np.ndarray], str | None]]:
    found = {}
    for path in sorted((folder / "images").iterdir()):
        with Image.open(path) as image:
            shape = image.height, image.width
        lines = (folder / "labels" / f"{path.stem}.txt").read_text().splitlines()
        masks = as_ultralytics(lines, shape)
        found[path.name] = path.read_bytes(), masks, None
    return found


def of_webdataset(folder: Path) -> dict[str, tuple[bytes, list[np.ndarray], str | None]]:
    """As webdataset 1.0: members in order, the key up to the first dot, a sample ends where the key changes."""
    samples: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                key, _, ending = member.name.partition(".")
                if not samples or samples[-1]["key"] != key:
                    samples.append({"key": key})
                samples[-1][ending] = tar.extractfile(member).read()  # type: ignore[union-attr]
    assert len({one["key"] for one in samples}) == len(samples)
    found = {}
    for one in samples:
        about = json.loads(one["json"])
        masks = [decode(annotation["segmentation"]) for annotation in about["annotations"]]
        caption = one["txt"].decode() if "txt" in one else None
        found[Path(about["file_name"]).name] = one["jpg"], masks, caption
    return found


def of_fiftyone(folder: Path) -> dict[str, tuple[bytes, list[np.ndarray], str | None]]:
    """As FiftyOne 1.22 (`LegacyFiftyOneDatasetImporter`, `Detection.to_segmentation`)."""
    about = json.loads((folder / "metadata.json").read_text())
    assert "version" not in about
    assert about["media_type"] == "image"
    found = {}
    for sample in json.loads((folder / "samples.json").read_text())["samples"]:
        height, width = sample["metadata"]["height"], sample["metadata"]["width"]
        masks = []
        for one in sample["ground_truth"]["detections"]:
            part = np.load(io.BytesIO(zlib.decompress(base64.b64decode(one["mask"]))))
            x, y, w, h = one["bounding_box"]
            left, top = int(x * width), int(y * height)
            assert (int((y + h) * height) - top, int((x + w) * width) - left) == part.shape
            mask = np.zeros((height, width), np.uint8)
            mask[top : top + part.shape[0], left : left + part.shape[1]] = part
            masks.append(mask)
        found[Path(sample["filepath"]).name] = (folder / sample["filepath"]).read_bytes(), masks, sample["caption"]
    return found


READERS = {"coco": of_coco, "yolo": of_yolo, "webdataset": of_webdataset, "fiftyone": of_fiftyone}


def test_read_back(exported: Exported, rows: Rows) -> None:
    """Images byte for byte, captions, and as many masks: exact, and near enough where one line has to do."""
    assert {one.name for one in exported.folders} == {"sa_000000", "coco2017_val", "hrsod_te"}
    poor = 0
    for written in exported.folders:
        found = READERS[exported.form](Path(exported.out) / written.name)
        expected = rows[written.name]
        assert found.keys() == expected.keys()
        assert written.masks == sum(len(row["annotations"]) for row in expected.values())
        for name, (content, masks, caption) in found.items():
            row = expected[name]
            assert content == row["image"]["bytes"]
            assert exported.form == "yolo" or caption == row.get("caption")
            for mask, wanted in zip(masks, masks_of(row), strict=True):
                if exported.form != "yolo":
                    assert np.array_equal(mask, wanted)
                elif (mask & wanted).sum() < 0.99 * (mask | wanted).sum():
                    poor += 1
                    assert cv2.connectedComponents(wanted, connectivity=8)[0] > 2, "one part, and not drawn well"
    lost = sum(count for one in exported.folders for what, count in one.lost.items() if "IoU" in what)
    assert lost == poor
    assert not any(one.left_out for one in exported.folders)


def test_again(exported: Exported, dataset: Path) -> None:
    """The same command finds all done; another form or dataset in its place is refused, and nothing changed."""
    out = Path(exported.out)
    before = tree(out)
    again = export_form(dataset, out, form=exported.form, workers=1)
    assert (again.folders, again.notes) == (exported.folders, exported.notes)
    assert tree(out) == before
    other = next(form for form in FORMS if form != exported.form)
    with pytest.raises(TargetError, match="found"):
        export_form(dataset, out, form=other, workers=1)
    assert tree(out) == before
    (out / "notes.txt").write_text("mine")
    with pytest.raises(TargetError, match=r"found notes\.txt"):
        export_form(dataset, out, form=exported.form, workers=1)
    (out / "notes.txt").unlink()


class StoppedError(Exception):
    pass


def test_stopped(dataset: Path, exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped in the second part, and again before it is shown: what is finished is not read again, and the result is
    what a run that was never stopped gives."""
    out, form, read = tmp_path / "out", exported.form, list[str]()
    items = exporting.read_items

    def stopping(part: Any, *rest: Any) -> Any:
        read.append(part.path)
        if len(read) == 2:
            raise StoppedError
        return items(part, *rest)

    monkeypatch.setattr(exporting, "read_items", stopping)
    with pytest.raises(StoppedError):
        export_form(dataset, out, form=form, workers=1)
    assert [path.name for path in out.iterdir()] == [".asam_datasets"]
    first = read[0]
    with monkeypatch.context() as patch:
        patch.setattr(exporting.os, "rename", lambda *_: (_ for _ in ()).throw(StoppedError))
        with pytest.raises(StoppedError):
            export_form(dataset, out, form=form, workers=1)
    assert [path.name for path in out.iterdir()] == [".asam_datasets"]
    export_form(dataset, out, form=form, workers=1)
    assert read.count(first) == 1
    assert tree(out) == tree(Path(exported.out))


def test_data_yaml(dataset: Path, tmp_path: Path) -> None:
    export_form(dataset, tmp_path / "out", form="yolo", workers=1)
    found = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert found == {
        "train": ["sa_000000/images"],
        "val": ["coco2017_val/images"],
        "test": ["hrsod_te/images"],
        "names": {0: "object", 1: "stone"},
    }
    (line, *_) = (tmp_path / "out/coco2017_val/labels/000000000001.txt").read_text().splitlines()
    assert line.startswith("1 ")


def test_shards_are_bounded(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 200_000
    monkeypatch.setattr(WebDatasetForm, "writer", lambda self, space: WebDatasetWriter(space, most))
    export_form(dataset, tmp_path / "out", form="webdataset", workers=1)
    shards = sorted((tmp_path / "out/sa_000000").glob("*.tar"))
    assert len(shards) > 2
    assert [path.name for path in shards] == [f"sa_000000-{number:06}.tar" for number in range(len(shards))]
    for path in shards:
        with tarfile.open(path) as tar:
            keys = [member.name.partition(".")[0] for member in tar]
        assert path.stat().st_size <= most + 20_480 or len(set(keys)) == 1  # tar fills its last record
    assert len(of_webdataset(tmp_path / "out/sa_000000")) == 12


def test_own_data_and_what_is_left_out(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """From a stranger's COCO file to a COCO file; a dataset without images has nothing to export."""
    folder, out = pack("folder", tmp_path, coco_files()), tmp_path / "dataset"
    assert run("--train", folder, "--out", out).code == 0
    with pytest.raises(SystemExit) as ended:
        main(["export", str(out), "--out", str(tmp_path / "coco"), "--format", "coco", "--workers", "1", "--json"])
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["folders"][0]["masks"] == 3
    found = of_coco(tmp_path / "coco" / "mine")
    assert found["Cat 1.png"][0] == coco_files()["images/Cat 1.png"]
    again = run("--train", tmp_path / "coco" / "mine", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    with pytest.raises(SystemExit) as ended:
        main(["export", str(out), "--out", str(tmp_path / "organised"), "--workers", "1"])
    assert ended.value.code == 1
    assert "--format coco" in capsys.readouterr().err
    bare = tmp_path / "bare"
    assert run("--train", folder, "--annotations-only", "mine", "--out", bare).code == 0
    with pytest.raises(SourceError, match="left out 2 records that were published without their images"):
        export_form(bare, tmp_path / "none", form="coco", workers=1)
    assert not (tmp_path / "none").exists() or not os.listdir(tmp_path / "none")


def test_a_damaged_part(dataset: Path, tmp_path: Path) -> None:
    """What is read is checked; nothing half of it is shown."""
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    part = sorted(copy.glob("data/train/*/part-001.parquet"))[0]
    rows = pq.read_table(part)
    place = rows.schema.get_field_index("width")
    wrong = pa.array([width + 1 for width in rows["width"].to_pylist()], pa.int32())
    table = rows.set_column(place, rows.schema.field(place), wrong)
    pq.write_table(table, part, row_group_size=len(table))
    with pytest.raises((SourceError, RecordError)):
        export_form(copy, tmp_path / "out", form="coco", workers=1)
    assert "sa_000000" not in [path.name for path in (tmp_path / "out").iterdir()]


def test_the_command_refuses_what_does_not_go_together(dataset: Path, tmp_path: Path) -> None:
    command = ("-m", "asam_datasets", "export", str(dataset), "--out", str(tmp_path / "x"), "--format", "yolo")
    ran = run_python(*command, "--masks", "none")
    assert ran.code == 1
    assert "--masks" in ran.err
    with pytest.raises(TargetError, match="expected one of coco, yolo"):
        export_form(dataset, tmp_path / "x", form="voc")


# ------------------------------------------------------------------------------------------------ outlines


def filled(mask: np.ndarray, **options: int) -> np.ndarray:
    found = outline(RLEMask.from_array(mask), **options)
    drawn = np.zeros(mask.shape, np.uint8)
    if found is not None:
        cv2.fillPoly(drawn, [found.points.astype(np.int32)], 1)
    return drawn


@settings(max_examples=150)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**144 - 1))
def test_an_outline_is_the_mask(height: int, width: int, bits: int) -> None:
    """Holes and all where it is one part; with several nothing is missing, and more only on the way between them."""
    mask = np.array([bits >> place & 1 for place in range(height * width)], np.uint8).reshape(height, width)
    drawn = filled(mask, most_points=10**6)
    assert not (mask & ~drawn & 1).any()
    parts = cv2.connectedComponents(mask, connectivity=8)[0] - 1
    found = outline(RLEMask.from_array(mask), most_points=10**6)
    assert (found.parts if found else 0) == parts
    if parts <= 1:
        assert np.array_equal(drawn, mask)


def test_a_bridge_is_the_shortest() -> None:
    """It begins where a part is nearest, which is no corner of it, and its bend keeps it one line on both ways."""
    mask = np.zeros((40, 120), np.uint8)
    mask[2:5, 2:110] = mask[12, 55] = 1
    assert filled(mask).sum() == mask.sum() + 7
    apart = np.zeros((40, 120), np.uint8)
    apart[3, 3] = apart[20, 60] = 1
    found = outline(RLEMask.from_array(apart))
    assert found is not None
    drawn = np.zeros(apart.shape, np.uint8)
    cv2.fillPoly(drawn, [(resampled(found.points.astype(np.float32)) + 0.5).astype(np.int32)], 1)
    assert drawn.sum() == 58
    crowded = outline(RLEMask.from_array(apart), most_points=4)  # too few for bends, and still whole
    assert crowded is not None
    assert (crowded.points.tolist(), crowded.simplified) == ([[3, 3], [60, 20], [3, 3]], False)


def test_diagonal_lines_come_back_from_ultralytics(tmp_path: Path) -> None:
    """Long diamonds: halfway between two pixels of a diagonal ultralytics would paint the wrong one."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "images").mkdir()
    writer = YoloWriter(Space(tmp_path, tmp_path, "", "x", 0, {}, {(None, None): (0, "object")}))
    rows, columns = np.mgrid[:64, :96]
    rows_away = np.maximum(abs(rows - 31) - 2, 0)
    masks = [(rows_away + abs(columns - 40) <= reach).astype(np.uint8) for reach in range(29)]
    objects = [
        Object(RLEMask.from_array(mask), None, 0, [*map(float, box_of(mask))], (None, None), 0, {}) for mask in masks
    ]
    writer.add(Item("a.png", 1, "a.png", 1, b"", 96, 64, None, objects, False))
    lines = (tmp_path / "labels" / "a.txt").read_text().splitlines()
    for found, mask in zip(as_ultralytics(lines, (64, 96)), masks, strict=True):
        assert np.array_equal(found, mask)
    assert not writer.tally.lost


def test_an_outline_of_many_points() -> None:
    """A large rough mask with a hole keeps to the number of points, and nearly to its shape."""
    rows, columns = np.mgrid[:600, :900]
    mask = (((columns - 450) / 400) ** 2 + ((rows - 300 + 20 * np.sin(columns / 5)) / 200) ** 2 < 1).astype(np.uint8)
    mask[200:300, 400:500] = 0
    found = outline(RLEMask.from_array(mask))
    assert found is not None
    assert found.simplified
    assert len(found.points) <= 1000
    drawn = filled(mask)
    assert (drawn & mask).sum() > 0.99 * (drawn | mask).sum()
    assert not drawn[205:295, 405:495].any()
