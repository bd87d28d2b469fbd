"""Mask images to numbers, grey values and colors."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asam_datasets.errors import RecordError
from asam_datasets.images import decoding, open_image
from asam_datasets.sources._polygons import check_shape
from asam_datasets.sources.evaluation._records import Folder

MAX_IMAGE_BYTES = 2**28
"""Largest image or mask file that is read; 8192 × 8192 in RGB without compression is 200 MB."""

_GREY = ("1", "L", "P", "LA", "I;16", "I;16B", "I;16L", "I;16N", "I")

Deep = Literal["reject", "stored", "high byte"]
"""What becomes of a grey image of 16 bits: an error, its numbers up to 255, or the upper 8 of its bits."""


def read_grey(
    folder: Folder, name: str, shape: tuple[int, int], deep: Deep = "reject", *, indices: bool = False
) -> NDArray[np.uint8]:
    """The first channel of a mask image in 8 bits: uint8 (height, width). Images of 1 bit become 0 and 255.

    Args:
        indices: of a palette the indices count, and not the colors behind them.

    Raises:
        RecordError: unreadable, of more bits than `deep` lets in, or not of `shape`.
    """
    where = folder.place(name)
    with _open_mask(folder, name, shape) as image:
        # Pillow before 11 opens a PNG of 16 bits as `I`.
        if deep != "reject" and (image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")):
            numbers = _pixels(image, image.mode, where)
            cut: NDArray[np.uint8] = np.minimum(numbers if deep == "stored" else numbers >> 8, 255).astype(np.uint8)
            return cut
        if image.mode.startswith(("I", "F")):
            raise RecordError(f"expected grey values of 8 bits, found an image of mode {image.mode}", where=where)
        mode = {"1": "L", "L": "L", "LA": "LA", "RGBA": "RGBA"}.get(image.mode, "RGB")
        if indices and image.mode == "P":
            mode = "P"
        pixels = _pixels(image, mode, where)
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
        pixels = _pixels(image, image.mode, where)
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
        pixels = _pixels(image, "RGB", where)
    folded: NDArray[np.uint32] = pixels[:, :, 2].astype(np.uint32)
    for channel in (1, 0):
        folded <<= 8
        folded |= pixels[:, :, channel]
    return folded


def _open_mask(folder: Folder, name: str, shape: tuple[int, int]) -> Image.Image:
    where = folder.place(name)
    image = open_image(folder.read(name, limit_bytes=MAX_IMAGE_BYTES), where)
    check_shape((image.height, image.width), shape, where)
    return image


def _pixels(image: Image.Image, mode: str, where: str) -> NDArray[Any]:
    """The pixels in a mode of Pillow's. A palette is read from the file with the pixels, so all of it may fail."""
    with decoding(where):
        return np.array(
            image if image.mode == mode else image.convert(mode)
        )  # the engine takes none that are read-only
