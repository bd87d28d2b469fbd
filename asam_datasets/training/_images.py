"""Encoded images to arrays of about the size that is wanted.

A JPEG is decoded at 1/2 of its size where that is still as large as wanted, and at 1/4 where that is twice as large:
the decoder then leaves out the frequencies that a smaller image does not have. Against decoding all of a photograph
and resizing it with Pillow, that differs by 0.2 to 0.8 of 255 on average. At 1/8, or at 1/4 of just the size, it would
be 1 to 4, for a millisecond; and the fractions between, which libjpeg-turbo has too, are slower than the full size: of
10.2 ms for 1500 × 2250, 7/8 take 17.6, 6/8 14.6 and 5/8 12.7. Most of it is Huffman decoding, which all of them share
(1/2 takes 8.5); coarser transforms and chroma would save 0.9 and change pixels, so they are left alone.
`simplejpeg` decodes without the GIL, and so do Pillow and torch, which do the rest.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image

from asam_datasets import images
from asam_datasets.errors import RecordError
from asam_datasets.masks import MAX_PIXELS

_JPEG = b"\xff\xd8\xff"
_REDUCTIONS = ((4, 8), (2, 2))
"""By how much an image is reduced, and how many times as large as wanted it has to be for that."""

_EXPECTED = "an image that can be decoded"
_HINT = "`asam-datasets verify DATASET --deep` finds all records that are damaged."


class EncodedImage(NamedTuple):
    """An image of (height, width) pixels that is not decoded yet, or already: one of the two is given."""

    shape: tuple[int, int]
    encoded: bytes | None
    decoded: Image.Image | None


def open_image(value: Any, where: str) -> EncodedImage:
    """Look at the image of a record, as `datasets` gives it: encoded (`{"bytes": ...}`) or as a Pillow image.

    EXIF orientation is not applied: masks refer to the pixels as they are stored.

    Raises:
        RecordError: there is none, it cannot be read, or it has more than `MAX_PIXELS`.
    """
    if isinstance(value, Image.Image):
        return EncodedImage((value.height, value.width), None, value)
    if isinstance(value, Mapping):
        value = value.get("bytes")  # never what `path` names: a dataset could have any file of this machine read
    if not isinstance(value, (bytes, bytearray, memoryview)):
        found = "none" if value is None else f"a {type(value).__name__}"
        raise RecordError(
            f"expected an image ({{'bytes': ...}} or a Pillow image), found {found}",
            where=where,
            hint="Some datasets are published without their images; others need the column `image`.",
        )
    encoded = bytes(value)
    if not encoded.startswith(_JPEG):
        image = _open(encoded, where)
        return EncodedImage((image.height, image.width), encoded, None)
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(encoded)
    except ValueError as error:
        raise _unreadable(error, where) from None
    if height * width > MAX_PIXELS:
        raise RecordError(f"expected at most {MAX_PIXELS} pixels, found {height} × {width}", where=where, hint=_HINT)
    return EncodedImage((height, width), encoded, None)


def decode_image(image: EncodedImage, reduction: int, where: str) -> NDArray[np.uint8]:
    """Decode an image, reduced by 1, 2 or 4: uint8 RGB (⌈height / reduction⌉, ⌈width / reduction⌉, 3).

    Only a JPEG is reduced for less than the full work; others are decoded and then reduced. A JPEG lies in memory that
    the next one of the same thread is decoded into.

    Raises:
        RecordError: it cannot be decoded.
    """
    return _decode(image, reduction, where, "RGB")


def decode_words(image: EncodedImage, reduction: int, where: str) -> NDArray[np.uint8]:
    """As `decode_image`, with a fourth value that says nothing: a pixel is a word then, which `lay_planes` needs. It is
    decoded and resized as fast as three values are.

    Raises:
        RecordError: it cannot be decoded.
    """
    return _decode(image, reduction, where, "RGBX")


def _decode(image: EncodedImage, reduction: int, where: str, mode: str) -> NDArray[np.uint8]:
    height, width = (-(-side // reduction) for side in image.shape)
    shape = (height, width, len(mode))
    if image.encoded is not None and image.encoded.startswith(_JPEG):
        try:
            decoded: NDArray[np.uint8] = simplejpeg.decode_jpeg(
                image.encoded, mode, min_height=height, min_width=width, buffer=_KEPT.memory(math.prod(shape))
            )
        except ValueError:
            pass  # what is damaged, and what is CMYK: Pillow decides
        else:
            if decoded.shape == shape:
                return decoded
    opened = image.decoded or _open(image.encoded or b"", where)
    with images.decoding(where, expected=_EXPECTED, hint=_HINT):
        if opened.mode.startswith("I;16"):  # of which Pillow would cut off what is above 255
            opened = Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8))
        opened = opened.convert("RGB")
    if reduction > 1:
        opened = opened.reduce(reduction)
    return np.array(opened if mode == "RGB" else opened.convert(mode))


def choose_reduction(region: tuple[int, int], shape: tuple[int, int], encoded: bool) -> int:
    """By how much an image may be reduced of which a region (height, width) is resized to `shape`: 1, 2 or 4.

    An image that is decoded already is better resized in one go.
    """
    if not encoded:
        return 1
    spare = min(have / wanted for have, wanted in zip(region, shape, strict=True))
    return next((by for by, least in _REDUCTIONS if spare >= least), 1)


def resize_image(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> torch.Tensor:
    """A copy of uint8 (height, width, 3) as uint8 (3, *shape): bilinear with antialiasing, as Pillow's BILINEAR."""
    return resize_pixels(pixels, shape).contiguous()


def resize_pixels(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> torch.Tensor:
    """As `resize_image`, with the values of a pixel side by side in memory; they may be three or four."""
    # The first axis comes before the permutation: it has the stride then by which torch knows pixels side by side, and
    # without that it takes the planes apart, all of them, before it resizes.
    planes = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2)
    if planes.shape[2:] == shape:
        return planes[0].clone()
    return torch.nn.functional.interpolate(planes, shape, mode="bilinear", antialias=True)[0]


def lay_planes(words: NDArray[np.uint8], planes: NDArray[np.uint8]) -> None:
    """Write uint8 (height, width, 4) into (3, height, width), without the fourth value. The words are used up.

    To shift words and to cut them is what NumPy has vector instructions for; to pick every third value it has not, nor
    has torch, and that takes twice as long. New memory for what is shifted would take as long again.
    """
    pixels = np.ascontiguousarray(words).view("<u4")[..., 0]
    for plane in planes:
        plane[...] = pixels
        pixels >>= 8


class _Kept(threading.local):
    """Memory that a thread decodes into again and again: new memory for each image takes half as long as decoding."""

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def memory(self, size: int) -> NDArray[np.uint8]:
        """uint8 (size,)."""
        if size > _LARGEST_KEPT:
            return np.empty(size, np.uint8)
        if size > len(self._memory):
            self._memory = np.empty(size, np.uint8)
        return self._memory[:size]


_KEPT = _Kept()
_LARGEST_KEPT = 2**26


def _open(encoded: bytes, where: str) -> Image.Image:
    return images.open_image(encoded, where, expected=_EXPECTED, hint=_HINT)


def _unreadable(error: Exception, where: str) -> RecordError:
    said = str(error).partition("\n")[0]
    return RecordError(f"expected {_EXPECTED}, found: {said}", where=where, hint=_HINT)
