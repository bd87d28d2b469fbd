"""Evaluation sets that are damaged, hostile or not what they are said to be: one clear error, or one reject each."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cv2
import msgspec
import numpy as np
import pytest
from evaluation_trees import SHAPE, TREES, grid, save, write_image
from PIL import Image
from pycocotools.coco import COCO as COCO_API

from asam_datasets.errors import AsamDatasetsError, RecordError, SourceError
from asam_datasets.masks import MAX_PIXELS
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import EvaluationSource, load_catalog, open_evaluation, parse_evaluation
from asam_datasets.sources.evaluation.layouts import Layout

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CATALOG = load_catalog()
Edit = Callable[[Path], object]


def read_all(source: EvaluationSource, bad: BadRecords) -> list[str]:
    """What a build does: index, read, and hand what is wrong with one image to the policy."""
    names = []
    for ref in source.index(bad):
        try:
            record = source.read(ref).record
        except RecordError as error:
            bad.reject(error, archive=source.label, member=ref.file_name)
            continue
        if record is not None:
            names.append(record.file_name)
    return names


def edit_json(name: str, change: Callable[[Any], object]) -> Edit:
    def edit(root: Path) -> None:
        table = json.loads((root / name).read_text())
        change(table)
        (root / name).write_text(json.dumps(table))

    return edit


def put(*way: Any) -> Callable[[Any], None]:
    """An edit: the last argument is set at the place that the others lead to."""
    *steps, last, value = way

    def change(table: Any) -> None:
        for step in steps:
            table = table[step]
        table[last] = value

    return change


def cut(name: str) -> Edit:
    return lambda root: (root / name).write_bytes((root / name).read_bytes()[:-40])


def resized(name: str) -> Edit:
    return lambda root: save(root / name, Image.open(root / name).resize((SHAPE[1] + 1, SHAPE[0])))


def gone(name: str) -> Edit:
    return lambda root: (root / name).unlink()


def garbage(name: str) -> Edit:
    return lambda root: (root / name).write_bytes(b"not an image at all")


def empty_file(name: str) -> Edit:
    return lambda root: (root / name).write_bytes(b"")


def dangling(name: str) -> Edit:
    def edit(root: Path) -> None:
        (root / name).unlink()
        (root / name).symlink_to(root / "nowhere")

    return edit


def bomb_png(name: str) -> Edit:
    """A PNG of some bytes that says it is 60000 × 60000."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return lambda root: (root / name).write_bytes(content)


def of_mode(name: str, mode: str) -> Edit:
    content = {"RGB": np.zeros((*SHAPE, 3), np.uint8), "I;16": grid([300]).astype(np.uint16)}[mode]
    return lambda root: save(root / name, content)


HRSOD, HRSOD_MASK = "HRSOD_test/1001_abc_o.jpg", "HRSOD_test_mask/1001_abc_o.png"
COCO = "annotations/instances_val2017.json"
VISOR = "GroundTruth-SparseAnnotations/annotations/val/P01_01.json"
WOODSCAPE = "instance_annotations/00001_FV.json"
HDF5 = "ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.semantic_instance.hdf5"
SEGMENTATION = ("annotations", 0, "segmentation")


def segmentation(value: Any) -> Edit:
    return edit_json(COCO, put(*SEGMENTATION, value))


def hdf5_of(content: Any, key: str = "dataset") -> Edit:
    def edit(root: Path) -> None:
        import h5py

        with h5py.File(root / HDF5, "w") as file:
            file[key] = content

    return edit


def hdf5_link(link: str) -> Edit:
    """A map that lies in another file, in one of the ways that HDF5 has."""

    def edit(root: Path) -> None:
        import h5py

        other = root.parent / "secret.hdf5"
        with h5py.File(other, "w") as file:
            file["dataset"] = np.ones(SHAPE, np.int32)
        with h5py.File(root / HDF5, "w") as file:
            if link == "external":
                file["dataset"] = h5py.ExternalLink(str(other), "dataset")
            elif link == "virtual":
                layout = h5py.VirtualLayout(SHAPE, np.int32)
                layout[...] = h5py.VirtualSource(str(other), "dataset", SHAPE)
                file.create_virtual_dataset("dataset", layout)
            else:
                size = SHAPE[0] * SHAPE[1] * 4
                file.create_dataset("dataset", SHAPE, np.int32, external=[(str(other), 0, size)])

    return edit


