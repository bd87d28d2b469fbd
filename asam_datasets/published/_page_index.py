"""The index of the pages of a column: where each page is, and which rows it has; and the values of a plain page.

Our parts keep encoded images plain and uncompressed. Where an image is as large as those of SA-1B it has a page of its
own; smaller ones share one, of up to a megabyte. The length of each stands before it, so that one of them can be found
by looking at the lengths of those before it, which are not fetched: `walk_values`.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asam_datasets.published._byte_ranges import Fetched
from asam_datasets.published._footer import Chunk, Footer
from asam_datasets.published._thrift import Kind, Struct, ThriftError, get, get_structs, read_struct

_DATA_PAGE, _DATA_PAGE_V2, _PLAIN, _RLE, _UNCOMPRESSED, _BYTE_ARRAY = 0, 3, 0, 3, 0, 6
_ENCODINGS = 2  # field of a chunk

_HEAD = 2**8
"""What is read of a page at first: its header, its levels, and the length of its first value."""

_WORTH = 2**15
"""Bytes that a request has to save."""

Bytes = bytes | memoryview


class Page(NamedTuple):
    """A page of a column in a part: its bytes, header included, and the rows that it has."""

    start: int
    stop: int
    first_row: int
    last_row: int


def is_paged(chunk: Chunk) -> bool:
    """Whether the values of a column are byte strings that `read_values` can read; a path has to be without lists."""
    plain = chunk.codec == _UNCOMPRESSED and set(chunk.fields[_ENCODINGS].value.values) <= {_PLAIN, _RLE}
    has_index = chunk.page_index[1] > chunk.page_index[0]
    return plain and not chunk.has_dictionary and chunk.leaf.kind == _BYTE_ARRAY and has_index


def index_of(file: Any, footer: Footer, chunk: Chunk, rows: int) -> list[Page]:
    """The pages of a column of `rows` rows; most often its index was read with the footer.

    Raises:
        ThriftError: it has no such index.
    """
    (start, stop), behind = chunk.page_index, footer.begins - len(footer.before)
    index: Bytes = footer.before[start - behind : stop - behind]
    if start < behind or len(index) != stop - start:
        index = Fetched(file, [(start, stop)])[start:stop]
    return read_index(index, chunk, rows)


def read_index(content: Bytes, chunk: Chunk, rows: int) -> list[Page]:
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
    numbers = np.unique(np.searchsorted([page.last_row for page in pages], rows, side="right"))
    chosen = [pages[number] for number in numbers.tolist() if number < len(pages)]
    if any(one.stop > other.start for one, other in itertools.pairwise(chosen)):
        raise ThriftError("an index of pages that overlap")
    return chosen


def values_of(content: Bytes) -> int:
    """The number of values that a page says it has.

    Raises:
        ThriftError: it is no page of data.
    """
    header, _ = read_struct(content)
    kind = get(header, 1, Kind.I32)
    if kind not in (_DATA_PAGE, _DATA_PAGE_V2):
        raise ThriftError(f"a page of kind {kind} among those of the data")
    count: int = get(get(header, 5 if kind == _DATA_PAGE else 8, Kind.STRUCT), 1, Kind.I32)
    return count


def read_values(content: Bytes, page: Page, nullable: int) -> list[bytes | None]:
    """As `split_values`, each in memory of its own.

    Raises:
        ThriftError: these are no such values.
    """
    values = split_values(memoryview(content), page, nullable)
    return [None if value is None else bytes(value) for value in values]


def split_values(content: memoryview, page: Page, nullable: int) -> list[memoryview | None]:
    """The values of a page, where they are.

    Args:
        content: the bytes of the page.
        page: the page.
        nullable: how many levels of the column's path may be null, 0 to 2.

    Raises:
        ThriftError: these are no such values.
    """
    header, at = read_struct(content)
    present, at = _present(header, content, at, page, nullable)
    values: list[memoryview | None] = []
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


def is_worth_walking(page: Page, rows: NDArray[np.int64]) -> bool:
    """Whether the values of some rows of a page cost less by `walk_values` than with all of the page."""
    count = page.last_row - page.first_row
    others = (page.stop - page.start) * (count - len(rows)) // count
    return others > _WORTH * (int(rows.max()) - page.first_row + 1)


def walk_values(
    read: Callable[[int, int], Bytes], page: Page, rows: NDArray[np.int64], nullable: int
) -> dict[int, bytes | None]:
    """The values of some rows of a page, by row: of those before them only the lengths are fetched.

    Args:
        read: gives the bytes of the file from one place to another, which costs a request.
        page: the page.
        rows: of the page.
        nullable: as for `read_values`.

    Raises:
        ThriftError: these are no such values.
    """
    head = read(page.start, min(page.stop, page.start + _HEAD))
    header, at = read_struct(head)
    if nullable and (levels := at + 4 + _length(head, at)) > len(head):
        if page.start + levels > page.stop:
            raise ThriftError("a page that ends before its values")
        head = read(page.start, page.start + levels)
    present, at = _present(header, head, at, page, nullable)
    wanted, values = set((rows - page.first_row).tolist()), dict[int, bytes | None]()
    last = max((number for number, there in enumerate(present) if there), default=-1)
    known, place = head[at : at + 4], page.start + at
    for number in range(max(wanted) + 1):
        if not present[number]:
            if number in wanted:
                values[page.first_row + number] = None
            continue
        if number == last and number in wanted:  # it ends with the page, however long it says that it is
            known, content = _split(read(place, page.stop))
        else:
            known = known if len(known) == 4 else read(place, _within(place + 4, page))
            size, content = _length(known, 0), b""
            stop = _within(place + 4 + size, page)
            place, known = stop, b""
            if number in wanted:
                content = read(stop - size, min(stop + 4, page.stop))
                content, known = content[:size], content[size:]
        if number in wanted:
            values[page.first_row + number] = bytes(content)
    return values


def _split(content: Bytes) -> tuple[Bytes, Bytes]:
    size = _length(content, 0)
    if len(content) < 4 + size:
        raise ThriftError("a page that ends before its values")
    return b"", content[4 : 4 + size]


def _within(place: int, page: Page) -> int:
    if place > page.stop:
        raise ThriftError("a page that ends before its values")
    return place


def _present(header: Struct, content: Bytes, at: int, page: Page, nullable: int) -> tuple[list[bool], int]:
    """Which rows of a page have a value, and where the values begin."""
    data = get(header, 5, Kind.STRUCT)
    kind, encoding, count = get(header, 1, Kind.I32), get(data, 2, Kind.I32), get(data, 1, Kind.I32)
    if (kind, encoding, count) != (_DATA_PAGE, _PLAIN, page.last_row - page.first_row):
        raise ThriftError(f"a page of kind {kind}, encoding {encoding} and {count} values")
    if not nullable:
        return [True] * count, at
    size = _length(content, at)
    levels = _levels(bytes(content[at + 4 : at + 4 + size]), count, nullable.bit_length())
    return (levels == nullable).tolist(), at + 4 + size


def _length(content: Bytes, at: int) -> int:
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
