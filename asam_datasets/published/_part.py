"""One part of a published dataset, read in place: what is not asked for is not fetched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from asam_datasets.builds import BUILD_FILE, Build, Part
from asam_datasets.errors import AsamDatasetsError, SourceError
from asam_datasets.published._footer import MAGIC, Chunk, Footer, read_footer
from asam_datasets.published._location import Location, open_location
from asam_datasets.published._page_index import is_paged, pages_of, read_index, read_values
from asam_datasets.published._pages import decoded_bytes
from asam_datasets.published._thrift import ThriftError

GET_AGAIN = "Get the dataset again; `asam-datasets verify DATASET --deep` looks at every record."
"""What to do about a dataset that does not hold what it should."""

_Result = TypeVar("_Result")
_HOLE = 2**13
"""Bytes between two ranges that cost less than a request of their own."""

_TAIL = 8  # the length of the footer, and PAR1
_MOST_EXPECTED = 2**18  # a manifest may say anything
_LARGEST_FOOTER = 2**22
_FOOTERS = 64
"""Footers that a reader keeps; each takes some 10 to 100 kB in the file."""

MOST_BYTES = 2**29
"""What the columns that are read of a row group may take, packed or decoded. A row group of ours has 32 MiB, or one
record, whose image has 256 MiB at most; a hostile part has a gigabyte in every hundred bytes."""


@dataclass(frozen=True)
class PartFile:
    """One part, as a worker is told of it: where it is, how messages call it, and what its manifest says of it."""

    location: Location
    path: str
    label: str
    rows: int
    size_bytes: int
    row_groups: tuple[int, ...]
    footer_bytes: int
    """What is not columns: the footer, with the index of pages before it, and four bytes at the start."""

    @classmethod
    def from_manifest(cls, location: Location, build: Build, part: Part, label: str) -> PartFile:
        """The part of a build."""
        path, groups = f"{build.path}/{part.file}", tuple(part.row_groups)
        behind = part.size_bytes - sum(part.columns.values())
        return cls(location, path, label, part.rows, part.size_bytes, groups, behind)

    def check_row_groups(self, found: tuple[int, ...]) -> None:
        """Compare what the footer says with what the manifest says.

        Args:
            found: the rows of each row group.

        Raises:
            SourceError: they differ.
        """
        if sum(found) != self.rows:
            raise SourceError(f"expected {self.rows} rows as {BUILD_FILE} says, found {sum(found)}", where=self.label)
        if found != self.row_groups:
            raise SourceError(
                f"expected row groups of {self.row_groups} rows as {BUILD_FILE} says, found {found}", where=self.label
            )


class GroupReader:
    """Reads row groups of the parts of one dataset, for one thread. It keeps the connection, and the footers it met.

    Only the bytes of the columns asked for are fetched. A failure that may pass is tried again; any other is one
    sentence.

    Args:
        log: gets a line when something is tried again.
    """

    def __init__(self, location: Location, log: Callable[[str], None] = lambda text: None) -> None:
        self._published = open_location(location, log)
        self._footers: dict[str, Footer] = {}

    def schema(self, part: PartFile) -> pa.Schema:
        """The Arrow schema that the footer states, with its metadata.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: _schema(self._footer(part)))

    def row_groups(self, part: PartFile) -> tuple[int, ...]:
        """The rows of each row group, as the footer states them.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._footer(part).row_groups)

    def read(self, part: PartFile, group: int, columns: Sequence[str]) -> pa.Table:
        """Some columns of a row group (at most 32 MiB before compression).

        Args:
            columns: names (`annotations`), or dotted paths in Parquet's words (`annotations.list.element.area`).

        Raises:
            SourceError: the part is damaged, gone, or not what its manifest says.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._read(part, group, columns))

    def paged(self, part: PartFile, group: int, columns: Sequence[str]) -> list[str]:
        """Those of some columns whose images can be read without the others of the row group.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        chunks = self._reading(part, lambda: {one.leaf.path: one for one in self._footer(part).chunks(group)})
        found = [name for name in columns if f"{name}.bytes" in chunks and f"{name}.path" in chunks]
        return [name for name in found if is_paged(chunks[f"{name}.bytes"])]

    def read_images(self, part: PartFile, group: int, column: str, rows: NDArray[np.int64]) -> list[bytes | None]:
        """Some encoded images of a row group, and no others but those that share a page with them.

        Args:
            column: one that `paged` names.
            rows: which, in any order.

        Raises:
            SourceError: the part is damaged, gone, or not what its manifest says.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._read_images(part, group, column, rows))

    def _reading(self, part: PartFile, read: Callable[[], _Result]) -> _Result:
        """What `read` gives, which does nothing but read the part: all that goes wrong in it is about the part."""
        try:
            return self._published.call(f"reading {part.path}", read)
        except AsamDatasetsError:
            raise
        except (pa.ArrowException, ThriftError, KeyError, UnicodeDecodeError, MemoryError) as error:
            raise SourceError(
                f"expected a part of a published dataset, found: {_first_line(error)}",
                where=part.label,
                hint="Get the dataset again.",
            ) from None
        except FileNotFoundError:
            raise SourceError("expected a part that the dataset names, found none", where=part.label) from None
        except Exception as error:
            explained = self._published.explain(error)
            if isinstance(explained, OSError) and not isinstance(explained, AsamDatasetsError):  # Arrow raises them too
                problem = f"expected a part that can be read, found: {_first_line(explained)}"
                raise SourceError(problem, where=part.label) from None
            raise explained from error

    def _read(self, part: PartFile, group: int, columns: Sequence[str]) -> pa.Table:
        footer = self._footer(part)
        part.check_row_groups(footer.row_groups)
        with self._published.open(part.path, part.size_bytes) as file:
            content = _as_file(file, footer, group, columns)
        parquet = pq.ParquetFile(pa.BufferReader(content))
        table = parquet.read_row_group(0, columns=list(columns), use_threads=False)
        for name in (name.split(".")[0] for name in columns):
            if name not in table.column_names:  # Arrow leaves it out without a word
                raise SourceError(f"expected a column {name}, found none", where=part.label, hint=GET_AGAIN)
        return table

    def _read_images(self, part: PartFile, group: int, column: str, rows: NDArray[np.int64]) -> list[bytes | None]:
        footer = self._footer(part)
        part.check_row_groups(footer.row_groups)
        (chunk,) = (one for one in footer.chunks(group) if one.leaf.path == f"{column}.bytes")
        (start, stop), behind = chunk.page_index, footer.begins - len(footer.before)
        with self._published.open(part.path, part.size_bytes) as file:
            index = footer.before[start - behind : stop - behind]
            if start < behind or len(index) != stop - start:
                index = _read_ranges(file, [(start, stop)])
            pages = pages_of(read_index(index, chunk, footer.row_groups[group]), rows)
            ranges = _joined([(page.start, page.stop) for page in pages])
            content = _read_ranges(file, ranges)
        nullable = _nullable(footer, chunk)
        values: dict[int, bytes | None] = {}
        for page in pages:
            at = sum(min(stop, page.start) - start for start, stop in ranges if start < page.start)
            found = read_values(content[at : at + page.stop - page.start], page, nullable)
            values.update(zip(range(page.first_row, page.last_row), found, strict=True))
        return [values[row] for row in rows.tolist()]

    def _footer(self, part: PartFile) -> Footer:
        if part.path not in self._footers:
            with self._published.open(part.path, part.size_bytes) as file:
                footer = _read_footer(file, part.footer_bytes)
            if len(self._footers) >= _FOOTERS:
                self._footers.pop(next(iter(self._footers)))
            self._footers[part.path] = footer
        return self._footers[part.path]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _schema(footer: Footer) -> pa.Schema:
    return pq.read_metadata(pa.BufferReader(MAGIC + footer.as_file())).schema.to_arrow_schema()