BAD_RECORDS: dict[str, tuple[str, Edit, str]] = {
    "image without mask": ("hrsod_te", gone(HRSOD_MASK), f"{HRSOD}: expected its mask {HRSOD_MASK}, found none"),
    "mask without image": (
        "hrsod_te",
        gone(HRSOD),
        f"{HRSOD_MASK}: expected an image like HRSOD_test/<name>.jpg, found none",
    ),
    "mask of another size": (
        "hrsod_te",
        resized(HRSOD_MASK),
        f"{HRSOD_MASK}: expected the image's size, 48 × 64 .*, found 48 × 65",
    ),
    "mask is garbage": (
        "hrsod_te",
        garbage(HRSOD_MASK),
        "expected a JPEG, PNG, TIFF, BMP or WebP, found 19 bytes that start",
    ),
    "mask is cut": ("hrsod_te", cut(HRSOD_MASK), f"{HRSOD_MASK}: expected a readable image"),
    "mask is empty": ("hrsod_te", empty_file(HRSOD_MASK), f"{HRSOD_MASK}: expected 1 to .* bytes, found 0"),
    "mask is a dangling link": ("hrsod_te", dangling(HRSOD_MASK), f"{HRSOD_MASK}: expected a regular file"),
    "mask is a bomb": ("hrsod_te", bomb_png(HRSOD_MASK), f"expected at most {MAX_PIXELS} pixels"),
    "mask of 16 bits": ("hrsod_te", of_mode(HRSOD_MASK, "I;16"), "expected grey values of 8 bits, found .* I;16"),
    "image is garbage": ("hrsod_te", garbage(HRSOD), f"{HRSOD}: expected a JPEG, PNG, TIFF, BMP or WebP"),
    "image is cut": ("hrsod_te", cut(HRSOD), f"{HRSOD}: expected a whole JPEG"),
    "png is cut": ("egohos", lambda root: cut("val/label/ego4d_02d41fd4_123.png")(root), "expected a readable image"),
    "map has colors": (
        "cityscapes",
        of_mode("gtFine/val/frankfurt/frankfurt_000000_000294_gtFine_instanceIds.png", "RGB"),
        "expected a map of one channel .*, found an image of mode RGB",
    ),
    "colors of 16 bits": (
        "ade20k",
        of_mode("images/ADE/validation/urban/street/ADE_val_00000001_seg.png", "I;16"),
        "expected colors of 8 bits",
    ),
    "listed image is gone": (
        "voc2012",
        gone("JPEGImages/2007_000033.jpg"),
        "val.txt: expected the image '2007_000033'",
    ),
    "coco: image is gone": (
        "coco2017_val",
        gone("val2017/000000000139.jpg"),
        "image 11: expected the image val2017/",
    ),
    "coco: leaves the folder": (
        "coco2017_val",
        edit_json(COCO, put("images", 0, "file_name", "../../etc/passwd")),
        r"expected a path inside the set's folder, found '\.\./\.\./etc/passwd'",
    ),
    "coco: absolute": (
        "coco2017_val",
        edit_json(COCO, put("images", 0, "file_name", "/etc/passwd")),
        "expected a path inside the set's folder, found '/etc/passwd'",
    ),
    "coco: NUL in a name": (
        "coco2017_val",
        edit_json(COCO, put("images", 0, "file_name", "a\0b")),
        "expected a path inside the set's folder",
    ),
    "coco: another size": (
        "coco2017_val",
        edit_json(COCO, put("images", 0, "width", 65)),
        "image 11: expected the image's size, 48 × 64 .*, found 48 × 65",
    ),
    "coco: annotation of no image": (
        "coco2017_val",
        edit_json(COCO, put("annotations", 5, "image_id", 99)),
        r"\$\.annotations\[5\]\.image_id: expected the id of an image of this file, found 99",
    ),
    "coco: image twice": (
        "coco2017_val",
        edit_json(COCO, lambda table: table["images"].append(table["images"][0])),
        "expected image id 11 once",
    ),
    "coco: runs of another size": (
        "coco2017_val",
        segmentation({"size": [64, 48], "counts": "PP1"}),
        r"\$\.annotations\[0\]\.segmentation\.size: expected the image's size, 48 × 64 .*, found 64 × 48",
    ),
    "coco: runs too short": (
        "coco2017_val",
        segmentation({"size": [48, 64], "counts": [1, 2]}),
        r"segmentation\.counts: expected runs .* = 3072 pixels, found 2 that add up to 3",
    ),
    "coco: negative runs": (
        "coco2017_val",
        segmentation({"size": [48, 64], "counts": [-1, 3073]}),
        "at least 0 pixels",
    ),
    "coco: text that is no runs": (
        "coco2017_val",
        segmentation({"size": [48, 64], "counts": "~~"}),
        r"segmentation\.counts: expected characters from '0' to 'o', found '~'",
    ),
    "coco: segmentation is text": (
        "coco2017_val",
        segmentation("here"),
        r"\[0\]\.segmentation: expected rings or COCO RLE",
    ),
    "coco: ring of an odd length": ("coco2017_val", segmentation([[1, 2, 3, 4, 5, 6, 7]]), "x and y in turn, found 7"),
    "coco: endless outline": ("coco2017_val", segmentation([[0, 0, 1e9, 0, 0, 1e9]]), "outline of at most"),
    "coco: many long edges": ("coco2017_val", segmentation([[0, 0, 1e6, 0] * 9]), "outline of at most"),
    "coco: deep nesting": (
        "coco2017_val",
        lambda root: (root / COCO).write_text(
            (root / COCO)
            .read_text()
            .replace('"segmentation": [[5.5', '"segmentation": ' + "[" * 600 + "[[5.5", 1)
            .replace("44.0]]", "44.0]]" + "]" * 600, 1)
        ),
        "expected rings or COCO RLE",
    ),
    "via: not a polygon": (
        "ndd20",
        edit_json("ABOVE_LABELS.json", put("1.jpg8123", "regions", 0, "shape_attributes", "name", "circle")),
        r"ABOVE_LABELS.json: 1.jpg: regions\[0\]: expected a polygon or a polyline, found 'circle'",
    ),
    "via: more x than y": (
        "ndd20",
        edit_json("ABOVE_LABELS.json", put("1.jpg8123", "regions", 0, "shape_attributes", "all_points_x", [1, 2])),
        "expected as many x as y, found 2 and 3",
    ),
    "via: regions are text": (
        "streets",
        edit_json(
            "vehicleannotations/annotations/vehicle-annotations.json",
            put("IL 60 at Butterfield North-7.jpg4711", "regions", "none"),
        ),
        "expected regions of VIA",
    ),
    "visor: annotations are text": (
        "visor",
        edit_json(VISOR, put("video_annotations", 0, "annotations", "none")),
        r"\$\.video_annotations\[0\]: expected annotations of VISOR",
    ),
    "visor: another size": (
        "visor",
        resized("GroundTruth-SparseAnnotations/rgb_frames/val/P01/P01_01_frame_0000000140.jpg"),
        "found 1080 × 1920",
    ),
    "woodscape: another size": (
        "woodscape",
        edit_json(WOODSCAPE, put("00001_FV.json", "image_height", 47)),
        "found 47 × 64",
    ),
    "woodscape: wrong type": (
        "woodscape",
        edit_json(WOODSCAPE, put("00001_FV.json", "annotation", 0, "tags", "road")),
        "expected `array`, found `str`",
    ),
    "woodscape: two keys": (
        "woodscape",
        edit_json(WOODSCAPE, lambda t: t.update({"b": t["00001_FV.json"]})),
        "found 2",
    ),
    "ovis: another size": (
        "ovis",
        edit_json("annotations_train.json", put("videos", 0, "height", 47)),
        "video 7: expected the image's size",
    ),
    "ovis: frame is gone": ("ovis", gone("train/2592cac7/img_0000001.jpg"), r"file_names\[0\]: expected the image"),
    "hypersim: no HDF5": ("hypersim", garbage(HDF5), "expected a readable HDF5 file"),
    "hypersim: another key": ("hypersim", hdf5_of([1], "data"), "expected the key 'dataset', found none"),
    "hypersim: link": ("hypersim", hdf5_link("external"), "found a link"),
    "hypersim: virtual": ("hypersim", hdf5_link("virtual"), "in the file itself"),
    "hypersim: storage outside": ("hypersim", hdf5_link("storage"), "in the file itself"),
    "hypersim: floats": ("hypersim", hdf5_of(np.zeros(SHAPE)), "expected integers under the key 'dataset'"),
    "hypersim: another size": ("hypersim", hdf5_of(np.zeros((2, 3, 4), np.int32)), "found 2 × 3 × 4"),
}


