"""The `train` table: records of SA-1B archives. A new column is a line of `TRAIN`, a field of `TrainRow` and its value
in `render`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from asam_datasets.masks import PngEncoder
from asam_datasets.sources.sa1b import Annotation, Record
from asam_datasets.tables._types import (
    FLOAT64,
    FULL_SIZE_MASKS,
    INT32,
    INT64,
    SEGMENTATION,
    STRING,
    Column,
    Image,
    Many,
    Scalar,
    Struct,
    Structs,
)

ANNOTATION: Mapping[str, Scalar | Many | Struct] = {
    "id": INT64,
    "segmentation": SEGMENTATION,
    "bbox": Many(FLOAT64),
    "area": INT64,
    "predicted_iou": FLOAT64,
    "stability_score": FLOAT64,
    "crop_box": Many(FLOAT64),
    "point_coords": Many(Many(FLOAT64, 2)),
}
"""One annotation as SA-1B writes it; any field but `segmentation` may be null where the source left it out.

Boxes are lists without a stated length: a null among fixed-size lists is what `datasets` 2.19 fails on.
"""

# Order matters: ControlNet scripts take the first three by position.
TRAIN: Mapping[str, Column] = {
    "image": Column(Image(named=True), "Image", "the original file, byte for byte; a JPEG in SA-1B"),
    "caption": Column(STRING, "string or null", "one sentence, by BLIP-2 T5 where ASAM made it"),
    "conditioning_image": Column(
        Image(),
        "Image",
        "PNG, RGB: every mask in a color of its own, larger masks under smaller ones, black background",
    ),
    "masks": FULL_SIZE_MASKS,
    "annotations": Column(
        Structs(ANNOTATION),
        "list of struct",
        "SA-1B's fields, as its JSON has them: `id`; `segmentation` as COCO RLE, column-major, "
        "`size` = [height, width]; `bbox` = [x_min, y_min, x_max − x_min, y_max − y_min] in pixels, **inclusive**: "
        "width and height are one less than COCO's; `area` in pixels; `predicted_iou` and `stability_score` in "
        "0 … 1; `crop_box` = [x, y, width, height] in pixels; `point_coords` = [[x, y]] in pixels",
    ),
    "image_id": Column(INT64, "int64", "id of the image, SA-1B's in an archive of it"),
    "file_name": Column(STRING, "string", "`sa_<image_id>.jpg`; of data that are not SA-1B's their own name"),
    "width": Column(INT32, "int32", "pixels"),
    "height": Column(INT32, "int32", "pixels"),
    "archive": Column(STRING, "string", "the archive it came from, such as `sa_000000`"),
}


class TrainRow(msgspec.Struct, frozen=True):
    """One rendered row: a field for each column. It can be written to disk by msgspec and read back equal.

    `image` is None where only the annotations are published.
    """

    image: bytes | None
    caption: str | None
    conditioning_image: bytes
    masks: list[bytes]
    annotations: list[Annotation]
    image_id: int
    file_name: str
    width: int
    height: int
    archive: str


def render(
    record: Record, encoder: PngEncoder, *, columns: Collection[str] | None = None, images: bool = True
) -> TrainRow:
    """Render a checked record: its masks as 1-bit PNG and as one conditioning image.

    With `columns`, what is not among them is left empty instead; without `images`, the photograph is left out.
    """
    info = record.image
    wanted = TRAIN.keys() if columns is None else columns
    return TrainRow(
        image=record.jpeg if images else None,
        caption=record.caption,
        conditioning_image=encoder.conditioning(record.masks, (info.height, info.width))
        if "conditioning_image" in wanted
        else b"",
        masks=[encoder.mask(mask) for mask in record.masks] if "masks" in wanted else [],
        annotations=record.annotations,
        image_id=info.image_id,
        file_name=info.file_name,
        width=info.width,
        height=info.height,
        archive=record.archive,
    )
