"""Records to Arrow: every record is rendered once, and a table is made by columns.

`render` is the one place where masks become PNG; `to_table` the one place where rows become Arrow. The writer, the
builder and the readers of other programs all go through these two.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UNSET

from asam_datasets.masks import PngEncoder
from asam_datasets.schema import ANNOTATION, TRAIN, Many, Scalar, Struct, arrow_schema
from asam_datasets.sources import Annotation, ImageInfo, Record

MAX_ROW_GROUP_BYTES = 32 * 2**20
"""What a row group holds at most before compression: a reader keeps one in memory per open file."""

NUMBERS_BYTES = 140
"""What an annotation's numbers and offsets take in Arrow, about."""


class Row(msgspec.Struct, frozen=True):
    """One rendered row of the `train` table. It can be written to disk by msgspec and read back equal.

    `jpeg` is None where only the annotations are published.
    """

    archive: str
    image: ImageInfo
    jpeg: bytes | None
    caption: str | None
    conditioning: bytes
    masks: list[bytes]
    annotations: list[Annotation]

    def size_bytes(self) -> int:
        """About how many bytes the row takes in Arrow: what row groups are bounded by."""
        text = sum(len(annotation.segmentation.counts) for annotation in self.annotations)
        images = len(self.jpeg or b"") + len(self.conditioning) + sum(map(len, self.masks))
        return images + text + NUMBERS_BYTES * len(self.annotations) + 64


def render(record: Record, encoder: PngEncoder, *, columns: Collection[str] | None = None, images: bool = True) -> Row:
    """Render a checked record: its masks as 1-bit PNG and as one conditioning image.

    With `columns`, what is not among them is left empty instead; without `images`, the photograph is left out.
    """
    shape = (record.image.height, record.image.width)
    wanted = TRAIN.keys() if columns is None else columns
    return Row(
        record.archive,
        record.image,
        record.jpeg if images else None,
        record.caption,
        encoder.conditioning(record.masks, shape) if "conditioning_image" in wanted else b"",
        [encoder.mask(mask) for mask in record.masks] if "masks" in wanted else [],
        record.annotations,
    )


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


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Make the `train` table of some rows, column by column."""
    images = [row.image for row in rows]
    masks = [mask for row in rows for mask in row.masks]
    annotations = [annotation for row in rows for annotation in row.annotations]
    columns = {
        "image": image_array([row.jpeg for row in rows], [image.file_name for image in images]),
        "caption": pa.array([row.caption for row in rows], pa.string()),
        "conditioning_image": image_array([row.conditioning for row in rows]),
        "masks": list_array([len(row.masks) for row in rows], image_array(masks)),
        "annotations": list_array([len(row.annotations) for row in rows], struct_array(ANNOTATION, annotations)),
        "image_id": pa.array([image.image_id for image in images], pa.int64()),
        "file_name": pa.array([image.file_name for image in images], pa.string()),
        "width": pa.array([image.width for image in images], pa.int32()),
        "height": pa.array([image.height for image in images], pa.int32()),
        "archive": pa.array([row.archive for row in rows], pa.string()),
    }
    schema = arrow_schema(TRAIN)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


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
