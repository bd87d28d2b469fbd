"""Prompts out of masks: boxes and points, in pixels, x before y. Runs, and NumPy on the box of a mask.

SAM adds half a pixel itself, so a box is (x_min, y_min, x_max, y_max) of the outermost pixels of its mask, and a point
is a pixel.
"""

from __future__ import annotations

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

_THRESHOLD = 128 / 255
_SOME, _FEW = 512, 2048  # pixels


class Patch(NamedTuple):
    """The pixels of a mask around its box: `pixels` is bool (height, width), from row `top` and column `left` on."""

    top: int
    left: int
    pixels: NDArray[np.bool_]

    def box(self) -> tuple[int, int, int, int] | None:
        """The outermost pixels; None where there are none."""
        rows, columns = np.flatnonzero(self.pixels.any(1)), np.flatnonzero(self.pixels.any(0))
        if not len(rows):
            return None
        return (
            self.left + int(columns[0]),
            self.top + int(rows[0]),
            self.left + int(columns[-1]),
            self.top + int(rows[-1]),
        )


def squeeze_mask(mask: RLEMask, size: int) -> Patch:
    """A mask at `size` × `size` as ASAM's loader makes it: 0 and 255, resized bilinearly without antialiasing, and
    what is above 128. Small masks may vanish."""
    box = outer_box(mask)
    height, width = mask.shape
    rows, top = _taps(height, size, box[1], box[3])
    columns, left = _taps(width, size, box[0], box[2])
    # One more pixel on each side, which is background, or at the edge of the image the edge again.
    first = max(0, box[0] - 1), max(0, box[1] - 1)
    last = min(width - 1, box[2] + 1), min(height - 1, box[3] + 1)
    crop = mask.crop(np.array([*first, last[0] - first[0] + 1, last[1] - first[1] + 1])).to_array().astype(np.float32)
    down = _mix(crop, rows, first[1], 0)
    return Patch(top, left, _mix(down, columns, first[0], 1) > np.float32(_THRESHOLD))


class _Taps(NamedTuple):
    """Where output pixels come from: `low` and `high` are int64, and the share of `high` is float32."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]
    share: NDArray[np.float32]


def _taps(length: int, size: int, first: int, last: int) -> tuple[_Taps, int]:
    """The taps of the output pixels that may see input pixels `first` … `last`, and the first output pixel.

    As torch's `interpolate(mode="bilinear", align_corners=False)`.
    """
    scale = np.float32(length / size)
    source = np.maximum((np.arange(size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5), 0)
    low = np.minimum(source.astype(np.int64), length - 1)
    high = np.minimum(low + 1, length - 1)
    seen = np.flatnonzero((high >= first) & (low <= last))
    start, stop = (int(seen[0]), int(seen[-1]) + 1) if len(seen) else (0, 0)
    share = (source - low).astype(np.float32)
    return _Taps(low[start:stop], high[start:stop], share[start:stop]), start


def _mix(values: NDArray[np.float32], taps: _Taps, start: int, axis: int) -> NDArray[np.float32]:
    share = taps.share[:, None] if axis == 0 else taps.share
    low, high = values.take(taps.low - start, axis), values.take(taps.high - start, axis)
    mixed: NDArray[np.float32] = (1 - share) * low + share * high
    return mixed


def outer_box(mask: RLEMask) -> tuple[int, int, int, int]:
    """The outermost pixels of a mask that is not empty: (x_min, y_min, x_max, y_max)."""
    x, y, width, height = (int(number) for number in mask.bbox().tolist())
    return x, y, x + width - 1, y + height - 1


def draw_points(patch: Patch, count: int, *, seed: int, image_id: str, annotation: int) -> NDArray[np.int64] | None:
    """Different pixels of a mask, each with the same chance: int64 (count, 2), x and y. The same ones wherever and
    whenever they are drawn.

    Args:
        patch: the mask.
        count: how many.
        seed, image_id, annotation: decide them, the last as its place in the record.

    Returns:
        None where the mask has fewer pixels.
    """
    pixels = np.flatnonzero(patch.pixels)  # numbered row by row
    if len(pixels) < count:
        return None
    entropy = np.random.SeedSequence((seed, zlib.crc32(image_id.encode()), annotation))
    # The bits of the generator stay the same with every NumPy; its distributions need not.
    bits = np.random.Philox(entropy)
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[bits.random_raw() * len(pixels) >> 64] = None
    chosen = pixels[list(drawn)]
    y, x = np.divmod(chosen, patch.pixels.shape[1])
    return np.stack([x + patch.left, y + patch.top], axis=1)


def center_point(mask: RLEMask) -> tuple[int, int]:
    """The pixel of a mask that is farthest from the nearest pixel outside of it, by the distance of their centers;
    what lies outside of the image is outside of the mask too. Of several the first, row by row: (x, y).

    The distance of a pixel is the least over the columns of its row: so far is the column, and so far in that column
    a pixel outside. Most pixels cannot be the farthest, because they have one outside near in their own row or column.
    """
    x, y, width, height = (int(number) for number in mask.bbox().tolist())
    inside = np.zeros((height + 2, width + 2), np.bool_)
    inside[1:-1, 1:-1] = mask.crop(np.array([x, y, width, height])).to_array()
    vertical, horizontal = _to_outside(inside), _to_outside(inside.T).T
    squares = vertical.astype(np.int64).ravel() ** 2
    bounds = np.minimum(vertical, horizontal).ravel()
    stride = width + 2
    candidates, lowest = np.flatnonzero(bounds), 1
    while len(candidates) > _FEW:  # the farthest of some of them leaves out many of the others
        some = candidates[:: len(candidates) // _SOME]
        lowest = max(lowest, _farthest(some, squares, stride)[1])
        kept = candidates[bounds[candidates].astype(np.int64) ** 2 >= lowest]
        is_slow = 2 * len(kept) > len(candidates)
        candidates = kept
        if is_slow:
            break
    row, column = divmod(_farthest(candidates, squares, stride, lowest)[0], stride)
    return x + column - 1, y + row - 1


def _to_outside(inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Steps up or down to the nearest pixel outside, whichever are fewer; the first and the last row are outside."""
    steps = np.arange(len(inside), dtype=np.int32)[:, None]
    above = np.maximum.accumulate(np.where(inside, np.int32(0), steps), axis=0)
    below = np.minimum.accumulate(np.where(inside, np.int32(len(inside)), steps)[::-1], axis=0)[::-1]
    nearest: NDArray[np.int32] = np.minimum(steps - above, below - steps)
    return nearest


def _farthest(
    candidates: NDArray[np.int64], squares: NDArray[np.int64], stride: int, lowest: int = 0
) -> tuple[int, int]:
    """The first pixel of those that are farthest, and the square of its distance.

    Args:
        candidates: pixels, numbered row by row, in their order.
        squares: of the distance to the nearest pixel outside in the same column.
        stride: pixels of a row.
        lowest: a square that the answer has at least.
    """
    distances = squares[candidates]
    columns = candidates % stride
    step = 1
    while step * step < distances.max():
        near = step * step + np.minimum(
            squares[candidates - np.minimum(step, columns)],
            squares[candidates + np.minimum(step, stride - 1 - columns)],
        )
        distances = np.minimum(distances, near)
        kept = distances >= lowest
        if not kept.all():
            candidates, columns, distances = candidates[kept], columns[kept], distances[kept]
        step += 1
    best = int(distances.argmax())
    return int(candidates[best]), int(distances[best])
