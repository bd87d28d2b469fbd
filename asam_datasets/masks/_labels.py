"""Label maps to runs in one pass: all masks of an image from a map in which each pixel names its object.

The map is cut where one pixel differs from the next in column-major order, and the pieces are grouped by their value.
So the work is one look at each pixel and one sort of the pieces, however many objects there are, and no mask exists as
an array. Comparing the map with each value in turn looks at each pixel once per object, and again to find the runs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import SegmentationError
from asam_datasets.masks._rle import MAX_PIXELS

MAX_LABELS = 2**16
"""Most values that a label map may have: as many as 16 bits can tell apart. A photograph has more."""

MAX_PIECES = 2**24
"""Most stretches of equal values that a label map may be cut into; each takes some 60 bytes while they are sorted."""


def from_label_map(labels: NDArray[np.integer[Any]], *, leave_out: Collection[int] = (0,)) -> dict[int, RLEMask]:
    """The mask of each value of a label map, by value in ascending order.

    All pixels of one value are one mask, touching or not.

    Args:
        labels: integers (height, width); bytes in any order in memory.
        leave_out: values that are no object, such as background and void.

    Raises:
        SegmentationError: not two axes of integers, or more than `MAX_PIXELS`, `MAX_PIECES` or `MAX_LABELS`.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise SegmentationError(f"expected integers (height, width), found {labels.dtype} {labels.shape}")
    height, width = labels.shape
    if labels.size > MAX_PIXELS:
        raise SegmentationError(f"expected at most {MAX_PIXELS} pixels, found {height} × {width}")
    if labels.size == 0:
        return {}
    starts, ends, values = _pieces(labels)
    kept = ~np.isin(values, np.array([value for value in leave_out if _fits(value, labels.dtype)], labels.dtype))
    starts, ends, values = starts[kept], ends[kept], values[kept]
    order = np.argsort(values, kind="stable")  # pieces of one value stay in the order of the image
    starts, ends, values = starts[order], ends[order], values[order]
    firsts = np.flatnonzero(np.r_[True, values[1:] != values[:-1]]) if values.size else np.zeros(0, np.int64)
    if firsts.size > MAX_LABELS:
        raise _no_map(f"expected at most {MAX_LABELS} values, found {firsts.size}")
    # Each piece becomes two runs: the background since the last piece of the same value, and itself.
    runs = np.empty((starts.size, 2), np.uint32)
    runs[:, 0] = starts
    runs[1:, 0] -= ends[:-1]
    runs[firsts, 0] = starts[firsts]
    runs[:, 1] = ends - starts
    masks = {}
    for first, last in zip(firsts.tolist(), [*firsts[1:].tolist(), starts.size], strict=False):
        counts = runs[first:last].reshape(-1)
        rest = labels.size - int(ends[last - 1])
        if rest:
            counts = np.append(counts, np.uint32(rest))
        masks[int(values[first])] = RLEMask.from_counts(counts, (height, width), validate_sum=False)
    return masks


def _pieces(
    labels: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.uint32], NDArray[np.uint32], NDArray[np.integer[Any]]]:
    """Where the stretches of equal values start and end in column-major order, and their values."""
    flat = np.asfortranarray(labels).reshape(-1, order="F")
    changes = flat[1:] != flat[:-1]
    count = 1 + int(np.count_nonzero(changes))
    if count > MAX_PIECES:
        raise _no_map(f"expected at most {MAX_PIECES} stretches of equal values, found {count}")
    starts = np.concatenate(([0], np.flatnonzero(changes) + 1)).astype(np.uint32)
    ends = np.append(starts[1:], np.uint32(flat.size))
    return starts, ends, flat[starts]


def _fits(value: int, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return int(limits.min) <= value <= int(limits.max)


def _no_map(problem: str) -> SegmentationError:
    return SegmentationError(problem, hint="This looks like a photograph, not a label map: check which file is which.")
