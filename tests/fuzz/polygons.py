"""Segmentations of COCO's JSON: judged by COCO's own way to fill a polygon, written a second time with NumPy."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam_datasets.errors import AsamDatasetsError
from fuzz import mutate, sets
from fuzz.masks import bitmap, counts_of, pixels_of
from fuzz.target import Target, refused

H, W = sets.SHAPE
Bitmap = NDArray[np.bool_]

ODD = (
    *("NaN", "Infinity", "-Infinity", "1e300", "-1e300", "1e400", "1e-320", "1" + "0" * 300, "-0.0", "null", "true"),
    *('"1"', "4194304", "-4194305", "2147483648", "9007199254740993", "0.4999999999999999", "[]", "{}"),
)


def fill(ring: list[float]) -> Bitmap:
    """One polygon as `rleFrPoly` in `maskApi.c` fills it: the outline in fifths of a pixel, and what it crosses."""
    x = [int(5.0 * value + 0.5) for value in ring[0::2]]
    y = [int(5.0 * value + 0.5) for value in ring[1::2]]
    us: list[int] = []
    vs: list[int] = []
    for j in range(len(x)):
        k = (j + 1) % len(x)
        for u, v in _line(x[j], y[j], x[k], y[k]):
            us.append(u)
            vs.append(v)
    points = []
    for j in range(1, len(us)):
        if us[j] == us[j - 1]:
            continue
        left = us[j] if us[j] < us[j - 1] else us[j] - 1
        column = (left + 0.5) / 5.0 - 0.5
        if math.floor(column) != column or column < 0 or column > W - 1:
            continue
        row = (min(vs[j], vs[j - 1]) + 0.5) / 5.0 - 0.5
        points.append(int(column) * H + math.ceil(min(max(row, 0), H)))
    flat = np.zeros(H * W + 1, np.int64)
    np.add.at(flat, [point for point in points if point <= H * W], 1)
    return (np.cumsum(flat)[: H * W] % 2 == 1).reshape((H, W), order="F")


def _line(x0: int, y0: int, x1: int, y1: int) -> list[tuple[int, int]]:
    dx, dy = abs(x1 - x0), abs(y1 - y0)
    flip = (dx >= dy and x0 > x1) or (dx < dy and y0 > y1)
    if flip:
        x0, x1, y0, y1 = x1, x0, y1, y0
    slope = (y1 - y0) / dx if dx >= dy and dx else (x1 - x0) / dy if dy else 0.0
    out = []
    for d in range(max(dx, dy) + 1):
        t = max(dx, dy) - d if flip else d
        if dx >= dy:
            out.append((t + x0, int(y0 + slope * t + 0.5)))
        else:
            out.append((int(x0 + slope * t + 0.5), t + y0))
    return out


def _number(rng: random.Random, top: int) -> Any:
    kind = rng.randrange(40)
    if kind == 0:
        return "@" + rng.choice(ODD)
    if kind < 12:
        return rng.randint(-5, top + 5)
    if kind == 12:
        return rng.choice((-1000, 1000, 3000, -0.1))
    return round(rng.uniform(-2, top + 2), rng.choice((1, 2, 9)))


def _ring(rng: random.Random) -> Any:
    count = rng.choice((0, 1, 2, 3, 3, 4, 4, 5, 12))
    ring = [_number(rng, side) for _ in range(count) for side in (W, H)]
    return ring[:-1] if rng.random() < 0.05 else ring


def _segmentation(rng: random.Random) -> Any:
    kind = rng.randrange(10)
    if kind < 6:
        return [_ring(rng) for _ in range(rng.choice((0, 1, 1, 1, 2, 3)))]
    pixels = bitmap(rng, (H, W))
    size: Any = rng.choice(([H, W],) * 6 + ([W, H], [H], [0, 0], [H, W, 1], [2**40, 2**40], [-1, -1]))
    counts: Any = counts_of(pixels)
    if kind == 6 and rng.random() < 0.5:
        counts = mutate.blob(rng, counts.encode()).decode("latin-1")
    if kind in (7, 8):
        flat = pixels.flatten(order="F")
        ends = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
        counts = ([0] if flat[0] else []) + np.diff(ends).tolist()
        if rng.random() < 0.4:
            counts[rng.randrange(len(counts))] = rng.choice((*mutate.NUMBERS, 1.5, "5", None))
        elif rng.random() < 0.3:
            at = rng.randrange(len(counts))
            counts[at : at + 1] = [counts[at], 0, 0]
    coded = {"size": size, "counts": counts}
    return coded if kind < 9 else mutate.tree(rng, coded)


def _text(rng: random.Random, segmentation: Any) -> bytes:
    annotation = {"id": 1, "image_id": 7, "category_id": 1, "iscrowd": rng.choice((0, 1)), "segmentation": segmentation}
    image = {"id": 7, "file_name": "one.png", "height": H, "width": W}
    table: Any = {"images": [image], "annotations": [annotation], "categories": [{"id": 1, "name": "cat"}]}
    kind = rng.randrange(12)
    if kind == 0:
        table = mutate.tree(rng, table)
    data = json.dumps(table).encode("utf-8", "surrogatepass")
    for token in ODD:  # numbers that Python does not write
        data = data.replace(json.dumps("@" + token).encode(), token.encode())
    return mutate.blob(rng, data) if kind == 1 else data


def try_one(rng: random.Random) -> bool:
    """One annotation file with one image."""
    segmentation = _segmentation(rng)
    text = _text(rng, segmentation)
    name = rng.choice(("fuzz_coco", "fuzz_coco", "fuzz_pycocotools"))
    sets.write(sets.root(name) / "a.json", text)
    try:
        record = sets.read(name)
    except AsamDatasetsError as error:
        return refused(error)
    try:
        (annotation,) = json.loads(text)["annotations"]
    except (ValueError, KeyError):
        return True  # none or several: what is told of each is tried one at a time
    expected = _expected(annotation.get("segmentation"), name == "fuzz_pycocotools")
    found = sets.bitmaps(record)
    if expected is None or not expected.any() or annotation.get("image_id") != 7:
        assert not found, "a mask where there is none"
    else:
        assert len(found) == 1, "no mask where there is one"
        assert np.array_equal(found[0], expected), "another mask"
    return True


def _expected(segmentation: Any, as_pycocotools: bool) -> Bitmap | None:
    """The mask of what was taken; None where it has none. What pycocotools fails on is left out by its own rules."""
    if segmentation is None:
        return None
    if isinstance(segmentation, dict) and _is_coded(segmentation):
        counts = segmentation["counts"]
        if isinstance(counts, str):
            pixels = pixels_of([H, W], counts)
            assert pixels is not None, "taken, and it is no mask"
            return pixels
        assert sum(counts) == H * W
        assert min(counts, default=0) >= 0
        return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape((H, W), order="F")
    if not isinstance(segmentation, list) or not all(
        isinstance(ring, list) and _is_ring(ring) for ring in segmentation
    ):
        assert as_pycocotools, "taken, and it is neither rings nor runs"
        return None
    rings = segmentation
    if as_pycocotools:
        if not rings or len(rings[0]) <= 4:
            return None
        rings = [ring[: len(ring) // 2 * 2] for ring in rings if len(ring) >= 2]
    else:
        rings = [ring for ring in rings if len(ring) >= 6]
    return np.logical_or.reduce([fill(ring) for ring in rings]) if rings else None


def _is_coded(segmentation: dict[str, Any]) -> bool:
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int for side in size):
        return False
    return isinstance(counts, str) or (isinstance(counts, list) and all(type(run) is int for run in counts))


def _is_ring(ring: list[Any]) -> bool:
    return all(type(value) in (int, float) and math.isfinite(value) for value in ring)


TARGET = Target("polygons", try_one, share=30_000, short=150)
