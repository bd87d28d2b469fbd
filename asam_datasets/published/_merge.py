"""Columns that were read by pieces: the fields of structs, and of lists of them, put together again."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from asam_datasets.published._thrift import ThriftError


def merge_tables(tables: Sequence[pa.Table], schema: pa.Schema) -> pa.Table:
    """One table of the same rows of several, which share columns but no fields.

    Args:
        tables: each with the fields that it has of a column.
        schema: of all columns; the order of the result.

    Raises:
        ThriftError: they are not of the same rows: lists that ought to be one differ in their lengths.
    """
    if len(tables) == 1:
        return tables[0]
    arrays: dict[str, pa.Array] = {}
    for table in tables:
        for name in table.column_names:
            found = _whole(table.column(name))
            arrays[name] = _merge(arrays[name], found, schema.field(name).type) if name in arrays else found
    names = [name for name in schema.names if name in arrays]
    return pa.Table.from_arrays([arrays[name] for name in names], names)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _merge(one: pa.Array, other: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_struct(kind):
        return _merge_structs(one, other, kind)
    if not pa.types.is_list(kind):
        raise ThriftError(f"a column of {kind} whose pages differ")
    lengths = pc.fill_null(one.value_lengths(), 0)
    if not lengths.equals(pc.fill_null(other.value_lengths(), 0)):
        raise ThriftError("lists of other lengths in one column than in another")
    values = _merge(one.flatten(), other.flatten(), kind.value_type)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    field = kind.value_field.with_type(values.type)
    return pa.ListArray.from_arrays(offsets, values, type=pa.list_(field), mask=one.is_null())


def _merge_structs(one: pa.StructArray, other: pa.StructArray, kind: pa.StructType) -> pa.StructArray:
    found: dict[str, pa.Array] = {}
    for array in (one, other):
        for field, values in zip(array.type, array.flatten(), strict=True):
            before = found.get(field.name)
            found[field.name] = values if before is None else _merge(before, values, kind.field(field.name).type)
    fields = [field.with_type(found[field.name].type) for field in kind if field.name in found]
    return pa.StructArray.from_arrays([found[field.name] for field in fields], fields=fields, mask=one.is_null())
