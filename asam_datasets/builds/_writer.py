"""One part: rows in, a Parquet file out, atomically.

The file's bytes follow from the rows and from the versions of pyarrow, zlib-ng and rlemasklib alone. Image bytes are
stored plain: they are compressed already, and content-defined pages of plain bytes are what Xet finds again when a
caption changes. The other columns are zstd.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import UNSET

from asam_datasets.builds._digest import inputs_of
from asam_datasets.builds._manifest import Part
from asam_datasets.builds._statistics import Statistics, add_up, count_rows
from asam_datasets.images import orientation
from asam_datasets.tables import (
    AnyRow,
    Column,
    Kind,
    Scalar,
    arrow_schema,
    columns_of,
    image_columns,
    row_groups,
    to_table,
)

_ZSTD_LEVEL = 3


class _Hashing:
    """A file that hashes what is written into it, so that the part is read by nobody for its sha256."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.closed = False

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True


def write_part(
    path: Path, rows: Iterable[AnyRow], *, inputs: list[bytes], kind: Kind = "train", extra: Collection[str] = ()
) -> Part:
    """Write rows into a new file at `path`; it is there as a whole or not at all.

    Args:
        path: where the part goes; its name becomes `Part.file`.
        rows: the rows in order; read one row group at a time.
        inputs: filled by the iteration over `rows` with the digest of what each was made from; read at the end.
        kind: the table that the rows belong to.
        extra: the columns that they have besides those of the table.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    count = annotations = captions = turned = skipped = 0
    missing: Counter[str] = Counter()
    image_ids: list[tuple[int, int]] = []
    statistics = Statistics()
    columns = columns_of(kind, extra)
    try:
        with open(temporary, "wb") as file:
            sink = _Hashing(file)
            with _open_writer(sink, columns) as writer:
                for group in row_groups(rows):
                    writer.write_table(to_table(columns, group), row_group_size=len(group))
                    count += len(group)
                    annotations += sum(len(row.annotations) for row in group)
                    missing.update(_left_out(group))
                    statistics = add_up([statistics, count_rows(group)])
                    numbers = [row.image_id for row in group if isinstance(row.image_id, int)]
                    image_ids += [(min(numbers), max(numbers))] if numbers else []
                    turned += sum(row.image is not None and orientation(row.image) != 1 for row in group)
                    skipped += sum(getattr(row, "skipped", 0) for row in group)
                    captions += sum(getattr(row, "caption", None) is not None for row in group)
            file.flush()
            os.fsync(file.fileno())
        size_bytes = temporary.stat().st_size
        with open(temporary, "rb") as written:  # Arrow takes no path that is not UTF-8
            footer = pq.read_metadata(written)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return Part(
        path.name,
        count,
        [footer.row_group(number).num_rows for number in range(footer.num_row_groups)],
        size_bytes,
        sink.sha256.hexdigest(),
        inputs_of(inputs),
        annotations,
        captions,
        _column_bytes(footer, columns),
        dict(sorted(missing.items())),
        image_ids,
        turned,
        skipped,
        statistics,
    )


def _left_out(rows: Iterable[AnyRow]) -> Iterator[str]:
    """The field of each annotation that its source left out."""
    for row in rows:
        for annotation in row.annotations:
            for name in annotation.__struct_fields__:
                if getattr(annotation, name) is UNSET:
                    yield name


def _column_bytes(footer: pq.FileMetaData, table: Mapping[str, Column]) -> dict[str, int]:
    """Bytes of each column of the table in a file: what a reader of that column fetches."""
    sizes = dict.fromkeys(table, 0)
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        for column in (group.column(index) for index in range(group.num_columns)):
            sizes[column.path_in_schema.split(".")[0]] += column.total_compressed_size
    return sizes


def _open_writer(sink: _Hashing, table: Mapping[str, Column]) -> pq.ParquetWriter:
    schema = arrow_schema(table)
    plain = set(image_columns(table))
    columns = _leaf_columns(schema)
    compressed = [column for column in columns if column not in plain]
    return pq.ParquetWriter(
        pa.PythonFile(sink, "w"),
        schema,
        compression={column: "NONE" if column in plain else "ZSTD" for column in columns},
        compression_level=dict.fromkeys(compressed, _ZSTD_LEVEL),
        use_dictionary=False,
        # Statistics of images and runs would be copies of them in the footer.
        write_statistics=[
            name for name, column in table.items() if isinstance(column.type, Scalar) and name != "caption"
        ],
        write_page_index=True,
        use_content_defined_chunking=True,
        version="2.6",
    )


def _leaf_columns(schema: pa.Schema) -> list[str]:
    buffer = pa.BufferOutputStream()
    pq.ParquetWriter(buffer, schema).close()
    parquet = pq.ParquetFile(pa.BufferReader(buffer.getvalue())).schema
    return [parquet.column(index).path for index in range(len(parquet))]
