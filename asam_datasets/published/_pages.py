"""Pages of a column: some images of a row group without the others.

Our parts keep encoded images plain and uncompressed, in pages of about one image of SA-1B, and have an index that says
where each page is and which rows it has. Arrow reads whole columns of a row group; so the index, the pages' headers
(both in Thrift's compact protocol) and the plain values are read here. What is not as our writer makes it is left to
Arrow.

All of it may come from a stranger: what does not add up raises `pa.ArrowInvalid`, as Arrow does.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

_MAX_DEPTH = 16
_DATA_PAGE, _PLAIN, _UNCOMPRESSED, _BYTE_ARRAY = 0, 0, 0, 6


class Page(NamedTuple):
    """A page of a column in a part: its bytes, header included, and the rows that it has."""

    start: int
    stop: int
    first_row: int
    last_row: int


def is_paged(footer: pq.FileMetaData, group: int, column: int) -> bool:
    """Whether the values of a column are byte strings that `read_values` can read, with an index of pages."""
    found, kind = footer.row_group(group).column(column), footer.schema.column(column)
    plain = found.compression == "UNCOMPRESSED" and set(found.encodings) <= {"PLAIN", "RLE"}
    flat = kind.max_repetition_level == 0 and found.dictionary_page_offset is None
    return bool(plain and flat and found.physical_type == "BYTE_ARRAY" and found.has_offset_index)


def find_indexes(tail: bytes) -> list[list[tuple[int, int]]]:
    """First byte and end of the index of each column of each row group, as a footer says; 0 and 0 where it has none.

    Args:
        tail: the end of a file, at least its footer.

    Raises:
        pa.ArrowInvalid: it is no footer.
    """
    length = int.from_bytes(tail[-8:-4], "little") + 8
    try:
        return [
            [(int(column.get(4, 0)), int(column.get(4, 0)) + int(column.get(5, 0))) for column in group[1]]
            for group in read_struct(tail[-length:-8])[4]
        ]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise pa.ArrowInvalid(f"a footer without its columns: {error!r}") from None


def read_index(content: bytes, rows: int) -> list[Page]:
    """The pages of a column of `rows` rows.

    Raises:
        pa.ArrowInvalid: it is no such index.
    """
    try:
        found = [(int(page[1]), int(page[2]), int(page.get(3, 0))) for page in read_struct(content)[1]]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise pa.ArrowInvalid(f"an index of pages that is none: {error!r}") from None
    firsts = [first for _, _, first in found]
    if not found or firsts[0] != 0 or firsts != sorted(set(firsts)) or firsts[-1] >= rows:
        raise pa.ArrowInvalid(f"an index of pages of a column of {rows} rows that begin with the rows {firsts[:9]}")
    return [
        Page(start, start + size, first, last)
        for (start, size, first), last in zip(found, [*firsts[1:], rows], strict=True)
    ]


def read_values(content: bytes, page: Page, nullable: int) -> list[bytes | None]:
    """The values of a page.

    Args:
        content: the bytes of the page.
        page: the page.
        nullable: how many levels of the column's path may be null, 0 to 2.

    Raises:
        pa.ArrowInvalid: these are no such values.
    """
    reader = _Thrift(content)
    try:
        header = reader.struct()
        data = header[5]
        kind, encoding, count = header[1], data[2], data[1]
    except (LookupError, TypeError) as error:
        raise pa.ArrowInvalid(f"a page without its header: {error!r}") from None
    if (kind, encoding, count) != (_DATA_PAGE, _PLAIN, page.last_row - page.first_row):
        raise pa.ArrowInvalid(f"a page of kind {kind}, encoding {encoding} and {count} values")
    at = reader.at
    present = np.ones(count, np.bool_)
    if nullable:
        (size,) = struct.unpack_from("<I", content.ljust(at + 4, b"\0"), at)
        present = _levels(content[at + 4 : at + 4 + size], count, nullable.bit_length()) == nullable
        at += 4 + size
    values: list[bytes | None] = []
    for there in present.tolist():
        if not there:
            values.append(None)
            continue
        if at + 4 > len(content):
            raise pa.ArrowInvalid("a page that ends before its values")
        (size,) = struct.unpack_from("<I", content, at)
        at += 4 + size
        values.append(content[at - size : at])
        if at > len(content):
            raise pa.ArrowInvalid("a page that ends before its values")
    return values


def read_struct(content: bytes) -> dict[int, Any]:
    """A struct in Thrift's compact protocol: its fields by number.

    Raises:
        pa.ArrowInvalid: it ends too early, or is too deep.
    """
    return _Thrift(content).struct()


def _levels(content: bytes, count: int, width: int) -> NDArray[np.int64]:
    """Numbers of `width` bits as Parquet's hybrid of runs and packed bits has them."""
    reader, found = _Thrift(content), np.empty(0, np.int64)
    while len(found) < count:
        header = reader.varint()
        if header & 1:
            packed = np.frombuffer(reader.take((header >> 1) * width), np.uint8)
            bits = np.unpackbits(packed, bitorder="little").reshape(-1, width)
            run = bits @ (1 << np.arange(width))
        else:
            run = np.full(min(header >> 1, count), reader.take(1)[0], np.int64)
        if not len(run):
            raise pa.ArrowInvalid("an empty run of levels")
        found = np.append(found, run)
    return found[:count]


class _Thrift:
    """Reads the compact protocol; `at` is where it is."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        taken = self.content[self.at : self.at + size]
        if len(taken) != size:
            raise pa.ArrowInvalid(f"{len(taken)} bytes where {size} should be")
        self.at += size
        return taken

    def varint(self) -> int:
        """The next number, seven bits to a byte."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise pa.ArrowInvalid("a number of more than ten bytes")

    def struct(self, depth: int = 0) -> dict[int, Any]:
        """The next struct."""
        if depth > _MAX_DEPTH:
            raise pa.ArrowInvalid(f"structs of more than {_MAX_DEPTH} levels")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self.take(1)[0]) != 0:
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return fields

    def _signed(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (1, 2, 3):  # in a list a boolean is a byte
            return self.take(1)[0]
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return struct.unpack("<d", self.take(8))[0]
        if kind == 8:
            return self.take(self.varint())
        if kind in (9, 10):
            head = self.take(1)[0]
            count = self.varint() if head >> 4 == 15 else head >> 4
            if count > len(self.content) - self.at:  # each takes a byte at least
                raise pa.ArrowInvalid(f"a list of {count} values in {len(self.content)} bytes")
            return [self._value(head & 15, depth + 1) for _ in range(count)]
        if kind == 12:
            return self.struct(depth + 1)
        raise pa.ArrowInvalid(f"a value of the kind {kind}")


def pages_of(pages: Sequence[Page], rows: NDArray[np.int64]) -> list[Page]:
    """The pages that have any of some rows."""
    return [page for page in pages if np.any((rows >= page.first_row) & (rows < page.last_row))]
