"""How much faster is a mask rendered from its runs than by decoding all of it?

    python benchmarks/masks.py [--quick] [--archive TAR]

The obvious way is pycocotools for the runs, and PIL or OpenCV for the rest. One core. Both ways get the same COCO RLE
as it stands in SA-1B's JSON; ours parses and checks it within the time that is measured.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import cv2
import numpy as np
from _archive import add_arguments, describe, get_members, segmentations
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
from PIL import Image
from pycocotools import mask as coco

from asam_datasets.masks import PngEncoder, colors, decode, from_segmentation

Array = NDArray[np.uint8]
TARGET = (1024, 1024)
ENCODER = PngEncoder()  # one for many masks, as the build has it
BUFFER = np.empty(TARGET, np.uint8)


def pil_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def pil_resized(segmentation: Any) -> Array:
    return np.asarray(Image.fromarray(coco.decode(segmentation)).resize(TARGET[::-1], Image.Resampling.NEAREST))


def cv2_resized(segmentation: Any) -> Array:
    # INTER_NEAREST_EXACT samples what PIL samples.
    return cv2.resize(coco.decode(segmentation), TARGET[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def cv2_resized_plain(segmentation: Any) -> Array:
    return cv2.resize(coco.decode(segmentation), TARGET[::-1], interpolation=cv2.INTER_NEAREST)


def cv2_png(segmentation: Any) -> bytes:
    return cv2.imencode(".png", coco.decode(segmentation) * 255)[1].tobytes()


def painted(image: Sequence[Any]) -> bytes:
    """Larger masks first, a color each, black below."""
    canvas = np.zeros((*image[0]["size"], 3), np.uint8)
    masks = [coco.decode(segmentation) for segmentation in image]
    areas = [int(mask.sum()) for mask in masks]
    palette = colors(len(masks))
    for index in sorted(range(len(masks)), key=lambda i: -areas[i]):
        canvas[masks[index] == 1] = palette[index]
    return pil_png(Image.fromarray(canvas))


def painted_by_label(image: Sequence[Any]) -> bytes:
    """As `painted`, but numbers first and colors last, in the order in memory that pycocotools decodes to."""
    labels = np.zeros(image[0]["size"], np.uint8, order="F")
    masks = [coco.decode(segmentation) for segmentation in image]
    areas = [int(mask.sum()) for mask in masks]
    order = sorted(range(len(masks)), key=lambda i: -areas[i])
    for number, index in enumerate(order, 1):
        labels[masks[index] == 1] = number
    palette = np.concatenate([np.zeros((1, 3), np.uint8), colors(len(masks))[order]])
    return pil_png(Image.fromarray(palette[labels]))


def painted_from_runs(image: Sequence[Any]) -> bytes:
    return ENCODER.conditioning([from_segmentation(one) for one in image], image[0]["size"])


def pixels(result: bytes | Array) -> Array:
    return np.asarray(Image.open(io.BytesIO(result))) if isinstance(result, bytes) else np.array(result)


Way = Callable[[Any], Any]
Line = tuple[str, Way, Way, bool]
"""What is made, the obvious way, ours, whether the pixels are the same."""

MASKS: list[Line] = [
    ("decode, full size", coco.decode, decode, True),
    ("decode to 1024 × 1024, PIL", pil_resized, lambda one: decode(one, TARGET, out=BUFFER), True),
    ("decode to 1024 × 1024, cv2", cv2_resized, lambda one: decode(one, TARGET, out=BUFFER), True),
    ("  cv2, INTER_NEAREST *", cv2_resized_plain, lambda one: decode(one, TARGET, out=BUFFER), False),
    (
        "PNG of 1 bit, PIL",
        lambda one: pil_png(Image.fromarray(coco.decode(one).astype(bool))),
        lambda one: ENCODER.mask(from_segmentation(one)),
        True,
    ),
    (
        "PNG of 8 bits, PIL",
        lambda one: pil_png(Image.fromarray(coco.decode(one) * 255)),
        lambda one: ENCODER.mask(from_segmentation(one), bit_depth=8),
        True,
    ),
    ("PNG of 8 bits, cv2", cv2_png, lambda one: ENCODER.mask(from_segmentation(one), bit_depth=8), True),
]
# Color by color is how it is mostly written; the label map is faster and just as plain, so it counts as well.
IMAGES: list[Line] = [
    ("conditioning image, color by color", painted, painted_from_runs, True),
    ("conditioning image, label map", painted_by_label, painted_from_runs, True),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    arguments = parser.parse_args()
    rounds = 2 if arguments.quick else 5
    print_header(
        "How much faster is a mask rendered from its runs than by decoding all of it?",
        "numpy", "pycocotools", "pillow", "opencv-python-headless", "rlemasklib", "zlib-ng",
    )  # fmt: skip
    before = package_files()
    members = get_members(arguments.archive, 2)
    use_one_core()
    cv2.setNumThreads(1)
    images = segmentations(members)
    masks = list(chain.from_iterable(images))
    print(f"  {describe(members)}; one core; {rounds} rounds, the ways in turn; median (best)\n", flush=True)
    print_table([*compare("ms per mask", MASKS, masks, rounds)])
    print_table([*compare("ms per image", IMAGES, images, rounds)])
    require_unchanged(before)
    print("  * samples other pixels than PIL and torch's nearest-exact; the other lines give equal pixels (checked)")


def compare(unit: str, ways: Sequence[Line], inputs: Sequence[Any], rounds: int) -> list[list[str]]:
    lines = [[unit, "obvious", "ours", "ratio", "bytes, obvious", "bytes, ours"]]
    for name, obvious, ours, same in ways:
        sizes = [0, 0]
        for one in inputs:
            expected, found = obvious(one), ours(one)
            assert not same or np.array_equal(pixels(expected), pixels(found)), f"{name}: the pixels differ"
            if isinstance(expected, bytes):
                sizes = [sizes[0] + len(expected), sizes[1] + len(found)]
        both = {"obvious": partial(_each, obvious, inputs), "ours": partial(_each, ours, inputs)}
        seconds = run_in_turn(both, rounds)
        scale = 1e3 / len(inputs)
        lines.append(
            [
                name,
                median_and_best(seconds["obvious"], scale),
                median_and_best(seconds["ours"], scale),
                ratio(seconds["obvious"], seconds["ours"]),
                *(f"{size / len(inputs):,.0f}" if size else "" for size in sizes),
            ]
        )
    return lines


def _each(way: Way, inputs: Sequence[Any]) -> None:
    for one in inputs:
        way(one)


if __name__ == "__main__":
    main()