ONLY_IMAGE = {"listed image is gone"}
"""Cases in whose tree no other image is left."""


@pytest.mark.parametrize("case", BAD_RECORDS)
def test_bad_records(tmp_path: Path, case: str) -> None:
    identity, edit, message = BAD_RECORDS[case]
    root = tmp_path / "set"
    TREES[identity](root)
    edit(root)
    source = open_evaluation(CATALOG[identity], root)
    with pytest.raises(RecordError, match=message) as caught:
        read_all(source, BadRecords())
    assert str(caught.value).startswith(source.label)
    assert caught.value.hint
    skipping = BadRecords("skip")
    names = [] if case in ONLY_IMAGE else read_all(source, skipping)
    if case in ONLY_IMAGE:
        with pytest.raises(SourceError, match=r"found none that can be used .1 were rejected, the first: "):
            read_all(source, skipping)
    assert len(skipping.rejects) == (3 if case == "ovis: another size" else 1)
    assert skipping.rejects[0].reason == str(caught.value)
    assert skipping.rejects[0].archive == source.label
    assert skipping.rejects[0].member not in names


BAD_FILES: dict[str, tuple[str, Edit, str]] = {
    "coco: not JSON": ("coco2017_val", lambda root: (root / COCO).write_text("{"), f"{COCO}: \\$: expected COCO JSON"),
    "coco: wrong type": (
        "coco2017_val",
        edit_json(COCO, put("annotations", 3, "image_id", 1.5)),
        r"\$\.annotations\[3\]\.image_id: expected `int \| str`, found `float`",
    ),
    "coco: no images": ("coco2017_val", edit_json(COCO, lambda table: table.pop("images")), "required field `images`"),
    "coco: not UTF-8": ("coco2017_val", lambda root: (root / COCO).write_bytes(b'{"images": "\xff"}'), "expected"),
    "via is COCO": (
        "ndd20",
        lambda root: (root / "ABOVE_LABELS.json").write_text('{"images": []}'),
        "ABOVE_LABELS.json",
    ),
    "ovis without masks": (
        "ovis",
        edit_json("annotations_train.json", put("annotations", None)),
        r"\$\.annotations: expected `array`, found `null`",
    ),
    "ovis: too few entries": (
        "ovis",
        edit_json("annotations_train.json", put("annotations", 1, "segmentations", [None])),
        r"\$\.annotations\[1\]\.segmentations: expected one entry per frame of video 7, found 1 entries and 3 frames",
    ),
    "voc without its list": (
        "voc2012",
        gone("ImageSets/Segmentation/val.txt"),
        "val.txt: expected the list of the split",
    ),
    "hypersim: another CSV": (
        "hypersim",
        lambda root: (root / "metadata_images_split_scene_v1.csv").write_text("scene,frame\n"),
        "expected the columns scene_name, .*, found scene, frame",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_bad_annotation_files_stop_the_set(tmp_path: Path, case: str, policy: Any) -> None:
    identity, edit, message = BAD_FILES[case]
    TREES[identity](tmp_path)
    edit(tmp_path)
    with pytest.raises(SourceError, match=message):
        read_all(open_evaluation(CATALOG[identity], tmp_path), BadRecords(policy))


def test_a_wrong_folder_says_what_was_expected_and_what_is_there(tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path / "data/HRSOD_release")
    (tmp_path / "data/readme.txt").write_text("")
    source = open_evaluation(CATALOG["hrsod_te"], tmp_path / "data")
    with pytest.raises(SourceError) as caught:
        source.index(BadRecords())
    assert str(caught.value) == (
        f"hrsod_te={tmp_path}/data: expected HRSOD_test/<name>.jpg with HRSOD_test_mask/<name>.png, or "
        "imgs/<name>.jpg with gts/<name>.png, or images/<name>.jpg with masks_max255/<name>.png, or "
        "images/<name>.jpg with masks/<name>.png; found HRSOD_release/ (3 .jpg, 3 .png), readme.txt"
    )
    assert caught.value.hint.startswith(f"Did you mean {tmp_path}/data/HRSOD_release? ")
    (tmp_path / "empty").mkdir()
    empty = open_evaluation(CATALOG["coco2017_val"], tmp_path / "empty")
    with pytest.raises(SourceError, match="found an empty folder"):
        empty.index(BadRecords())
    with pytest.raises(SourceError, match="expected the folder of an evaluation set, found nothing there"):
        open_evaluation(CATALOG["coco2017_val"], tmp_path / "none")


WRONG = {
    "binary": "hrsod_te",
    "objects": "bbbc038v1",
    "index_map": "cityscapes",
    "rgb_map": "ade20k",
    "coco": "coco2017_val",
    "via": "ndd20",
    "visor": "visor",
    "woodscape": "woodscape",
    "youtube_vis": "ovis",
    "hypersim": "hypersim",
    "labelme": "gtea:hands",
}
"""A set of each layout, or a variant of one."""


def named(identity: str, root: Path) -> EvaluationSource:
    """A set as the command line names it."""
    return parse_evaluation(f"{identity}={root}", CATALOG)


def draw(identity: str, root: Path) -> Path:
    """The folder of a set."""
    TREES[identity.partition(":")[0]](root)
    return root


def wrong(identity: str, root: Path) -> SourceError:
    """The error for a folder in which nothing of a set is found."""
    with pytest.raises(SourceError) as caught:
        named(identity, root).index(BadRecords())
    return caught.value


def test_there_is_a_wrong_folder_for_every_layout(tmp_path: Path) -> None:
    layouts = [named(identity, draw(identity, tmp_path / identity)).layout for identity in WRONG.values()]
    assert [msgspec.to_builtins(layout)["type"] for layout in layouts] == list(WRONG)
    assert {type(layout) for layout in layouts} == set(get_args(Layout))


@pytest.mark.parametrize("identity", WRONG.values())
def test_a_folder_too_high_or_too_deep_gets_a_suggestion(tmp_path: Path, identity: str) -> None:
    root = draw(identity, tmp_path / "sets/unpacked/v1")
    deep = next(path for path in sorted(root.iterdir()) if path.is_dir())
    if identity == "bbbc038v1":  # one level too deep is another form of it, and read
        deep = deep / "00ae"
    deeper = next((path for path in sorted(deep.iterdir()) if path.is_dir()), deep)
    meant = root / "stage1_train" if identity == "bbbc038v1" else root
    for folder, expected in ((root.parent, root), (root.parent.parent, root), (deep, meant), (deeper, meant)):
        assert wrong(identity, folder).hint.startswith(f"Did you mean {expected}? "), folder


@pytest.mark.parametrize("identity", WRONG.values())
def test_archives_are_to_be_unpacked(tmp_path: Path, identity: str) -> None:
    names = ["a.zip", "b.tar.gz", "c.RAR", "d.zip"]
    for name in names:
        (tmp_path / name).write_bytes(b"PK")
    assert wrong(identity, tmp_path).hint.startswith(
        f"Unpack a.zip, b.tar.gz, c.RAR and 1 more in {tmp_path} first: archives are not read. "
    )
    with pytest.raises(SourceError, match=r"expected the folder of an evaluation set, found an archive") as caught:
        named(identity, tmp_path / "a.zip")
    assert caught.value.hint == "Unpack it, and name the folder."
    (tmp_path / "list.txt").touch()
    with pytest.raises(SourceError, match="found a file"):
        named(identity, tmp_path / "list.txt")


@pytest.mark.parametrize("identity", WRONG.values())
def test_where_images_and_masks_do_not_meet_both_are_counted(tmp_path: Path, identity: str) -> None:
    refs = named(identity, draw(identity, tmp_path)).index(BadRecords())
    for ref in refs:
        for name in [ref.file_name] if ref.key else ref.masks:
            (tmp_path / name).rename((tmp_path / name).with_suffix(".tga"))
    (tmp_path / "metadata_images_split_scene_v1.csv").unlink(missing_ok=True)
    for frame in tmp_path.glob("*/images/*/frame.0002.*"):
        frame.unlink()
    error = wrong(identity, tmp_path)
    if refs[0].key:
        assert f"{refs[0].masks[0]}, which names no image that is there, such as " in error.problem
    else:
        assert re.search(rf": {len(refs)} like \S+ and 0 like \S+, of which none belong together: ", error.problem)
        assert f"{refs[0].file_name} has no " in error.problem
        assert re.search(r"/ has .*\d \.tga", error.problem)


@pytest.mark.parametrize(("given", "moved", "meant"), [
    ("pidray", ("hard", "annotations/xray_test_hard.json"), "pidray:v2"),
    ("pidray", ("hard", "annotations/xray_test_hard.json", "annotations/test.json"), "pidray:v2-hard"),
    ("pidray:v2", ("annotations/test.json", "test"), "pidray"),
    ("lvis", ("lvis_v0.5_val.json",), "lvis:v1"),
])  # fmt: skip
def test_another_release_of_the_set_is_told(tmp_path: Path, given: str, moved: tuple[str, ...], meant: str) -> None:
    draw(given, tmp_path / "set")
    for name in moved:
        (tmp_path / "set" / name).rename(tmp_path / name.replace("/", "-"))
    assert wrong(given, tmp_path / "set").hint.startswith(f"Did you mean {meant}={tmp_path}/set? ")


def test_another_split_is_no_answer_where_the_masks_of_this_one_are_missing(tmp_path: Path) -> None:
    draw("egohos", tmp_path)
    (label,) = (tmp_path / "val/label").iterdir()
    label.rename(label.with_suffix(".tif"))
    error = wrong("egohos", tmp_path)
    assert error.problem.endswith("(val/label/ has 1 .tif)")
    assert "Did you mean" not in error.hint


def test_a_mask_that_is_missing_is_counted_with_the_others(tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path)
    for stem in ("1001_abc_o", "1002_def_o"):
        (tmp_path / f"HRSOD_test_mask/{stem}.png").rename(tmp_path / f"HRSOD_test_mask/{stem}.tif")
    with pytest.raises(RecordError) as caught:
        open_evaluation(CATALOG["hrsod_te"], tmp_path).index(BadRecords())
    assert caught.value.hint.startswith(
        "1 of 3 images like HRSOD_test/<name>.jpg have a mask (HRSOD_test_mask/ has 2 .tif, 1 .png). Is the set "
    )


def test_frames_that_are_still_in_their_zip(tmp_path: Path) -> None:
    """VISOR's come as a zip per video, inside of the archive."""
    TREES["visor"](tmp_path)
    frames = tmp_path / "GroundTruth-SparseAnnotations/rgb_frames/val/P01"
    shutil.rmtree(frames / "P01_01")
    (frames / "P01_01.zip").write_bytes(b"PK")
    with pytest.raises(RecordError, match=r"expected the image .*, found none") as caught:
        open_evaluation(CATALOG["visor"], tmp_path).index(BadRecords())
    assert caught.value.hint == f"Unpack P01_01.zip in {frames} first: archives are not read."


@pytest.mark.parametrize("identity", ["hrsod_te", "cvc_clinicdb", "coco2017_val", "bbbc038v1", "voc2012", "ade20k"])
def test_endings_match_in_large_and_small_letters(tmp_path: Path, identity: str) -> None:
    tree = TREES[identity](tmp_path)
    assert tree.default
    for path in sorted(tmp_path.rglob("*.*")):
        if path.suffix in (".jpg", ".png", ".tif"):
            path.rename(path.with_suffix(path.suffix.upper()))
    found = read_all(open_evaluation(CATALOG[identity], tmp_path), BadRecords())
    assert found == sorted(f"{name[:-4]}{name[-4:].upper()}" for name in tree.default)


def test_the_search_for_a_better_folder_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Around the folder there may be a whole disk."""
    monkeypatch.setattr("asam_datasets.sources.evaluation._tree._ENTRIES_SEARCHED", 30)
    for number in range(40):
        (tmp_path / f"other/{number:02}/images").mkdir(parents=True)
    TREES["hypersim"](tmp_path / "zzz")
    (tmp_path / "empty").mkdir()
    assert "Did you mean" not in wrong("hypersim", tmp_path).hint


def test_a_folder_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not passed over: what lies in it belongs to the set."""
    TREES["egohos"](tmp_path)
    real = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "label":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(SourceError, match=r"val/label: expected a readable folder, found: Permission denied"):
        open_evaluation(CATALOG["egohos"], tmp_path).index(BadRecords())


def test_no_folder_is_suggested_where_that_might_search_the_disk(tmp_path: Path) -> None:
    TREES["ppdls"](tmp_path)
    (tmp_path / "wrong").mkdir()
    hints = []
    for protocol in ("default", "asam"):
        source = open_evaluation(CATALOG["ppdls"], tmp_path / "wrong", protocol=protocol)  # type: ignore[arg-type]
        with pytest.raises(SourceError, match="found an empty folder") as caught:
            source.index(BadRecords())
        hints.append(caught.value.hint.split(" `")[0])
    assert hints[0] == f"Did you mean {tmp_path}?"
    assert "Did you mean" not in hints[1]


@pytest.mark.parametrize("identity", [i for i, entry in CATALOG.items() if entry.layout is not None])
def test_every_set_refuses_a_folder_of_something_else(tmp_path: Path, identity: str) -> None:
    save(tmp_path / "holiday/beach.jpg", np.zeros((4, 4, 3), np.uint8))
    for protocol in ("default", "asam"):
        source = open_evaluation(CATALOG[identity], tmp_path, protocol=protocol)  # type: ignore[arg-type]
        with pytest.raises(SourceError, match=r"expected .*; found holiday/") as caught:
            source.index(BadRecords())
        assert f"catalog show {identity}" in caught.value.hint


def test_the_asam_reading_drops_what_is_alone(tmp_path: Path) -> None:
    TREES["cityscapes"](tmp_path)
    alone = write_image(tmp_path, "leftImg8bit/val/lindau/lindau_000000_000020_leftImg8bit.png")
    with pytest.raises(RecordError, match=r"lindau_000000_000020_gtFine_instanceIds\.png, found none"):
        open_evaluation(CATALOG["cityscapes"], tmp_path).index(BadRecords())
    refs = open_evaluation(CATALOG["cityscapes"], tmp_path, protocol="asam").index(BadRecords())
    assert alone not in [ref.file_name for ref in refs]


DEEP = np.array([0, 128, 129, 300, 33_000, 65_535, 65_280, 40], np.uint16)


@pytest.mark.parametrize("identity", ["hrsod_te", "bbbc038v1"])
def test_masks_of_16_bits_as_asam_reads_them(tmp_path: Path, identity: str) -> None:
    """Its loader of binary masks takes the numbers as they are, the one of masks per object has OpenCV cut them."""
    TREES[identity](tmp_path)
    values = np.repeat(DEEP, SHAPE[1] // len(DEEP))[None].repeat(SHAPE[0], axis=0)
    name = HRSOD_MASK if identity == "hrsod_te" else next(tmp_path.glob("*/00ae/masks/*.png")).relative_to(tmp_path)
    source = open_evaluation(CATALOG[identity], tmp_path, protocol="asam")
    ref = next(ref for ref in source.index(BadRecords()) if str(name) in ref.masks)
    before = source.digest(ref)
    assert before == open_evaluation(CATALOG[identity], tmp_path).digest(ref)
    save(tmp_path / name, values)
    record = source.read(ref).record
    assert record is not None
    read = values if identity == "hrsod_te" else cv2.imread(str(tmp_path / name), 0)
    np.testing.assert_array_equal(record.masks[0].to_array(), read > 128)
    plain = open_evaluation(CATALOG[identity], tmp_path)
    with pytest.raises(RecordError, match="expected grey values of 8 bits"):
        plain.read(ref)
    assert plain.digest(ref) != source.digest(ref) != before


def test_one_mask_under_two_spellings_of_its_ending_is_a_bad_record(tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path)
    shutil.copy(tmp_path / HRSOD_MASK, tmp_path / HRSOD_MASK.replace(".png", ".PNG"))
    with pytest.raises(RecordError, match=r"1001_abc_o\.jpg: expected one mask, found .*o\.PNG and .*o\.png"):
        open_evaluation(CATALOG["hrsod_te"], tmp_path).index(BadRecords())


def test_pycocotools_reading_takes_what_it_takes_and_leaves_the_rest(tmp_path: Path) -> None:
    TREES["coco2017_val"](tmp_path)
    triangle = [1.0, 2.0, 20.0, 30.0, 3.0, 40.0]
    kinds: list[Any] = [
        [triangle],
        [triangle, [50, 2, 50, 40]],
        [[50, 2, 50, 40], triangle],
        [[*triangle, 7.0]],
        [1, 2, 20, 30, 3, 40],
        [],
        [[]],
        [[1, 2]],
        "text",
        None,
    ]
    api = COCO_API()
    api.imgs = {11: {"height": SHAPE[0], "width": SHAPE[1]}}
    expected: dict[int, Any] = {}
    for number, kind in enumerate(kinds):
        with contextlib.suppress(Exception):  # as ASAM's loader has it
            expected[number] = api.annToMask({"image_id": 11, "segmentation": kind}).astype(bool)
    assert len(expected) == 3

    def change(table: Any) -> None:
        first = table["annotations"][0]
        table["annotations"] = [{**first, "id": n, "segmentation": s} for n, s in enumerate(kinds)]

    edit_json(COCO, change)(tmp_path)

    def masks(protocol: Any) -> dict[int, Any]:
        source = open_evaluation(CATALOG["coco2017_val"], tmp_path, protocol=protocol)
        record = source.read(source.index(BadRecords())[0]).record
        assert record is not None
        return {a.id: mask.to_array() for a, mask in zip(record.annotations, record.masks, strict=True)}

    found = masks("asam")
    assert found.keys() == expected.keys()
    for number, mask in expected.items():
        np.testing.assert_array_equal(found[number], mask)
    # By default the ring of two points is left out, not the polygon after it; what is damaged is an error.
    kinds[3:] = kinds[5:8]
    edit_json(COCO, change)(tmp_path)
    found = masks("default")
    assert sorted(found) == [0, 1, 2]
    for mask in found.values():
        np.testing.assert_array_equal(mask, expected[0])


TRIANGLE = [1.0, 2.0, 20.0, 30.0, 3.0, 40.0]
ODD_RINGS: list[Any] = [
    [[10, 10, 60, 10, 60]],
    [[10, 10, 60, 10, 60], TRIANGLE],
    [TRIANGLE, [10, 10, 60, 10, 60]],
    [TRIANGLE, [10, 10, 60]],
    [[10, 10, 60, 10, 60, 40, 7]],
    [[10, 10, 60, 10]],
    [[10, 10, 60]],
    [[]],
    [],
    [[], TRIANGLE],
    [[1e-320, -0.0, 60, 10, 60, 40]],
    [[-500, -500, 500, -500, 500, 500]],
]  # fmt: skip
BAD_RINGS = [
    "[[10, 10, 60, 10, 60, 1e300]]",
    "[[1e308, 1e308, -1e308, 5, 6, 7]]",
    "[[10, 10, 60, 10, 60, -1e300], [1, 2, 20, 30, 3, 40]]",
    "[[10, 10, 60, 10, 1e400, 3]]",
    "[[10, 10, 60, 10, null, 3]]",
    "[[[10, 10], [60, 10], [60, 40]]]",
]


@pytest.mark.parametrize("rings", ODD_RINGS, ids=str)
def test_rings_of_anybodys_making_as_pycocotools_has_them(rings: Any, tmp_path: Path) -> None:
    """Whatever it makes of them is the mask; what it fails on is none. `[[10, 10, 60, 10, 60]]` crashed."""
    TREES["coco2017_val"](tmp_path)
    edit_json(COCO, put(*SEGMENTATION, rings))(tmp_path)
    source = open_evaluation(CATALOG["coco2017_val"], tmp_path, protocol="asam")
    found = source.read(source.index(BadRecords())[0]).record
    assert found is not None
    first = json.loads((tmp_path / COCO).read_text())["annotations"][0]["id"]
    masks = {a.id: mask.to_array().astype(bool) for a, mask in zip(found.annotations, found.masks, strict=True)}
    api = COCO_API()
    api.imgs = {11: {"height": SHAPE[0], "width": SHAPE[1]}}
    try:
        expected = api.annToMask({"image_id": 11, "segmentation": rings}).astype(bool)
    except Exception:  # noqa: BLE001 (as ASAM's loader has it)
        expected = np.zeros(SHAPE, bool)
    np.testing.assert_array_equal(masks.get(first, np.zeros(SHAPE, bool)), expected)


@pytest.mark.parametrize("protocol", ["default", "asam"])
@pytest.mark.parametrize("text", [*BAD_RINGS, *map(json.dumps, ODD_RINGS)])
def test_rings_end_in_a_mask_or_in_one_reject(text: str, protocol: Any, tmp_path: Path) -> None:
    TREES["coco2017_val"](tmp_path)
    table = json.loads((tmp_path / COCO).read_text())
    table["annotations"][0]["segmentation"] = "HERE"
    (tmp_path / COCO).write_text(json.dumps(table).replace('"HERE"', text))
    source = open_evaluation(CATALOG["coco2017_val"], tmp_path, protocol=protocol)
    bad = BadRecords("skip")
    assert read_all(source, bad)
    assert len(bad.rejects) <= 1
    for reject in bad.rejects:
        assert "$.annotations[0].segmentation: expected " in reject.reason


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("protocol", ["default", "asam"])
def test_numbers_that_are_no_json(number: str, protocol: Any, tmp_path: Path) -> None:
    """Python writes them. The file is refused as a whole, with its place: no reader can tell what else it means."""
    TREES["coco2017_val"](tmp_path)
    edit_json(COCO, put(*SEGMENTATION, [[10, 10, 60, 10, 60, float(number)]]))(tmp_path)
    with pytest.raises(SourceError, match=f"{COCO}: .*expected COCO JSON, found: JSON is malformed"):
        read_all(open_evaluation(CATALOG["coco2017_val"], tmp_path, protocol=protocol), BadRecords("skip"))


def test_files_that_systems_leave_behind_are_passed_over(tmp_path: Path) -> None:
    tree = TREES["hrsod_te"](tmp_path)
    (tmp_path / "HRSOD_test/._1001_abc_o.jpg").write_bytes(b"\0\5\x16\7")
    (tmp_path / "HRSOD_test_mask/.DS_Store").write_bytes(b"Bud1")
    assert tree.default
    assert read_all(open_evaluation(CATALOG["hrsod_te"], tmp_path), BadRecords()) == sorted(tree.default)


def test_a_name_that_is_not_text_is_a_bad_record(tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path)
    for folder, ending in (("HRSOD_test", b".jpg"), ("HRSOD_test_mask", b".png")):
        first = next((tmp_path / folder).glob("1001*"))
        os.rename(first, os.fsencode(tmp_path / folder) + b"/caf\xe9" + ending)
    with pytest.raises(RecordError, match="expected a name in UTF-8"):
        read_all(open_evaluation(CATALOG["hrsod_te"], tmp_path), BadRecords())


def test_without_h5py_hypersim_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TREES["hypersim"](tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(SourceError, match="expected h5py") as caught:
        open_evaluation(CATALOG["hypersim"], tmp_path).index(BadRecords())
    assert "asam_datasets[evaluation]" in caught.value.hint


@pytest.mark.parametrize("identity", ["visor", "woodscape"])
def test_without_opencv_a_set_that_it_fills_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identity: str
) -> None:
    TREES[identity](tmp_path)
    entry = CATALOG[identity]
    source = open_evaluation(entry, tmp_path)
    refs = source.index(BadRecords())
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    for use in (lambda: source.index(BadRecords()), lambda: tuple(map(source.read, refs))):
        with pytest.raises(SourceError, match="expected OpenCV") as caught:
            use()
        assert "pip install 'asam_datasets[evaluation]'" in caught.value.hint
    # Who asks for the other rule needs none.
    other = msgspec.structs.replace(entry, layout=msgspec.structs.replace(entry.layout, raster="pycocotools"))
    source = open_evaluation(other, tmp_path)
    assert any(source.read(ref).record for ref in source.index(BadRecords()))


def test_errors_are_of_the_project(tmp_path: Path) -> None:
    """Noise in the place of each mask file: whatever Pillow or h5py make of it, the error is a known one."""
    rng = np.random.default_rng(0)
    TREES["hrsod_te"](tmp_path)
    good = (tmp_path / HRSOD_MASK).read_bytes()
    source = open_evaluation(CATALOG["hrsod_te"], tmp_path)
    ref = source.index(BadRecords())[0]
    with Image.open(io.BytesIO(good)) as image:
        tiff = io.BytesIO()
        image.save(tiff, "TIFF", compression="tiff_lzw")
    for number in range(300):
        content = bytearray(good if number % 2 else tiff.getvalue())
        for place in rng.integers(0, len(content), 1 + number % 7):
            content[place] = rng.integers(256)
        (tmp_path / HRSOD_MASK).write_bytes(content)
        with contextlib.suppress(AsamDatasetsError):
            source.read(ref)
