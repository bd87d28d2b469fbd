"""Evaluation records to Arrow: the same two steps as for the train table."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa

from asam_datasets.masks import PngEncoder
from asam_datasets.sources.evaluation import EvaluationAnnotation, EvaluationRecord
from asam_datasets.tables._columns import NUMBERS_BYTES, image_array, list_array, struct_array
from asam_datasets.tables._schema import EVALUATION, EVALUATION_ANNOTATION, arrow_schema


class EvaluationRow(msgspec.Struct, frozen=True):
    """One rendered row of an evaluation table. It can be written to disk by msgspec and read back equal.

    `image` is None where only the annotations are published.
    """

    dataset: str
    file_name: str
    image_id: str
    width: int
    height: int
    image: bytes | None
    masks: list[bytes]
    annotations: list[EvaluationAnnotation]

    def size_bytes(self) -> int:
        """About how many bytes the row takes in Arrow: what row groups are bounded by."""
        text = sum(len(annotation.segmentation.counts) for annotation in self.annotations)
        return len(self.image or b"") + sum(map(len, self.masks)) + text + NUMBERS_BYTES * len(self.annotations) + 64


def render_evaluation(record: EvaluationRecord, encoder: PngEncoder, *, images: bool = True) -> EvaluationRow:
    """Render a checked record: its masks as 1-bit PNG; without `images`, the image is left out."""
    return EvaluationRow(
        record.dataset,
        record.file_name,
        record.image_id,
        record.width,
        record.height,
        record.image if images else None,
        [encoder.mask(mask) for mask in record.masks],
        record.annotations,
    )


def evaluation_table(rows: Sequence[EvaluationRow]) -> pa.Table:
    """Make the table of some rows, column by column."""
    annotations = [annotation for row in rows for annotation in row.annotations]
    columns = {
        "image": image_array([row.image for row in rows], [row.file_name for row in rows]),
        "masks": list_array(
            [len(row.masks) for row in rows], image_array([mask for row in rows for mask in row.masks])
        ),
        "annotations": list_array(
            [len(row.annotations) for row in rows], struct_array(EVALUATION_ANNOTATION, annotations)
        ),
        "image_id": pa.array([row.image_id for row in rows], pa.string()),
        "file_name": pa.array([row.file_name for row in rows], pa.string()),
        "width": pa.array([row.width for row in rows], pa.int32()),
        "height": pa.array([row.height for row in rows], pa.int32()),
        "dataset": pa.array([row.dataset for row in rows], pa.string()),
    }
    schema = arrow_schema(EVALUATION)
    return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)