def _is_asked(chunk: Chunk, columns: Sequence[str]) -> bool:
    """Whether a column of Parquet's belongs to some columns (`annotations`) or their fields (`image.bytes`)."""
    return any(f"{chunk.leaf.path}.".startswith(f"{name}.") for name in columns)


def _as_file(file: Any, footer: Footer, group: int, columns: Sequence[str]) -> pa.Buffer:
    """Some columns of a row group as a file of its own, in memory.

    Arrow reads any Python file in threads of its own, and a Python that ends while one of them still holds a piece is
    aborted: seen when a stream from the Hub was left after a few records. From memory it reads in this thread.

    Raises:
        ThriftError: a column is damaged, or takes too much memory.
    """
    chunks = footer.chunks(group)
    asked = [chunk for chunk in chunks if _is_asked(chunk, columns)]
    ranges = _column_ranges(asked)
    room = MOST_BYTES
    if sum(stop - start for start, stop in ranges) > room:
        raise ThriftError(f"columns of more than {room} bytes in a row group")
    places: dict[str, int] = {}
    size_bytes = len(MAGIC)
    for start, stop in ranges:
        mine = [chunk for chunk in asked if start <= chunk.start and chunk.stop <= stop]
        places.update((chunk.leaf.path, size_bytes + chunk.start - start) for chunk in mine)
        size_bytes += stop - start
    end = footer.as_file(chunks, places, footer.row_groups[group])
    memory = np.empty(size_bytes + len(end), np.uint8)  # in large pages, where the system has them
    content = memory.data
    content[: len(MAGIC)], content[size_bytes:] = MAGIC, end
    _fetch(file, ranges, content[len(MAGIC) : size_bytes])
    for chunk in asked:
        room -= decoded_bytes(content, chunk, places[chunk.leaf.path], room)
    return pa.py_buffer(memory)


