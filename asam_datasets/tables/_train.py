"""Records to Arrow: every record is rendered once, and a table is made by columns.

`render` is the one place where masks become PNG; `to_table` the one place where rows become Arrow. The writer, the
builder and the readers of other programs all go through these two.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import pyarrow as pa

from asam_datasets.masks import PngEncoder
from asam_datasets.sources.sa1b import Annotation, ImageInfo, Record
from asam_datasets.tables._columns import NUMBERS_BYTES, image_array, list_array, struct_array
from asam_datasets.tables._schema import ANNOTATION, TRAIN, arrow_schema


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
