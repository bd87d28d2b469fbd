"""Segmentations to PNG and back, without a full-size array per mask.

Only the rows and bytes of a mask's box are rendered, into a bitmap that is otherwise zero and is used again for the
next mask; the zeros above and below the box are not even looked at. Rows carry no filter: a row of a mask is a few
long runs, which deflate already sees. The conditioning image uses the filter "up", whose rows are nearly all zeros.

The bytes are part of the published dataset, so they must not depend on the machine: see `_deflate.py`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rlemasklib import RLEMask
from zlib_ng import zlib_ng

from asam_datasets.errors import SegmentationError
from asam_datasets.masks._colors import colors
from asam_datasets.masks._deflate import deflate
from asam_datasets.masks._rle import MAX_PIXELS, Segmentation, from_segmentation, to_segmentation

BitDepth = Literal[1, 8]
ZLIB_ERROR = cast(type[Exception], zlib_ng.error)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2
_FILTER_UP = 2


def to_png(segmentation: Segmentation, *, bit_depth: BitDepth = 1) -> bytes:
    """Write one segmentation as a grey PNG of its full size.

    Args:
        segmentation: COCO RLE, `size` as (height, width).
        bit_depth: 1 writes pixels 0 and 1 (a reader shows them as black and white); 8 writes 0 and 255, which is
            what ASAM's programs read.

    Raises:
        SegmentationError: the RLE is not valid or has no pixels (a PNG cannot be empty).
    """
    return PngEncoder().mask(from_segmentation(segmentation), bit_depth=bit_depth)


def from_png(data: bytes) -> Segmentation:
    """Read a grey PNG of 1 or 8 bits: every pixel that is not 0 is foreground.

    Raises:
        SegmentationError: not such a PNG, damaged, or more than `MAX_PIXELS`.
    """
    if data[:8] != _SIGNATURE or len(data) < 33:
        raise SegmentationError(f"expected a PNG, found bytes that start with {data[:8]!r}")
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    if color != _GREY or depth not in (1, 8):
        raise SegmentationError(f"expected a grey PNG of 1 or 8 bits, found color type {color} of {depth} bits")
    if height * width > MAX_PIXELS:
        raise SegmentationError(f"expected at most {MAX_PIXELS} pixels, found {height} × {width}")
    packed = _whole_chunks(data)
    try:
        if depth == 1 and not interlaced:
            # Pillow fills missing rows with zeros and checks no sum.
            inflater = zlib_ng.decompressobj()
            rows = inflater.decompress(packed, height * (1 + (width + 7) // 8) + 1)
            if len(rows) != height * (1 + (width + 7) // 8) or not inflater.eof:
                raise ValueError("another number of rows")
        if depth == 8 and not interlaced:
            return to_segmentation(RLEMask.from_png(data=data))
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return to_segmentation(RLEMask.from_array(np.asarray(image) != 0))
    except (ValueError, OSError, SyntaxError, Warning, Image.DecompressionBombError, ZLIB_ERROR) as error:
        raise SegmentationError(f"expected a readable PNG, found one that fails with: {error}") from error


def conditioning_png(segmentations: Sequence[Segmentation], shape: tuple[int, int]) -> bytes:
    """Paint all segmentations of an image as one RGB PNG: a color per mask, larger masks under smaller ones.

    Mask `i` always gets `colors(n)[i]`; background is black. Equal areas keep their order.

    Args:
        segmentations: COCO RLEs, all of size `shape`.
        shape: (height, width) of the image, in pixels.

    Raises:
        SegmentationError: an RLE is not valid or not of this size, or the image has no pixels.
    """
    masks = [from_segmentation(segmentation, shape=shape) for segmentation in segmentations]
    return PngEncoder().conditioning(masks, shape)


class PngEncoder:
    """Writes PNGs into buffers that it keeps, for one thread. The buffers grow to the largest image seen."""

    def __init__(self) -> None:
        # Between calls `_rows` is all zeros: each call clears what it wrote.
        self._rows = np.zeros(0, np.uint8)
        self._box = np.zeros(0, np.uint8)
        self._canvas = np.zeros(0, np.uint8)
        self._painted = np.zeros(0, np.uint8)

    def mask(self, mask: RLEMask, *, bit_depth: BitDepth = 1) -> bytes:
        """A checked mask as grey PNG; see `to_png`."""
        height, width = _check_shape(mask.shape)
        if bit_depth not in (1, 8):
            raise SegmentationError(f"expected 1 or 8, found {bit_depth}", where="bit_depth")
        per_row = (width + 7) // 8 if bit_depth == 1 else width
        if self._rows.size < height * (1 + per_row):
            self._rows = np.zeros(height * (1 + per_row), np.uint8)
        rows = self._rows[: height * (1 + per_row)].reshape(height, 1 + per_row)
        box_x, box_y, box_width, box_height = (int(n) for n in mask.bbox().tolist())
        if box_width == 0:
            return _png(rows, height, width, bit_depth=bit_depth, color=_GREY, used=(0, 0))
        start = box_x & ~7 if bit_depth == 1 else box_x  # left edge of the byte that holds the box's first column
        columns = box_x + box_width - start
        if self._box.size < box_height * columns:
            self._box = np.zeros(max(box_height * columns, height * width // 4), np.uint8)
        box = self._box[: box_height * columns].reshape(box_height, columns)
        box.fill(0)
        mask.crop([start, box_y, columns, box_height]).decode_into(box, fg_value=1 if bit_depth == 1 else 255)
        packed = np.packbits(box, axis=1) if bit_depth == 1 else box
        first = 1 + (start // 8 if bit_depth == 1 else start)
        target = rows[box_y : box_y + box_height, first : first + packed.shape[1]]
        target[...] = packed
        data = _png(rows, height, width, bit_depth=bit_depth, color=_GREY, used=(box_y, box_y + box_height))
        target[...] = 0
        return data

    def conditioning(self, masks: Sequence[RLEMask], shape: tuple[int, int]) -> bytes:
        """Checked masks of one image as RGB PNG; see `conditioning_png`."""
        height, width = _check_shape(shape)
        per_row = 3 * width
        if self._canvas.size < height * per_row:
            self._canvas = np.zeros(height * per_row, np.uint8)
        if self._painted.size < height * (1 + per_row):
            self._painted = np.zeros(height * (1 + per_row), np.uint8)
        canvas = self._canvas[: height * per_row].reshape(height, width, 3)
        canvas.fill(0)
        palette = colors(len(masks))
        areas = [mask.area() for mask in masks]
        for index in sorted(range(len(masks)), key=lambda i: (-areas[i], i)):
            masks[index].decode_into(canvas, fg_value=palette[index])
        flat = canvas.reshape(height, per_row)
        rows = self._painted[: height * (1 + per_row)].reshape(height, 1 + per_row)
        rows[:, 0] = _FILTER_UP
        rows[0, 1:] = flat[0]
        np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
        return _png(rows, height, width, bit_depth=8, color=_RGB, used=(0, height))


def _check_shape(shape: tuple[int, int]) -> tuple[int, int]:
    height, width = shape
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise SegmentationError(f"expected 1 to {MAX_PIXELS} pixels, found {height} × {width}", where="size")
    return height, width


def _png(
    rows: NDArray[np.uint8], height: int, width: int, *, bit_depth: int, color: int, used: tuple[int, int]
) -> bytes:
    """A PNG out of filtered rows, of which only those from `used[0]` to before `used[1]` are not all zero."""
    header = struct.pack(">IIBBBBB", width, height, bit_depth, color, 0, 0, 0)
    content = deflate(rows, used[0] * rows.shape[1], used[1] * rows.shape[1])
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", content), _chunk(b"IEND", b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib_ng.crc32(content, zlib_ng.crc32(kind))
    return b"".join((struct.pack(">I", len(content)), kind, content, struct.pack(">I", check)))


def _whole_chunks(data: bytes) -> bytes:
    """The IDAT contents; every CRC up to the last of them right."""
    position, parts = 8, []
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        end = position + 8 + length
        if end + 4 > len(data) or struct.unpack_from(">I", data, end)[0] != zlib_ng.crc32(data[position + 4 : end]):
            raise SegmentationError("expected a readable PNG, found a damaged chunk")
        if data[position + 4 : position + 8] == b"IDAT":
            parts.append(data[position + 8 : end])
        position = end + 4
    if not parts:
        raise SegmentationError("expected a readable PNG, found no IDAT")
    return b"".join(parts)