def _fetch(file: Any, ranges: Sequence[tuple[int, int]], memory: memoryview) -> None:
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


def _read_ranges(file: Any, ranges: Sequence[tuple[int, int]]) -> bytes:
    """Some ranges of a file, one behind the other.

    Raises:
        ThriftError: they are more than a row group may have.
    """
    size_bytes = sum(stop - start for start, stop in ranges)
    if size_bytes > MOST_BYTES:
        raise ThriftError(f"pages of more than {MOST_BYTES} bytes in a row group")
    content = bytearray(size_bytes)
    _fetch(file, ranges, memoryview(content))
    return bytes(content)


def _nullable(footer: Footer, chunk: Chunk) -> int:
    """How many levels of a column's path may be null.

    Raises:
        ThriftError: there are lists in it.
    """
    schema = pq.read_metadata(pa.BufferReader(MAGIC + footer.as_file())).schema
    (column,) = (one for one in map(schema.column, range(len(schema))) if one.path == chunk.leaf.path)
    if column.max_repetition_level:
        raise ThriftError(f"a column {chunk.leaf.path} with lists")
    return int(column.max_definition_level)


def _column_ranges(chunks: Sequence[Chunk]) -> list[tuple[int, int]]:
    """First byte and end of what some columns take; what lies next to each other is one range."""
    return _joined(sorted((chunk.start, chunk.stop) for chunk in chunks))


def _joined(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges with those in one that lie next to each other."""
    ranges: list[tuple[int, int]] = []
    for start, stop in places:
        if ranges and start - ranges[-1][1] <= _HOLE:
            first, last = ranges.pop()
            start, stop = first, max(last, stop)
        ranges.append((start, stop))
    return ranges


def _read_footer(file: IO[bytes], expected_bytes: int) -> Footer:
    """The footer, in one read where it is as long as expected. Arrow would guess that it is in the last 64 KiB, which
    may be masks.

    Raises:
        pa.ArrowInvalid, ThriftError: there is none.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    asked = min(size_bytes, max(_TAIL, min(expected_bytes, _MOST_EXPECTED)))
    file.seek(size_bytes - asked)
    tail = file.read(asked)
    length = int.from_bytes(tail[-_TAIL:-4], "little") + _TAIL
    if len(tail) < _TAIL or not tail.endswith(MAGIC) or length > size_bytes:
        raise pa.ArrowInvalid(f"no footer of Parquet at the end of its {size_bytes} bytes")
    if length > _LARGEST_FOOTER:
        raise pa.ArrowInvalid(f"a footer of {length} bytes")
    if length > len(tail):
        file.seek(size_bytes - length)
        tail = file.read(length - len(tail)) + tail
    return read_footer(tail[-length:-_TAIL], size_bytes, tail[:-length])
