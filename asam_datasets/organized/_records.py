"""The rows of a published archive as records: what `export` writes to the organised folder.

Only the columns are read that cannot be made from others: masks and conditioning images come from the annotations
again. What is read is checked like an archive, because a repository may hold anything.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from asam_datasets.errors import SourceError
from asam_datasets.published import PartFile
from asam_datasets.sources.sa1b import RawRecord, to_sa1b_json

_COLUMNS = ("image.bytes", "caption", "annotations", "image_id", "file_name", "width", "height")
_LIGHT = ("image_id", "caption")
# The order in which the SA-1B release writes the fields; `json.dumps` then gives its spelling, byte for byte.
_FIELDS = (
    "bbox", "area", "segmentation", "predicted_iou", "point_coords", "crop_box", "id", "stability_score",
)  # fmt: skip


@dataclass(frozen=True)
class PartRecords:
    """The records of one part of an archive, for a worker to read."""

    part: PartFile
    archive: str

    def records(self, has: Callable[[int], bool]) -> Generator[tuple[int, str | None, RawRecord | None], None, None]:
        """(image id, caption, record) in order; no record for those that `has` says are there already. A row group
        of which all are there is not read, and one row group (at most 32 MiB) is held at a time.

        Raises:
            SourceError: the part is damaged or has other columns.
            HubError: the Hub refused, or was not reached.
        """
        with self.part.open() as parquet:
            for group in range(parquet.num_row_groups):
                light = parquet.read_row_group(group, columns=list(_LIGHT)).to_pylist()
                if all(has(row["image_id"]) for row in light):
                    yield from ((row["image_id"], row["caption"], None) for row in light)
                    continue
                for row in parquet.read_row_group(group, columns=list(_COLUMNS)).to_pylist():
                    yield row["image_id"], row["caption"], self._raw(row)

    def _raw(self, row: Mapping[str, Any]) -> RawRecord:
        image_id, name, label = row["image_id"], row["file_name"], self.part.label
        if image_id is None or name != f"sa_{image_id}.jpg" or row["image"] is None:
            raise SourceError(
                f"expected an image sa_{image_id}.jpg in the row of image id {image_id}, found {name!r}",
                where=label,
            )
        jpeg = row["image"]["bytes"] or b""
        return RawRecord(self.archive, label, image_id, name, f"sa_{image_id}.json", jpeg, sa1b_json_bytes(row))


def sa1b_json_bytes(row: Mapping[str, Any]) -> bytes:
    """The `sa_N.json` of a row of the `train` table, spelled as the SA-1B release spells it."""
    table = to_sa1b_json(row)
    table["annotations"] = [{name: one[name] for name in _FIELDS if name in one} for one in table["annotations"]]
    return json.dumps(table).encode()
