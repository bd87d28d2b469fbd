"""One part of a published dataset, read in place: what is not asked for is not fetched."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asam_datasets.builds import BUILD_FILE, Build, Part
from asam_datasets.errors import AsamDatasetsError, SourceError
from asam_datasets.published._byte_ranges import MOST_BYTES, Fetched, joined
from asam_datasets.published._footer import MAGIC, Footer, read_footer
from asam_datasets.published._group_file import arrow_schema, column_bytes, read_apart, read_some, read_whole
from asam_datasets.published._location import Location, open_location
from asam_datasets.published._page_index import index_of, is_paged, is_worth_walking, pages_of, read_values, walk_values
from asam_datasets.published._thrift import ThriftError

GET_AGAIN = "Get the dataset again; `asam-datasets verify DATASET --deep` looks at every record."
"""What to do about a dataset that does not hold what it should."""

_Result = TypeVar("_Result")
_TAIL = 8  # the length of the footer, and PAR1
_MOST_EXPECTED = 2**18  # a manifest may say anything
_LARGEST_FOOTER = 2**22
_FOOTERS = 64
"""Footers that a reader keeps; each takes some 10 to 100 kB in the file."""


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


class Footers:
    """Footers of parts: each is read by one thread, while others that need it wait. The last ones are kept.

    In another process, forked or not, it begins anew: its locks may be held there by threads that are not.
    """

    def __init__(self) -> None:
        self._begin()

    def __reduce__(self) -> tuple[type[Footers], tuple[()]]:
        return Footers, ()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, Footer] = {}
        self._reading: dict[str, threading.Lock] = {}
        self._process = os.getpid()  # last: who sees it may use the lock

    def get(self, path: str, read: Callable[[], Footer]) -> Footer:
        """The footer of a part, by `read` where it is not known."""
        if self._process != os.getpid():
            self._begin()
        with self._lock:
            reading = self._reading.setdefault(path, threading.Lock())
        with reading:
            footer = self._found.get(path) or read()
            with self._lock:
                self._found.pop(path, None)
                self._found[path] = footer
                if len(self._found) > _FOOTERS:
                    oldest = next(iter(self._found))
                    del self._found[oldest]
                    self._reading.pop(oldest, None)
        return footer


class GroupReader:
    """Reads row groups of the parts of one dataset, in any thread. It keeps the connection, and the footers it met.

    Only the bytes of the columns asked for are fetched. A failure that may pass is tried again; any other is one
    sentence.

    Args:
        log: gets a line when something is tried again.
        footers: those that another reader of the same dataset met, and will meet.
    """

    def __init__(
        self, location: Location, log: Callable[[str], None] = lambda text: None, footers: Footers | None = None
    ) -> None:
        self._published = open_location(location, log)
        self._footers = Footers() if footers is None else footers

    def schema(self, part: PartFile) -> pa.Schema:
        """The Arrow schema that the footer states, with its metadata.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: arrow_schema(self._footer(part)))

    def row_groups(self, part: PartFile) -> tuple[int, ...]:
        """The rows of each row group, as the footer states them.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._footer(part).row_groups)

    def read(
        self, part: PartFile, group: int, columns: Sequence[str], rows: NDArray[np.int64] | None = None
    ) -> pa.Table:
        """Some columns of a row group (at most 32 MiB before compression).

        Args:
            columns: names (`annotations`), or dotted paths in Parquet's words (`annotations.list.element.area`).
            rows: which, in any order; only the pages that have them are fetched. All by default.

        Raises:
            SourceError: the part is damaged, gone, or not what its manifest says.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._read(part, group, columns, rows))

    def column_bytes(self, part: PartFile, group: int, columns: Sequence[str]) -> dict[str, int]:
        """How many bytes some columns take in a row group of the part; named as for `read`.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: column_bytes(self._footer(part), group, columns))

    def paged(self, part: PartFile, group: int, columns: Sequence[str]) -> list[str]:
        """Those of some columns whose images can be read without the others of the row group.

        Raises:
            SourceError: the part is damaged or gone.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: _paged(self._footer(part), group, columns))

    def read_images(
        self, part: PartFile, group: int, column: str, rows: NDArray[np.int64], *, walk: bool = False
    ) -> list[bytes | None]:
        """Some encoded images of a row group, and no others but those that share a page with them.

        Args:
            column: one that `paged` names.
            rows: which, in any order.
            walk: whether images that share a page with others are fetched without those, where that saves much: it
                takes a request for each image before them in the page, one after the other.

        Raises:
            SourceError: the part is damaged, gone, or not what its manifest says.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._read_images(part, group, column, rows, walk))

    def read_with_images(
        self, part: PartFile, group: int, columns: Sequence[str]
    ) -> tuple[pa.Table, dict[str, list[memoryview | None]]]:
        """As `read` for all rows, with the images apart that could be read by themselves: they are not copied.

        Returns:
            The table, which has of those images' columns only the paths; and by column the encoded images of all rows.
            As long as one of them is kept, all that was read is.

        Raises:
            SourceError: the part is damaged, gone, or not what its manifest says.
            HubError: the Hub refused, or was not reached.
        """
        return self._reading(part, lambda: self._read_with_images(part, group, columns))

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

    def _read(self, part: PartFile, group: int, columns: Sequence[str], rows: NDArray[np.int64] | None) -> pa.Table:
        footer = self._footer(part)
        part.check_row_groups(footer.row_groups)
        with self._published.open(part.path, part.size_bytes) as file:
            if rows is None:
                table = read_whole(file, footer, group, columns)
            else:
                table = read_some(file, footer, group, columns, rows)
        _check_columns(table, columns, part)
        return table

    def _read_with_images(
        self, part: PartFile, group: int, columns: Sequence[str]
    ) -> tuple[pa.Table, dict[str, list[memoryview | None]]]:
        footer = self._footer(part)
        part.check_row_groups(footer.row_groups)
        with self._published.open(part.path, part.size_bytes) as file:
            table, images = read_apart(file, footer, group, columns, _paged(footer, group, columns))
        _check_columns(table, columns, part)
        return table, images

    def _read_images(
        self, part: PartFile, group: int, column: str, rows: NDArray[np.int64], walk: bool
    ) -> list[bytes | None]:
        footer = self._footer(part)
        part.check_row_groups(footer.row_groups)
        (chunk,) = (one for one in footer.chunks(group) if one.leaf.path == f"{column}.bytes")
        if chunk.leaf.lists:
            raise ThriftError(f"a column {chunk.leaf.path} with lists")
        values: dict[int, bytes | None] = {}
        with self._published.open(part.path, part.size_bytes) as file:
            pages = pages_of(index_of(file, footer, chunk, footer.row_groups[group]), rows)
            mine = {page: np.unique(rows[(rows >= page.first_row) & (rows < page.last_row)]) for page in pages}
            walked = [page for page in pages if walk and is_worth_walking(page, mine[page])]
            whole = [page for page in pages if page not in walked]
            found = Fetched(file, joined([(page.start, page.stop) for page in whole]))
            room = MOST_BYTES

            def read(start: int, stop: int) -> memoryview:
                nonlocal room
                room -= stop - start
                if room < 0:
                    raise ThriftError(f"images of more than {MOST_BYTES} bytes in a row group")
                return Fetched(file, [(start, stop)])[start:stop]

            for page in walked:
                values |= walk_values(read, page, mine[page], chunk.leaf.nullable)
        for page in whole:
            content = read_values(found[page.start : page.stop], page, chunk.leaf.nullable)
            values.update(zip(range(page.first_row, page.last_row), content, strict=True))
        return [values[row] for row in rows.tolist()]

    def _footer(self, part: PartFile) -> Footer:
        def read() -> Footer:
            with self._published.open(part.path, part.size_bytes) as file:
                return _read_footer(file, part.footer_bytes)

        return self._footers.get(part.path, read)


def _paged(footer: Footer, group: int, columns: Sequence[str]) -> list[str]:
    chunks = {one.leaf.path: one for one in footer.chunks(group)}
    found = [name for name in columns if f"{name}.bytes" in chunks and f"{name}.path" in chunks]
    return [name for name in found if is_paged(chunks[f"{name}.bytes"])]


def _check_columns(table: pa.Table, columns: Sequence[str], part: PartFile) -> None:
    for name in (name.split(".")[0] for name in columns):
        if name not in table.column_names:  # Arrow leaves it out without a word
            raise SourceError(f"expected a column {name}, found none", where=part.label, hint=GET_AGAIN)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


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
