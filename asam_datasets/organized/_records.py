"""The rows of a published archive as records: what `export` writes to the organised folder.

Only the columns are read that cannot be made from others: masks and conditioning images come from the annotations
again. What is read is checked like an archive, because a repository may hold anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pyarrow.compute as pc

from asam_datasets.errors import RecordError, SourceError, option
from asam_datasets.organized._archive import Found
from asam_datasets.organized._image import Place
from asam_datasets.published import GET_AGAIN, GroupReader, PartFile, Row, read_rows
from asam_datasets.sources.sa1b import RawRecord, is_own_name, to_sa1b_json

_JPEG = b"\xff\xd8"
_LIGHT = ("image_id", "caption")
RECORD_COLUMNS = ("image", "annotations", *_LIGHT)
"""What is read of a row to write all of its image; file name, width and height come with every row."""
# The order in which the SA-1B release writes the fields; `json.dumps` then gives its spelling, byte for byte.
_FIELDS = (
    "bbox", "area", "segmentation", "predicted_iou", "point_coords", "crop_box", "id", "stability_score",
)  # fmt: skip


def read_records(part: PartFile, archive: str, place: Place) -> Iterator[Found]:
    """The records of one part of an archive, in order. A row group whose images are all there is read without them.

    Raises:
        SourceError: the part is damaged or has other columns.
        RecordError: a row is not what the table says.
        HubError: the Hub refused, or was not reached.
    """
    reader = GroupReader(part.location)
    for group in range(len(part.row_groups)):
        if place.trusted:
            rows, counts = read_rows(reader, part, group, _LIGHT), _annotations(reader, part, group)
            found = [
                Found(image_id_of(row, part), row.caption, annotations=count)
                for row, count in zip(rows, counts, strict=True)
            ]
            if all(place.has(one.image_id) for one in found):
                yield from found
                continue
        for row in read_rows(reader, part, group, RECORD_COLUMNS):
            yield Found(image_id_of(row, part), row.caption, raw_record(row, part, archive))


def _annotations(reader: GroupReader, part: PartFile, group: int) -> list[int]:
    """How many annotations each row has; one small column tells."""
    found = reader.read(part, group, ["annotations.list.element.area"]).column("annotations")
    return [length or 0 for length in pc.list_value_length(found).to_pylist()]


def image_id_of(row: Row, part: PartFile) -> int:
    """The id of a row: it becomes the names of files, so nothing else may be in its place."""
    own = is_own_name(row.file_name)  # named by its id here, whatever it is called
    if not isinstance(row.image_id, int) or row.image_id < 0 or not (own or row.file_name == f"sa_{row.image_id}.jpg"):
        raise SourceError(
            f"expected an image sa_{row.image_id}.jpg in the row of image id {row.image_id}, found {row.file_name!r}",
            where=part.label,
            hint=GET_AGAIN,
        )
    return row.image_id


def raw_record(row: Row, part: PartFile, archive: str) -> RawRecord:
    """The two originals of a row of the `train` table.

    Raises:
        RecordError: it has no image.
        SourceError: as `image_id_of`.
    """
    if row.image is None or row.image.content is None:
        raise RecordError("expected an image, found none", where=f"{row.where}: image", hint=GET_AGAIN)
    image_id, content = image_id_of(row, part), row.image.content
    if not content.startswith(_JPEG) and is_own_name(row.file_name):
        raise RecordError(
            "expected a JPEG, as all images of ASAM's folder are, found another image",
            where=f"{row.where}: image",
            hint=f"Export it in a form that takes any image, such as {option('format', 'coco')}.",
        )
    name = f"sa_{image_id}"
    return RawRecord(archive, part.label, image_id, f"{name}.jpg", f"{name}.json", content, _sa1b_json_bytes(row))


def _sa1b_json_bytes(row: Row) -> bytes:
    """The `sa_N.json` of a row of the `train` table, spelled as the SA-1B release spells it."""
    image = {name: getattr(row, name) for name in ("image_id", "width", "height")}
    image["file_name"] = f"sa_{row.image_id}.jpg"
    table = to_sa1b_json({**image, "annotations": msgspec.to_builtins(row.annotations)})
    table["annotations"] = [{name: one[name] for name in _FIELDS if name in one} for one in table["annotations"]]
    return json.dumps(table).encode()
