"""Images and mask images: opened by Pillow, with a look at the size before a pixel is decoded."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from asam_datasets.errors import RecordError
from asam_datasets.masks import MAX_PIXELS
from asam_datasets.sources.evaluation._records import Folder

MAX_IMAGE_BYTES = 2**30
"""Largest image or mask file that is read; 8192 × 8192 in RGB without compression is 200 MB."""

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP")
# What Pillow raises on bytes that are not what their beginning promises.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error)
_GREY = ("1", "L", "P", "LA", "I;16", "I;16B", "I;16L", "I;16N", "I")
_HINT = "The mask belongs to another image, or one of the two was resized."


def image_shape(data: bytes, where: str) -> tuple[int, int]:
    """(height, width) of an encoded image that is there as a whole.

    Raises:
        RecordError: not a PNG, JPEG, TIFF or BMP, cut, or more than `MAX_PIXELS`.
    """
    with _open(data, where) as image:
        kind = image.format
        width, height = image.size
    # Pillow reads a header and is content. The ends of these two are cheap to look at; the image itself is not
    # decoded, as it is published as it is.
    if kind in ("JPEG", "MPO"):
        end = data.rfind(b"\xff\xd9")
        if end < 0 or (kind == "JPEG" and data.find(b"\xff\xda", end) >= 0):
            raise RecordError(f"expected a whole JPEG, found one that is cut after {len(data)} bytes", where=where)
    if kind == "PNG" and b"IEND" not in data[-64:]:
        raise RecordError(f"expected a whole PNG, found one that is cut after {len(data)} bytes", where=where)
    return height, width


def read_grey(folder: Folder, name: str, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """The first channel of a mask image in 8 bits: uint8 (height, width). Images of 1 bit become 0 and 255.

    Raises:
        RecordError: unreadable, of more than 8 bits, or not of `shape`.
    """
    where = folder.place(name)
    with _open_mask(folder, name, shape) as image:
        if image.mode.startswith(("I", "F")):
            raise RecordError(f"expected grey values of 8 bits, found an image of mode {image.mode}", where=where)
        if image.mode == "1":
            image = image.convert("L")
        elif image.mode not in ("L", "RGB", "RGBA", "LA"):
            image = image.convert("RGB")
        pixels = _pixels(image, where)
    grey: NDArray[np.uint8] = pixels if pixels.ndim == 2 else pixels[:, :, 0]
    return grey


def read_numbers(folder: Folder, name: str, shape: tuple[int, int]) -> NDArray[np.integer[Any]]:
    """The values of a map of one channel as they are stored, palette indices included: integers (height, width).

    Raises:
        RecordError: unreadable, several channels, or not of `shape`.
    """
    where = folder.place(name)
    with _open_mask(folder, name, shape) as image:
        if image.mode not in _GREY:
            raise RecordError(
                f"expected a map of one channel (grey or palette), found an image of mode {image.mode}", where=where
            )
        pixels = _pixels(image, where)
    if pixels.ndim == 3:
        pixels = pixels[:, :, 0]  # the other channel is opacity
    return pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels


def read_colors(folder: Folder, name: str, shape: tuple[int, int]) -> NDArray[np.uint32]:
    """A color map folded to red + 256 × green + 65536 × blue: uint32 (height, width).

    Raises:
        RecordError: unreadable, more than 8 bits a channel, or not of `shape`.
    """
    where = folder.place(name)
    with _open_mask(folder, name, shape) as image:
        if image.mode.startswith(("I", "F")):
            raise RecordError(f"expected colors of 8 bits, found an image of mode {image.mode}", where=where)
        pixels = _pixels(image if image.mode == "RGB" else image.convert("RGB"), where)
    folded: NDArray[np.uint32] = pixels[:, :, 2].astype(np.uint32)
    for channel in (1, 0):
        folded <<= 8
        folded |= pixels[:, :, channel]
    return folded


def check_shape(found: tuple[int, ...], shape: tuple[int, int], where: str) -> None:
    """Refuse a mask that does not have the image's (height, width).

    Raises:
        RecordError: it does not.
    """
    if found != shape:
        sides = " × ".join(map(str, found))
        raise RecordError(
            f"expected the image's size, {shape[0]} × {shape[1]} (height × width), found {sides}",
            where=where,
            hint=_HINT,
        )


def _open_mask(folder: Folder, name: str, shape: tuple[int, int]) -> Image.Image:
    where = folder.place(name)
    image = _open(folder.read(name, limit_bytes=MAX_IMAGE_BYTES), where)
    check_shape((image.height, image.width), shape, where)
    return image


def _open(data: bytes, where: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked below, and of odd metadata
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (UnidentifiedImageError, *_DAMAGE):
        raise RecordError(
            f"expected a PNG, JPEG or TIFF, found {len(data)} bytes that start with {data[:8]!r}", where=where
        ) from None
    except Image.DecompressionBombError as error:
        raise RecordError(f"expected at most {MAX_PIXELS} pixels, found: {error}", where=where) from None
    if image.height * image.width > MAX_PIXELS:
        raise RecordError(f"expected at most {MAX_PIXELS} pixels, found {image.height} × {image.width}", where=where)
    return image


def _pixels(image: Image.Image, where: str) -> NDArray[Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.array(image)  # the engine does not take arrays that are read-only
    except _DAMAGE as error:
        raise RecordError(f"expected a readable image, found one that fails with: {error}", where=where) from None
