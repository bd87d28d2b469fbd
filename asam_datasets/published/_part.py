"""One part of a published dataset, read in place: what is not asked for is not fetched."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from asam_datasets.builds import BUILD_FILE, Build, Part
from asam_datasets.errors import AsamDatasetsError, SourceError
from asam_datasets.published._location import Location, open_location
from asam_datasets.published._pages import find_indexes, is_paged, pages_of, read_index, read_values

GET_AGAIN = "Get the dataset again; `asam-datasets verify DATASET --deep` looks at every record."
"""What to do about a dataset that does not hold what it should."""

_Result = TypeVar("_Result")
_HOLE = 2**13
"""Bytes between two ranges that cost less than a request of their own."""

_TAIL = 8  # the length of the footer, and PAR1
_MOST_EXPECTED = 2**18  # a manifest may say anything
_FOOTERS = 64
"""Footers that a reader keeps; each takes some 10 to 100 kB."""


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


@dataclass(frozen=True)
class _Footer:
    metadata: pq.FileMetaData
    row_groups: tuple[int, ...]
    tail: bytes
    """The last bytes of the part: the footer, and mostly the index of pages before it."""

    @cached_property
    def index_places(self) -> list[list[tuple[int, int]]]:
        """Where the index of pages of each column of each row group is."""
        return find_indexes(self.tail)


class GroupReader:
    """Reads row groups of the parts of one dataset, for one thread. It keeps the connection, and the footers it met.

    Only the bytes of the columns asked for are fetched. A failure that may pass is tried again; any other is one
    sentence.

    Args:
        log: gets a line when something is tried again.
    """

    def __init__(self, location: Location, log: Callable[[str], None] = lambda text: None) -> None:
        self._published = open_location(location, log)
        self._footers: dict[str, _Footer] = {}

    def schema(self, part: PartFile) -> pa.Schema:
        """The Arrow schema that the footer states, with its metadata.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._footer(part).metadata.schema.to_arrow_schema())

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
        metadata = self._reading(part, lambda: self._footer(part).metadata)
        leaves = _leaves(metadata)
        found = [name for name in columns if f"{name}.bytes" in leaves and f"{name}.path" in leaves]
        return [name for name in found if is_paged(metadata, group, leaves[f"{name}.bytes"])]

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
        except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
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
        ranges = _column_ranges(footer.metadata.row_group(group), columns)
        with self._published.open(part.path, part.size_bytes) as file:
            parquet = pq.ParquetFile(_fetch(file, ranges), metadata=footer.metadata)
        table = parquet.read_row_group(group, columns=list(columns), use_threads=False)
        for name in (name.split(".")[0] for name in columns):
            if name not in table.column_names:  # Arrow leaves it out without a word
                raise SourceError(f"expected a column {name}, found none", where=part.label, hint=GET_AGAIN)
        return table

    def _read_images(self, part: PartFile, group: int, column: str, rows: NDArray[np.int64]) -> list[bytes | None]:
        footer = self._footer(part)
        part.check_row_groups(footer.row_groups)
        number = _leaves(footer.metadata)[f"{column}.bytes"]
        start, stop = footer.index_places[group][number]
        before = part.size_bytes - len(footer.tail)
        with self._published.open(part.path, part.size_bytes) as file:
            index = footer.tail[start - before : stop - before] if start >= before else _read_range(file, start, stop)
            pages = pages_of(read_index(index, footer.row_groups[group]), rows)
            ranges = _joined([(page.start, page.stop) for page in pages])
            contents = [_read_range(file, *place) for place in ranges]
        nullable = footer.metadata.schema.column(number).max_definition_level
        values: dict[int, bytes | None] = {}
        for page in pages:
            at, content = next(
                (first, one) for (first, end), one in zip(ranges, contents, strict=True) if first <= page.start < end
            )
            found = read_values(content[page.start - at : page.stop - at], page, nullable)
            values.update(zip(range(page.first_row, page.last_row), found, strict=True))
        return [values[row] for row in rows.tolist()]

    def _footer(self, part: PartFile) -> _Footer:
        if part.path not in self._footers:
            with self._published.open(part.path, part.size_bytes) as file:
                metadata, tail = _read_footer(file, part.footer_bytes)
            if len(self._footers) >= _FOOTERS:
                self._footers.pop(next(iter(self._footers)))
            groups = tuple(metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
            self._footers[part.path] = _Footer(metadata, groups, tail)
        return self._footers[part.path]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _fetch(file: IO[bytes], ranges: Sequence[tuple[int, int]]) -> pa.BufferReader:
    """Some ranges of a file, in memory, under their own offsets; what is between them is never touched, so it takes
    addresses and no memory.

    Arrow reads any Python file in threads of its own, and a Python that ends while one of them still holds a piece is
    aborted: seen when a stream from the Hub was left after a few records. From memory it reads in this thread.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    memory = np.empty(size_bytes, np.uint8)
    for start, stop in ranges:
        if not 0 <= start <= stop <= size_bytes:  # a footer may say anything
            raise pa.ArrowInvalid(f"a column at bytes {start} to {stop} of a file of {size_bytes}")
        memory[start:stop] = np.frombuffer(_read_range(file, start, stop), np.uint8)
    return pa.BufferReader(pa.py_buffer(memory))


def _read_range(file: IO[bytes], start: int, stop: int) -> bytes:
    if not 0 <= start <= stop:
        raise pa.ArrowInvalid(f"bytes {start} to {stop}")
    file.seek(start)
    content = file.read(stop - start)
    if len(content) != stop - start:
        raise pa.ArrowInvalid(f"{len(content)} bytes at byte {start}, where {stop - start} should be")
    return content


def _leaves(metadata: pq.FileMetaData) -> dict[str, int]:
    """The number of each column by its path."""
    return {metadata.schema.column(number).path: number for number in range(metadata.num_columns)}


def _column_ranges(group: pq.RowGroupMetaData, columns: Sequence[str]) -> list[tuple[int, int]]:
    """First byte and end of what some columns (`annotations`) or their fields (`image.bytes`) take in a row group; what
    lies next to each other is one range."""
    ranges: list[tuple[int, int]] = []
    for column in (group.column(number) for number in range(group.num_columns)):
        if not any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in columns):
            continue
        start = column.dictionary_page_offset or column.data_page_offset
        ranges.append((start, start + column.total_compressed_size))
    return _joined(ranges)


def _joined(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges with those in one that lie next to each other."""
    joined: list[tuple[int, int]] = []
    for start, stop in ranges:
        if joined and 0 <= start - joined[-1][1] <= _HOLE:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return joined


def _read_footer(file: IO[bytes], expected_bytes: int) -> tuple[pq.FileMetaData, bytes]:
    """The footer, and the end of the file that was read for it, in one read where it is as long as expected. Arrow
    would guess that it is in the last 64 KiB, which may be masks.

    Raises:
        pa.ArrowInvalid: there is none.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    asked = min(size_bytes, max(_TAIL, min(expected_bytes, _MOST_EXPECTED)))
    file.seek(size_bytes - asked)
    tail = file.read(asked)
    length = int.from_bytes(tail[-_TAIL:-4], "little") + _TAIL
    if len(tail) < _TAIL or not tail.endswith(b"PAR1") or length > size_bytes:
        raise pa.ArrowInvalid(f"no footer of Parquet at the end of its {size_bytes} bytes")
    if length > len(tail):
        file.seek(size_bytes - length)
        tail = file.read(length - len(tail)) + tail
    return pq.read_metadata(pa.BufferReader(tail[-length:])), tail
