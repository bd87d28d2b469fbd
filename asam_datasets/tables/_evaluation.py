"""The `evaluation` table: images of evaluation sets with their masks."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from asam_datasets.masks import PngEncoder
from asam_datasets.sources.evaluation import EvaluationAnnotation, EvaluationRecord
from asam_datasets.tables._types import (
    BOOL,
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

EVALUATION_ANNOTATION: Mapping[str, Scalar | Many | Struct] = {
    "id": INT64,
    "bbox": Many(FLOAT64),
    "area": INT64,
    "segmentation": SEGMENTATION,
    "category_id": INT64,
    "category": STRING,
    "iscrowd": INT32,
}
"""One mask of an evaluation set; `category_id` and `category` are null where the set has none."""

EVALUATION: Mapping[str, Column] = {
    "image": Column(Image(named=True), "Image", "the original file, byte for byte (Hypersim: its preview)"),
    "masks": FULL_SIZE_MASKS,
    "annotations": Column(
        Structs(EVALUATION_ANNOTATION),
        "list of struct",
        "`id`: the source's own, or the place in the list from 1; `bbox` = [x, y, width, height] in pixels, "
        "**exclusive** as in COCO; `area` in pixels; `segmentation` as COCO RLE, column-major, `size` = [height, "
        "width]; `category_id` and `category` or null; `iscrowd`: 1 for a group of objects",
    ),
    "image_id": Column(STRING, "string", "the source's own id of the image, or its path without the ending"),
    "file_name": Column(STRING, "string", "path below the folder of the set, as its source lays it out"),
    "width": Column(INT32, "int32", "pixels"),
    "height": Column(INT32, "int32", "pixels"),
    "dataset": Column(STRING, "string", "the set's id in the catalog"),
}

EVALUATION_EXTRA: Mapping[str, Column] = {
    "text_input": Column(STRING, "string", "the phrase that the masks belong to"),
    "is_instance_exhaustive": Column(BOOL, "bool", "every object that the phrase names has a mask of its own"),
    "is_pixel_exhaustive": Column(BOOL, "bool", "every pixel that the phrase names is in one of the masks"),
    "annotator": Column(STRING, "string", "whose annotations these are, where several annotated one image"),
    "subset": Column(STRING, "string", "the part of the set that its source counts alone"),
}
"""Columns behind the others, in the parts of the sets alone whose layout declares them; null where nothing is known."""


class EvaluationRow(msgspec.Struct, frozen=True):
    """One rendered row: a field for each column. It can be written to disk by msgspec and read back equal.

    `image` is None where only the annotations are published. The last fields are those of `EVALUATION_EXTRA`.
    """

    image: bytes | None
    masks: list[bytes]
    annotations: list[EvaluationAnnotation]
    image_id: str
    file_name: str
    width: int
    height: int
    dataset: str
    text_input: str | None = None
    is_instance_exhaustive: bool | None = None
    is_pixel_exhaustive: bool | None = None
    annotator: str | None = None
    subset: str | None = None


def render_evaluation(
    record: EvaluationRecord, encoder: PngEncoder, *, columns: Collection[str] | None = None, images: bool = True
) -> EvaluationRow:
    """Render a checked record: its masks as 1-bit PNG. `columns` and `images` as in `render`."""
    return EvaluationRow(
        image=record.image if images else None,
        masks=[encoder.mask(mask) for mask in record.masks] if columns is None or "masks" in columns else [],
        annotations=record.annotations,
        image_id=record.image_id,
        file_name=record.file_name,
        width=record.width,
        height=record.height,
        dataset=record.dataset,
        **record.extra,  # type: ignore[arg-type]  # the layout has checked the types
    )
