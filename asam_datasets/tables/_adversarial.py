"""The `adversarial` table: images that ASAM's generator made, with the masks of their originals resized."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec
from rlemasklib import RLEMask

from asam_datasets.masks import PngEncoder, Runs, resize, to_runs
from asam_datasets.sources import AdversarialRecord
from asam_datasets.sources.sa1b import Record
from asam_datasets.tables._types import (
    FLOAT64,
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

ADVERSARIAL_ANNOTATION: Mapping[str, Scalar | Many | Struct] = {
    "id": INT64,
    "bbox": Many(FLOAT64),
    "area": INT64,
    "segmentation": SEGMENTATION,
}
"""One mask of an original in the size of an adversarial sample; `id` is the original annotation's."""

ADVERSARIAL: Mapping[str, Column] = {
    "image": Column(Image(named=True), "Image", "the adversarial image, byte for byte (PNG or JPEG)"),
    "caption": Column(STRING, "string or null", "that of the original"),
    "masks": Column(Many(Image()), "list of Image", "1-bit PNG per annotation of the original, in this size"),
    "annotations": Column(
        Structs(ADVERSARIAL_ANNOTATION),
        "list of struct",
        "the masks of the original, resized (nearest neighbour): `id` of the annotation; `bbox` = [x, y, width, "
        "height] in pixels, **exclusive**; `area` in pixels; `segmentation` as COCO RLE",
    ),
    "worst_iou": Column(FLOAT64, "float64", "the worst IoU that SAM reached on it, 0 … 1, as the generator noted it"),
    "image_id": Column(INT64, "int64", "id of the original"),
    "file_name": Column(STRING, "string", "`sa_<image_id>.png` or `.jpg`"),
    "width": Column(INT32, "int32", "pixels"),
    "height": Column(INT32, "int32", "pixels"),
    "archive": Column(STRING, "string", "the archive of the original"),
}


class AdversarialAnnotation(msgspec.Struct, frozen=True):
    """One mask in the sample's size: `bbox` is COCO's exclusive [x, y, width, height], `area` in pixels."""

    id: int | None
    bbox: tuple[float, float, float, float]
    area: int
    segmentation: Runs


class AdversarialRow(msgspec.Struct, frozen=True):
    """One rendered row: a field for each column. It can be written to disk by msgspec and read back equal.

    `image` is None where only the annotations are published.
    """

    image: bytes | None
    caption: str | None
    masks: list[bytes]
    annotations: list[AdversarialAnnotation]
    worst_iou: float
    image_id: int
    file_name: str
    width: int
    height: int
    archive: str


def render_adversarial(
    sample: AdversarialRecord,
    original: Record,
    encoder: PngEncoder,
    *,
    columns: Collection[str] | None = None,
    images: bool = True,
) -> AdversarialRow:
    """Render a sample: the masks of its original, resized to its size (nearest neighbour as PIL's NEAREST).

    Args:
        sample: the checked sample.
        original: the checked record of the same image id; its caption is the sample's.
        encoder: writes the masks.
        columns: what is not among them is left empty.
        images: without them the sample's image is left out.
    """
    shape = (sample.height, sample.width)
    masks = [resize(mask, shape) for mask in original.masks]
    ids = [None if one.id is msgspec.UNSET else one.id for one in original.annotations]
    return AdversarialRow(
        image=sample.content if images else None,
        caption=original.caption,
        masks=[encoder.mask(mask) for mask in masks] if columns is None or "masks" in columns else [],
        annotations=[_annotation(mask, number) for mask, number in zip(masks, ids, strict=True)],
        worst_iou=sample.worst_iou,
        image_id=sample.image_id,
        file_name=sample.file_name,
        width=sample.width,
        height=sample.height,
        archive=original.archive,
    )


def _annotation(mask: RLEMask, number: int | None) -> AdversarialAnnotation:
    x, y, width, height = (float(side) for side in mask.bbox())
    return AdversarialAnnotation(number, (x, y, width, height), int(mask.area()), to_runs(mask))
