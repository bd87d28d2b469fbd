"""The footer of a part: read and checked here, and written anew for Arrow.

Arrow looks into what a footer says at places where nothing catches its exceptions: damaged statistics end the process.
So it never sees a footer of anybody's making. Of one that `read_footer` gives it is known that

1. its schema is a tree of at most `_MOST_COLUMNS` columns with names in UTF-8, nested no deeper than `_DEEPEST`;
2. each row group has one chunk of each column, of the column's type, in this file, at a place within it.

What Arrow gets (`as_file`) is a file of one row group, without statistics, indexes and whatever else a footer may have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from asam_datasets.published._thrift import (
    Field,
    Items,
    Kind,
    Struct,
    ThriftError,
    get,
    get_structs,
    read_struct,
    write_struct,
)

MAGIC = b"PAR1"

_MOST_COLUMNS = 1000
_DEEPEST = 10
_KEPT_METADATA = (b"ARROW:schema", b"huggingface")
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 0}
"""Bytes of a value of each of Parquet's types, 0 for texts; type 7 has its own."""
_REQUIRED, _REPEATED = 0, 2
_FIXED, _MOST_FIXED = 7, 2**20
_CODECS = range(8)
_CHUNK_FIELDS = {
    1: Kind.I32, 2: Kind.LIST, 3: Kind.LIST, 4: Kind.I32, 5: Kind.I64, 6: Kind.I64, 7: Kind.I64, 9: Kind.I64,
}  # fmt: skip
VALUES, PACKED_BYTES, DATA_PLACE, DICTIONARY_PLACE = 5, 7, 9, 11
"""Fields of a chunk."""


class Leaf(NamedTuple):
    """A column of Parquet's: its path, such as `annotations.list.element.area`, its type, the bytes of a value, and how
    many levels of its path may be null (those of lists are), and how many are lists."""

    path: str
    kind: int
    width: int
    nullable: int
    lists: int


class _Node(NamedTuple):
    """A place in the schema, as `Leaf`, and how many children of it are to come."""

    path: list[str]
    nullable: int
    lists: int
    left: int


class Chunk(NamedTuple):
    """A column in a row group: what it is, where it lies, and how many values it has, nulls and empty lists too; and
    first byte and end of its index of pages, the same where it has none."""

    leaf: Leaf
    codec: int
    values: int
    start: int
    stop: int
    fields: Struct
    page_index: tuple[int, int] = (0, 0)

    @property
    def has_dictionary(self) -> bool:
        """Whether a page of a dictionary comes before those of the values."""
        field = self.fields.get(DICTIONARY_PLACE)
        return bool(field and field.value)


