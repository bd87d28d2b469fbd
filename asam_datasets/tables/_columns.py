"""Columns of Arrow out of Python values, and rows cut into row groups: what the tables share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from msgspec import UNSET

from asam_datasets.tables._schema import Many, Scalar, Struct

MAX_ROW_GROUP_BYTES = 32 * 2**20
"""What a row group holds at most before compression: a reader keeps one in memory per open file."""

NUMBERS_BYTES = 140
"""What an annotation's numbers and offsets take in Arrow, about."""


class Sized(Protocol):
    """A rendered row of any table."""

    def size_bytes(self) -> int:
        """About how many bytes the row takes in Arrow."""


AnyRow = TypeVar("AnyRow", bound=Sized)


def row_groups(rows: Iterable[AnyRow]) -> Iterator[list[AnyRow]]:
    """Cut rows into groups of at most `MAX_ROW_GROUP_BYTES` (one row at least). Holds one group at a time."""
    group: list[AnyRow] = []
    filled = 0
    for row in rows:
        size = row.size_bytes()
        if group and filled + size > MAX_ROW_GROUP_BYTES:
            yield group
            group, filled = [], 0
        group.append(row)
        filled += size
    if group:
        yield group


def image_array(contents: Sequence[bytes | None], names: Sequence[str] | None = None) -> pa.StructArray:
    """Encoded images as `datasets.Image` stores them, with their file names where they have some; None is null."""
    paths = pa.nulls(len(contents), pa.string()) if names is None else pa.array(names, pa.string())
    missing = pa.array([content is None for content in contents], pa.bool_()) if None in contents else None
    return pa.StructArray.from_arrays([pa.array(contents, pa.binary()), paths], ["bytes", "path"], mask=missing)


def list_array(lengths: Sequence[int], values: pa.Array) -> pa.ListArray:
    """Lists of these lengths out of their values, one list after the other."""
    return pa.ListArray.from_arrays(_offsets(lengths), values)


def struct_array(fields: Mapping[str, Scalar | Many | Struct], values: Sequence[Any]) -> pa.StructArray:
    """Objects with these attributes as structs, by columns; `UNSET` and None become null."""
    arrays = [
        struct_array(kind.fields, [getattr(value, name) for value in values])
        if isinstance(kind, Struct)
        else _column(kind, [getattr(value, name) for value in values])
        for name, kind in fields.items()
    ]
    return pa.StructArray.from_arrays(arrays, list(fields))


def _offsets(lengths: Sequence[int]) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.array(offsets)


def _column(kind: Scalar | Many | Struct, values: list[Any]) -> pa.Array:
    """A column of an annotation; `UNSET` becomes null."""
    if any(value is UNSET for value in values):
        return pa.array([None if value is UNSET else value for value in values], kind.arrow())
    if isinstance(kind, Many) and isinstance(kind.item, Scalar) and values:
        # Tuples of one length: numpy flattens them ten times faster than Arrow converts them one by one.
        matrix = np.asarray(values, kind.item.kind)
        flat = pa.array(matrix.reshape(-1), kind.item.arrow())
        if kind.length > 0:
            return pa.FixedSizeListArray.from_arrays(flat, kind.length)
        return list_array([matrix.shape[1]] * len(values), flat)
    return pa.array(values, kind.arrow())
