"""How much faster are found masks scored against true ones as runs than as dense arrays?

    python benchmarks/score.py [--quick]

300 masks of 2048 × 1024 with ragged outlines, and as many that are somewhat off. Both ways get the same; the pixels
that they count must be the same too. One core.

- masks against masks: both as COCO RLE. The obvious way decodes them with pycocotools, and counts with NumPy.
- the same where the arrays are decoded already: only the counting is left. 40 of the masks, for the memory.
- their boundaries, of 40 masks: as the authors of Boundary IoU have it, with OpenCV; and on runs.
- logits against masks: from what SAM's decoder gives, 256 × 256, to the count. Here both ways need the logits at the
  size of the image, which torch makes, and which takes most of the time: what can be saved is the rest.
"""

from __future__ import annotations

import argparse
import math

import cv2
import numpy as np
import torch
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
from rlemasklib import RLEMask

from asam_datasets.evaluate._model import upscale
from asam_datasets.evaluate._score import Pair, boundary_pair, pixel_pair, positive_runs
from asam_datasets.masks import Segmentation, from_segmentation, to_segmentation

HEIGHT, WIDTH, MASKS = 1024, 2048, 300
SIDE, LOGITS = 1024, 256
FEW = 40  # of those that take much memory or time
FITTED = (512, 1024)
"""(height, width) of such an image in the 1024 × 1024 that SAM sees."""

Mask = NDArray[np.bool_]


def draw(count: int) -> tuple[list[NDArray[np.float32]], list[Segmentation]]:
    """Logits with one hill each, and masks that are about what is above 0 in them, a little moved."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:LOGITS, :LOGITS].astype(np.float32)
    logits, masks = [], []
    for _ in range(count):
        middle = rng.uniform(20, 108), rng.uniform(20, 236)
        radius = rng.lognormal(2.5, 0.6)
        noise = cv2.resize(rng.normal(0, 0.25 * radius, (40, 40)), (LOGITS, LOGITS), interpolation=cv2.INTER_CUBIC)
        hill = (radius - np.hypot(y - middle[0], x - middle[1]) + noise).astype(np.float32)
        logits.append(hill)
        moved = np.roll(hill, (2, 3), (0, 1))
        large = cv2.resize(moved[: FITTED[0] // 4], (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        large += rng.normal(0, 0.4, large.shape)  # ragged outlines, as people draw none
        large[HEIGHT // 2, WIDTH // 2] = 1
        masks.append(to_segmentation(RLEMask.from_array((large > 0).astype(np.uint8))))
    return logits, masks


def found_mask(logits: NDArray[np.float32]) -> RLEMask:
    return positive_runs(logits, large_logits(logits), SIDE, FITTED)


def large_logits(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    small = torch.from_numpy(logits)[None, None]
    large: NDArray[np.float32] = upscale(small, SIDE, FITTED, (HEIGHT, WIDTH))[0, 0].numpy()
    return large


def dense_pair(found: Mask, true: Mask) -> Pair:
    return int(np.logical_and(found, true).sum()), int(np.logical_or(found, true).sum())


def decoded(segmentation: Segmentation) -> Mask:
    mask: Mask = coco.decode(segmentation).astype(bool)
    return mask


def dense_edge(mask: Mask) -> Mask:
    steps = max(1, round(0.02 * math.hypot(*mask.shape)))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    core = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)[1:-1, 1:-1]
    edge: Mask = mask & (core == 0)
    return edge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two rounds, 40 masks")
    parser.add_argument("--masks", type=int, help=f"so many (default: {MASKS})")
    arguments = parser.parse_args()
    count, rounds = arguments.masks or (40 if arguments.quick else MASKS), 2 if arguments.quick else 3
    print_header(
        "How much faster are found masks scored as runs than as dense arrays?",
        "numpy", "pycocotools", "rlemasklib", "opencv-python-headless", "torch",
    )  # fmt: skip
    before = package_files()
    use_one_core()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    logits, true = draw(count)
    found = [to_segmentation(found_mask(one)) for one in logits]
    pairs = list(zip(found, true, strict=True))
    runs = [len(from_segmentation(one).counts) for one in true]
    few = pairs[:FEW]
    arrays = [(decoded(one), decoded(other)) for one, other in few]
    print(
        f"  {count} masks of {WIDTH} × {HEIGHT}, {np.mean(runs):.0f} runs each; one core; {rounds} rounds, the ways in "
        "turn; median (best)\n",
        flush=True,
    )
    ways = {
        "masks against masks": (
            lambda: [dense_pair(decoded(one), decoded(other)) for one, other in pairs],
            lambda: [pixel_pair(from_segmentation(one), from_segmentation(other)) for one, other in pairs],
        ),
        "the same, decoded before": (
            lambda: [dense_pair(one, other) for one, other in arrays],
            lambda: [pixel_pair(from_segmentation(one), from_segmentation(other)) for one, other in few],
        ),
        "their boundaries": (
            lambda: [dense_pair(dense_edge(decoded(one)), dense_edge(decoded(other))) for one, other in few],
            lambda: [boundary_pair(from_segmentation(one), from_segmentation(other)) for one, other in few],
        ),
        "logits against masks": (
            lambda: [
                dense_pair(large_logits(one) > 0, decoded(other)) for one, other in zip(logits, true, strict=True)
            ],
            lambda: [
                pixel_pair(found_mask(one), from_segmentation(other)) for one, other in zip(logits, true, strict=True)
            ],
        ),
    }
    lines = [["ms per mask", "dense", "runs", "ratio"]]
    for name, (dense, ours) in ways.items():
        result = dense()
        assert result == ours(), f"{name}: the pixels differ"
        seconds = run_in_turn({"dense": dense, "ours": ours}, rounds)
        lines.append(
            [
                name,
                median_and_best(seconds["dense"], 1e3 / len(result)),
                median_and_best(seconds["ours"], 1e3 / len(result)),
                ratio(seconds["dense"], seconds["ours"]),
            ]
        )
    print_table(lines)
    require_unchanged(before)


if __name__ == "__main__":
    main()
