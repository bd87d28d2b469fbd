"""Thrift's compact protocol, as far as Parquet's headers use it: checked when it is read, canonical when it is written.

Of a struct that `read_struct` gives it is known that

1. its fields are in ascending order, each once, and each number fits into the type that it says;
2. lists and texts are no longer than the bytes that are left, and nothing is nested deeper than `DEEPEST`.

There are no maps in Parquet's headers; one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

DEEPEST = 12


class Kind(IntEnum):
    """The types of values."""

    TRUE = 1
    FALSE = 2
    BYTE = 3
    I16 = 4
    I32 = 5
    I64 = 6
    DOUBLE = 7
    BINARY = 8
    LIST = 9
    SET = 10
    STRUCT = 12


_WIDTHS = {Kind.BYTE: 8, Kind.I16: 16, Kind.I32: 32, Kind.I64: 64}
_TRUE, _FALSE, _BYTE, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 6, 7, 8, 9, 10, 12


class ThriftError(ValueError):
    """Bytes that are none of this."""


class Field(NamedTuple):
    """One value with its type; of a list, `value` is the type of its items and the items."""

    kind: int
    value: Any


Struct = dict[int, Field]
Bytes = bytes | memoryview


class Items(NamedTuple):
    """The value of a list."""

    kind: int
    values: list[Any]


def read_struct(data: Bytes, at: int = 0) -> tuple[Struct, int]:
    """Read a struct.

    Returns:
        Its fields by number, and the place behind it.

    Raises:
        ThriftError: there is none.
    """
    try:
        return _read_struct(data, at, 0)
    except IndexError:
        raise ThriftError("a header that is cut") from None


def get(struct: Struct, number: int, kind: Kind, default: Any = None) -> Any:
    """The value of a field; without `default` it has to be there.

    Raises:
        ThriftError: it is of another type, or not there.
    """
    field = struct.get(number)
    if field is None:
        if default is None:
            raise ThriftError(f"a header without its field {number}")
        return default
    if field.kind != kind:
        raise ThriftError(f"a header with another type in its field {number}")
    return field.value


def get_structs(struct: Struct, number: int) -> list[Struct]:
    """The structs of a list.

    Raises:
        ThriftError: the field is no such list.
    """
    items: Items = get(struct, number, Kind.LIST)
    if items.values and items.kind != Kind.STRUCT:
        raise ThriftError(f"a header with another type in its field {number}")
    return items.values


def write_struct(struct: Mapping[int, Field]) -> bytes:
    """The bytes of a struct; fields in the order of their numbers."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


def _read_struct(data: Bytes, at: int, depth: int) -> tuple[Struct, int]:
    if depth > DEEPEST:
        raise ThriftError("a header that is nested too deeply")
    fields: Struct = {}
    last = 0
    while head := data[at]:
        at += 1
        kind, step = head & 15, head >> 4
        if step:
            number = last + step
        else:
            number, at = _read_number(data, at, 16)
        if not last < number < 2**15:
            raise ThriftError("a header whose fields are in no order")
        last = number
        if kind in (_TRUE, _FALSE):
            fields[number] = Field(kind, kind == _TRUE)
        else:
            value, at = _read_value(data, at, kind, depth)
            fields[number] = Field(kind, value)
    return fields, at + 1


def _read_value(data: Bytes, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if _BYTE < kind <= _I64:
        return _read_number(data, at, _WIDTHS[Kind(kind)])
    if kind == _BINARY:
        length, at = _read_varint(data, at)
        return _take(data, at, length), at + length
    if kind == _STRUCT:
        return _read_struct(data, at, depth + 1)
    if kind in (_LIST, _SET):
        return _read_list(data, at, depth + 1)
    if kind in (_TRUE, _FALSE, _BYTE):  # in a list, a bool takes a byte
        return data[at], at + 1
    if kind == _DOUBLE:
        return _take(data, at, 8), at + 8
    raise ThriftError(f"a header with a value of type {kind}")


def _read_list(data: Bytes, at: int, depth: int) -> tuple[Items, int]:
    if depth > DEEPEST:
        raise ThriftError("a header that is nested too deeply")
    head = data[at]
    kind, count, at = head & 15, head >> 4, at + 1
    if count == 15:
        count, at = _read_varint(data, at)
    if count > len(data) - at:
        raise ThriftError("a header with a list that is longer than itself")
    values = []
    for _ in range(count):
        value, at = _read_value(data, at, kind, depth)
        values.append(value)
    return Items(kind, values), at


def _take(data: Bytes, at: int, length: int) -> bytes:
    if length > len(data) - at:
        raise ThriftError("a header with a text that is longer than itself")
    return bytes(data[at : at + length])


def _read_varint(data: Bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 128:
        return byte, at + 1
    number, shift = byte & 127, 7
    while True:
        at += 1
        byte = data[at]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at + 1
        shift += 7
        if shift > 63:
            raise ThriftError("a header with a number that is too long")


def _read_number(data: Bytes, at: int, width: int) -> tuple[int, int]:
    found, at = _read_varint(data, at)
    if found >> width:
        raise ThriftError(f"a header with a number of more than {width} bits")
    return (found >> 1) ^ -(found & 1), at


def _write_struct(out: bytearray, struct: Mapping[int, Field]) -> None:
    last = 0
    for number, (kind, value) in sorted(struct.items()):
        if number - last < 16:
            out.append(number - last << 4 | kind)
        else:
            out.append(kind)
            _write_number(out, number)
        last = number
        if kind not in (_TRUE, _FALSE):
            _write_value(out, kind, value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if _BYTE < kind <= _I64:
        _write_number(out, value)
    elif kind == _BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == _STRUCT:
        _write_struct(out, value)
    elif kind in (_LIST, _SET):
        count = len(value.values)
        out.append(min(count, 15) << 4 | value.kind)
        if count >= 15:
            _write_varint(out, count)
        for item in value.values:
            _write_value(out, value.kind, item)
    elif kind == _DOUBLE:
        out += value
    else:
        out.append(value)


def _write_varint(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _write_number(out: bytearray, number: int) -> None:
    _write_varint(out, number << 1 if number >= 0 else (-number << 1) - 1)
