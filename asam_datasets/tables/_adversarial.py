"""Adversarial samples as a table: images that ASAM's generator made, with the masks of their originals resized."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa
from rlemasklib import RLEMask

from asam_datasets.masks import PngEncoder, resize, to_segmentation
from asam_datasets.sources import AdversarialRecord
from asam_datasets.sources.sa1b import Record
from asam_datasets.tables._columns import NUMBERS_BYTES, image_array, list_array, struct_array
from asam_datasets.tables._schema import ADVERSARIAL, ADVERSARIAL_ANNOTATION, arrow_schema

__all__ = ["AdversarialAnnotation", "AdversarialRow", "adversarial_table", "render_adversarial"]


class ResizedRuns(msgspec.Struct, frozen=True):
    """A mask as COCO RLE: `size` is (height, width) in pixels."""

    size: tuple[int, int]
    counts: str


class AdversarialAnnotation(msgspec.Struct, frozen=True):
    """One mask in the sample's size: `bbox` is COCO's exclusive [x, y, width, height], `area` in pixels."""

    id: int | None
    bbox: tuple[float, float, float, float]
    area: int
    segmentation: ResizedRuns


class AdversarialRow(msgspec.Struct, frozen=True):
    """One rendered row. It can be written to disk by msgspec and read back equal.

    `image` is None where only the annotations are published.
    """

    archive: str
    image_id: int
    file_name: str
    width: int
    height: int
    worst_iou: float
    image: bytes | None
    caption: str | None
    masks: list[bytes]
    annotations: list[AdversarialAnnotation]

    def size_bytes(self) -> int:
        """About how many bytes the row takes in Arrow: what row groups are bounded by."""
        text = sum(len(annotation.segmentation.counts) for annotation in self.annotations)
        return len(self.image or b"") + sum(map(len, self.masks)) + text + NUMBERS_BYTES * len(self.annotations) + 64


def render_adversarial(
    sample: AdversarialRecord, original: Record, encoder: PngEncoder, *, images: bool = True
) -> AdversarialRow:
    """Render a sample: the masks of its original, resized to its size (nearest neighbour as PIL's NEAREST).

    Args:
        sample: the checked sample.
        original: the checked record of the same image id; its caption is the sample's.
        encoder: writes the masks.
        images: without them the sample's image is left out.
    """
    shape = (sample.height, sample.width)
    masks = [resize(mask, shape) for mask in original.masks]
    ids = [None if one.id is msgspec.UNSET else one.id for one in original.annotations]
    return AdversarialRow(
        original.archive,
        sample.image_id,
        sample.file_name,
        sample.width,
        sample.height,
        sample.worst_iou,
        sample.content if images else None,
        original.caption,
        [encoder.mask(mask) for mask in masks],
        [_annotation(mask, number) for mask, number in zip(masks, ids, strict=True)],
    )


def adversarial_table(rows: Sequence[AdversarialRow]) -> pa.Table:
    """Make the table of some rows, column by column."""
    annotations = [annotation for row in rows for annotation in row.annotations]
    masks = [mask for row in rows for mask in row.masks]
    columns = {
        "image": image_array([row.image for row in rows], [row.file_name for row in rows]),
        "caption": pa.array([row.caption for row in rows], pa.string()),
        "masks": list_array([len(row.masks) for row in rows], image_array(masks)),
        "annotations": list_array(
            [len(row.annotations) for row in rows], struct_array(ADVERSARIAL_ANNOTATION, annotations)
        ),
        "worst_iou": pa.array([row.worst_iou for row in rows], pa.float64()),
        "image_id": pa.array([row.image_id for row in rows], pa.int64()),
        "file_name": pa.array([row.file_name for row in rows], pa.string()),
        "width": pa.array([row.width for row in rows], pa.int32()),
        "height": pa.array([row.height for row in rows], pa.int32()),
        "archive": pa.array([row.archive for row in rows], pa.string()),
    }
    schema = arrow_schema(ADVERSARIAL)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _annotation(mask: RLEMask, number: int | None) -> AdversarialAnnotation:
    runs = to_segmentation(mask)
    x, y, width, height = (float(side) for side in mask.bbox())
    size = (runs["size"][0], runs["size"][1])
    return AdversarialAnnotation(
        number, (x, y, width, height), int(mask.area()), ResizedRuns(size, str(runs["counts"]))
    )
