"""`preview`: sheets show what the rows hold, read no more than that, and refuse what cannot be shown."""

import io
import itertools
import json
import re
import shutil
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from by_hand import reindex
from conftest import ROOT, Ran, Run, run_python
from evaluation_trees import OWN
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from local_hub import LocalHub
from numpy.typing import NDArray
from PIL import Image
from preview_sets import Rows, changed_copy
from rlemasklib import RLEMask

from asam_datasets.builds import BUILD_FILE
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import AsamDatasetsError, RecordError, SourceError, TargetError, option
from asam_datasets.masks import from_segmentation, resize, to_png
from asam_datasets.preview import MAX_ROWS, fit, overlay, overlay_colors, preview, show
from asam_datasets.preview._sheet import Block, draw_sheet, make_grid
from asam_datasets.training import open_stream

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

REPO = "xhk/ASAM-Datasets"
Array = NDArray[np.uint8]


def run(*args: str | Path, env: Mapping[str, str] | None = None) -> Ran:
    return run_python("-m", "asam_datasets", "preview", *args, env=env)


def pixels(path: Path) -> Array:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def changed(each_kind: Path, tmp_path: Path, change: Callable[[Rows], object]) -> Path:
    """A copy of the dataset in which the rows of the first part are others."""
    return changed_copy(each_kind, tmp_path / "dataset", change)


# --------------------------------------------------------------------------------------------------------- overlays

SHAPE = (40, 60)
IMAGE = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3), np.uint8)


def box_edges(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of the box of a mask: bool (height, width)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    edges = np.zeros(mask.shape, bool)
    edges[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] = True
    edges[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]] = False
    return edges


@given(st.lists(npst.arrays(np.bool_, SHAPE, elements=st.booleans(), fill=st.booleans()), max_size=4))
def test_an_overlay_pixel_by_pixel(dense: list[NDArray[np.bool_]]) -> None:
    painted = overlay(IMAGE, [RLEMask.from_array(mask.astype(np.uint8)) for mask in dense])
    order = sorted((i for i in range(len(dense)) if dense[i].any()), key=lambda i: (-dense[i].sum(), i))
    top = np.full(SHAPE, -1)
    lines = np.full(SHAPE, -1)
    for index in order:
        top[dense[index]] = index
        wide = np.pad(dense[index], 1)
        inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
        lines[dense[index] & ~inner] = index
    for index in order:
        lines[box_edges(dense[index])] = index
    palette = overlay_colors(len(dense))
    drawn = lines >= 0
    assert (painted[drawn] == palette[lines[drawn]]).all()
    free = ~drawn & (top < 0)
    assert (painted[free] == IMAGE[free]).all()
    tinted = ~drawn & (top >= 0)
    mixed = IMAGE[tinted] * 0.55 + palette[top[tinted]] * 0.45
    assert (np.abs(painted[tinted] - mixed) < 3).all()


def test_an_overlay_of_masks_at_another_size() -> None:
    mask = np.zeros((400, 600), np.uint8)
    mask[101:350, 203:571] = 1
    tiny = np.zeros((400, 600), np.uint8)
    tiny[0, 599] = 1  # no pixel of the small image shows it
    runs = [RLEMask.from_array(mask), RLEMask.from_array(tiny), RLEMask.zeros((400, 600))]
    assert not resize(runs[1], SHAPE).any()
    painted = overlay(IMAGE, runs)
    small = np.asarray(Image.fromarray(mask).resize((60, 40), Image.Resampling.NEAREST)).astype(bool)
    first, second, _ = overlay_colors(3)
    assert (painted[box_edges(small)] == first).all()
    assert (painted[0, 59] == second).all()
    outside = ~small
    outside[0, 59] = False
    assert (painted[outside] == IMAGE[outside]).all()


# ----------------------------------------------------------------------------------------------------------- sheets


