"""How much faster do a label map's masks become COCO RLE in one pass than value by value?

    python benchmarks/label_map.py [--quick] [--objects N]

The obvious way compares the map with each value and encodes each mask with pycocotools. Both ways end with the same
COCO RLE as text (checked), from the same array in memory. One core.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
from _report import (
    median_and_best,
    package_files,
    print_header,
    print_table,
    ratio,
    require_unchanged,
    run_in_turn,
    use_one_core,
)
from numpy.typing import NDArray
from pycocotools import mask as coco

from asam_datasets.masks import Segmentation, from_label_map, to_segmentation

Map = NDArray[np.integer[Any]]
SHAPES = ((1024, 2048), (3600, 5000))


def draw(shape: tuple[int, int], objects: int, dtype: type[np.integer[Any]]) -> Map:
    """A map of cells around random points, each with a ragged outline and some background inside: (height, width)."""
    rng = np.random.default_rng(0)
    height, width = shape
    centres = rng.random((objects, 2)) * shape
    labels = np.zeros(shape, dtype)
    nearest = np.full(shape, np.inf, np.float32)
    reach = int(2.5 * (height * width / objects) ** 0.5)
    ragged = rng.normal(0, 0.02, shape).astype(np.float32).cumsum(axis=1)
    for number, (y, x) in enumerate(centres.tolist(), 1):
        rows = slice(max(0, int(y) - reach), int(y) + reach)
        columns = slice(max(0, int(x) - reach), int(x) + reach)
        yy, xx = np.ogrid[rows.start : min(rows.stop, height), columns.start : min(columns.stop, width)]
        distance = np.hypot(yy - y, xx - x).astype(np.float32) + ragged[rows, columns]
        closer = distance < nearest[rows, columns]
        nearest[rows, columns][closer] = distance[closer]
        labels[rows, columns][closer] = number
    labels[nearest > 0.8 * reach / 2.5] = 0
    return labels


def value_by_value(labels: Map) -> list[Segmentation]:
    found = []
    for value in np.unique(labels):
        if value != 0:
            encoded = coco.encode(np.asfortranarray(labels == value))
            found.append(Segmentation(size=list(encoded["size"]), counts=encoded["counts"].decode()))
    return found


def in_one_pass(labels: Map) -> list[Segmentation]:
    return [to_segmentation(mask) for mask in from_label_map(labels).values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds, the smaller map only")
    parser.add_argument("--objects", type=int, default=300, help="values in the map (default: 300)")
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else 5
    print_header(
        "How much faster do a label map's masks become COCO RLE in one pass than value by value?",
        "numpy", "pycocotools", "rlemasklib",
    )  # fmt: skip
    before = package_files()
    use_one_core()
    print(f"  {arguments.objects} objects; one core; {rounds} rounds, the ways in turn; median (best)\n", flush=True)
    lines = [["ms per map", "value by value", "one pass", "ratio"]]
    for shape in SHAPES[:1] if arguments.quick else SHAPES:
        for dtype in (np.uint16, np.int32):
            labels = draw(shape, arguments.objects, dtype)
            count = int(np.count_nonzero(np.unique(labels)))
            assert value_by_value(labels) == in_one_pass(labels), "the masks differ"
            ways = {"obvious": partial(value_by_value, labels), "ours": partial(in_one_pass, labels)}
            seconds = run_in_turn(ways, rounds)
            lines.append(
                [
                    f"{shape[1]} × {shape[0]}, {np.dtype(dtype).name}, {count} objects",
                    median_and_best(seconds["obvious"], 1e3),
                    median_and_best(seconds["ours"], 1e3),
                    ratio(seconds["obvious"], seconds["ours"]),
                ]
            )
    print_table(lines)
    require_unchanged(before)


if __name__ == "__main__":
    main()
