"""One part of a published dataset, read in place: what is not asked for is not fetched."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from asam_datasets.builds import BUILD_FILE
from asam_datasets.errors import AsamDatasetsError, SourceError
from asam_datasets.published._location import Location, Published, open_location

_HOLE = 2**13
"""Bytes between two ranges that cost less than a request of their own."""

_TAIL = 8  # the length of the footer, and PAR1
_FOOTERS = 64
"""Footers that a reader keeps; each takes some 10 to 100 kB."""


@dataclass(frozen=True)
class PartFile:
    """One part, as a worker is told of it."""

    location: Location
    path: str
    label: str
    rows: int
    size_bytes: int
    row_groups: tuple[int, ...]

    @contextmanager
    def open(self) -> Iterator[pq.ParquetFile]:
        """The part, to be read row group by row group; what goes wrong meanwhile is one sentence.

        Raises:
            SourceError: the part is damaged, gone, or has another number of rows.
            HubError: the Hub refused, or was not reached.
        """
        published = open_location(self.location)
        with self._in_one_sentence(published), published.open(self.path) as file:
            parquet = pq.ParquetFile(file, pre_buffer=True)
            self._check(parquet.metadata)
            yield parquet

    def _check(self, footer: pq.FileMetaData) -> None:
        if footer.num_rows != self.rows:
            raise SourceError(
                f"expected {self.rows} rows as {BUILD_FILE} says, found {footer.num_rows}", where=self.label
            )
        found = tuple(footer.row_group(number).num_rows for number in range(footer.num_row_groups))
        if found != self.row_groups:
            raise SourceError(
                f"expected row groups of {self.row_groups} rows as {BUILD_FILE} says, found {found}", where=self.label
            )

    @contextmanager
    def _in_one_sentence(self, published: Published) -> Iterator[None]:
        try:
            yield
        except AsamDatasetsError:
            raise
        except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
            raise SourceError(
                f"expected a part of a published dataset, found: {error}",
                where=self.label,
                hint="Get the dataset again.",
            ) from None
        except FileNotFoundError:
            raise SourceError("expected a part that the dataset names, found none", where=self.label) from None
        except Exception as error:
            explained = published.explain(error)
            if isinstance(explained, OSError) and not isinstance(explained, AsamDatasetsError):  # Arrow raises them too
                said = str(explained).partition("\n")[0]
                raise SourceError(f"expected a part that can be read, found: {said}", where=self.label) from None
            raise explained from error


class GroupReader:
    """Reads row groups of the parts of one dataset, for one thread. It keeps the connection, and the footers it met.

    From the Hub, only the bytes of the columns asked for are fetched, and a failure that may pass is tried again.

    Args:
        log: gets a line when something is tried again.
    """

    def __init__(self, location: Location, log: Callable[[str], None] = lambda text: None) -> None:
        self._published = open_location(location, log)
        self._footers: dict[str, pq.FileMetaData] = {}

    def read(self, part: PartFile, group: int, columns: Sequence[str]) -> pa.Table:
        """Some columns of a row group (at most 32 MiB before compression).

        Raises:
            SourceError: the part is damaged, gone, or not what its manifest says.
            HubError: the Hub refused, or was not reached.
        """
        with part._in_one_sentence(self._published):
            return self._published.call(f"reading {part.path}", lambda: self._read(part, group, columns))

    def _read(self, part: PartFile, group: int, columns: Sequence[str]) -> pa.Table:
        with self._published.open(part.path, part.size_bytes) as file:
            if part.path not in self._footers:
                footer = _read_footer(file)
                part._check(footer)
                if len(self._footers) >= _FOOTERS:
                    self._footers.pop(next(iter(self._footers)))
                self._footers[part.path] = footer
            footer = self._footers[part.path]
            parquet = pq.ParquetFile(_fetch(file, _column_ranges(footer.row_group(group), columns)), metadata=footer)
            table = parquet.read_row_group(group, columns=list(columns), use_threads=False)
            for name in (name.split(".")[0] for name in columns):
                if name not in table.column_names:  # Arrow leaves it out without a word
                    hint = "Get the dataset again; `asam-datasets verify DATASET --deep` looks at every record."
                    raise SourceError(f"expected a column {name}, found none", where=part.label, hint=hint)
            return table


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
        file.seek(start)
        content = file.read(stop - start)
        if len(content) != stop - start:
            raise pa.ArrowInvalid(f"{len(content)} bytes at byte {start}, where {stop - start} should be")
        memory[start:stop] = np.frombuffer(content, np.uint8)
    return pa.BufferReader(pa.py_buffer(memory))


def _column_ranges(group: pq.RowGroupMetaData, columns: Sequence[str]) -> list[tuple[int, int]]:
    """First byte and end of what some columns (`annotations`) or their fields (`image.bytes`) take in a row group; what
    lies next to each other is one range."""
    ranges: list[tuple[int, int]] = []
    for column in (group.column(number) for number in range(group.num_columns)):
        if not any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in columns):
            continue
        start = column.dictionary_page_offset or column.data_page_offset
        stop = start + column.total_compressed_size
        if ranges and 0 <= start - ranges[-1][1] <= _HOLE:
            start = ranges.pop()[0]
        ranges.append((start, stop))
    return ranges


def _read_footer(file: IO[bytes]) -> pq.FileMetaData:
    """The footer and nothing else: Arrow guesses that it is in the last 64 KiB, which may be masks.

    Raises:
        pa.ArrowInvalid: there is none.
    """
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(max(0, size_bytes - _TAIL))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if len(tail) != _TAIL or not tail.endswith(b"PAR1") or length > size_bytes - _TAIL:
        raise pa.ArrowInvalid(f"no footer of Parquet at the end of its {size_bytes} bytes")
    file.seek(size_bytes - _TAIL - length)
    return pq.read_metadata(pa.BufferReader(file.read(length) + tail))