def test_a_sheet_holds_image_and_masks_in_their_places(publish: Run, tmp_path: Path) -> None:
    """An image of two colors, stored lying on its side: what EXIF says of it is not applied, masks would not fit."""
    for folder in ("img", "gt"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
    image = np.zeros((10, 20, 3), np.uint8)
    image[:, :10], image[:, 10:] = (200, 10, 10), (10, 10, 200)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "mine/img/a.jpg", exif=turned, quality=100, subsampling=0)
    mask = np.zeros((10, 20), np.uint8)
    mask[2:5, 3:9] = 255
    Image.fromarray(mask).save(tmp_path / "mine/gt/a.png")
    (tmp_path / "mine.toml").write_text(OWN)
    catalog = ("--catalog", tmp_path / "mine.toml", "--out", tmp_path / "out")
    assert publish("--evaluation", f"mine={tmp_path / 'mine'}", *catalog).code == 0
    done = preview(tmp_path / "out", out=tmp_path / "sheet.png")
    assert (done.config, done.start, done.stop, done.total, done.masks) == ("evaluation", 0, 1, 1, 1)
    sheet = pixels(tmp_path / "sheet.png").astype(int)
    assert sheet.shape == (done.height, done.width, 3)

    def where(color: tuple[int, ...]) -> NDArray[np.bool_]:
        near: NDArray[np.bool_] = (np.abs(sheet - color) < 5).all(-1)
        return near

    red, blue = where((200, 10, 10)), where((10, 10, 200))
    mask_color = overlay_colors(1)[0].tolist()
    tinted = where(tuple(int(c * 0.55 + m * 0.45) for c, m in zip((200, 10, 10), mask_color, strict=True)))
    scale = round((blue.sum() / 2 / 100) ** 0.5)  # ten by ten pixels of it in each panel
    assert blue.sum() == 2 * 100 * scale**2
    assert red.sum() == 2 * 100 * scale**2 - 18 * scale**2
    assert tinted.sum() == (6 * scale - 2) * (3 * scale - 2)  # all but the line around it
    rows, columns = np.flatnonzero(red.any(1)), np.flatnonzero(red.any(0))
    panel = columns[columns > columns[np.argmax(np.diff(columns))]][0]
    assert np.flatnonzero(tinted.any(1))[0] == rows[0] + 2 * scale + 1
    assert np.flatnonzero(tinted.any(0))[0] == panel + 3 * scale + 1


def test_train(each_kind: Path, tmp_path: Path) -> None:
    """Rows count over all parts; the same rows give the same bytes; the conditioning image is the published one."""
    ran = run(each_kind, "--out", tmp_path / "deep/sheet.png")
    assert ran.code == 0, ran.err
    assert re.search(r"train, rows 0:12 of 12, \d+ masks\n +\d+ × 2454 pixels \(height × width\)", ran.out), ran.out
    again = preview(each_kind, out=tmp_path / "again.png", config="train", rows=":")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "deep/sheet.png").read_bytes()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["sheet.png"]
    rows = pa.concat_tables(map(pq.read_table, sorted(each_kind.glob("data/train/*/*.parquet"))))
    assert again.masks == sum(map(len, rows["annotations"].to_pylist()))
    moved = shutil.copytree(each_kind, tmp_path / "moved")
    preview(moved, out=tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "deep/sheet.png").read_bytes()
    some = json.loads(run(each_kind, "--out", tmp_path / "some.webp", "--rows", "2:8", "--json").out)
    assert (some["start"], some["stop"], some["total"], some["config"]) == (2, 8, 12, "train")
    assert some["size_bytes"] == (tmp_path / "some.webp").stat().st_size
    assert pixels(tmp_path / "some.webp").shape == (some["height"], some["width"], 3)
    preview(each_kind, out=tmp_path / "one.png", rows="4")
    sheet = pixels(tmp_path / "one.png")
    with Image.open(io.BytesIO(rows["conditioning_image"].to_pylist()[4]["bytes"])) as image:
        scale = min(1, 394 / max(image.size))  # three panels of 394 pixels and the space between them make 1200
        width, height = (round(side * scale) for side in image.size)
        expected = np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
    left = 28 + 394 + 8 + (394 - width) // 2
    tops = range(len(sheet) - height)
    assert [top for top in tops if (sheet[top : top + height, left : left + width] == expected).all()]


