"""Masks at some of their pixels, many at once, without rendering one.

Runs are column-major, and so is what is taken of them, so each place where a mask changes has one place in the result:
behind all taken pixels that lie before it. Two tables give that for a column and for a row; places that fall together
are runs of no pixel, which the engine drops. So it is a handful of passes over the runs of all masks end to end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

_MOST_PIXELS = 2**31 - 1
"""Of the masks that are laid end to end, so that places fit into 32 bits."""


def centers(count: int, length: int) -> NDArray[np.int32]:
    """Which of `length` pixels in a row `count` pixels of the same extent take, ascending, int32 (count,): the one in
    which the center lies, as Pillow's NEAREST and `resize`."""
    found: NDArray[np.int32] = ((2 * np.arange(count, dtype=np.int64) + 1) * length // (2 * count)).astype(np.int32)
    return found


def sample(
    masks: Sequence[RLEMask], rows: NDArray[np.int32], columns: NDArray[np.int32], width: int | None = None
) -> list[RLEMask]:
    """Masks at rows and columns of theirs: pixel (i, j) of a result is pixel (rows[i], columns[j]) of the mask.

    Args:
        masks: checked masks of one shape, which has at least one pixel.
        rows: int32 (height,), ascending; one may be taken several times.
        columns: int32 (len(columns),), each larger than the one before.
        width: of the results, (height, width); those further right than `columns` are empty. As many as `columns` by
            default.
    """
    width = len(columns) if width is None else width
    if not masks:
        return []
    shape, pixels = (len(rows), width), masks[0].shape[0] * masks[0].shape[1]
    if 0 in (len(rows), len(columns)):
        return [RLEMask.zeros(shape) for _ in masks]
    together = max(1, _MOST_PIXELS // max(pixels, len(rows) * width))
    found: list[RLEMask] = []
    for start in range(0, len(masks), together):
        some = masks[start : start + together]
        found += (
            RLEMask.from_counts(counts, shape, validate_sum=False) for counts in _sample(some, rows, columns, width)
        )
    return found


def _sample(
    masks: Sequence[RLEMask], rows: NDArray[np.int32], columns: NDArray[np.int32], width: int
) -> Iterator[NDArray[np.uint32]]:
    """The runs of each result; some may have no pixel."""
    (height_in, width_in), (height, pixels) = masks[0].shape, (len(rows), len(rows) * width)
    runs = [mask.counts_view for mask in masks]
    ends = np.cumsum([len(one) for one in runs])
    places = np.cumsum(np.concatenate(runs), dtype=np.int32)
    # NumPy divides 32 bits by one number with vector instructions; a remainder it does not.
    across = places // np.int32(height_in)
    down = places - across * np.int32(height_in)
    mask = across // np.int32(width_in)
    across -= mask * np.int32(width_in)

    # Looked up by `take`, which needs half of the time of an index in brackets. A column says two things in one number:
    # how many pixels are taken before it, and in the last bit whether it is taken itself.
    rows_before = _number_before(rows, height_in)
    of_column = _number_before(columns, width_in) * np.int32(2 * height)
    of_column[columns] += 1
    found = of_column.take(across)
    taken = rows_before.take(down)
    taken *= found & np.int32(1)
    taken += found >> np.int32(1)
    taken += mask * np.int32(pixels)
    # The last place of a mask is its end, which is the first place of the next one.
    taken[ends - 1] = np.arange(1, len(masks) + 1, dtype=np.int32) * np.int32(pixels)
    counts = np.diff(taken, prepend=np.int32(0)).view(np.uint32)
    added = np.uint32(pixels - height * len(columns))
    starts = [0, *ends.tolist()]
    for start, stop in pairwise(starts):
        mine = counts[start:stop]
        if added and len(mine) % 2 == 0:  # the last run is foreground, and what is added is not
            mine = np.append(mine, added)
            mine[-2] -= added
        yield mine


def _number_before(taken: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    """How many of the `taken` places are before each of `length` places, int32 (length,)."""
    at = np.bincount(taken, minlength=length)
    before: NDArray[np.int32] = (np.cumsum(at) - at).astype(np.int32)
    return before
