"""Segmentations to arrays, at full size or straight at another one.

A mask is resized while it is still runs, so a 1024 × 1024 training target never exists at full size. The sampling is
that of PIL's NEAREST and torch's `nearest-exact`: output pixel `i` takes input pixel `floor((i + 0.5) * n_in / n_out)`.
(Where that lands exactly between two pixels and the ratio is not a power of two, PIL's own sums of floats decide in
PIL, and may differ by a pixel. From 1500 × 2250 to 1024 × 1024 that never happens.)
"""

from __future__ import annotations

import operator
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import SegmentationError
from asam_datasets.masks._rle import MAX_PIXELS, Segmentation, from_segmentation


def decode(
    segmentation: Segmentation,
    shape: tuple[int, int] | None = None,
    *,
    out: NDArray[np.uint8] | None = None,
    value: int = 1,
) -> NDArray[np.uint8]:
    """Render one segmentation.

    Args:
        segmentation: COCO RLE, `size` as (height, width).
        shape: (height, width) to render at; the segmentation's own by default.
        out: uint8 array of that shape to render into, contiguous or a 2-D slice of a contiguous one.
        value: what foreground pixels get; background gets 0.

    Returns:
        uint8 array (height, width), row-major; `out` when it was given.

    Raises:
        SegmentationError: the RLE is not valid, `shape` is too large, or `out` does not fit.
    """
    _check_value(value)
    mask = resize(from_segmentation(segmentation), shape)
    if out is None:
        out = np.zeros(mask.shape, np.uint8)
    else:
        _check_out(out, mask.shape)
        out[...] = 0
    mask.decode_into(out, fg_value=value)
    return out


def decode_batch(
    segmentations: Iterable[Segmentation],
    shape: tuple[int, int] | None = None,
    *,
    out: NDArray[np.uint8] | None = None,
    value: int = 1,
) -> NDArray[np.uint8]:
    """Render the segmentations of one image.

    Args:
        segmentations: COCO RLEs; all of one size unless `shape` is given.
        shape: (height, width) to render at; the first segmentation's own by default.
        out: uint8 array (number of segmentations, height, width) to render into.
        value: what foreground pixels get.

    Returns:
        uint8 array (number of segmentations, height, width).

    Raises:
        SegmentationError: as `decode`; or no segmentation and no `shape`; or sizes that differ without `shape`.
    """
    masks = []
    for index, segmentation in enumerate(segmentations):
        try:
            masks.append(from_segmentation(segmentation))
        except SegmentationError as error:
            raise error.inside(f"segmentations[{index}]") from None
        if shape is None and masks[-1].shape != masks[0].shape:
            raise SegmentationError(
                f"expected all sizes equal to the first's {masks[0].shape}, found {masks[-1].shape}",
                where=f"segmentations[{index}].size",
                hint="Pass `shape` to render them all at one size.",
            )
    if shape is None:
        if not masks:
            raise SegmentationError("expected `shape` for an empty batch, found none", hint="Pass (height, width).")
        shape = masks[0].shape
    _check_shape(shape)
    _check_value(value)
    full = (len(masks), *shape)
    if out is None:
        out = np.zeros(full, np.uint8)
    else:
        _check_out(out, full)
        out[...] = 0
    for plane, mask in zip(out, masks, strict=True):
        resize(mask, shape).decode_into(plane, fg_value=value)
    return out


def resize(mask: RLEMask, shape: tuple[int, int] | None) -> RLEMask:
    """Resize a checked mask to (height, width) without rendering it; nearest neighbour as PIL's NEAREST.

    Raises:
        SegmentationError: `shape` has more than `MAX_PIXELS` pixels or a negative side.
    """
    if shape is None:
        return mask
    _check_shape(shape)
    height, width = shape
    if (height, width) == mask.shape:
        return mask
    if 0 in (height, width, *mask.shape):
        return RLEMask.zeros((height, width))
    rows, columns = mask.shape
    # A quarter of the smallest step that output centres can be from a border: it decides ties as the formula does.
    shifted = np.array([[width / columns, 0, -0.25 / columns], [0, height / rows, -0.25 / rows]])
    return mask.warp_affine(shifted, (height, width))


def _check_out(out: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    if out.dtype != np.uint8 or out.shape != shape:
        raise SegmentationError(f"expected a uint8 array of shape {shape}, found {out.dtype} {out.shape}", where="out")


def _check_value(value: int) -> None:
    if not isinstance(value, (int, float, np.number)) or not 0 <= value <= 255:
        raise SegmentationError(f"expected 0 to 255, found {value!r}", where="value")


def _check_shape(shape: tuple[int, int]) -> None:
    try:
        height, width = map(operator.index, shape)
    except (TypeError, ValueError):
        raise SegmentationError(f"expected (height, width) in pixels, found {shape!r}", where="shape") from None
    if height < 0 or width < 0 or height * width > MAX_PIXELS or max(shape) > MAX_PIXELS:
        raise SegmentationError(f"expected 0 to {MAX_PIXELS} pixels, found {height} × {width}", where="shape")
