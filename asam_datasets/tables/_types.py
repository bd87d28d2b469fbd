"""The types of columns, stated once: Arrow schema and features JSON derive from here.

The features JSON, kept in each file's metadata, is spelled the old way (`{"feature": ..., "_type": "Sequence"}` for a
list, `[{...}]` for a list of structs): with the newer `List` type `datasets` before 4 cannot read the file at all, and
every later version reads the old spelling. Only feature types that `datasets` has built in are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Scalar:
    """One value; `kind` is a dtype of `datasets.Value`."""

    kind: str

    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return {
            "string": pa.string(),
            "int32": pa.int32(),
            "int64": pa.int64(),
            "float64": pa.float64(),
            "bool": pa.bool_(),
        }[self.kind]

    def features(self) -> Any:
        """The entry of the features JSON."""
        return {"dtype": self.kind, "_type": "Value"}


@dataclass(frozen=True)
class Image:
    """An encoded image: its bytes; where it is `named`, the row's `file_name` is stored with them."""

    named: bool = False

    def arrow(self) -> pa.DataType:
        """The Arrow type: what `datasets.Image` stores."""
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})

    def features(self) -> Any:
        """The entry of the features JSON."""
        return {"_type": "Image"}


@dataclass(frozen=True)
class Many:
    """A list; `length` where every list has the same."""

    item: Scalar | Image | Many
    length: int = -1

    def arrow(self) -> pa.DataType:
        """The Arrow type: fixed-size where `length` is given."""
        return pa.list_(self.item.arrow(), self.length) if self.length >= 0 else pa.list_(self.item.arrow())

    def features(self) -> Any:
        """The entry of the features JSON, old spelling."""
        length = {"length": self.length} if self.length >= 0 else {}
        return {"feature": self.item.features(), **length, "_type": "Sequence"}


@dataclass(frozen=True)
class Structs:
    """A list of structs."""

    fields: Mapping[str, Scalar | Many | Struct]

    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return pa.list_(Struct(self.fields).arrow())

    def features(self) -> Any:
        """The entry of the features JSON, old spelling."""
        return [Struct(self.fields).features()]


@dataclass(frozen=True)
class Struct:
    """Named values."""

    fields: Mapping[str, Scalar | Many | Struct]

    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return pa.struct({name: field.arrow() for name, field in self.fields.items()})

    def features(self) -> Any:
        """The entry of the features JSON."""
        return {name: field.features() for name, field in self.fields.items()}


@dataclass(frozen=True)
class Column:
    """One column of a table; `meaning` goes into the card, with units and conventions."""

    type: Scalar | Image | Many | Structs
    label: str
    meaning: str


STRING, INT32, INT64, FLOAT64 = Scalar("string"), Scalar("int32"), Scalar("int64"), Scalar("float64")
BOOL = Scalar("bool")

SEGMENTATION = Struct({"size": Many(INT32, 2), "counts": STRING})
"""A mask as compressed COCO RLE, column-major: `size` is [height, width]."""

FULL_SIZE_MASKS = Column(
    Many(Image()), "list of Image", "1-bit PNG per annotation, in their order, at the image's full size"
)


def arrow_schema(table: Mapping[str, Column]) -> pa.Schema:
    """The Arrow schema of a table, with the features JSON as the metadata that `datasets` looks for."""
    info = {"info": {"features": features_json(table)}}
    return pa.schema(
        [pa.field(name, column.type.arrow()) for name, column in table.items()],
        metadata={"huggingface": json.dumps(info)},
    )


def features_json(table: Mapping[str, Column]) -> dict[str, Any]:
    """The features of a table as `datasets.Features.from_dict` takes them, in every version."""
    return {name: column.type.features() for name, column in table.items()}


def image_columns(table: Mapping[str, Column]) -> list[str]:
    """Parquet paths of the columns that hold bytes compressed already."""
    return [
        f"{name}.bytes" if isinstance(column.type, Image) else f"{name}.list.element.bytes"
        for name, column in table.items()
        if isinstance(column.type, Image) or (isinstance(column.type, Many) and isinstance(column.type.item, Image))
    ]
