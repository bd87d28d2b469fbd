"""Ranges of bytes of a file: joined where that is cheaper than another request, and fetched."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import pyarrow as pa

from asam_datasets.published._thrift import ThriftError

MOST_BYTES = 2**29
"""What the columns that are read of a row group may take, packed or decoded. A row group of ours has 32 MiB, or one
record, whose image has 256 MiB at most; a hostile part has a gigabyte in every hundred bytes."""

_HOLE = 2**13
"""Bytes between two ranges that cost less than a request of their own."""

Range = tuple[int, int]
"""First byte and end."""


def joined(places: Sequence[Range], spare: int = 0) -> list[Range]:
    """Ranges with those in one that lie next to each other.

    Args:
        places: in the order of the file.
        spare: bytes that nobody asked for and that may be fetched as well where that saves requests, the smallest holes
            first; small holes cost nothing.
    """
    ranges: list[Range] = []
    for start, stop in places:
        if ranges and start - ranges[-1][1] <= _HOLE:
            first, last = ranges.pop()
            start, stop = first, max(last, stop)
        ranges.append((start, stop))
    holes = [other[0] - one[1] for one, other in pairwise(ranges)]
    order = sorted(range(len(holes)), key=holes.__getitem__)
    sums = accumulate(holes[number] for number in order)
    filled = {number for number, total in zip(order, sums, strict=True) if total <= spare}
    found: list[Range] = []
    for number, (start, stop) in enumerate(ranges):
        if number - 1 in filled:
            start = found.pop()[0]
        found.append((start, stop))
    return found


def fetch(file: Any, ranges: Sequence[Range], memory: memoryview) -> None:
    """Read some ranges of a file, one behind the other.

    Raises:
        pa.ArrowInvalid: they are not in it; a footer may say anything.
    """
    size_bytes, at = file.seek(0, os.SEEK_END), 0
    for start, stop in ranges:
        if not 0 <= start <= stop <= size_bytes:
            raise pa.ArrowInvalid(f"a column at bytes {start} to {stop} of a file of {size_bytes}")
        file.seek(start)
        while start < stop:
            found = file.readinto(memory[at : at + stop - start])
            if not found:
                raise pa.ArrowInvalid(f"no bytes at byte {start}, where {stop - start} should be")
            start, at = start + found, at + found


class Fetched:
    """Some ranges of a file, in memory.

    Args:
        ranges: in the order of the file.

    Raises:
        ThriftError: they are more than a row group may have.
        pa.ArrowInvalid: they are not in the file.
    """

    def __init__(self, file: Any, ranges: Sequence[Range]) -> None:
        size_bytes = sum(stop - start for start, stop in ranges)
        if size_bytes > MOST_BYTES:
            raise ThriftError(f"pages of more than {MOST_BYTES} bytes in a row group")
        self._ranges = ranges
        content = bytearray(size_bytes)
        fetch(file, ranges, memoryview(content))
        self._content = memoryview(content).toreadonly()

    def __getitem__(self, place: slice) -> memoryview:
        """The bytes of a place in the file that lies in one of the ranges."""
        at = 0
        for start, stop in self._ranges:
            if start <= place.start and place.stop <= stop:
                return self._content[at + place.start - start : at + place.stop - start]
            at += stop - start
        return self._content[:0]
