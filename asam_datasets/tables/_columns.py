"""Rows to Arrow: one function makes a table of rows of any kind, column by column.

A rendered row has a field for each column of its table, under the column's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from msgspec import UNSET

from asam_datasets.tables._types import Column, Image, Many, Scalar, Struct, Structs, arrow_schema

MAX_ROW_GROUP_BYTES = 32 * 2**20
"""What a row group holds at most before compression: a reader keeps one in memory per open file."""

_NUMBERS_BYTES = 140  # what an annotation's numbers and offsets take in Arrow, about
_ROW_BYTES = 64  # and those of a row

AnyRow = TypeVar("AnyRow")


def row_bytes(row: Any) -> int:
    """About how many bytes a row takes in Arrow: what row groups are bounded by."""
    images = len(row.image or b"") + len(getattr(row, "conditioning_image", b"")) + sum(map(len, row.masks))
    text = sum(len(annotation.segmentation.counts) for annotation in row.annotations)
    return images + text + _NUMBERS_BYTES * len(row.annotations) + _ROW_BYTES


def row_groups(rows: Iterable[AnyRow]) -> Iterator[list[AnyRow]]:
    """Cut rows into groups of at most `MAX_ROW_GROUP_BYTES` (one row at least). Holds one group at a time."""
    group: list[AnyRow] = []
    filled = 0
    for row in rows:
        size = row_bytes(row)
        if group and filled + size > MAX_ROW_GROUP_BYTES:
            yield group
            group, filled = [], 0
        group.append(row)
        filled += size
    if group:
        yield group


def to_table(columns: Mapping[str, Column], rows: Sequence[Any]) -> pa.Table:
    """Make the Arrow table of some rows.

    Args:
        columns: those of the table, in their order.
        rows: objects with an attribute for each column.
    """
    arrays = [_array(column.type, [getattr(row, name) for row in rows], rows) for name, column in columns.items()]
    return pa.Table.from_arrays(arrays, schema=arrow_schema(columns))


def _array(kind: Scalar | Image | Many | Structs, values: list[Any], rows: Sequence[Any]) -> pa.Array:
    if isinstance(kind, Image):
        return _images(values, [row.file_name for row in rows] if kind.named else None)
    if isinstance(kind, Structs):
        return _lists(values, _structs(kind.fields, [one for value in values for one in value]))
    if isinstance(kind, Many) and isinstance(kind.item, Image):
        return _lists(values, _images([one for value in values for one in value]))
    return _plain(kind, values)


def _images(contents: Sequence[bytes | None], names: Sequence[str] | None = None) -> pa.StructArray:
    """Encoded images as `datasets.Image` stores them, with their file names where they have some; None is null."""
    paths = pa.nulls(len(contents), pa.string()) if names is None else pa.array(names, pa.string())
    missing = pa.array([content is None for content in contents], pa.bool_()) if None in contents else None
    return pa.StructArray.from_arrays([pa.array(contents, pa.binary()), paths], ["bytes", "path"], mask=missing)


def _lists(values: Sequence[Sequence[Any]], flat: pa.Array) -> pa.ListArray:
    """Lists of the lengths of `values` out of what they hold, one list after the other."""
    return pa.ListArray.from_arrays(_offsets([len(value) for value in values]), flat)


def _structs(fields: Mapping[str, Scalar | Many | Struct], values: Sequence[Any]) -> pa.StructArray:
    """Objects with these attributes as structs, by columns; `UNSET` and None become null."""
    arrays = [
        _structs(kind.fields, [getattr(value, name) for value in values])
        if isinstance(kind, Struct)
        else _plain(kind, [getattr(value, name) for value in values])
        for name, kind in fields.items()
    ]
    return pa.StructArray.from_arrays(arrays, list(fields))


def _offsets(lengths: Sequence[int]) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.array(offsets)


def _plain(kind: Scalar | Many, values: list[Any]) -> pa.Array:
    """A column of values, or of tuples of them; `UNSET` becomes null."""
    if any(value is UNSET for value in values):
        return pa.array([None if value is UNSET else value for value in values], kind.arrow())
    if isinstance(kind, Many) and isinstance(kind.item, Scalar) and values:
        # Tuples of one length: numpy flattens them ten times faster than Arrow converts them one by one.
        matrix = np.asarray(values, kind.item.kind)
        flat = pa.array(matrix.reshape(-1), kind.item.arrow())
        if kind.length > 0:
            return pa.FixedSizeListArray.from_arrays(flat, kind.length)
        return pa.ListArray.from_arrays(_offsets([matrix.shape[1]] * len(values)), flat)
    return pa.array(values, kind.arrow())
