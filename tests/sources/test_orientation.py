"""Images that EXIF wants to be turned: stock readers turn them and not their masks, so they are counted and told."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import pytest
from conftest import Run
from evaluation_trees import SHAPE, TREES
from PIL import ImageOps
from pycocotools.coco import COCO

from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.images import orientation
from asam_datasets.publish import PublishOptions
from asam_datasets.publish import publish as publish_here
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import EvaluationRecord, load_catalog, open_evaluation

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
COCO_JSON = "annotations/instances_val2017.json"


def exif(value: int) -> PIL.Image.Exif:
    made = PIL.Image.Exif()
    made[0x0112] = value
    return made


def encoded(form: str, value: int | None) -> bytes:
    content = io.BytesIO()
    PIL.Image.new("RGB", (6, 4)).save(content, form, **({} if value is None else {"exif": exif(value)}))
    return content.getvalue()


def late(png: bytes) -> bytes:
    """The same PNG with its EXIF behind the pixels."""
    start = png.index(b"eXIf") - 4
    size = 12 + int.from_bytes(png[start : start + 4], "big")
    return png[:start] + png[start + size : -12] + png[start : start + size] + png[-12:]


def noted(text: bytes) -> bytes:
    """A PNG with XMP behind the pixels, where Pillow looks for an orientation as well."""
    png, body = encoded("PNG", None), b"iTXtXML:com.adobe.xmp\0\0\0\0\0" + text
    return png[:-12] + (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big") + png[-12:]


def shown_turned(data: bytes) -> bool:
    """Whether stock `datasets` shows another size than the one that is stored."""
    image = PIL.Image.open(io.BytesIO(data))
    before = image.size
    image.load()
    return before != (ImageOps.exif_transpose(image) if image.getexif().get(0x0112) is not None else image).size


@pytest.mark.parametrize("value", range(10))
def test_what_metadata_want(value: int) -> None:
    expected = value if 2 <= value <= 8 else 1
    for data in (encoded("JPEG", value), encoded("PNG", value), late(encoded("PNG", value)), encoded("WEBP", value)):
        assert orientation(data) == expected
        assert shown_turned(data) == (expected > 4)
    assert orientation(encoded("TIFF", value)) == 1
    assert not shown_turned(encoded("TIFF", value))
    xmp = noted(b'<x tiff:Orientation="%d"/>' % value)
    assert orientation(xmp) == expected
    assert shown_turned(xmp) == (expected > 4)


def test_metadata_of_anybodys_making() -> None:
    jpeg = encoded("JPEG", 6)
    start = jpeg.index(b"Exif")
    for end in range(start, start + 40):
        assert orientation(jpeg[:end]) in (1, 6)
        assert orientation(jpeg[:end] + b"\xff" * 8 + jpeg[end + 8 :]) in range(1, 9)
    assert orientation(b"no image") == orientation(b"") == 1


# ------------------------------------------------------------------------------------------------ counted and told


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive in which one image of two, an upright one, is said to lie on its side."""
    demo: DemoArchive = write_demo(tmp_path_factory.mktemp("small"), images=2, height=200, width=240)
    folder = tmp_path_factory.mktemp("turned") / "images"
    shutil.unpack_archive(demo.archive, folder)
    jpeg = (folder / "sa_2.jpg").read_bytes()
    block = b"Exif\0\0" + exif(6).tobytes().removeprefix(b"Exif\0\0")
    (folder / "sa_2.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + jpeg[2:])
    return folder


def test_an_archive_says_that_images_are_turned(turned: Path, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = publish("--train", turned, "--out", out)
    assert first.code == 0, first.err
    assert re.search(r"^  EXIF +images: 1 images carry an orientation: stock readers turn", first.out, re.MULTILINE)
    planned = publish("--train", turned, "--out", out, "--dry-run")
    assert "EXIF       images: 1 of 2 images carry an orientation" in planned.out  # known without reading them again
    again = json.loads(publish("--train", turned, "--out", out, "--json").out)
    assert again["turned"] == {"images": 1}
    assert again["changes"]["added"] == []
    card = (out / "README.md").read_text()
    assert "Some images carry an EXIF orientation: 1 of 2 in `images`." in card
    # The way out, as the card has it, and what it is the way out of.
    (recipe,) = [one for one in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if "decode=False" in one]
    exec(compile(recipe, "card", "exec"), {})
    from datasets import load_dataset

    record = load_dataset(str(out), split="train", streaming=True, cache_dir=str(tmp_path / "cache"))
    sizes = [(one["image"].size, one["masks"][0].size, (one["width"], one["height"])) for one in record]
    assert sizes == [((240, 200),) * 3, ((240, 200), (200, 240), (200, 240))]


def test_nothing_is_said_where_nothing_is_turned(publish: Run, tmp_path: Path) -> None:
    demo = write_demo(tmp_path / "small", images=2, height=200, width=240)
    done = publish("--train", demo.archive, "--out", tmp_path / "out")
    assert "EXIF" not in done.out
    assert "EXIF" not in (tmp_path / "out/README.md").read_text()
    assert b"turned" not in next((tmp_path / "out").rglob("build.json")).read_bytes()


# ------------------------------------------------------------------------------------------------ as ASAM sees it


def coco_set(root: Path, value: int, said: tuple[int, int] | None) -> Path:
    """COCO with one image stored as 48 × 64, of that orientation, whose size the JSON says to be `said`."""
    TREES["coco2017_val"](root)
    path = root / COCO_JSON
    table: Any = json.loads(path.read_text())
    first = table["images"][0]
    table["images"] = [{key: one for key, one in first.items() if key not in ("height", "width")}]
    if said is not None:
        table["images"][0] |= {"height": said[0], "width": said[1]}
    ring = [3, 2, 30, 5, 34, 20, 20, 40, 4, 33]
    table["annotations"] = [{"id": 5, "image_id": first["id"], "category_id": 1, "segmentation": [ring]}]
    path.write_text(json.dumps(table))
    pixels = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(root / "val2017" / first["file_name"], exif=exif(value))
    return root


def as_asam_pairs(root: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Image and mask of ASAM's loader: OpenCV, and pycocotools on the JSON."""
    with contextlib.redirect_stdout(io.StringIO()):
        api = COCO(str(root / COCO_JSON))
    (info,) = api.imgs.values()
    image = cv2.cvtColor(cv2.imread(str(root / "val2017" / info["file_name"])), cv2.COLOR_BGR2RGB)
    info.setdefault("height", image.shape[0])
    info.setdefault("width", image.shape[1])
    return image, api.annToMask(next(iter(api.anns.values()))).astype(bool)


def read_one(root: Path, protocol: Any) -> EvaluationRecord:
    source = open_evaluation(load_catalog()["coco2017_val"], root, protocol=protocol)
    found = source.read(source.index(BadRecords())[0])
    assert found.record is not None
    assert found.digest == source.digest(source.index(BadRecords())[0])
    return found.record


def turn(pixels: np.ndarray[Any, Any], value: int) -> np.ndarray[Any, Any]:
    content = io.BytesIO()
    PIL.Image.fromarray(pixels).save(content, "PNG", exif=exif(value))
    return np.asarray(ImageOps.exif_transpose(PIL.Image.open(content)))


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("says", [True, False])
def test_asam_reads_masks_of_the_turned_image(value: int, says: bool, tmp_path: Path) -> None:
    """What is published is ASAM's pair, turned back together: the bytes of the image stay."""
    shown = SHAPE[::-1] if value > 4 else SHAPE
    root = coco_set(tmp_path, value, shown if says else None)
    image, mask = as_asam_pairs(root)
    assert image.shape[:2] == mask.shape == shown
    record = read_one(root, "asam")
    assert (record.height, record.width) == SHAPE
    (found,) = record.masks
    np.testing.assert_array_equal(turn(found.to_array().astype(np.uint8), value).astype(bool), mask)
    stored = np.asarray(PIL.Image.open(io.BytesIO(record.image)))
    np.testing.assert_array_equal(turn(stored, value), image)
    assert record.annotations[0].area == mask.sum()


def test_masks_of_the_stored_image_stay(tmp_path: Path) -> None:
    """Where the JSON has the stored sizes, ASAM would stretch the turned image over masks that are not."""
    root = coco_set(tmp_path, 6, SHAPE)
    _, mask = as_asam_pairs(root)
    for protocol in ("asam", "default"):
        np.testing.assert_array_equal(read_one(root, protocol).masks[0].to_array(), mask)


def test_the_summary_counts_by_set(tmp_path: Path) -> None:
    root = coco_set(tmp_path / "set", 8, None)
    for protocol in ("default", "asam"):
        done = publish_here(
            PublishOptions(evaluation=[f"coco2017_val={root}"], protocol=protocol, out=tmp_path / protocol, workers=1)  # type: ignore[arg-type]
        )
        assert done.turned == {"coco2017_val": 1}
