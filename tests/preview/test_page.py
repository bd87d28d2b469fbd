"""The page of `preview`: one file that says what the rows hold and nothing more; no browser needed to see that."""

import base64
import hashlib
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Run, run_python
from numpy.typing import NDArray
from PIL import Image
from preview_sets import changed_copy, rows_of
from pycocotools import mask as coco

from asam_datasets.demo import DemoArchive, draw_record
from asam_datasets.errors import TargetError, option
from asam_datasets.preview import MANY_MASKS, PreviewOptions, overlay_colors, preview

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

DATA = re.compile(r'<script type="application/json" class="(head|record)">(.*?)</script>', re.DOTALL)
EVIL = "</script><script>window.hacked = 1</script><!-- <img src=x onerror=alert(1)> & \u2028\u2029 <!-- style -->"


def read(page: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a page says: its head, and its records."""
    found = [(kind, json.loads(text)) for kind, text in DATA.findall(page.read_text("utf-8"))]
    ((_, head),) = [each for each in found if each[0] == "head"]
    return head, [value for kind, value in found if kind == "record"]


def pixels(uri: str) -> NDArray[np.uint8]:
    prefix, _, data = uri.partition(",")
    assert prefix == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert not image.getexif()
        return np.array(image.convert("RGB"))


def test_a_page_is_the_same_bytes_from_anywhere(each_kind: Path, tmp_path: Path) -> None:
    ran = run_python("-m", "asam_datasets", "preview", each_kind, "--out", tmp_path / "page.html", "--json")
    assert ran.code == 0, ran.err
    done = json.loads(ran.out)
    assert (done["height"], done["width"], done["stop"], done["masks"] > 400) == (None, None, 12, True)
    assert done["size_bytes"] == (tmp_path / "page.html").stat().st_size
    text = (tmp_path / "page.html").read_text("utf-8").replace(str(each_kind), str(tmp_path / "moved"))
    preview(shutil.copytree(each_kind, tmp_path / "moved"), out=tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text("utf-8") == text


def test_nothing_but_its_own_scripts_may_run(each_kind: Path, tmp_path: Path) -> None:
    preview(each_kind, out=tmp_path / "page.html", rows="0")
    text = (tmp_path / "page.html").read_bytes().decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert (rules["default-src"], rules["img-src"], rules["base-uri"]) == ("'none'", "data:", "'none'")
    for rule, element in (("style-src", "style"), ("script-src", r'script type="module"')):
        (content,) = re.findall(f"<{element}>(.*?)</", text, re.DOTALL)
        assert rules[rule] == f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
    assert not re.findall(r"https?:|//[a-z]|\b(?:src|href|on[a-z]+|style)=", DATA.sub("", text))


@pytest.mark.parametrize(("config", "kind"), [("train", "train"), ("adversarial", "adversarial"), ("coco2017_val", "")])
def test_masks_and_numbers_are_those_of_the_rows(config: str, kind: str, each_kind: Path, tmp_path: Path) -> None:
    preview(each_kind, out=tmp_path / "page.html", config=config, rows=":")
    head, records = read(tmp_path / "page.html")
    rows = [row for row in rows_of(each_kind, kind or "evaluation") if kind or row["dataset"] == config]
    assert [entry["file_name"] for entry in head["entries"]] == [row["file_name"] for row in rows]
    assert [entry["image_id"] for entry in head["entries"]] == [str(row["image_id"]) for row in rows]
    for row, entry, record in zip(rows, head["entries"], records, strict=True):
        assert entry["text"] == (row["caption"] if "caption" in row else entry["text"])
        assert record["size"] == record["shown"] == [row["height"], row["width"]]
        assert pixels(record["image"]).shape == (row["height"], row["width"], 3)
        for found, annotation in zip(record["masks"], row["annotations"], strict=True):
            shown = {"size": record["shown"], "counts": found["runs"].encode()}
            assert (coco.decode(shown) == coco.decode(annotation["segmentation"])).all()
            assert found["area"] == annotation["area"]
            assert found["box"] == [annotation["bbox"][n] for n in range(4)]
            assert found.get("id") == (str(annotation["id"]) if "id" in annotation else None)
            assert found.get("iou") == annotation.get("predicted_iou")
            assert found.get("stability") == annotation.get("stability_score")
            assert found.get("points") == annotation.get("point_coords")
            assert found.get("category") == annotation.get("category")
    if config == "train":
        first = rows[0]["conditioning_image"]["bytes"]
        with Image.open(io.BytesIO(first)) as image:
            assert (pixels(records[0]["map"]) == np.array(image.convert("RGB"))).all()


def one_record(tmp_path: Path, publish: Run, *, height: int, width: int, masks: int) -> Path:
    """A dataset with one image, stones of all sizes."""
    jpeg, table = draw_record(1, height=height, width=width, masks=masks, seed=0)
    (tmp_path / "sa_000000").mkdir()
    (tmp_path / "sa_000000/sa_1.jpg").write_bytes(jpeg)
    (tmp_path / "sa_000000/sa_1.json").write_bytes(table)
    assert publish("--train", tmp_path / "sa_000000", "--out", tmp_path / "out").code == 0
    return tmp_path / "out"


def nearest(shown: int, side: int) -> NDArray[np.int64]:
    """The rows or columns that are seen of a side: those below the middles of the pixels that are shown."""
    return (2 * np.arange(shown) + 1) * side // (2 * shown)


def test_a_large_image_is_reduced_with_its_masks(publish: Run, tmp_path: Path) -> None:
    """24 of such records stay below 10 MB. A mask too small for the page lies where its place falls."""
    dataset = one_record(tmp_path, publish, height=1000, width=1500, masks=105)
    preview(dataset, out=tmp_path / "page.html")
    assert 24 * (tmp_path / "page.html").stat().st_size < 10_000_000
    _, (record,) = read(tmp_path / "page.html")
    assert record["shown"] == [853, 1280]
    assert pixels(record["image"]).shape == pixels(record["map"]).shape == (853, 1280, 3)
    (row,) = rows_of(dataset)
    for found, annotation in zip(record["masks"], row["annotations"], strict=True):
        small = coco.decode(annotation["segmentation"])[np.ix_(nearest(853, 1000), nearest(1280, 1500))]
        shown = coco.decode({"size": [853, 1280], "counts": found["runs"].encode()})
        assert shown.any()
        assert (shown == small).all() or not small.any()


def test_a_mask_of_which_nothing_is_left_is_still_there(publish: Run, tmp_path: Path) -> None:
    dataset = one_record(tmp_path, publish, height=64, width=2600, masks=1)

    def change(rows: list[dict[str, Any]]) -> None:
        dot = np.zeros((64, 2600), np.uint8, order="F")
        dot[32, 1000] = 1
        encoded = coco.encode(dot)
        rows[0]["annotations"][0]["segmentation"]["counts"] = encoded["counts"].decode()

    preview(changed_copy(dataset, tmp_path / "copy", change), out=tmp_path / "page.html")
    _, (record,) = read(tmp_path / "page.html")
    height, width = record["shown"]
    dot = np.zeros((64, 2600), np.uint8)
    dot[32, 1000] = 1
    assert not dot[np.ix_(nearest(height, 64), nearest(width, 2600))].any()
    shown = coco.decode({"size": [height, width], "counts": record["masks"][0]["runs"].encode()})
    assert np.argwhere(shown).tolist() == [[32 * height // 64, 1000 * width // 2600]]


def test_images_that_were_not_published_are_not_shown(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """Not even where a part has them against what its manifest says."""
    only = ("--annotations-only", "sa_000000", "--out", tmp_path / "out")
    assert publish("--train", demo.archive, "--captions", demo.captions, *only).code == 0
    photo = io.BytesIO()
    Image.new("RGB", (420, 300), (1, 2, 3)).save(photo, "PNG")

    def smuggle(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row["image"] = {"bytes": photo.getvalue(), "path": None}

    dataset = changed_copy(tmp_path / "out", tmp_path / "copy", smuggle)
    done = preview(dataset, out=tmp_path / "page.html", rows="0")
    head, (record,) = read(tmp_path / "page.html")
    assert record["image"] is None
    assert len(record["masks"]) > 10
    assert head["notices"] == list(done.notices) == []


def test_who_may_see_the_images_is_said(each_kind: Path, tmp_path: Path) -> None:
    told = "sa_000000: SA-1B Dataset Research License: only to readers who accept its terms"
    for out in ("page.html", "sheet.png"):
        assert preview(each_kind, out=tmp_path / out, rows="0").notices == (told,)
    head, _ = read(tmp_path / "page.html")
    assert head["notices"] == [told]
    ran = run_python("-m", "asam_datasets", "preview", each_kind, "--rows", "0", "--out", tmp_path / "page.html")
    assert f"not for everyone: {told}" in ran.out


def test_foreign_text_ends_nothing(each_kind: Path, tmp_path: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        for name in ("caption", "file_name"):
            rows[0][name] = EVIL

    preview(changed_copy(each_kind, tmp_path / "copy", change), out=tmp_path / "page.html", rows="0")
    text = (tmp_path / "page.html").read_text("utf-8")
    head, (record,) = read(tmp_path / "page.html")
    assert (head["entries"][0]["text"], head["entries"][0]["file_name"]) == (EVIL, EVIL)
    assert len(re.findall(r"</script", text, re.IGNORECASE)) == 3
    assert not set("\u2028\u2029") & set(text)
    assert "<img" not in text
    assert record["masks"]


def test_numbers_that_are_none_are_not_there(each_kind: Path, tmp_path: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        one = rows[0]["annotations"][0]
        one.update(predicted_iou=float("nan"), stability_score=float("inf"), area=None, bbox=None, id=2**62 + 1)

    preview(changed_copy(each_kind, tmp_path / "copy", change), out=tmp_path / "page.html", rows="0")
    head, (record,) = read(tmp_path / "page.html")
    mask = record["masks"][0]
    assert {"iou", "stability", "box"} & mask.keys() == set()
    assert mask["id"] == str(2**62 + 1)
    (row,) = [row for row in rows_of(each_kind) if row["file_name"] == head["entries"][0]["file_name"]]
    assert mask["area"] == row["annotations"][0]["area"]  # that of its runs
    assert 0 < head["ious"][0] <= head["ious"][1] <= 1


# ----------------------------------------------------------------------------------------------------------- options


def test_the_largest_masks_alone(each_kind: Path, tmp_path: Path) -> None:
    options = PreviewOptions(max_masks=5)
    preview(each_kind, out=tmp_path / "page.html", rows="2", options=options)
    _, (record,) = read(tmp_path / "page.html")
    row = rows_of(each_kind)[2]
    areas = sorted((one["area"] for one in row["annotations"]), reverse=True)
    assert record["most"] == len(areas) == 300
    assert sorted((mask["area"] for mask in record["masks"]), reverse=True) == areas[:5]
    places = [mask["color"] for mask in record["masks"]]
    assert places == sorted(places)
    assert [mask["id"] for mask in record["masks"]] == [str(row["annotations"][place]["id"]) for place in places]


def test_boxes_of_many_masks_are_asked_for(each_kind: Path, tmp_path: Path) -> None:
    """Of one row with 300 masks, and of its five largest: boxes are lines in the sheet and a switch on the page."""
    for options, has_boxes in (
        (PreviewOptions(), False),
        (PreviewOptions(boxes=True), True),
        (PreviewOptions(max_masks=MANY_MASKS), True),
        (PreviewOptions(max_masks=MANY_MASKS, boxes=False), False),
    ):
        preview(each_kind, out=tmp_path / "page.html", rows="2", options=options)
        assert read(tmp_path / "page.html")[1][0]["boxes"] is has_boxes
    sheets = []
    for flags in ((), ("--no-boxes",), ("--boxes",), ("--max-masks", "5")):
        out = tmp_path / "sheet.png"
        ran = run_python("-m", "asam_datasets", "preview", each_kind, "--rows", "2", "--out", out, *flags)
        assert ran.code == 0, ran.err
        sheets.append(out.read_bytes())
    assert sheets[0] == sheets[1]
    assert len(set(sheets)) == 3


def test_bad_options() -> None:
    with pytest.raises(TargetError, match="expected at least 1, found 0") as caught:
        PreviewOptions(max_masks=0)
    assert caught.value.where == option("max_masks")


def test_no_color_is_white_black_or_grey() -> None:
    """And it is this list on every machine: its first colors by hand."""
    colors = overlay_colors(400).astype(int)
    assert colors[:3].tolist() == [[0x27, 0xA8, 0xFF], [0xDE, 0x3C, 0x35], [0x4A, 0xE2, 0xAC]]
    assert (np.ptp(colors, axis=1) > 60).all()
    assert len(np.unique(colors[:120], axis=0)) == 120
