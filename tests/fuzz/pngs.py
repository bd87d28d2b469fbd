"""A reader and a writer of PNG that share nothing with Pillow or the package: every depth, filter and interlacing.

Samples are uint16 (height, width, channels).
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
Samples = NDArray[np.uint16]


class Png(NamedTuple):
    """What a PNG holds; of a palette the samples are its indices."""

    samples: Samples
    depth: int
    color: int
    interlaced: bool


def chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int, depth: int, color: int, interlaced: int = 0) -> bytes:
    """The signature and the first chunk."""
    content = struct.pack(">IIBBBBB", width % 2**32, height % 2**32, depth, color, 0, 0, interlaced)
    return SIGNATURE + chunk(b"IHDR", content)


def encode(
    samples: Samples, depth: int, color: int, rng: random.Random, *, interlaced: bool = False, extra: bytes = b""
) -> bytes:
    """A PNG with filters at random; `extra` are chunks that come before the pixels."""
    height, width = samples.shape[:2]
    passes = _passes(height, width, interlaced)
    raw = b"".join(_filtered(samples[y::dy, x::dx], depth, rng) for y, x, dy, dx in passes)
    packed = zlib.compress(raw, rng.choice((0, 1, 6)))
    cut = rng.randint(0, len(packed)) if rng.random() < 0.3 else len(packed)
    pieces = b"".join(chunk(b"IDAT", piece) for piece in (packed[:cut], packed[cut:]) if piece)
    return header(width, height, depth, color, int(interlaced)) + extra + pieces + chunk(b"IEND", b"")


def decode(data: bytes) -> Png:
    """Read a PNG strictly.

    Raises:
        ValueError: anything is not as it should be.
    """
    kinds = dict.fromkeys((b"IHDR", b"IDAT"), b"")
    for kind, content in _chunks(data):
        if kind in kinds:
            kinds[kind] += content
    width, height, depth, color, compression, filtering, interlaced = struct.unpack(">IIBBBBB", kinds[b"IHDR"])
    if depth not in DEPTHS.get(color, ()) or compression or filtering or interlaced > 1 or not width or not height:
        raise ValueError("a header of another kind")
    if width * height > 2**26:
        raise ValueError("a large image")
    try:
        inflater = zlib.decompressobj()
        raw = inflater.decompress(kinds[b"IDAT"], 2**28)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not inflater.eof:
        raise ValueError("cut data")
    samples = np.zeros((height, width, CHANNELS[color]), np.uint16)
    start = 0
    for y, x, dy, dx in _passes(height, width, bool(interlaced)):
        part = samples[y::dy, x::dx]
        size = part.shape[0] * (1 + _row_bytes(part.shape[1], part.shape[2], depth))
        if start + size > len(raw):
            raise ValueError("missing rows")
        part[...] = _unfiltered(raw[start : start + size], part.shape, depth)
        start += size
    return Png(samples, depth, color, bool(interlaced))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not data.startswith(SIGNATURE):
        raise ValueError("no signature")
    position = 8
    while True:
        if position + 12 > len(data):
            raise ValueError("no end")
        (length,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        if data[position + 8 + length : position + 12 + length] != struct.pack(">I", zlib.crc32(kind + content)):
            raise ValueError("a damaged chunk")
        yield kind, content
        if kind == b"IEND":
            return
        position += 12 + length


def _passes(height: int, width: int, interlaced: bool) -> list[tuple[int, int, int, int]]:
    return [one for one in _ADAM7 if one[0] < height and one[1] < width] if interlaced else [(0, 0, 1, 1)]


def _row_bytes(width: int, channels: int, depth: int) -> int:
    return (width * channels * depth + 7) // 8


def _packed(samples: Samples, depth: int) -> NDArray[np.uint8]:
    flat = samples.reshape(samples.shape[0], -1)
    if depth == 16:
        return flat.astype(">u2").view(np.uint8).reshape(samples.shape[0], -1)
    if depth == 8:
        return flat.astype(np.uint8)
    bits = flat[:, :, None] >> np.arange(depth - 1, -1, -1) & 1
    return np.packbits(bits.reshape(samples.shape[0], -1).astype(np.uint8), axis=1)


def _filtered(samples: Samples, depth: int, rng: random.Random) -> bytes:
    rows = _packed(samples, depth)
    step = max(1, samples.shape[2] * depth // 8)
    above = np.zeros(rows.shape[1], np.int64)
    made = []
    for row in rows.astype(np.int64):
        kind = rng.randrange(5)
        left = np.concatenate((np.zeros(step, np.int64), row[:-step]))[: len(row)]
        corner = np.concatenate((np.zeros(step, np.int64), above[:-step]))[: len(row)]
        guess: Any = (0, left, above, (left + above) // 2, _paeth(left, above, corner))[kind]
        made.append(bytes([kind]) + ((row - guess) % 256).astype(np.uint8).tobytes())
        above = row
    return b"".join(made)


def _paeth(left: Any, above: Any, corner: Any) -> Any:
    guess = left + above - corner
    near = np.abs(guess - left), np.abs(guess - above), np.abs(guess - corner)
    return np.where((near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], above, corner))


def _unfiltered(raw: bytes, shape: tuple[int, ...], depth: int) -> Samples:
    height, width, channels = shape
    size, step = _row_bytes(width, channels, depth), max(1, channels * depth // 8)
    above = [0] * size
    rows = []
    for number in range(height):
        kind, *row = raw[number * (size + 1) : (number + 1) * (size + 1)]
        if kind > 4:
            raise ValueError("an unknown filter")
        for at in range(size):
            left = row[at - step] if at >= step else 0
            if kind == 1:
                row[at] = (row[at] + left) & 255
            elif kind == 2:
                row[at] = (row[at] + above[at]) & 255
            elif kind == 3:
                row[at] = (row[at] + (left + above[at]) // 2) & 255
            elif kind == 4:
                corner = above[at - step] if at >= step else 0
                row[at] = (row[at] + int(_paeth(left, above[at], corner))) & 255
        rows.append(row)
        above = row
    packed = np.array(rows, np.uint8).reshape(height, size)
    if depth == 16:
        flat = packed.view(">u2").astype(np.uint16)
    elif depth == 8:
        flat = packed.astype(np.uint16)
    else:
        bits = np.unpackbits(packed, axis=1)[:, : width * channels * depth].reshape(height, -1, depth)
        flat = (bits * (1 << np.arange(depth - 1, -1, -1))).sum(axis=2).astype(np.uint16)
    return flat.reshape(shape)
