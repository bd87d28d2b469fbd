"""The fields that a catalog's table lacks, all at once: msgspec tells one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import inspect, structs


def missing_fields(kind: type[msgspec.Struct], table: Mapping[str, Any], place: str = "") -> Iterator[str]:
    """The required fields that a table does not have, and those that tables below it do not, by their places.

    What is there and of another type is left to msgspec.

    Args:
        kind: what the table is to be.
        place: of the table, with a dot at its end; empty for the outermost one.
    """
    for field in structs.fields(kind):
        name = field.encode_name
        if name in table:
            yield from _below(inspect.type_info(field.type), table[name], f"{place}{name}")
        elif field.required:
            yield f"{place}{name}"


def _below(kind: inspect.Type, value: Any, place: str) -> Iterator[str]:
    """What is missing in a value of a field."""
    options = list(_options(kind))
    if isinstance(value, list):
        items = [one.item_type for one in options if isinstance(one, inspect.VarTupleType | inspect.ListType)]
        for number, each in enumerate(value if len(items) == 1 else ()):
            yield from _below(items[0], each, f"{place}[{number}]")
    elif isinstance(value, Mapping):
        values = [one.value_type for one in options if isinstance(one, inspect.DictType)]
        for key, each in value.items() if len(values) == 1 else ():
            yield from _below(values[0], each, f"{place}.{key}")
        yield from _in_struct([one.cls for one in options if isinstance(one, inspect.StructType)], value, place)


def _in_struct(kinds: list[type[msgspec.Struct]], table: Mapping[str, Any], place: str) -> Iterator[str]:
    """What is missing in a table that is to be one of some structs, which their tag tells apart."""
    if len(kinds) == 1:
        yield from missing_fields(kinds[0], table, f"{place}.")
        return
    for kind in kinds:
        config = kind.__struct_config__
        tag_field = config.tag_field or ""
        if tag_field not in table:
            yield f"{place}.{tag_field}"
            return
        if table[tag_field] == config.tag:
            yield from missing_fields(kind, table, f"{place}.")


def _options(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The types that a value may have."""
    if isinstance(kind, inspect.Metadata):
        yield from _options(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for one in kind.types:
            yield from _options(one)
    else:
        yield kind
