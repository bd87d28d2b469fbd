"""Single images of a row group: the pages of a column that have them, and no others.

Our parts keep encoded images plain and uncompressed, in pages of about one image of SA-1B, and have an index that says
where each page is and which rows it has. Arrow reads whole columns of a row group, so the index and the plain values
are read here. What is not as our writer makes it is left to Arrow.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asam_datasets.published._footer import Chunk
from asam_datasets.published._thrift import Kind, ThriftError, get, get_structs, read_struct

_DATA_PAGE, _PLAIN, _RLE, _UNCOMPRESSED, _BYTE_ARRAY = 0, 0, 3, 0, 6
_ENCODINGS, _DICTIONARY = 2, 11  # fields of a chunk


class Page(NamedTuple):
    """A page of a column in a part: its bytes, header included, and the rows that it has."""

    start: int
    stop: int
    first_row: int
    last_row: int


def is_paged(chunk: Chunk) -> bool:
    """Whether the values of a column are byte strings that `read_values` can read; a path has to be without lists."""
    encodings = set(chunk.fields[_ENCODINGS].value.values)
    dictionary = chunk.fields.get(_DICTIONARY)
    plain = chunk.codec == _UNCOMPRESSED and encodings <= {_PLAIN, _RLE} and not (dictionary and dictionary.value)
    return plain and chunk.leaf.kind == _BYTE_ARRAY and chunk.page_index[1] > chunk.page_index[0]


def read_index(content: bytes, chunk: Chunk, rows: int) -> list[Page]:
    """The pages of a column of `rows` rows.

    Raises:
        ThriftError: it is no such index.
    """
    found = [
        (get(page, 1, Kind.I64), get(page, 2, Kind.I32), get(page, 3, Kind.I64, 0))
        for page in get_structs(read_struct(content)[0], 1)
    ]
    firsts = [first for _, _, first in found]
    if not found or firsts[0] != 0 or firsts != sorted(set(firsts)) or firsts[-1] >= rows:
        raise ThriftError(f"an index of pages of a column of {rows} rows that begin with the rows {firsts[:9]}")
    if any(not chunk.start <= start < start + size <= chunk.stop for start, size, _ in found):
        raise ThriftError("an index of pages with a page outside of its column")
    return [
        Page(start, start + size, first, last)
        for (start, size, first), last in zip(found, [*firsts[1:], rows], strict=True)
    ]


def pages_of(pages: Sequence[Page], rows: NDArray[np.int64]) -> list[Page]:
    """The pages that have any of some rows.

    Raises:
        ThriftError: two of them overlap in the file.
    """
    chosen = [page for page in pages if np.any((rows >= page.first_row) & (rows < page.last_row))]
    if any(one.stop > other.start for one, other in itertools.pairwise(chosen)):
        raise ThriftError("an index of pages that overlap")
    return chosen


def read_values(content: bytes, page: Page, nullable: int) -> list[bytes | None]:
    """The values of a page.

    Args:
        content: the bytes of the page.
        page: the page.
        nullable: how many levels of the column's path may be null, 0 to 2.

    Raises:
        ThriftError: these are no such values.
    """
    header, at = read_struct(content)
    data = get(header, 5, Kind.STRUCT)
    kind, encoding, count = get(header, 1, Kind.I32), get(data, 2, Kind.I32), get(data, 1, Kind.I32)
    if (kind, encoding, count) != (_DATA_PAGE, _PLAIN, page.last_row - page.first_row):
        raise ThriftError(f"a page of kind {kind}, encoding {encoding} and {count} values")
    present = [True] * count
    if nullable:
        size = _length(content, at)
        levels = _levels(content[at + 4 : at + 4 + size], count, nullable.bit_length())
        present = (levels == nullable).tolist()
        at += 4 + size
    values: list[bytes | None] = []
    for there in present:
        if not there:
            values.append(None)
            continue
        size = _length(content, at)
        at += 4 + size
        if at > len(content):
            raise ThriftError("a page that ends before its values")
        values.append(content[at - size : at])
    return values


def _length(content: bytes, at: int) -> int:
    if at + 4 > len(content):
        raise ThriftError("a page that ends before its values")
    (size,) = struct.unpack_from("<I", content, at)
    return int(size)


def _levels(content: bytes, count: int, width: int) -> NDArray[np.int64]:
    """Numbers of `width` bits as Parquet's hybrid of runs and packed bits has them."""
    found, at = np.empty(0, np.int64), 0
    while len(found) < count:
        header = shift = 0
        while True:
            if at >= len(content) or shift > 28:
                raise ThriftError("levels that are cut")
            header |= (content[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if content[at - 1] < 128:
                break
        if header & 1:
            size = (header >> 1) * width
            packed = np.frombuffer(content[at : at + size], np.uint8)
            if len(packed) != size:
                raise ThriftError("levels that are cut")
            run = np.unpackbits(packed, bitorder="little").reshape(-1, width) @ (1 << np.arange(width))
        else:
            size = 1
            if at >= len(content):
                raise ThriftError("levels that are cut")
            run = np.full(min(header >> 1, count), content[at], np.int64)
        if not len(run):
            raise ThriftError("an empty run of levels")
        found, at = np.append(found, run), at + size
    return found[:count]