@pytest.mark.parametrize(
    ("config", "total", "masks"),
    [("sam", 12, 1), ("controlnet", 12, 0), ("evaluation", 4, 1), ("coco2017_val", 2, 1), ("adversarial", 4, 1)],
)
def test_other_configs(config: str, total: int, masks: int, each_kind: Path, tmp_path: Path) -> None:
    done = preview(each_kind, out=tmp_path / "sheet.jpg", config=config)
    assert (done.config, done.stop, done.total, bool(done.masks)) == (config, total, total, bool(masks))
    assert pixels(tmp_path / "sheet.jpg").shape == (done.height, done.width, 3)


def test_without_images(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    only = ("--annotations-only", "sa_000000", "--out", tmp_path / "out")
    assert publish("--train", demo.archive, "--captions", demo.captions, *only).code == 0
    done = preview(tmp_path / "out", out=tmp_path / "sheet.png", rows="0")
    assert done.masks > 1
    assert (pixels(tmp_path / "sheet.png") == (64, 68, 72)).all(-1).sum() > 5000  # the neutral ground


def encoded(mode: str, size: tuple[int, int], form: str = "PNG", **more: Any) -> bytes:
    content = io.BytesIO()
    Image.new(mode, size).save(content, form, **more)
    return content.getvalue()


def with_image(content: bytes, shape: tuple[int, int]) -> Callable[[Rows], object]:
    def change(rows: Rows) -> None:
        row = rows[0]
        row["image"]["bytes"], row["annotations"], row["masks"], row["conditioning_image"] = content, [], [], None
        row["height"], row["width"] = shape

    return change


ODD: dict[str, Callable[[Rows], object]] = {
    "one pixel": with_image(encoded("RGB", (1, 1)), (1, 1)),
    "a column": with_image(encoded("L", (1, 3000)), (3000, 1)),
    "a row": with_image(encoded("RGB", (3000, 2)), (2, 3000)),
    "cmyk": with_image(encoded("CMYK", (40, 30), "JPEG"), (30, 40)),
    "opacity": with_image(encoded("RGBA", (500, 400)), (400, 500)),
    "palette": with_image(encoded("P", (500, 400)), (400, 500)),
    "one bit": with_image(encoded("1", (500, 400)), (400, 500)),
    "16 bits": with_image(encoded("I;16", (500, 400)), (400, 500)),
    "tiff": with_image(encoded("RGB", (50, 40), "TIFF"), (40, 50)),
    "no caption": lambda rows: rows[0].update(caption=None),
    "empty caption": lambda rows: rows[0].update(caption=""),
    "long caption": lambda rows: rows[0].update(caption="a photo of " + "x" * 400 + " and more of it" * 10_000),
    "other letters": lambda rows: rows[0].update(caption="写真 фото صورة é 😀 \u202e\0\x1b[2J\ud7ff a\u0301\n\tb"),
    "odd name": lambda rows: rows[0].update(file_name="../" * 200 + "\0\n写真.jpg"),
    "no image": lambda rows: rows[0].update(image=None),
    "no masks": lambda rows: rows[0].update(annotations=[], masks=[], conditioning_image=None),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_rows(what: str, each_kind: Path, tmp_path: Path) -> None:
    dataset = changed(each_kind, tmp_path, ODD[what])
    for rows in ("0", "0:2", ":"):
        done = preview(dataset, out=tmp_path / "sheet.png", rows=rows)
        assert pixels(tmp_path / "sheet.png").shape == (done.height, done.width, 3)


def test_many_rows(publish: Run, tmp_path: Path) -> None:
    for folder in ("img", "gt"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
    for number in range(MAX_ROWS + 1):
        Image.new("RGB", (20, 30)).save(tmp_path / f"mine/img/{number}.jpg")
        Image.new("L", (20, 30), 255).save(tmp_path / f"mine/gt/{number}.png")
    (tmp_path / "mine.toml").write_text(OWN)
    catalog = ("--catalog", tmp_path / "mine.toml", "--out", tmp_path / "out")
    assert publish("--evaluation", f"mine={tmp_path / 'mine'}", *catalog).code == 0
    for ending in ("webp", "jpg", "png"):
        done = preview(tmp_path / "out", out=tmp_path / f"sheet.{ending}", rows=f"1:{MAX_ROWS + 1}")
        assert done.stop - done.start == done.masks == MAX_ROWS
    with pytest.raises(SourceError, match=f"expected at most {MAX_ROWS} rows for one sheet, found {MAX_ROWS + 1}"):
        preview(tmp_path / "out", out=tmp_path / "sheet.webp", rows=":")


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_the_longest_sheet_fits_every_format(panels: int) -> None:
    grid = make_grid(MAX_ROWS, panels)
    panel = np.zeros((grid.side, grid.side, 3), np.uint8)
    block = Block("sa_000000", "sa_1.jpg", "facts " * 90, [panel] * panels, "words " * 900, is_muted=False)
    sheet = draw_sheet("rows " * 900, ["masks and boxes"] * panels, [block] * MAX_ROWS, grid)
    assert max(sheet.size) <= 16383


# ----------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("rows", ["", "a", "3:3", "4:2", "-1", "0:-1", "1:2:3", "0:12 ", "१", "1.5"])
def test_bad_ranges(rows: str, each_kind: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected a range such as 0:12, or one number, found") as caught:
        preview(each_kind, out=tmp_path / "sheet.png", rows=rows)
    assert caught.value.where == option("rows")


@pytest.mark.parametrize("rows", ["12", "12:14", "99999999999:"])
def test_rows_beyond_the_end(rows: str, each_kind: Path, tmp_path: Path) -> None:
    ran = run(each_kind, "--rows", rows, "--out", tmp_path / "sheet.png")
    assert ran.code == 1
    assert f"expected rows of the 12 that the config train has, found {rows}" in ran.err
    assert "the last one is 11" in ran.err
    assert not (tmp_path / "sheet.png").exists()


def test_bad_targets(each_kind: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    for out, message in {
        "sheet.gif": "expected a name that ends with .png, .jpg, .jpeg, .webp, .html, found 'sheet.gif'",
        "sheet": "expected a name that ends with",
        "folder.png": "expected a file, found a folder",
        "file/sheet.png": "expected to be able to write, found",
    }.items():
        with pytest.raises(TargetError, match=message):
            preview(each_kind, out=tmp_path / out, rows="0")
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"]


def test_bad_datasets(each_kind: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected one of the configs train, controlnet, sam, adversarial"):
        preview(each_kind, out=tmp_path / "sheet.png", config="hrsod")
    with pytest.raises(SourceError, match=r"found no README\.md"):
        preview(tmp_path, out=tmp_path / "sheet.png")


def huge_png(width: int, height: int) -> bytes:
    content = encoded("RGB", (1, 1))
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


BAD: dict[str, tuple[Callable[[Rows], object], str]] = {
    "size": (lambda rows: rows[1].update(height=2**20, width=2**20), "expected 1 to 67108864 pixels, found 1048576"),
    "no size": (lambda rows: rows[1].update(height=0), "expected 1 to"),
    "null size": (lambda rows: rows[1].update(height=None), "expected a row of a published dataset, found: Expected"),
    "another size": (lambda rows: rows[1].update(annotations=[], width=7), "× 7 \\(height × width\\), found"),
    "runs": (
        lambda rows: rows[1]["annotations"][2]["segmentation"].update(counts="0"),
        r"annotations\[2\]\.segmentation\.counts: expected runs that cover",
    ),
    "null runs": (lambda rows: rows[1]["annotations"][2].update(segmentation=None), r"\$\.annotations\[2\]"),
    "junk": (lambda rows: rows[1]["image"].update(bytes=b"no image"), "expected an image, found 8 bytes"),
    "empty": (lambda rows: rows[1]["image"].update(bytes=b""), "expected an image, found 0 bytes"),
    "a program": (
        lambda rows: rows[1]["image"].update(bytes=b"%!PS-Adobe-3.0 EPSF-3.0\n"),
        "expected an image, found",
    ),
    "cut": (lambda rows: rows[1]["image"].update(bytes=rows[1]["image"]["bytes"][:900]), "image that decodes"),
    "bomb": (lambda rows: rows[1]["image"].update(bytes=huge_png(60_000, 60_000)), "could be decompression bomb"),
    "large": (lambda rows: rows[1]["image"].update(bytes=huge_png(9_000, 10_000)), "expected at most .* 10000 × 9000"),
    "conditioning": (
        lambda rows: rows[1]["conditioning_image"].update(bytes=b"?"),
        "conditioning_image: expected an image, found 1 bytes",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_rows(what: str, each_kind: Path, tmp_path: Path) -> None:
    change, message = BAD[what]
    dataset = changed(each_kind, tmp_path, change)
    with pytest.raises(RecordError, match=message) as caught:
        preview(dataset, out=tmp_path / "sheet.png")
    assert "part-000.parquet: row 1: sa_" in str(caught.value)
    assert "verify" in caught.value.hint
    assert not (tmp_path / "sheet.png").exists()
    preview(dataset, out=tmp_path / "sheet.png", rows="0")  # the row beside it


def test_damaged_parts(each_kind: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(each_kind, tmp_path / "dataset"))
    (part,) = copy.glob("data/train/*/part-000.parquet")
    table = pq.read_table(part)
    width = table.schema.get_field_index("width")
    for content, message in (
        (table.drop_columns(["annotations"]), "expected a column annotations, found none"),
        (table.slice(1), "expected 3 rows as build.json says, found 2"),
        (
            table.set_column(width, "width", pa.array(["1", "2", "3"])),
            "expected a row of a published dataset",
        ),
    ):
        pq.write_table(content, part)
        with pytest.raises(AsamDatasetsError, match=message):
            preview(copy, out=tmp_path / "sheet.png")
    part.write_bytes(b"PAR1")
    with pytest.raises(SourceError, match="expected a part"):
        preview(copy, out=tmp_path / "sheet.png")


# -------------------------------------------------------------------------------------------------------------- Hub


def test_on_the_hub_only_what_is_shown_is_fetched(publish: Run, tmp_path: Path) -> None:
    """Parts with three row groups of four rows: a sheet of the first rows fetches their columns, without `masks`."""
    demo = write_demo(tmp_path / "demo", height=700, width=1000)
    local = tmp_path / "out"
    assert publish("--train", demo.archive, "--captions", demo.captions, "--out", local, "--parts", "1").code == 0
    (part,) = local.glob("data/train/*/part-000.parquet")
    pq.write_table(pq.read_table(part), part, row_group_size=4, compression="none", use_dictionary=False)
    footer, columns = pq.read_metadata(part), Counter[str]()
    for group in (footer.row_group(number) for number in range(3)):
        for chunk in (group.column(index) for index in range(group.num_columns)):
            columns[chunk.path_in_schema.split(".")[0]] += chunk.total_compressed_size
    manifest = json.loads(part.with_name(BUILD_FILE).read_text())
    manifest["parts"][0].update(size_bytes=part.stat().st_size, row_groups=[4, 4, 4], columns=columns)
    del manifest["parts"][0]["image_ids"]
    part.with_name(BUILD_FILE).write_text(json.dumps(manifest))
    reindex(local)
    preview(local, out=tmp_path / "local.png", rows="1:4")
    chunks = {
        (group, chunk.path_in_schema): range(start, start + chunk.total_compressed_size)
        for group in range(3)
        for chunk in (footer.row_group(group).column(index) for index in range(footer.row_group(group).num_columns))
        for start in [chunk.dictionary_page_offset or chunk.data_page_offset]
    }
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
        from huggingface_hub import HfApi

        api = HfApi(endpoint=hub.url, token="hf_test")
        api.create_repo(REPO, repo_type="dataset")
        api.upload_folder(folder_path=local, repo_id=REPO, repo_type="dataset")
        hub.clear_log()
        ran = run(REPO, "--rows", "1:4", "--out", tmp_path / "remote.png", env=env)
        assert ran.code == 0, ran.err
        wanted = [request for request in hub.log if request.method == "GET" and request.path.endswith(part.name)]
    assert (tmp_path / "remote.png").read_bytes() == (tmp_path / "local.png").read_bytes()
    tail = part.stat().st_size - 2**16  # where the footer is looked for
    fetched = [tuple(map(int, re.findall(r"\d+", request.range or ""))) for request in wanted]
    assert fetched
    data = [(first, last) for first, last in fetched if first < tail]
    touched = {key for key, span in chunks.items() for first, last in data if first < span.stop and span.start <= last}
    shown = ("image.bytes", "conditioning_image.bytes", "caption", "file_name", "width", "height")
    assert {(0, name) for name in shown} <= touched
    assert {group for group, _ in touched} == {0}
    assert not [name for _, name in touched if name.startswith("masks")]
    assert sum(last + 1 - first for first, last in data) < 1.05 * sum(len(chunks[key]) for key in touched)


def test_revisions_on_the_hub(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        env["PYTHONPATH"] = str(ROOT)
        assert publish("--train", demo.archive, "--repo-id", REPO, "--tag", "v1", env=env).code == 0
        ran = run(REPO, "--revision", "v1", "--rows", "3", "--out", tmp_path / "sheet.png", "--json", env=env)
        assert ran.code == 0, ran.err
        assert json.loads(ran.out)["total"] == 12


# ------------------------------------------------------------------------------------------------------- one record


def rows_of(dataset: Path, config: str, cache: Path) -> list[dict[str, Any]]:
    """The second row of a config, as `datasets` gives it in each of its ways, and as a stream does."""
    split = {"hrsod_te": "test", "coco2017_val": "validation"}.get(config, "train")
    loaded = datasets.load_dataset(str(dataset), config, split=split, cache_dir=str(cache))
    stream = datasets.load_dataset(str(dataset), config, split=split, streaming=True)
    encoded = stream.cast_column("image", datasets.Image(decode=False))
    found = [loaded[1], *(next(iter(one.skip(1))) for one in (stream, encoded))]
    found.append(list(itertools.islice(open_stream(dataset, config, window=0), 2))[1])
    return found


@pytest.mark.parametrize("config", ["train", "controlnet", "sam", "adversarial", "hrsod_te", "coco2017_val"])
def test_a_record_is_shown_whoever_read_it(config: str, each_kind: Path, tmp_path: Path) -> None:
    rows = rows_of(each_kind, config, tmp_path)
    before = repr(rows[0])
    shown = [show(row) for row in rows]
    assert repr(rows[0]) == before
    assert len({(image.size, image.tobytes()) for image in shown}) == 1
    panels = 1 + ("masks" in rows[0] or "annotations" in rows[0]) + ("conditioning_image" in rows[0])
    assert shown[0].width == 2 * 28 + panels * 400 + (panels - 1) * 8
    if config != "controlnet":
        row = rows[0]
        fitted = fit((row["height"], row["width"]), 200)
        ground = np.array(row["image"].convert("RGB").resize(fitted[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0))
        if fitted[0] > row["height"]:
            ground = np.array(row["image"].convert("RGB").resize(fitted[::-1], Image.Resampling.NEAREST))
        masks = [from_segmentation(one["segmentation"]) for one in row["annotations"]]
        assert holds(show(row, panels=["masks"], side=200, boxes=True), overlay(ground, masks))
        largest = max(masks, key=lambda mask: mask.area())
        fewer = show(row, panels=["masks"], side=200, max_masks=1, boxes=False)
        assert holds(fewer, overlay(ground, [largest], boxes=False))


def holds(sheet: Image.Image, panel: Array) -> bool:
    """Whether a panel lies somewhere on a sheet of one."""
    pixels, (height, width) = np.array(sheet), panel.shape[:2]
    left = (sheet.width - width) // 2
    return any((pixels[y : y + height, left : left + width] == panel).all() for y in range(len(pixels) - height + 1))


def test_masks_of_rows_without_annotations_and_pairs(each_kind: Path) -> None:
    row = next(iter(datasets.load_dataset(str(each_kind), split="train", streaming=True)))
    bare = {name: row[name] for name in ("image", "masks")}
    whole = show({**bare, "annotations": row["annotations"], "masks": None}, panels=["masks"])
    assert show(bare, panels=["masks"]).tobytes() == whole.tobytes()
    encoded = [{"bytes": to_png(one["segmentation"]), "path": None} for one in row["annotations"]]
    assert show({**bare, "masks": encoded}, panels=["masks"]).tobytes() == whole.tobytes()
    pair = next(iter(open_stream(each_kind, "adversarial", pairs=True, window=0)))
    shown = show(pair)
    assert shown.width == 2 * 28 + 3 * 400 + 2 * 8, "image, masks, and the original with its masks"
    row = pair["original"]
    fitted = fit((row["height"], row["width"]), 400)
    image = Image.open(io.BytesIO(row["image"]["bytes"])).resize(
        fitted[::-1], Image.Resampling.LANCZOS, reducing_gap=3.0
    )
    original = overlay(np.array(image), [from_segmentation(one["segmentation"]) for one in row["annotations"]])
    assert holds(shown.crop((28 + 2 * 408, 0, 28 + 3 * 408 - 8, shown.height)), original)


def test_a_record_that_cannot_be_shown_is_one_sentence(each_kind: Path) -> None:
    row = next(iter(open_stream(each_kind, "train", window=0)))
    turned = Image.open(io.BytesIO(row["image"]["bytes"])).transpose(Image.Transpose.ROTATE_90)
    annotation = row["annotations"][0]
    for wrong, said in (
        ([row], "expected a record, found a list"),
        ({}, "expected a record with image, conditioning_image, masks, original, found nothing"),
        (
            {"image": [row["image"]]},
            "record: image: expected an image ({'bytes': ...} or a Pillow image), found a list",
        ),
        ({**row, "image": turned}, "record 1: image: expected 300 × 420 (height × width), found 420 × 300"),
        ({**row, "image": {"bytes": b"GIF"}}, "record 1: image: expected an image, found 3 bytes"),
        ({**row, "annotations": [{"segmentation": None}]}, "annotations[0]: expected annotations with COCO RLE"),
        (
            {**row, "annotations": [{**annotation, "segmentation": {"size": [300, 420], "counts": "!"}}]},
            "record 1: annotations[0].counts: ",
        ),
        ({"image": row["image"], "masks": [turned.convert("1")]}, "masks[0]: expected a mask of (300, 420)"),
    ):
        with pytest.raises(AsamDatasetsError, match=re.escape(said)):
            show(wrong)  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="expected a record with original, found image"):
        show(row, panels=["original"])
    with pytest.raises(TargetError, match="expected at least 1, found 0"):
        show(row, max_masks=0)
    with pytest.raises(SourceError, match="expected 64 to 4096 pixels, found 5"):
        show(row, side=5)
    with pytest.raises(RecordError) as stopped:
        show({**row, "image": turned})
    assert "cast_column('image', Image(decode=False))" in stopped.value.hint
