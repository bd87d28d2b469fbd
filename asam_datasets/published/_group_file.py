"""Some columns of a row group, of all rows or of some, as a Parquet file of its own in memory, for Arrow to read.

Of a column that has an index of pages only those pages are fetched that have any of the rows; for the rows between
them, pages of nulls are put in, so that all columns are of one length, however their pages are cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from asam_datasets.published._byte_ranges import MOST_BYTES, Fetched, Range, fetch, joined
from asam_datasets.published._footer import (
    DATA_PLACE,
    DICTIONARY_PLACE,
    MAGIC,
    PACKED_BYTES,
    VALUES,
    Chunk,
    Footer,
    Leaf,
)
from asam_datasets.published._merge import merge_tables
from asam_datasets.published._page_index import Page, index_of, pages_of, split_values, values_of
from asam_datasets.published._pages import decoded_bytes
from asam_datasets.published._thrift import Field, Kind, Struct, ThriftError, write_struct

_SPARE = 16
"""One byte in so many may be one that nobody asked for, where that saves requests."""

_DATA_PAGE_V2, _PLAIN = 3, 0


def read_whole(file: Any, footer: Footer, group: int, columns: Sequence[str]) -> pa.Table:
    """Some columns of a row group.

    Arrow reads any Python file in threads of its own, and a Python that ends while one of them still holds a piece is
    aborted: seen when a stream from the Hub was left after a few records. From memory it reads in this thread.

    Raises:
        ThriftError: a column is damaged, or takes too much memory.
        pa.ArrowInvalid: the file is shorter than its footer says, and whatever Arrow finds wrong.
    """
    chunks = footer.chunks(group)
    asked = [chunk for chunk in chunks if _is_asked(chunk, columns)]
    return _read(pa.py_buffer(_whole(file, footer, chunks, asked, footer.row_groups[group])[0]), columns)


def read_apart(
    file: Any, footer: Footer, group: int, columns: Sequence[str], apart: Sequence[str]
) -> tuple[pa.Table, dict[str, list[memoryview | None]]]:
    """As `read_whole`, in one go as well; but encoded images are not copied into the table, nor anywhere.

    Args:
        columns: all of them.
        apart: those of images, of which `is_paged` knows the bytes.

    Returns:
        The table, with only the paths of those images; and by column the images of all rows, where they lie in what was
        read of the file. A column whose pages are not as ours is in the table as it is.

    Raises:
        ThriftError, pa.ArrowInvalid: as `read_whole`.
    """
    chunks, count = footer.chunks(group), footer.row_groups[group]
    asked = [chunk for chunk in chunks if _is_asked(chunk, columns)]
    memory, places = _whole(file, footer, chunks, asked, count)
    content, found = memory.data.toreadonly(), dict[str, list[memoryview | None]]()
    for chunk in asked:
        name, _, field = chunk.leaf.path.rpartition(".")
        if name in apart and field == "bytes":
            with suppress(ThriftError):
                moved = places[chunk.leaf.path] - chunk.start
                found[name] = [
                    value
                    for page in index_of(file, footer, chunk, count)
                    for value in split_values(
                        content[page.start + moved : page.stop + moved], page, chunk.leaf.nullable
                    )
                ]
    return _read(pa.py_buffer(memory), [f"{name}.path" if name in found else name for name in columns]), found


def read_some(file: Any, footer: Footer, group: int, columns: Sequence[str], rows: NDArray[np.int64]) -> pa.Table:
    """Some rows of some columns of a row group, in the order in which they are given.

    Raises:
        ThriftError, pa.ArrowInvalid: as `read_whole`.
    """
    chunks, count = footer.chunks(group), footer.row_groups[group]
    asked = [chunk for chunk in chunks if _is_asked(chunk, columns)]
    pages = {one.leaf.path: _pages(file, footer, one, rows, count) for one in asked}
    content = _some(file, footer, chunks, asked, pages, count)
    # Of the rows between, one column of a list has values where another has none, and Arrow takes only equal ones.
    alike: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for path, mine in pages.items():
        cut = ((0, count),) if mine is None else tuple((page.first_row, page.last_row) for page in mine)
        alike.setdefault(cut, []).append(path)
    tables = [_read(content, paths).take(pa.array(rows)) for paths in alike.values()]
    return merge_tables(tables, arrow_schema(footer)) if tables else _read(content, columns)


def _read(content: pa.Buffer, columns: Sequence[str]) -> pa.Table:
    parquet = pq.ParquetFile(pa.BufferReader(content))
    return parquet.read_row_group(0, columns=list(columns), use_threads=False)


def arrow_schema(footer: Footer) -> pa.Schema:
    """The Arrow schema that a footer states, with its metadata."""
    return pq.read_metadata(pa.BufferReader(MAGIC + footer.as_file())).schema.to_arrow_schema()


def column_bytes(footer: Footer, group: int, columns: Sequence[str]) -> dict[str, int]:
    """How many bytes some columns take in a row group."""
    chunks = footer.chunks(group)
    return {name: sum(one.stop - one.start for one in chunks if _is_asked(one, [name])) for name in columns}


def _is_asked(chunk: Chunk, columns: Sequence[str]) -> bool:
    """Whether a column of Parquet's belongs to some columns (`annotations`) or their fields (`image.bytes`)."""
    return any(f"{chunk.leaf.path}.".startswith(f"{name}.") for name in columns)