class Footer:
    """A checked footer.

    Args:
        fields: of the whole.
        size_bytes: of the file.
        before: what was read of the file before the footer; mostly the indexes of its pages.
        begins: where in the file the footer begins.

    Raises:
        ThriftError: see the module.
    """

    def __init__(self, fields: Struct, size_bytes: int, before: bytes = b"", begins: int = 0) -> None:
        self.before, self.begins = before, begins
        self._schema = get_structs(fields, 2)
        self._size_bytes = size_bytes
        self._groups = get_structs(fields, 4)
        self._metadata = [
            one
            for one in (get_structs(fields, 5) if 5 in fields else [])
            if get(one, 1, Kind.BINARY) in _KEPT_METADATA and get(one, 2, Kind.BINARY, b"")
        ]
        rows = [get(group, 3, Kind.I64) for group in self._groups]
        if any(not 0 <= count < 2**31 for count in rows):
            raise ThriftError("a row group with a number of rows that cannot be")
        self.row_groups = tuple(rows)

    @cached_property
    def leaves(self) -> list[Leaf]:
        """The columns, in the order of the schema.

        Raises:
            ThriftError: it is no such tree.
        """
        leaves: list[Leaf] = []
        elements = iter(self._schema)
        root = next(elements, {})
        opened = [_Node([], 0, 0, get(root, 5, Kind.I32))]
        for element in elements:
            while opened and not opened[-1].left:
                opened.pop()
            if not opened or len(opened) > _DEEPEST or len(leaves) >= _MOST_COLUMNS:
                raise ThriftError("a schema of too many columns, or nested too deeply")
            above = opened[-1]
            opened[-1] = above._replace(left=above.left - 1)
            children, repetition = get(element, 5, Kind.I32, 0), get(element, 3, Kind.I32)
            if children < 0 or not 0 <= repetition <= 2:
                raise ThriftError("a schema that is none")
            nullable, lists = above.nullable + (repetition != _REQUIRED), above.lists + (repetition == _REPEATED)
            node = _Node([*above.path, _name(element)], nullable, lists, children)
            if children:
                opened.append(node)
            else:
                leaves.append(_leaf(node, element))
        if any(node.left for node in opened) or not leaves:
            raise ThriftError("a schema that is cut")
        return leaves

    def chunks(self, group: int) -> list[Chunk]:
        """The columns of a row group.

        Raises:
            ThriftError: a column is missing, or lies elsewhere.
        """
        columns = get_structs(self._groups[group], 1)
        if len(columns) != len(self.leaves):
            raise ThriftError(f"a row group with {len(columns)} columns of {len(self.leaves)}")
        return [self._chunk(column, leaf) for column, leaf in zip(columns, self.leaves, strict=True)]

    def _chunk(self, column: Struct, leaf: Leaf) -> Chunk:
        if 1 in column:
            raise ThriftError("a column in another file")
        found: Struct = get(column, 3, Kind.STRUCT)
        fields = {number: Field(kind, get(found, number, kind)) for number, kind in _CHUNK_FIELDS.items()}
        if DICTIONARY_PLACE in found:
            fields[DICTIONARY_PLACE] = Field(Kind.I64, get(found, DICTIONARY_PLACE, Kind.I64))
        encodings, path = fields[2].value, fields[3].value
        if (encodings.values and encodings.kind != Kind.I32) or path.kind != Kind.BINARY:
            raise ThriftError("a column with another type in its fields")
        if fields[1].value != leaf.kind or b".".join(path.values) != leaf.path.encode():
            raise ThriftError(f"another column in the place of {leaf.path}")
        values, packed = fields[VALUES].value, fields[PACKED_BYTES].value
        starts = [
            fields[number].value
            for number in (DATA_PLACE, DICTIONARY_PLACE)
            if number in fields and fields[number].value
        ]
        start = min(starts, default=0)
        if not (0 <= start <= start + packed <= self._size_bytes and max(starts, default=0) <= start + packed):
            raise ThriftError(f"a column at bytes {start} to {start + packed} of a file of {self._size_bytes}")
        if not 0 <= values < 2**31 or fields[4].value not in _CODECS:
            raise ThriftError(f"a column with {values} values in codec {fields[4].value}")
        index, length = get(column, 4, Kind.I64, 0), get(column, 5, Kind.I32, 0)
        if not 0 <= index <= index + length <= self._size_bytes:
            raise ThriftError(f"an index at bytes {index} to {index + length} of a file of {self._size_bytes}")
        return Chunk(leaf, fields[4].value, values, start, start + packed, fields, (index, index + length))

    def as_file(self, chunks: Sequence[Chunk] = (), places: Mapping[str, int] | None = None, rows: int = 0) -> bytes:
        """The end of a file of one row group, or of none: its footer, and what stands behind that.

        Args:
            chunks: the columns of the row group, all of them.
            places: by its path, where the bytes of a column begin in that file; the others are not in it.
            rows: of the row group.
        """
        groups = []
        if chunks:
            columns = [_moved(chunk, (places or {}).get(chunk.leaf.path)) for chunk in chunks]
            groups.append(
                {1: Field(Kind.LIST, Items(Kind.STRUCT, columns)), 2: Field(Kind.I64, 0), 3: Field(Kind.I64, rows)}
            )
        fields = {
            1: Field(Kind.I32, 2),
            2: Field(Kind.LIST, Items(Kind.STRUCT, self._schema)),
            3: Field(Kind.I64, rows),
            4: Field(Kind.LIST, Items(Kind.STRUCT, groups)),
        }
        if self._metadata:
            fields[5] = Field(Kind.LIST, Items(Kind.STRUCT, self._metadata))
        content = write_struct(fields)
        return content + len(content).to_bytes(4, "little") + MAGIC


def read_footer(content: bytes, size_bytes: int, before: bytes = b"") -> Footer:
    """Read a footer.

    Args:
        content: its bytes, without the length and what is behind it.
        size_bytes: of the file that it is the end of.
        before: what was read of the file before it.

    Raises:
        ThriftError: there is none; see the module.
    """
    return Footer(read_struct(content)[0], size_bytes, before, size_bytes - len(content) - 8)


def _name(element: Struct) -> str:
    try:
        return str(get(element, 4, Kind.BINARY), "utf-8")
    except UnicodeDecodeError:
        raise ThriftError("a column whose name is not UTF-8") from None


def _leaf(node: _Node, element: Struct) -> Leaf:
    kind = get(element, 1, Kind.I32)
    width = get(element, 2, Kind.I32) if kind == _FIXED else _WIDTHS.get(kind)
    if width is None or (kind == _FIXED and not 0 < width <= _MOST_FIXED):
        raise ThriftError(f"a column of type {kind}")
    return Leaf(".".join(node.path), kind, width, node.nullable, node.lists)


def _moved(chunk: Chunk, place: int | None) -> Struct:
    """A column of the row group, as it is in a file where it begins elsewhere, or is not there at all."""
    fields = dict(chunk.fields)
    if place is None:
        fields.pop(DICTIONARY_PLACE, None)
        fields |= {number: Field(Kind.I64, 0) for number in (VALUES, PACKED_BYTES)}
        fields[DATA_PLACE] = Field(Kind.I64, len(MAGIC))
    else:
        for number in (DATA_PLACE, DICTIONARY_PLACE):
            if number in fields and fields[number].value:
                fields[number] = Field(Kind.I64, fields[number].value - chunk.start + place)
    return {2: Field(Kind.I64, 0), 3: Field(Kind.STRUCT, fields)}
