"""A zlib stream of bytes that are mostly zero: the rows of a mask's PNG outside its box.

The stretches of zeros before and after the box are written as finished deflate blocks, whose bits follow from their
length alone, and only the bytes between them go through the compressor. RFC 1951: a block with its own Huffman codes,
in which a zero is 2 bits, "258 bytes from distance 1" is 1 + 1 bits, and the end is 2 bits.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

# zlib-ng gave the same bytes at this level on every CPU tried (x86 from none to AVX-512, aarch64), which isal does not:
# its levels 1 and 2 hash a stale register, so that one input in a few hundred comes out differently under another
# address layout of the process, and other CPUs give other bytes anyway.
_LEVEL = 2
_MATCH = 258  # the longest repetition that deflate knows
_WORTH_IT = 4 * _MATCH  # shorter stretches cost more as a block of their own
_ADLER = 65521
_HEADER = b"\x78\x5e"
# The order in which a block lists the lengths of the codes that encode its code lengths (RFC 1951, 3.2.7).
_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)


def deflate(content: NDArray[np.uint8], start: int = 0, stop: int | None = None) -> bytes:
    """Compress bytes that are zero before `start` and from `stop` on; the same input gives the same stream.

    Args:
        content: contiguous uint8, of any shape; `start` and `stop` count its bytes in order.
        start: no byte before this one is set.
        stop: no byte from here on is set; the end of `content` by default.
    """
    flat = content.reshape(-1)
    stop = flat.size if stop is None else stop
    before = (start - 1) // _MATCH if start > _WORTH_IT else 0
    after = (flat.size - stop - 1) // _MATCH if flat.size - stop > _WORTH_IT else 0
    first = 1 + _MATCH * before if before else 0
    last = flat.size - (1 + _MATCH * after) if after else flat.size
    between = flat[first:last]
    compressor = zlib_ng.compressobj(_LEVEL, zlib_ng.DEFLATED, -15)
    checksum = zlib_ng.adler32(between, _adler_of_zeros(1, first))
    stream = [
        _HEADER,
        _zeros(before, final=False) if before else b"",
        compressor.compress(between),
        compressor.flush(zlib_ng.Z_SYNC_FLUSH if after else zlib_ng.Z_FINISH),
        _zeros(after, final=True) if after else b"",
        struct.pack(">I", _adler_of_zeros(checksum, flat.size - last)),
    ]
    return b"".join(stream)


def _zeros(matches: int, *, final: bool) -> bytes:
    """A block of 1 + 258 × `matches` zeros. One that is not final is followed by an empty stored block, which ends at
    a whole byte."""
    bits, count = _block_start(final)
    count += 2 * matches  # each is two codes that consist of one zero bit
    bits |= 0b11 << count  # the end of the block
    count += 2
    if final:
        return bits.to_bytes((count + 7) // 8, "little")
    count += 3  # stored, not final
    return bits.to_bytes((count + 7) // 8, "little") + b"\x00\x00\xff\xff"


@lru_cache(maxsize=2)
def _block_start(final: bool) -> tuple[int, int]:
    """The bits of a block up to and with the first zero, least significant first, and how many they are.

    Codes of the data: 285 (258 bytes) is 0, a literal zero 10, the end 11; distance 1 is 0.
    Codes of the code lengths: 18 (many zeros) is 0, length 1 is 10, length 2 is 11.
    """
    lengths = {18: 1, 1: 2, 2: 2}
    one, two, skip = (0b01, 2), (0b11, 2), (0, 1)  # codes go out with their first bit first
    return _join(
        [
            (int(final), 1),
            (2, 2),  # with codes of its own
            (285 + 1 - 257, 5),
            (1 - 1, 5),
            (len(_ORDER) - 4, 4),
            *((lengths.get(symbol, 0), 3) for symbol in _ORDER),
            two,  # the literal 0
            *(skip, (138 - 11, 7), skip, (117 - 11, 7)),  # literals 1 to 255 do not occur
            two,  # 256, the end
            *(skip, (28 - 11, 7)),  # 257 to 284 do not occur
            one,  # 285
            one,  # distance 1
            (0b01, 2),  # the first zero, as literal
        ]
    )


def _join(fields: Iterable[tuple[int, int]]) -> tuple[int, int]:
    bits = count = 0
    for value, width in fields:
        bits |= value << count
        count += width
    return bits, count


def _adler_of_zeros(checksum: int, count: int) -> int:
    """The Adler-32 checksum after `count` more zeros."""
    low, high = checksum & 0xFFFF, checksum >> 16
    return (high + count * low) % _ADLER << 16 | low
