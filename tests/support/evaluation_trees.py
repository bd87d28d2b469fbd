"""A small faithful folder for each set of the catalog, with the masks that must come out of it.

Names, folders, bit depths and JSON shapes are those of the released files. The expected masks are arrays, made without
the package: by comparing maps with each value, by slices for rectangles, by pycocotools for COCO, and by OpenCV for the
sets whose official code fills outlines with it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

SHAPE = (48, 64)
Array = NDArray[Any]
Masks = dict[str, list[Array]]
"""The masks of each image that has some, by its path below the root."""


@dataclass
class Tree:
    """What a folder must give.

    Args:
        default, asam: masks by image; `asam` is None where that protocol reads the same.
        empty: images without any object, in the default reading.
        variants: masks by variant.
    """

    default: Masks | None
    asam: Masks | None = None
    empty: int = 0
    variants: dict[str, Masks] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------------ drawing


def grid(ids: Sequence[int], shape: tuple[int, int] = SHAPE) -> Array:
    """A map of touching cells: the first value has a hole of 0, the last one a second piece far away."""
    height, width = shape[0] // 4, shape[1] // 4
    labels = np.zeros(shape, np.int64)
    for number, value in enumerate(ids):
        y, x = number // 4 * height, number % 4 * width
        labels[y : y + height, x : x + width] = value
    labels[3:6, 4:9] = 0
    labels[shape[0] - height // 2 :, shape[1] - width // 2 :] = ids[-1] if ids else 0
    return labels


def ellipse(y: float, x: float, ry: float, rx: float, shape: tuple[int, int] = SHAPE) -> Array:
    """A filled ellipse: bool (height, width)."""
    yy, xx = np.mgrid[: shape[0], : shape[1]]
    return ((yy - y) / ry) ** 2 + ((xx - x) / rx) ** 2 <= 1


def by_value(labels: Array, *leave_out: int) -> list[Array]:
    """The mask of each value, ascending."""
    return [labels == value for value in np.unique(labels).tolist() if value not in leave_out]


def by_color(colors: Array, *leave_out: tuple[int, int, int]) -> list[Array]:
    """The mask of each color, by red + 256 × green + 65536 × blue ascending."""
    known = sorted({tuple(c) for c in colors.reshape(-1, 3).tolist()}, key=lambda c: c[0] + 256 * c[1] + 65536 * c[2])
    return [(colors == color).all(axis=2) for color in known if color not in leave_out]


def box(x0: int, y0: int, x1: int, y1: int, shape: tuple[int, int] = SHAPE) -> Array:
    """A rectangle, cut off at the image's edges: bool (height, width)."""
    mask = np.zeros(shape, bool)
    mask[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = True
    return mask


def ring(x0: int, y0: int, x1: int, y1: int) -> list[float]:
    """The same rectangle as a polygon."""
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def pairs(flat: Sequence[float]) -> list[list[float]]:
    return [[flat[i], flat[i + 1]] for i in range(0, len(flat), 2)]


def filled(rings: Sequence[Sequence[Sequence[float]]], shape: tuple[int, int] = SHAPE) -> Array:
    """What official code makes of an annotation: `np.array(points, dtype=np.int32)` of each ring, one `fillPoly`."""
    image = np.zeros(shape, np.uint8)
    cv2.fillPoly(image, [np.array(ring, dtype=np.int32) for ring in rings if ring], (255, 255, 255))
    return image > 0


def save(path: Path, content: Array | Image.Image, **options: Any) -> str:
    """Write an image in the format of its ending; returns its name, for chaining."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = content if isinstance(content, Image.Image) else Image.fromarray(content)
    image.save(path, **options)
    return path.name


def write_image(root: Path, name: str, shape: tuple[int, int] = SHAPE, *, mode: str = "RGB") -> str:
    """Write an image of noise; returns `name`."""
    noise = np.random.default_rng(len(name)).integers(0, 256, (*shape, 4), np.uint8)
    channels = {"RGB": noise[:, :, :3], "L": noise[:, :, 0], "RGBA": noise}[mode]
    save(root / name, np.ascontiguousarray(channels))
    return name


def write(path: Path, content: Any) -> None:
    """Write JSON, or text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def palette_image(labels: Array) -> Image.Image:
    """A PNG of palette indices in VOC's colors."""
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette([number for index in range(256) for number in voc_color(index)])
    return image


def voc_color(index: int) -> tuple[int, int, int]:
    """VOC's palette: the bits of the index, three at a time, from the top of each channel."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]


def runs(mask: Array, *, as_numbers: bool = False) -> dict[str, Any]:
    """COCO RLE as JSON has it, compressed or as numbers."""
    flat = mask.flatten(order="F")
    if as_numbers:
        counts, value, length = [], 0, 0
        for pixel in flat.tolist():
            if pixel != value:
                counts.append(length)
                value, length = pixel, 0
            length += 1
        return {"size": list(mask.shape), "counts": [*counts, length]}
    coded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": coded["counts"].decode()}


def rendered(segmentation: Any, shape: tuple[int, int] = SHAPE) -> Array:
    """What pycocotools makes of a segmentation of COCO's JSON."""
    if isinstance(segmentation, list):
        coded = coco.merge(coco.frPyObjects(segmentation, *shape))
    elif isinstance(segmentation["counts"], list):
        coded = coco.frPyObjects(segmentation, *shape)
    else:
        coded = {"size": segmentation["size"], "counts": segmentation["counts"].encode()}
    return coco.decode(coded).astype(bool)


# ------------------------------------------------------------------------------------------------ COCO

TRIANGLE = [[5.5, 3.25, 40.0, 20.5, 9.75, 44.0]]
PARTS = [ring(2, 2, 20, 20), ring(10, 10, 30, 30), ring(50, 40, 60, 46)]  # overlapping: COCO fills the union
CROWD = ellipse(24, 32, 15, 20) & ~ellipse(24, 32, 5, 8)
HOLE = ellipse(20, 20, 14, 14) & ~ellipse(20, 20, 6, 6)
ALL_KINDS: list[tuple[Any, int]] = [
    (TRIANGLE, 0),
    (PARTS, 0),
    (runs(HOLE), 0),
    (runs(CROWD, as_numbers=True), 1),
    (runs(HOLE, as_numbers=True), 0),
]
"""Segmentations and whether each is a crowd."""


def coco_json(
    images: Mapping[int, Mapping[str, Any]], annotations: Mapping[int, Iterable[tuple[Any, int]]]
) -> dict[str, Any]:
    """A COCO file: images and the segmentations of each, by image id."""
    rows = [
        {"image_id": image, "category_id": 3, "iscrowd": crowd, "segmentation": one, "bbox": [0, 0, 1, 1], "area": 1.0}
        for image, ones in annotations.items()
        for one, crowd in ones
    ]
    return {
        "info": {"year": 2017},
        "images": [{"id": n, "height": SHAPE[0], "width": SHAPE[1], **image} for n, image in images.items()],
        "annotations": [{"id": 100 + n, **row} for n, row in enumerate(rows)],
        "categories": [{"id": 3, "name": "car", "supercategory": "vehicle"}],
    }


def without_crowds(ones: Iterable[tuple[Any, int]]) -> list[Array]:
    return [rendered(one) for one, crowd in ones if not crowd]


def with_crowds(ones: Iterable[tuple[Any, int]]) -> list[Array]:
    return [rendered(one) for one, _ in ones]


def coco_set(
    root: Path, file: str, folder: str, names: Sequence[str], *, prefix: str = "", mode: str = "RGB"
) -> tuple[Masks, Masks]:
    """Three images: every kind of segmentation, a triangle, none. Masks by default and with crowds."""
    for name in names:
        write_image(root, f"{folder}/{name}", mode=mode)
    ones = {11: ALL_KINDS, 12: [(TRIANGLE, 0)]}
    write(root / file, coco_json({n: {"file_name": prefix + name} for n, name in enumerate(names, 11)}, ones))
    found = {n: f"{folder}/{name}" for n, name in enumerate(names, 11)}
    return (
        {found[n]: without_crowds(each) for n, each in ones.items()},
        {found[n]: with_crowds(each) for n, each in ones.items()},
    )


# ------------------------------------------------------------------------------------------------ the sets

Maker = Callable[..., Tree]
TREES: dict[str, Maker] = {}


def tree(make: Maker) -> Maker:
    TREES[make.__name__] = make
    return make


@tree
def ade20k(root: Path) -> Tree:
    # Colors whose folding overflows in 8 bits, equal class with two objects, and one that differs in red alone.
    palette = [(10, 5, 1), (10, 5, 2), (20, 5, 3), (200, 77, 4), (0, 1, 5), (250, 255, 255)]
    colors = np.zeros((*SHAPE, 3), np.uint8)
    labels = grid(range(1, 7))
    for number, color in enumerate(palette, 1):
        colors[labels == number] = color
    scene = "images/ADE/validation/urban/street"
    masks = {}
    for name, content in (("ADE_val_00000001", colors), ("ADE_val_00000002", colors * 0)):
        write_image(root, f"{scene}/{name}.jpg")
        save(root / f"{scene}/{name}_seg.png", content)
        save(root / f"{scene}/{name}_parts_1.png", content)
        save(root / f"{scene}/{name}/instance_000_{name}.png", np.full(SHAPE, 128, np.uint8))
        things = [
            {"id": 0, "name": "café, coffeehouse", "name_ndx": 261, "parts": {"part_level": 0, "ispartof": []}},
            {"id": 1, "name": "café, coffeehouse", "name_ndx": 261, "parts": {"part_level": 0, "ispartof": []}},
            {"id": 2, "name": "rim", "name_ndx": 517, "parts": {"part_level": 1, "ispartof": 0}},
            {"id": 3, "name": "sky", "name_ndx": 1, "parts": {"part_level": 0, "ispartof": []}},
        ]
        annotation = {"filename": f"{name}.jpg", "object": things if content.any() else things[3]}
        (root / f"{scene}/{name}.json").write_bytes(
            json.dumps({"annotation": annotation}, ensure_ascii=False).encode("latin-1")
        )
    masks[f"{scene}/ADE_val_00000001.jpg"] = by_color(colors, (0, 0, 0))
    write_image(root, "images/ADE/training/urban/street/ADE_train_00000001.jpg")
    return Tree(masks, empty=1)


@tree
def bbbc038v1(root: Path) -> Tree:
    masks: Masks = {}
    for image, ids in (("0a7d", [1, 2, 3]), ("00ae", [1])):
        labels = grid(ids)
        name = write_image(root, f"stage1_train/{image}/images/{image}.png", mode="RGBA")
        objects = {f"{ord(image[-1]) * 7919 * i % 99991:x}": labels == i for i in ids}
        for object_name, mask in objects.items():
            save(root / f"stage1_train/{image}/masks/{object_name}.png", mask.astype(np.uint8) * 255)
        (root / f"stage1_train/{image}/masks/.DS_Store").write_bytes(b"Bud1")
        masks[name] = [objects[object_name] for object_name in sorted(objects)]
    write(root / "stage1_train_labels.csv", "ImageId,EncodedPixels\n")
    return Tree(masks)


@tree
def cityscapes(root: Path) -> Tree:
    ids = [1, 3, 4, 6, 7, 8, 23, 26, 26000, 26001, 33002, 24255, 24000]
    labels = grid(ids)
    name = "leftImg8bit/val/frankfurt/frankfurt_000000_000294_leftImg8bit.png"
    write_image(root, name)
    stem = root / "gtFine/val/frankfurt/frankfurt_000000_000294_gtFine"
    save(stem.with_name(f"{stem.name}_instanceIds.png"), labels.astype(np.uint16))
    save(stem.with_name(f"{stem.name}_labelIds.png"), np.where(labels > 999, labels // 1000, labels).astype(np.uint8))
    save(stem.with_name(f"{stem.name}_color.png"), np.zeros((*SHAPE, 4), np.uint8))
    write(stem.with_name(f"{stem.name}_polygons.json"), {})
    void = write_image(root, "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png")
    save(root / "gtFine/val/lindau/lindau_000000_000019_gtFine_instanceIds.png", np.full(SHAPE, 4, np.uint16))
    return Tree(
        {name: by_value(labels, 0, 1, 2, 3, 4, 5, 6, 26)},
        {name: by_value(labels), void: [np.ones(SHAPE, bool)]},
        empty=1,
    )


@tree
def doors(root: Path) -> Tree:
    folder = "Segmentation/DS1/DS"
    rocks = {name: ellipse(20 + i, 30, 9, 12) for i, name in enumerate(("000001", "000002", "000003"))}
    masks: Masks = {}
    for name, rock in rocks.items():
        write_image(root, f"{folder}/img/{name}.png", mode="L")
        save(root / f"{folder}/mask/{name}.png", rock.astype(np.uint8) * 255)
        masks[f"{folder}/img/{name}.png"] = [rock]
    del masks[f"{folder}/img/000003.png"]
    write(root / folder / "Te1.txt", "000001.png\n")
    write(root / folder / "Te2.txt", "000002\n")
    write(root / folder / "T.txt", "000003.png\n")
    asam: Masks = {}
    for run in ("Te1_5000_b_2022-08-02 11.16.00", "Te2_5000_ub_2022-08-02 11.16.11"):
        name = write_image(root, f"Regression/{run}/img/000001.png", mode="L")
        rock = ellipse(10, 10, 7, len(run) - 20)
        save(root / f"Regression/{run}/Rock_all/000001.png", rock.astype(np.uint8) * 255)
        asam[name] = [rock]
    return Tree(masks, asam)


@tree
def dram(root: Path) -> Tree:
    labels = grid([3, 15, 1, 255, 17])
    masks, raw, asam = {}, {}, {}
    for below in ("Impressionism/Monet/boat", "Impressionism/Renoir/boat", "unseen/Ukiyo-e/Hokusai/wave"):
        write_image(root, f"test/{below}.jpg")
        save(root / "labels" / f"{below}.png", labels.astype(np.uint8))
        masks[f"test/{below}.jpg"] = by_value(labels, 0, 1, 255)
    write_image(root, "train/Impressionism/Monet/bridge.jpg")
    colors = np.array([voc_color(index) for index in range(256)], np.uint8)[labels]
    name = write_image(root, "DRAM_raw/test_images/Realism/Courbet/sea.jpg")
    save(root / "DRAM_raw/test_targets_color/Realism/Courbet/sea.png", colors)
    write_image(root, "DRAM_raw/train_images/Realism/Courbet/road.jpg")
    raw[name] = by_color(colors, (0, 0, 0), (224, 224, 192))
    asam[name] = by_color(colors, (0, 0, 0))
    return Tree(masks, asam, variants={"raw": raw})


@tree
def egohos(root: Path) -> Tree:
    labels = grid(range(1, 9))
    trees: dict[str, Masks] = {}
    for part, variant in (
        ("val", ""),
        ("train", "train"),
        ("test_indomain", "test-indomain"),
        ("test_outdomain", "test-outdomain"),
    ):
        name = write_image(root, f"{part}/image/ego4d_02d41fd4_123.jpg")
        save(root / f"{part}/label/ego4d_02d41fd4_123.png", labels.astype(np.uint8))
        save(root / f"{part}/contact/ego4d_02d41fd4_123.png", labels.astype(np.uint8))
        trees[variant] = {name: by_value(labels, 0)}
    return Tree(trees.pop(""), variants=trees)


@tree
def gtea(root: Path) -> Tree:
    soft = grid([10, 25, 26, 128, 254, 255])
    masks: Masks = {}
    for name in ("GTEA/Images/frame_1", "GTEA_GAZE_PLUS/Images/Ahmad_Burger/frame_2"):
        write_image(root, f"{name}.jpg")
        save(root / f"{name.replace('Images', 'Masks')}.png", soft.astype(np.uint8))
        masks[f"{name}.jpg"] = [soft / 255 > 0.1]
    write_image(root, "GTEA/Images/frame_without_hands.jpg")  # some have no mask file at all
    third = write_image(root, "GTEA_GAZE_PLUS/train/Images/Ahmad_Pizza/frame_2.jpg")
    save(root / "GTEA_GAZE_PLUS/train/Masks/Ahmad_Pizza/frame_2.png", np.full(SHAPE, 25, np.uint8))
    asam = {name: by_value(soft, 0) for name in list(masks)[1:]} | {third: [np.ones(SHAPE, bool)]}
    hands = {name: draw_labelme(root, name) for name in masks}
    return Tree(masks, asam, empty=1, variants={"hands": hands})


def draw_labelme(root: Path, image: str) -> list[Array]:
    """The XML of an image, as people drew it with LabelMe, and its masks: two hands and where they meet."""
    drawn = [
        ("Left hand", 0, TRIANGLE[0]),
        ("Right_hand", 1, ring(0, 0, 9, 9)),
        ("\nright_Hand\n", 0, ring(40, -9, 90, 13)),
    ]
    drawn += [("intersecting hands", 0, ring(30, 30, 45, 40)), ("Left hand", 0, [3, 3, 9, 9])]
    objects = ""
    for number, (name, deleted, flat) in enumerate(drawn):
        points = "".join(f"<pt><x>{x}</x><y>\n{y}\n</y></pt>" for x, y in pairs(flat))
        objects += (
            f"<object><name>{name}</name><deleted>{deleted}</deleted><verified>0</verified><id>{number}</id>"
            f"<polygon><username>a &amp; b</username>{points}</polygon></object>"
        )
    size = f"<imagesize><nrows>{SHAPE[0]}</nrows><ncols>{SHAPE[1]}</ncols></imagesize>"
    file = root / image.replace("Images", "Annotations").replace(".jpg", ".xml")
    write(file, f"<annotation><filename>{Path(image).name}</filename>{objects}{size}</annotation>")
    return [rendered(TRIANGLE), box(40, -9, 90, 13), box(30, 30, 45, 40)]


@tree
def hypersim(root: Path) -> Tree:
    import h5py

    labels = np.where(grid([5, 70000, 8]) == 0, -1, grid([5, 70000, 8]))
    masks: Masks = {}
    color: Masks = {}
    rows = [["scene_name", "camera_name", "frame_id", "included_in_public_release", "exclude_reason"]]
    for frame in range(3):
        folder = "ai_001_001/images/scene_cam_00"
        names = [f"{folder}_final_preview/frame.{frame:04}.{kind}.jpg" for kind in ("tonemap", "color")]
        for name in names:
            write_image(root, name)
        maps = root / f"{folder}_geometry_hdf5"
        maps.mkdir(parents=True, exist_ok=True)
        with h5py.File(maps / f"frame.{frame:04}.semantic_instance.hdf5", "w") as file:
            file["dataset"] = (labels if frame != 1 else np.full(SHAPE, -1)).astype(np.int32)
        rows.append(["ai_001_001", "cam_00", str(frame), str(frame != 2), ""])
        if frame == 0:
            masks[names[0]] = color[names[1]] = by_value(labels, -1)
    with (root / "metadata_images_split_scene_v1.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return Tree(masks, empty=1, variants={"color": color})


@tree
def ibd(root: Path) -> Tree:
    labels = grid([1, 2, 255])
    name = write_image(root, "val/DJI_0001.png", mode="RGBA")
    save(root / "val_labels/DJI_0001.png", labels.astype(np.uint8))
    default, _ = coco_set(root, "roofs.json", "images", ["a.jpg", "b.jpg", "c.jpg"])
    return Tree(None, variants={"index-map": {name: by_value(labels, 0)}, "coco": default})


@tree
def ishape(root: Path) -> Tree:
    labels = grid([44, 300, 700, 65535])  # 300 % 256 is 44
    masks = {}
    for part in ("antenna", "wire"):
        name = write_image(root, f"{part}/val/image/0001.jpg")
        save(root / f"{part}/val/instance_map/0001.png", labels.astype(np.uint16))
        write_image(root, f"{part}/train/image/0002.jpg")
        masks[name] = by_value(labels, 0)
    return Tree(masks, {name: each for name, each in masks.items() if name.startswith("antenna")})


@tree
def lvis(root: Path) -> Tree:
    one, other, trained = "val2017/000000000139.jpg", "val2017/000000000285.jpg", "train2017/000000000009.jpg"
    for name in (one, other, trained):
        write_image(root, name)

    def image(name: str, **more: Any) -> dict[str, Any]:
        return {"coco_url": f"http://images.cocodataset.org/{name}", **more}

    kinds = [(TRIANGLE, 0), (PARTS, 0)]
    old = {139: image(one, file_name="COCO_val2014_000000000139.jpg"), 285: image(other), 9: image(trained)}
    write(root / "lvis_v0.5_val.json", coco_json(old, {139: kinds}))
    write(root / "lvis_v1_val.json", coco_json({285: image(other), 9: image(trained)}, {285: kinds, 9: kinds}))
    masks = without_crowds(kinds)
    return Tree({one: masks}, {other: masks}, empty=2, variants={"v1": {other: masks, trained: masks}})


def via_region(flat: Sequence[float], outline: str = "polygon", **attributes: str) -> dict[str, Any]:
    shape = {"name": outline, "all_points_x": list(flat[::2]), "all_points_y": list(flat[1::2])}
    return {"shape_attributes": shape, "region_attributes": attributes}


@tree
def ndd20(root: Path) -> Tree:
    masks: Masks = {}
    for side in ("ABOVE", "BELOW"):
        names = [write_image(root, f"{side}/{n}.jpg") for n in (1, 2)]
        known = {"species": "BND", "object": "dolphin", "id": ""} if side == "ABOVE" else {"object": "dolphin"}
        # VIA wrote `polyline`: people clicked all the way round, often without a last click on the first point.
        outlines = [TRIANGLE[0], [*ring(-9, 30, 12, 70), -9, 30], [1, 1, 5, 5]]
        regions = [via_region(outline, "polyline", **known) for outline in outlines]
        table = {
            "1.jpg8123": {"filename": "1.jpg", "size": 8123, "regions": regions, "file_attributes": {}},
            "2.jpg77": {"filename": "2.jpg", "size": 77, "regions": [], "file_attributes": {}},
        }
        write(root / f"{side}_LABELS.json", table)
        masks[names[0]] = [rendered(TRIANGLE), box(-9, 30, 12, 70)]
    return Tree(masks, {"ABOVE/1.jpg": masks["ABOVE/1.jpg"]}, empty=2)


@tree
def ndispark(root: Path) -> Tree:
    names = ["64_1.jpg", "65_1.jpg", "69_1531569735.jpg"]
    default, asam = coco_set(root, "train/train_coco_annotations.json", "train/imgs", names)
    validation, _ = coco_set(root, "validation/val_coco_annotations.json", "validation/imgs", names)
    return Tree(default, asam, empty=1, variants={"validation": validation})


@tree
def ovis(root: Path) -> Tree:
    frames = [write_image(root, f"train/2592cac7/img_{n:07}.jpg") for n in (1, 6, 11)]
    objects = [
        {"id": 1, "iscrowd": 0, "segmentations": [runs(HOLE), runs(HOLE, as_numbers=True), None]},
        {"id": 2, "iscrowd": 0, "segmentations": [None, runs(ellipse(9, 9, 5, 5)), None]},
        {"id": 3, "iscrowd": 1, "segmentations": [runs(CROWD), None, None]},
    ]
    common = {"video_id": 7, "category_id": 1, "height": SHAPE[0], "width": SHAPE[1], "length": 3}
    video = {"id": 7, "height": SHAPE[0], "width": SHAPE[1], "length": 3}
    names = [name.removeprefix("train/") for name in frames]
    table = {
        "videos": [{**video, "file_names": names}],
        "annotations": [{**common, "bboxes": [], "areas": [], **each} for each in objects],
        "categories": [{"id": 1, "name": "Person"}],
    }
    write(root / "annotations_train.json", table)
    return Tree({frames[0]: [HOLE], frames[1]: [HOLE, ellipse(9, 9, 5, 5)]}, empty=1)


@tree
def pidray(root: Path) -> Tree:
    names = ["xray_hard00001.png", "xray_hard00002.png", "xray_hard00003.png"]
    default, asam = coco_set(root, "annotations/xray_test_hard.json", "hard", names)
    newer, _ = coco_set(root, "annotations/test.json", "test", ["easy_1.png", "hard_2.png", "hidden_3.png"])
    hard, _ = coco_set(root, "annotations/test_hard.json", "test", ["hard_2.png", "hard_4.png", "hard_5.png"])
    return Tree(default, asam, empty=1, variants={"v2": newer, "v2-hard": hard})


@tree
def plittersdorf(root: Path) -> Tree:
    masks: Masks = {}
    crowds: dict[str, Masks] = {}
    for part in ("train", "val", "test"):
        names = [f"{part}_{n}.jpg" for n in range(3)]
        default, crowds[part] = coco_set(root, f"{part}.json", "images", names)
        masks |= default
        (root / f"images/{part}_0.exr").write_bytes(b"v/1\x01")
    return Tree(masks, crowds["test"], empty=3)


@tree
def ppdls(root: Path) -> Tree:
    # The first two have the same grey value.
    palette = np.array([(0, 0, 0), (100, 0, 0), (0, 51, 0), (0, 0, 255), (255, 255, 255)], np.uint8)
    labels = grid([1, 2, 3, 4])
    masks: Masks = {}
    more: Masks = {}
    for folder, stem in (
        ("Ara2012", "ara2012_plant001"),
        ("Tobacco", "tobacco_plant001"),
        ("Ara2013-Canon", "ara2013_plant001"),
    ):
        name = write_image(root, f"Plant/{folder}/{stem}_rgb.png")
        image: Array | Image.Image = palette[labels]
        if folder == "Ara2012":
            image = Image.fromarray(labels.astype(np.uint8))
            image.putpalette(palette.flatten().tolist())
        save(root / f"Plant/{folder}/{stem}_label.png", image)
        write(root / f"Plant/{folder}/{stem}_bbox.csv", "1,2\n")
        (more if folder == "Ara2013-Canon" else masks)[name] = by_color(palette[labels], (0, 0, 0))
    write_image(root, "Tray/Ara2012/ara2012_tray01_rgb.png")
    save(root / "Tray/Ara2012/ara2012_tray01_fg.png", (labels > 0).astype(np.uint8) * 255)
    return Tree(masks, masks | more)


@tree
def streets(root: Path) -> Tree:
    names = ["IL 60 at Butterfield North-7.jpg", "Aptakisic (West)-1.jpg"]
    found = [write_image(root, f"vehicleannotations/images/{name}") for name in names]
    regions = {
        "0": via_region(TRIANGLE[0], vehicle_type="car"),
        "1": via_region(ring(40, -20, 90, 13)),
        "2": via_region([3, 3]),
        "3": {"shape_attributes": {"name": "circle", "cx": 9, "cy": 9, "r": 4}, "region_attributes": {}},
    }
    table = {
        f"{name}{size}": {
            "fileref": "",
            "size": size,
            "filename": name,
            "base64_img_data": "",
            "file_attributes": {},
            "regions": each,
        }
        for name, size, each in zip(names, (4711, 815), (regions, {}), strict=True)
    }
    write(root / "vehicleannotations/annotations/vehicle-annotations.json", table)
    return Tree({found[0]: [rendered(TRIANGLE), box(40, -20, 90, 13)]}, empty=1)


@tree
def timberseg(root: Path) -> Tree:
    names = ["a.png", "b.png", "c.png"]
    default, _ = coco_set(root, "prescaled/coco_annotation.json", "prescaled/images", names, prefix="images/")
    original, _ = coco_set(root, "original/coco_annotation.json", "original/images", names, prefix="images/")
    rotated = coco_json({11: {"file_name": "images/a.png"}}, {11: [(PARTS, 0)]})
    write(root / "prescaled/coco_annotation_rotated.json", rotated)
    asam = {"prescaled/images/a.png": [rendered(PARTS)]}
    return Tree(default, asam, empty=1, variants={"original": original})


@tree
def trashcan(root: Path) -> Tree:
    names = ["vid_000002_frame0000010.jpg", "vid_000002_frame0000011.jpg", "vid_000002_frame0000012.jpg"]
    read = {}
    for part in ("train", "val"):
        read[part] = coco_set(
            root, f"instance_version/instances_{part}_trashcan.json", f"instance_version/{part}", names
        )
        coco_set(root, f"material_version/instances_{part}_trashcan.json", f"material_version/{part}", names)
    return Tree(read["train"][0], read["val"][1], empty=1, variants={"validation": read["val"][0]})


@tree
def visor(root: Path) -> Tree:
    full = (1080, 1920)
    base = "GroundTruth-SparseAnnotations"
    names = [
        write_image(root, f"{base}/rgb_frames/val/P01/P01_01_frame_0000000140.jpg", full, mode="L"),
        write_image(root, f"{base}/rgb_frames/val/P01/P01_01/P01_01_frame_0000000298.jpg", full, mode="L"),
    ]
    blob = [[900 + 300.7 * np.cos(t), 500 + 200.3 * np.sin(3 * t)] for t in np.linspace(0, 6, 37)]
    outer, inner, far = ring(100.9, 100.2, 500.5, 400.99), ring(200, 200, 300, 300), ring(1900, 1000, 1950.5, 1090)
    segments: list[list[list[list[float]]]] = [
        [pairs(outer), pairs(inner)],
        [pairs(far), [[1.0, 2.0]], [[3.5, 9.5], [40.25, 9.75]]],  # a dot and a line, as the official code draws them
        [],
        [pairs(ring(50, 50, 250, 250)), []],
        [[[float(x), float(y)] for x, y in blob], pairs([-30.7, -20.2, 60.6, 33.3, -9.5, 70.9])],
        [[]],
    ]
    known = [("left hand", 300), ("knife", 4), ("cup", 13), ("board", 7), ("dough", 21), ("bowl", 9)]
    annotations = [
        {"id": f"a{number}", "name": name, "class_id": kind, "exhaustive": "y", "segments": each}
        for number, ((name, kind), each) in enumerate(zip(known, segments, strict=True), 1)
    ]
    frames = [
        {"image": {"name": Path(name).name, "image_path": "P01_01/x.jpg", "video": "P01_01"}, "annotations": each}
        for name, each in zip(names, (annotations, []), strict=True)
    ]
    write(root / f"{base}/annotations/val/P01_01.json", {"info": {}, "video_annotations": frames})
    return Tree({names[0]: [filled(each, full) for each in segments if any(each)]}, empty=1)


@tree
def woodscape(root: Path) -> Tree:
    kinds: list[tuple[list[str], list[float]]] = [
        (["road"], ring(0.4, 30.9, 64, 48)),
        (["void"], ring(0, 0, 64, 3)),
        (["ego_vehicle"], ring(10, 40, 50, 48)),
        (["grouped_pedestrian_and_animals"], ring(5, 5, 15, 15)),
        (["car", "person"], ring(30, 5, 40, 15)),  # the official parser takes annotations of one tag
        ([], ring(41, 5, 48, 15)),
        (["car"], [-7.6, 10.5, 20.99, 12.2, 33.3, 25.7, 3.1, 44.4]),
        (["pole"], [50.2, 3.3, 50.9, 22.8]),  # two points: a line
    ]
    names = []
    for stem, each in (("00001_FV", kinds), ("00002_MVL", kinds[1:3])):
        names.append(write_image(root, f"rgb_images/{stem}.png"))
        annotation = [
            {"id": n, "tags": tags, "segmentation": pairs(flat), "z_order": -n, "states": {}}
            for n, (tags, flat) in enumerate(each)
        ]
        content = {"image_width": SHAPE[1], "image_height": SHAPE[0], "annotation": annotation}
        write(root / f"instance_annotations/{stem}.json", {f"{stem}.json": content})
    return Tree({names[0]: [filled([pairs(kinds[n][1])]) for n in (0, 6, 7)]}, empty=1)


@tree
def zerowaste_f(root: Path) -> Tree:
    names = [write_image(root, f"train/data/{n}_frame.PNG") for n in ("01", "02")]
    labels = grid([1, 2, 3, 4])
    for name in names:
        save(root / name.replace("data", "sem_seg"), (labels if "01" in name else labels * 0).astype(np.uint8))
    images = {1: {"file_name": "01_frame.PNG"}, 2: {"file_name": "02_frame.PNG"}}
    objects = [(TRIANGLE, 0), ([], 0), ([ring(1, 1, 9, 9)], 0), ([ring(20, 1, 29, 9)], 0)]
    write(root / "train/labels.json", coco_json(images, {1: objects, 2: [([], 0)]}))
    masks = [rendered(TRIANGLE), box(1, 1, 9, 9), box(20, 1, 29, 9)]
    return Tree({names[0]: masks}, {names[0]: by_value(labels, 0)}, empty=1)


@tree
def coco2017_val(root: Path) -> Tree:
    names = ["000000000139.jpg", "000000000285.jpg", "000000000632.jpg"]
    default, asam = coco_set(root, "annotations/instances_val2017.json", "val2017", names, mode="L")
    return Tree(default, asam, empty=1)


# The class of each number in VOC's tree. An object may have pixels that are void or, here, of no class at all.
VOC_CLASSES = np.zeros(256, np.int64)
VOC_CLASSES[[1, 2, 8, 20, 255]] = [15, 15, 9, 255, 255]


@tree
def voc2012(root: Path) -> Tree:
    labels = grid([1, 2, 8, 20, 255])  # in another order by color
    name = write_image(root, "JPEGImages/2007_000033.jpg")
    for stem in ("2007_000033", "2007_000032"):  # the other one is of the training split
        write_image(root, f"JPEGImages/{stem}.jpg")
        save(root / f"SegmentationObject/{stem}.png", palette_image(labels))
        save(root / f"SegmentationClass/{stem}.png", palette_image(VOC_CLASSES[labels]))
    write_image(root, "JPEGImages/2008_000001.jpg")  # without masks, like most
    write(root / "ImageSets/Segmentation/val.txt", "2007_000033\n")
    colors = np.array([voc_color(index) for index in range(256)], np.uint8)[labels]
    return Tree({name: by_value(labels, 0, 255)}, {name: by_color(colors, (0, 0, 0), (224, 224, 192))})


def soft_mask(seed: int) -> Array:
    """Grey values on both sides of the thresholds: uint8 (height, width)."""
    inside = ellipse(20 + seed, 30, 12, 16)
    values = np.random.default_rng(seed).choice(np.array([0, 3, 127, 128, 129, 251, 255]), SHAPE)
    return np.where(inside, values, 0).astype(np.uint8)


@tree
def big(root: Path) -> Tree:
    trees: dict[str, Masks] = {}
    for split in ("val", "test"):
        masks: Masks = {}
        for stem in ("11083112904_5d97c7f8e1_o_sofa", "11083112904_5d97c7f8e1_o_cat"):
            ending = "png" if split == "test" and "cat" in stem else "jpg"
            name = write_image(root, f"{split}/{stem}_im.{ending}")
            soft = soft_mask(len(stem))
            save(root / f"{split}/{stem}_gt.png", soft)
            masks[name] = [soft > 128]
        trees[split] = masks
    return Tree(trees["val"], variants={"test": trees["test"]})


@tree
def hrsod_te(root: Path) -> Tree:
    masks: Masks = {}
    for number, stem in enumerate(("1001_abc_o", "1002_def_o", "1003_nothing_o")):
        name = write_image(root, f"HRSOD_test/{stem}.jpg")
        soft = soft_mask(number) if "nothing" not in stem else np.full(SHAPE, 128, np.uint8)
        save(root / f"HRSOD_test_mask/{stem}.png", soft if number else np.stack([soft] * 3, axis=-1))
        if (soft > 128).any():
            masks[name] = [soft > 128]
    return Tree(masks, empty=1)


@tree
def camo(root: Path) -> Tree:
    masks: Masks = {}
    for number, split in enumerate(("Test", "Train", "Test"), 1):
        name = write_image(root, f"Images/{split}/camourflage_{number:05}.jpg")
        soft = soft_mask(number)
        save(root / f"GT/camourflage_{number:05}.png", soft)
        if split == "Test":
            masks[name] = [soft > 128]
    return Tree(masks)


@tree
def kvasir_seg(root: Path, stem: str = "cju0qkwl35piu") -> Tree:
    name = write_image(root, f"images/{stem}.jpg")
    save(root / f"masks/{stem}.jpg", np.stack([ellipse(20, 30, 9, 13) * np.uint8(255)] * 3, axis=-1))
    values = np.asarray(Image.open(root / f"masks/{stem}.jpg"))[:, :, 0]
    assert len(np.unique(values)) > 2  # as in the real ones, JPEG leaves values beside 0 and 255
    write(root / "kavsir_bboxes.json", {})
    return Tree({name: [values >= 128]})


@tree
def kvasir_sessile(root: Path) -> Tree:
    write(root / "train.txt", "cju0qoxqj9q6s0835b43399p4\n")
    return kvasir_seg(root, "cju0qoxqj9q6s0835b43399p4")


@tree
def cvc_clinicdb(root: Path) -> Tree:
    masks: Masks = {}
    for number in (1, 2, 10):
        name = write_image(root, f"Original/{number}.tif")
        soft = soft_mask(number)
        save(root / f"Ground Truth/{number}.tif", soft, compression="tiff_lzw")
        masks[name] = [soft >= 128]
    return Tree(masks)


@tree
def isic2018(root: Path) -> Tree:
    trees: dict[str, Masks] = {}
    for split in ("Test", "Validation"):
        folder = f"ISIC2018_Task1-2_{split}_Input"
        name = write_image(root, f"{folder}/ISIC_0012169.jpg")
        write_image(root, f"{folder}/ISIC_0012169_superpixels.png")
        write(root / folder / "LICENSE.txt", "CC BY-NC 4.0")
        soft = soft_mask(len(split))
        save(root / f"ISIC2018_Task1_{split}_GroundTruth/ISIC_0012169_segmentation.png", soft)
        trees[split] = {name: [soft >= 128]}
    return Tree(trees["Test"], variants={"validation": trees["Validation"]})


def binary_set(root: Path, images: str, masks: str, *stems: str, threshold: int = 129) -> Masks:
    """Soft masks, one per image; the patterns have `{}` for the name."""
    found: Masks = {}
    for number, stem in enumerate(stems):
        name = write_image(root, images.format(stem))
        soft = soft_mask(number + 1)
        save(root / masks.format(stem), soft)
        found[name] = [soft >= threshold]
    return found


@tree
def isic2017(root: Path) -> Tree:
    trees = {
        split: binary_set(
            root,
            f"ISIC-2017_{split}_Data/{{}}.jpg",
            f"ISIC-2017_{split}_Part1_GroundTruth/{{}}_segmentation.png",
            "ISIC_0012086",
            threshold=128,
        )
        for split in ("Test_v2", "Validation")
    }
    write_image(root, "ISIC-2017_Test_v2_Data/ISIC_0012086_superpixels.png")
    return Tree(trees["Test_v2"], variants={"validation": trees["Validation"]})


@tree
def busi(root: Path) -> Tree:
    left, right = ellipse(20, 16, 9, 9), ellipse(20, 48, 9, 9)
    masks: Masks = {}
    for name, lesions in (("benign/benign (1)", [left, right]), ("malignant/malignant (1)", [right])):
        masks[write_image(root, f"{name}.png")] = lesions
        for ending, lesion in zip(("_mask.png", "_mask_1.png"), lesions, strict=False):
            save(root / f"{name}{ending}", (lesion * 255).astype(np.uint8))
    write_image(root, "normal/normal (1).png")
    save(root / "normal/normal (1)_mask.png", np.zeros(SHAPE, np.uint8))
    return Tree(masks, empty=1)


@tree
def glas(root: Path) -> Tree:
    labels = grid([1, 2, 9])
    masks: dict[str, list[Array]] = {}
    for stem in ("testA_1", "testB_1", "train_1"):
        name = write_image(root, f"{stem}.bmp")
        save(root / f"{stem}_anno.bmp", labels.astype(np.uint8))
        masks[name] = by_value(labels, 0)
    write(root / "Grade.csv", "name, patient ID\n")
    train = {"train_1.bmp": masks.pop("train_1.bmp")}
    return Tree(masks, variants={"train": train})


@tree
def dis5k(root: Path) -> Tree:
    masks = {
        part: binary_set(root, f"{part}/im/{{}}.jpg", f"{part}/gt/{{}}.png", "1#Accessories#1#Bag#2339506821_o", "2#x")
        for part in ("DIS-VD", "DIS-TE1", "DIS-TE2", "DIS-TE3", "DIS-TE4")
    }
    return Tree(masks.pop("DIS-VD"), variants={f"te{n}": masks[f"DIS-TE{n}"] for n in range(1, 5)})


@tree
def coift(root: Path) -> Tree:
    return Tree(binary_set(root, "images/{}.jpg", "masks/{}.png", "0001", "0002"))


@tree
def thinobject5k(root: Path) -> Tree:
    masks = binary_set(root, "images/{}.jpg", "masks/{}.png", "axe_1", "bike_2", "train_3")
    write(root / "list/test.txt", "axe_1.jpg\nbike_2.jpg\n")
    del masks["images/train_3.jpg"]
    return Tree(masks)


@tree
def msra10k(root: Path) -> Tree:
    return Tree(binary_set(root, "Imgs/{}.jpg", "Imgs/{}.png", "147", "148"))


@tree
def duts_te(root: Path) -> Tree:
    return Tree(binary_set(root, "DUTS-TE-Image/{}.jpg", "DUTS-TE-Mask/{}.png", "ILSVRC2012_test_00000003"))


@tree
def cod10k(root: Path) -> Tree:
    images, masks = "Test/Image/COD10K-{}.jpg", "Test/GT_Object/COD10K-{}.png"
    found = binary_set(root, images, masks, "CAM-1-Aquatic-3-Crab-46", "CAM-2-Terrestrial-23-Cat-1")
    write_image(root, images.format("NonCAM-1-Other-1"))
    save(root / masks.format("NonCAM-1-Other-1"), np.zeros(SHAPE, np.uint8))
    return Tree(found)


def video_set(root: Path, images: str, masks: str, labels: Array, videos: Mapping[str, int]) -> Masks:
    """Frames of some videos with maps as palette PNGs; the patterns have `{}` for video and frame."""
    found: Masks = {}
    for video, frames in videos.items():
        for frame in range(frames):
            name = write_image(root, images.format(video, f"{frame:05}"))
            save(root / masks.format(video, f"{frame:05}"), palette_image(labels))
            found[name] = by_value(labels, 0, 255)
    return found


@tree
def davis2017(root: Path) -> Tree:
    labels, trees = grid([1, 2, 255]), {}
    for folder in ("480p", "Full-Resolution"):
        masks = video_set(
            root,
            f"JPEGImages/{folder}/{{}}/{{}}.jpg",
            f"Annotations/{folder}/{{}}/{{}}.png",
            labels,
            {"bike-packing": 2, "blackswan": 1, "bear": 1},
        )
        del masks[f"JPEGImages/{folder}/bear/00000.jpg"]
        trees[folder] = masks
    write(root / "ImageSets/2017/val.txt", "bike-packing\nblackswan\n")
    write(root / "ImageSets/2017/train.txt", "bear\n")
    return Tree(trees["480p"], variants={"full-resolution": trees["Full-Resolution"]})


@tree
def mose(root: Path) -> Tree:
    labels = grid([1, 2])
    trees = {
        part: video_set(root, f"{part}/JPEGImages/{{}}/{{}}.jpg", f"{part}/Annotations/{{}}/{{}}.png", labels, videos)
        for part, videos in (("valid", {"0a1b": 1}), ("train", {"2c3d": 2}))
    }
    write_image(root, "valid/JPEGImages/0a1b/00001.jpg")  # its masks are not published
    return Tree(trees["valid"], variants={"train": trees["train"]})


@tree
def sa_v(root: Path) -> Tree:
    things = [ellipse(20, 30, 15, 15), ellipse(20, 30, 5, 5), np.zeros(SHAPE, bool)]  # a hand of a person, and overlap
    trees: dict[str, Masks] = {}
    for part in ("val", "test"):
        masks: Masks = {}
        for frame in range(6):
            name = write_image(root, f"sav_{part}/JPEGImages_24fps/sav_000262/{frame:05}.jpg")
            if frame % 4 == 0:  # frames come at 24 a second, masks at 6
                masks[name] = [thing for thing in things if thing.any()]
                for number, thing in enumerate(things):
                    image = Image.fromarray(thing.astype(np.uint8))
                    image.putpalette([0, 0, 0, 0, 128, 0] + [0] * 762)  # its index is 1, and its red 0
                    save(root / f"sav_{part}/Annotations_6fps/sav_000262/{number:03}/{frame:05}.png", image)
        write(root / f"sav_{part}/sav_{part}.txt", "sav_000262\n")
        trees[part] = masks
    return Tree(trees["val"], variants={"test": trees["test"]})


@tree
def saco_veval(root: Path) -> Tree:
    trees: dict[str, Masks] = {}
    domains = [
        ("sav", "saco_sav/JPEGImages_24fps", "sav_000208"),
        ("yt1b", "saco_yt1b/JPEGImages_6fps", "-5Tx"),
        ("smartglasses", "saco_sg/JPEGImages_6fps", "sg_1"),
    ]
    for split in ("test", "val"):
        masks: Masks = {}
        for domain, folder, video in domains:
            names = [f"{video}_{split}/{frame:05}.jpg" for frame in (0, 4)]
            for name in names:
                write_image(root, f"media/{folder}/{name}")
            size = {"height": SHAPE[0], "width": SHAPE[1], "video_id": 0}
            objects = [
                {"id": 167, "segmentations": [runs(HOLE), None], "category_id": 9, "noun_phrase": "a monkey"},
                {"id": 168, "segmentations": [runs(CROWD), None], "category_id": 9, "noun_phrase": "a monkey"},
            ]
            table = {
                "info": {"version": "v1", "date": "2025-09-24", "description": f"SA-Co/VEval {domain} {split}"},
                "videos": [{"id": 0, "video_name": video, "file_names": names, "length": 2, **size}],
                "annotations": [{**size, "bboxes": [], "areas": [], "iscrowd": 0, **each} for each in objects],
                "categories": [{"id": 9, "name": "a monkey"}, {"id": 10, "name": "thick gold chain"}],
                "video_np_pairs": [{"id": 1, "video_id": 0, "category_id": 10, "noun_phrase": "x", "num_masklets": 0}],
            }
            write(root / f"annotation/saco_veval_{domain}_{split}.json", table)
            masks[f"media/{folder}/{names[0]}"] = [HOLE, CROWD]
        trees[split] = masks
    return Tree(trees["test"], empty=3, variants={"validation": trees["val"]})


PHRASES = [(10000000, "a.jpeg", "chili"), (10000001, "a.jpeg", "the fish ball"), (10000002, "b.jpeg", "a fork")]
"""SA-Co/Gold: ids of pairs, their image below its folder, their phrase. One image comes under two of them."""


@tree
def saco_gold(root: Path) -> Tree:
    """Three annotators of one subset who do not agree, and two subsets; the second pair is a negative for two of them.

    Masks by image are of no use here, where an image has several rows: see `GOLD`.
    """
    folder = "1/1001/metaclip_1_1001_"
    for name in sorted({name for _, name, _ in PHRASES}):
        write_image(root, f"metaclip/{folder}{name}")
    for subset, annotators in (("metaclip", "abc"), ("fg_sports_equipment", "a")):
        for annotator in annotators:
            images = [
                {
                    "id": identity,
                    "file_name": f"{folder}{name}",
                    "text_input": phrase,
                    "width": SHAPE[1],
                    "height": SHAPE[0],
                    "queried_category": "0",
                    "is_instance_exhaustive": int(annotator != "b"),
                    "is_pixel_exhaustive": 1,
                }
                for identity, name, phrase in PHRASES
            ]
            found = [
                {
                    "image_id": identity,
                    "source": "manual",
                    "area": 0.0025,
                    "bbox": [0.44, 0.0, 0.11, 0.06],  # as a share of the image
                    "segmentation": runs(mask),
                    "category_id": 1,
                    "iscrowd": crowd,
                }
                for identity, mask, crowd in GOLD[annotator]
            ]
            table = {
                "images": images,
                "annotations": [{"id": number, **one} for number, one in enumerate(found, 1)],
                "categories": [{"id": 1, "name": "object"}],
            }
            write(root / f"annotations/gold_{subset}_merged_{annotator}_release_test.json", table)
    return Tree({})


GOLD: dict[str, list[tuple[int, Array, int]]] = {
    "a": [(10000000, HOLE, 0), (10000000, CROWD, 1), (10000002, ellipse(9, 9, 5, 5), 0)],
    "b": [(10000000, ellipse(21, 20, 14, 14), 0), (10000001, ellipse(40, 50, 6, 6), 0)],
    "c": [(10000002, ellipse(9, 10, 5, 5), 0)],
}
"""What each annotator drew: the pair's id, the mask, whether it is of several objects."""


@tree
def uvo(root: Path) -> Tree:
    names = ["-6-nFsmzyeM_000001.png", "b.png", "c.png"]
    default, _ = coco_set(root, "FrameSet/UVO_frame_val.json", "uvo_videos_sparse_frames", names)
    return Tree(default, empty=1)


@tree
def paco(root: Path) -> Tree:
    for name in ("train2017/000000000009.jpg", "val2017/000000000139.jpg"):
        write_image(root, name)
    images = {9: {"file_name": "train2017/000000000009.jpg"}, 139: {"file_name": "val2017/000000000139.jpg"}}
    kinds = [(TRIANGLE, 0), (runs(HOLE), 0)]
    write(root / "paco_lvis_v1_val.json", coco_json(images, {9: kinds, 139: kinds[:1]}))
    write(root / "paco_lvis_v1_test.json", coco_json({139: images[139]}, {139: kinds}))
    masks = without_crowds(kinds)
    val = {"train2017/000000000009.jpg": masks, "val2017/000000000139.jpg": masks[:1]}
    return Tree(val, variants={"test": {"val2017/000000000139.jpg": masks}})


@tree
def entityseg(root: Path) -> Tree:
    places = ["entity_01_11580/images_merge", "entity_02_11598/images", "entity_03_10049/images_03_10049"]
    names = [f"{number}.jpg" for number in range(3)]
    for place, name in zip(places, names, strict=True):
        write_image(root, f"images/{place}/{name}")
    ones = {number: [(TRIANGLE, 0), (runs(HOLE), 0)][: number + 1] for number in range(2)}
    write(root / "entityseg_insseg_val.json", coco_json({n: {"file_name": name} for n, name in enumerate(names)}, ones))
    return Tree({f"images/{places[n]}/{names[n]}": without_crowds(ones[n]) for n in ones}, empty=1)


# ------------------------------------------------------------------------------------------------ other packagings

PACKED: list[tuple[str, dict[str, str]]] = [
    # The two zips nest a folder of their own name: unpacked both, one, or the other with their names.
    (
        "woodscape",
        {
            "rgb_images": "rgb_images/rgb_images",
            "instance_annotations": "instance_annotations/instance_annotations",
        },
    ),
    ("woodscape", {"rgb_images": "rgb_images/rgb_images"}),
    ("woodscape", {"instance_annotations": "instance_annotations/instance_annotations"}),
    # As CMaskTrack-RCNN reads them.
    ("ovis", {"train": "train_images", "annotations_train.json": "annotations/annotations_train.json"}),
    ("ovis", {"train": "train_images"}),
    ("ovis", {"annotations_train.json": "annotations/annotations_train.json"}),
    # HQ-SAM's folders, InSPyReNet's, and those of ASAM's copy.
    ("hrsod_te", {"HRSOD_test": "images", "HRSOD_test_mask": "masks_max255"}),
    ("hrsod_te", {"HRSOD_test": "images", "HRSOD_test_mask": "masks"}),
    ("hrsod_te", {"HRSOD_test": "imgs", "HRSOD_test_mask": "gts"}),
    ("camo", {"Images/Test": "Image"}),
    ("camo", {"Images/Test": "Imgs"}),
    ("coco2017_val", {"val2017": "images/val2017"}),
    ("coco2017_val", {"val2017": "images/val2017", "annotations/instances_val2017.json": "instances_val2017.json"}),
    ("lvis", {"val2017": "images/val2017", "train2017": "images/train2017"}),
    ("dis5k", {"DIS-VD/im": "DIS-VD/images", "DIS-VD/gt": "DIS-VD/masks"}),
    ("duts_te", {"DUTS-TE-Image": "images", "DUTS-TE-Mask": "masks"}),
    ("msra10k", {"Imgs": "MSRA_10K"}),
    ("cod10k", {"Test/Image": "Imgs", "Test/GT_Object": "GT"}),
    ("mose", {"valid/JPEGImages": "JPEGImages", "valid/Annotations": "Annotations"}),
    (
        "sa_v",
        {"sav_val/JPEGImages_24fps": "JPEGImages_24fps", "sav_val/Annotations_6fps": "Annotations_6fps"},
    ),
    ("uvo", {"FrameSet/UVO_frame_val.json": "annotations/UVO_frame_val.json"}),
    ("paco", {"paco_lvis_v1_val.json": "annotations/paco_lvis_v1_val.json"}),
    # The zip has one folder in it.
    ("kvasir_sessile", {"images": "sessile-main-Kvasir-SEG/images", "masks": "sessile-main-Kvasir-SEG/masks"}),
]
"""Other ways in which the files of a set come: the set, and the new name of each of its folders or files."""


def repack(root: Path, moves: Mapping[str, str]) -> None:
    """Move what a tree has to other places, in order."""
    for old, new in moves.items():
        (root / old).rename(root / "moving")
        (root / new).parent.mkdir(parents=True, exist_ok=True)
        (root / "moving").rename(root / new)


def repacked(masks: Masks, moves: Mapping[str, str]) -> Masks:
    """The masks of a tree under the names that its images have after `repack`."""
    for old, new in moves.items():
        masks = {
            f"{new}{name.removeprefix(old)}" if name.startswith(f"{old}/") else name: each
            for name, each in masks.items()
        }
    return masks


# A user's own catalog, with one set.
OWN = """
[mine]
name = "My own"
homepage = ""
license = "mine"
redistributable = "yes"
split = "test"
source_split = "all"
kind = "binary"
[mine.layout]
type = "binary"
threshold = 128
pairs = [{ image = "img/{name}.jpg", mask = "gt/{name}.png" }]
"""