def _whole(
    file: Any, footer: Footer, chunks: Sequence[Chunk], asked: Sequence[Chunk], count: int
) -> tuple[NDArray[np.uint8], dict[str, int]]:
    """A file of these columns, and where in it each of them begins."""
    ranges = joined(sorted((chunk.start, chunk.stop) for chunk in asked))
    if sum(stop - start for start, stop in ranges) > MOST_BYTES:
        raise ThriftError(f"columns of more than {MOST_BYTES} bytes in a row group")
    places: dict[str, int] = {}
    size_bytes = len(MAGIC)
    for start, stop in ranges:
        mine = [chunk for chunk in asked if start <= chunk.start and chunk.stop <= stop]
        places.update((chunk.leaf.path, size_bytes + chunk.start - start) for chunk in mine)
        size_bytes += stop - start
    end = footer.as_file(chunks, places, count)
    memory = np.empty(size_bytes + len(end), np.uint8)  # in large pages, where the system has them
    content = memory.data
    content[: len(MAGIC)], content[size_bytes:] = MAGIC, end
    fetch(file, ranges, content[len(MAGIC) : size_bytes])
    _check_room(content, asked, places)
    return memory, places


def _some(
    file: Any,
    footer: Footer,
    chunks: Sequence[Chunk],
    asked: Sequence[Chunk],
    pages: Mapping[str, list[Page] | None],
    count: int,
) -> pa.Buffer:
    wanted = sorted(place for chunk in asked for place in _places(chunk, pages[chunk.leaf.path]))
    spare = sum(stop - start for start, stop in wanted) // _SPARE
    found = Fetched(file, joined(wanted, spare))
    content, places, cut = bytearray(MAGIC), dict[str, int](), dict[str, Chunk]()
    for chunk in asked:
        path, start, values = chunk.leaf.path, len(content), chunk.values
        if (mine := pages[path]) is None:
            content += found[chunk.start : chunk.stop]
        else:
            values = 0
            for piece, length in _filled(mine, found, chunk.leaf, count):
                content += piece
                values += length
        places[path] = start
        cut[path] = _cut(chunk, start, len(content), values) if mine is not None else chunk
        if len(content) > MOST_BYTES:
            raise ThriftError(f"columns of more than {MOST_BYTES} bytes in a row group")
    _check_room(memoryview(content), list(cut.values()), places)
    content += footer.as_file([cut.get(chunk.leaf.path, chunk) for chunk in chunks], places, count)
    return pa.py_buffer(content)


def _check_room(content: memoryview, chunks: Sequence[Chunk], places: Mapping[str, int]) -> None:
    room = MOST_BYTES
    for chunk in chunks:
        room -= decoded_bytes(content, chunk, places[chunk.leaf.path], room)


def _pages(file: Any, footer: Footer, chunk: Chunk, rows: NDArray[np.int64], count: int) -> list[Page] | None:
    """The pages that have the rows; None where the column has to be read as a whole."""
    if not chunk.leaf.nullable or chunk.has_dictionary or chunk.page_index[0] == chunk.page_index[1]:
        return None
    return pages_of(index_of(file, footer, chunk, count), rows)


def _places(chunk: Chunk, pages: Sequence[Page] | None) -> list[Range]:
    return [(chunk.start, chunk.stop)] if pages is None else [(page.start, page.stop) for page in pages]


def _filled(pages: Sequence[Page], found: Fetched, leaf: Leaf, count: int) -> Iterator[tuple[bytes | memoryview, int]]:
    """The pages of a column of `count` rows with nulls between them, each with the number of its values."""
    row = 0
    for page in pages:
        if page.first_row > row:
            yield _nulls(page.first_row - row, leaf), page.first_row - row
        content = found[page.start : page.stop]
        yield content, values_of(content)
        row = page.last_row
    if row < count:
        yield _nulls(count - row, leaf), count - row


def _nulls(count: int, leaf: Leaf) -> bytes:
    """A page of so many rows whose outermost value is null."""
    run = bytearray()
    number = count << 1
    while number > 127:
        run.append(number & 127 | 128)
        number >>= 7
    run += bytes([number, 0])
    lists = bytes(run) if leaf.lists else b""
    data: Struct = {
        1: Field(Kind.I32, count),
        2: Field(Kind.I32, count),
        3: Field(Kind.I32, count),
        4: Field(Kind.I32, _PLAIN),
        5: Field(Kind.I32, len(run)),
        6: Field(Kind.I32, len(lists)),
        7: Field(Kind.FALSE, False),
    }
    size = Field(Kind.I32, len(lists) + len(run))
    header = {1: Field(Kind.I32, _DATA_PAGE_V2), 2: size, 3: size, 8: Field(Kind.STRUCT, data)}
    return write_struct(header) + lists + bytes(run)


def _cut(chunk: Chunk, start: int, stop: int, values: int) -> Chunk:
    """A column as it is in the new file."""
    fields = {number: field for number, field in chunk.fields.items() if number != DICTIONARY_PLACE}
    for number, value in ((VALUES, values), (PACKED_BYTES, stop - start), (DATA_PLACE, start)):
        fields[number] = Field(Kind.I64, value)
    return chunk._replace(start=start, stop=stop, values=values, fields=fields)
