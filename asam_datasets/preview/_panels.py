"""What a sheet shows of one row, in the size of its cell: the image, and the masks over it.

Images are reduced while they are decoded where their format can do that, masks while they are runs, so nothing but
a PNG ever exists at full size. Masks refer to the pixels as they are stored: a rotation noted in EXIF is not applied.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError
from asam_datasets.images import decoding, open_image
from asam_datasets.masks import resize
from asam_datasets.preview._palette import overlay_colors
from asam_datasets.preview._rows import HINT

NEUTRAL = (64, 68, 72)
"""What masks are painted on where an image was not published."""

_TINT = 115  # of 256: enough to tell the colors apart, little enough to see what is below


def fit(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """(height, width) of an image in a square cell. Small ones grow by a whole factor, so that their pixels stay
    squares; all are one pixel or more."""
    height, width = shape
    longest = max(shape)
    if longest <= side:
        factor = side // longest
        return height * factor, width * factor
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def decode_image(
    data: bytes, shape: tuple[int, int], fitted: tuple[int, int], where: str, *, is_map: bool = False
) -> NDArray[np.uint8]:
    """Decode an image at another size.

    Args:
        data: of one of the `FORMATS` of `images.py`.
        shape: (height, width) that it must have.
        fitted: (height, width) to decode it at.
        where: its place, for the message.
        is_map: whether colors mean something, so that no new ones may come between them.

    Returns:
        uint8 array (height, width, 3), RGB.

    Raises:
        RecordError: it cannot be decoded, or has another shape.
    """
    with open_image(data, where, expected="an image", hint=HINT) as image:
        if (image.height, image.width) != shape:
            raise RecordError(
                f"expected {shape[0]} × {shape[1]} (height × width), found {image.height} × {image.width}",
                where=where,
                hint=HINT,
            )
        with decoding(where, expected="an image that decodes", hint=HINT):
            return shrink(image, shape, fitted, is_map=is_map)


def shrink(image: Image.Image, shape: tuple[int, int], fitted: tuple[int, int], *, is_map: bool) -> NDArray[np.uint8]:
    """Decode an opened image of (height, width) `shape` at the size `fitted`: uint8 (*fitted, 3), RGB."""
    height, width = fitted
    way = Image.Resampling.NEAREST if is_map or fitted >= shape else Image.Resampling.LANCZOS
    image.draft("RGB", (2 * width, 2 * height))  # JPEGs only; twice the size keeps the next step smooth
    small = _to_rgb(image).resize((width, height), way, reducing_gap=None if is_map else 3.0)
    pixels: NDArray[np.uint8] = np.array(small)
    return pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits of grey: Pillow would clip them
        return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def overlay(image: NDArray[np.uint8], masks: Sequence[RLEMask], *, boxes: bool = True) -> NDArray[np.uint8]:
    """Masks over an image: each tinted, outlined and boxed in a color of its own, larger ones under smaller ones.

    Boxes are one pixel wide and lie on the outermost pixels of their mask in this size. Of a mask too small for it,
    the box is all that is seen.

    Args:
        image: uint8 (height, width, 3), RGB.
        masks: checked masks, of any one size; they are resized to the image's.
        boxes: whether they have boxes.

    Returns:
        uint8 array (height, width, 3); pixels below no mask and no box are the image's.
    """
    height, width = image.shape[:2]
    palette = overlay_colors(len(masks))
    areas = [mask.area() for mask in masks]
    order = sorted((index for index, area in enumerate(areas) if area), key=lambda index: (-areas[index], index))
    shown = {index: resize(masks[index], (height, width)) for index in order}
    tint = np.zeros((height, width, 3), np.uint8)
    covered = np.zeros((height, width), np.uint8)
    for index in order:
        shown[index].decode_into(tint, fg_value=palette[index])
        shown[index].decode_into(covered, fg_value=1)
    inside = covered.astype(bool)
    painted: NDArray[np.uint8] = image.copy()
    mixed = image[inside].astype(np.uint16) * (256 - _TINT) + tint[inside].astype(np.uint16) * _TINT
    painted[inside] = mixed >> 8
    for index in order:
        _draw_outline(painted, shown[index], palette[index])
    for index in order:
        if boxes or not shown[index].any():
            _draw_box(painted, box_of(shown[index], masks[index]), palette[index])
    return painted


def largest(masks: Sequence[RLEMask], most: int | None) -> list[int]:
    """The places of the largest masks, at most so many, in their order; of equal ones the first. None takes all."""
    if most is None or len(masks) <= most:
        return list(range(len(masks)))
    areas = [mask.area() for mask in masks]
    return sorted(sorted(range(len(masks)), key=lambda place: (-areas[place], place))[:most])


def _draw_outline(pixels: NDArray[np.uint8], mask: RLEMask, color: NDArray[np.uint8]) -> None:
    """Paint the pixels of a mask that have one beside them that is not of it."""
    x, y, width, height = (int(n) for n in mask.bbox().tolist())
    if not width:
        return
    patch = np.zeros((height + 2, width + 2), np.uint8)
    core = patch[1:-1, 1:-1]
    mask.crop([x, y, width, height]).decode_into(core, fg_value=1)
    inner = patch[:-2, 1:-1] & patch[2:, 1:-1] & patch[1:-1, :-2] & patch[1:-1, 2:]
    pixels[y : y + height, x : x + width][core > inner] = color


def box_of(shown: RLEMask, mask: RLEMask) -> tuple[int, int, int, int]:
    """First and last row, first and last column of a mask as it is shown; where nothing is left of it, of the pixels
    that its place falls on."""
    x, y, width, height = (int(n) for n in shown.bbox().tolist())
    if width:
        return y, y + height - 1, x, x + width - 1
    x, y, width, height = (int(n) for n in mask.bbox().tolist())
    rows, columns = (to / of for to, of in zip(shown.shape, mask.shape, strict=True))
    top, left = int(y * rows), int(x * columns)
    return top, max(top, int((y + height - 1) * rows)), left, max(left, int((x + width - 1) * columns))


def _draw_box(pixels: NDArray[np.uint8], box: tuple[int, int, int, int], color: NDArray[np.uint8]) -> None:
    top, bottom, left, right = box
    pixels[[top, bottom], left : right + 1] = color
    pixels[top : bottom + 1, [left, right]] = color
