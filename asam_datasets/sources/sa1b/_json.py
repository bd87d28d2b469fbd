"""The JSON of SA-1B as typed structs: decoding checks it, and nothing that it holds is lost.

Source of the form: the README of the SA-1B release, and seven real annotations. Conventions: `bbox` is
`[x_min, y_min, x_max - x_min, y_max - y_min]` in pixels, so its width and height are one less than COCO's; `area` is
the number of foreground pixels; `crop_box` is `[x, y, width, height]`; points are `[x, y]`; a segmentation is COCO's
compressed RLE, column-major, with `size` as `[height, width]`.

Derived files leave fields out, or write integers where the release writes floats. A field that is missing stays
missing (`UNSET`, a null in the table); a field that nobody knows is refused, because it would be lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from rlemasklib import RLEMask

from asam_datasets.errors import SKIP, RecordError, SegmentationError
from asam_datasets.images import image_shape
from asam_datasets.masks import MAX_PIXELS, Runs, from_segmentation
from asam_datasets.sources.sa1b._records import RawRecord, own_hints

Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Box = tuple[float, float, float, float]


class Annotation(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One mask with its numbers."""

    segmentation: Runs
    id: Int64 | UnsetType = UNSET
    bbox: Box | UnsetType = UNSET
    area: Int64 | UnsetType = UNSET
    predicted_iou: float | UnsetType = UNSET
    stability_score: float | UnsetType = UNSET
    crop_box: Box | UnsetType = UNSET
    point_coords: list[tuple[float, float]] | UnsetType = UNSET


class ImageInfo(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`image`: sides in pixels."""

    image_id: Int64
    width: Side
    height: Side
    file_name: str


class RecordJSON(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A whole `sa_N.json`."""

    image: ImageInfo
    annotations: list[Annotation]


class Record(msgspec.Struct, frozen=True):
    """One checked record: the image as it is, its annotations, and the masks as runs in the same order."""

    archive: str
    image: ImageInfo
    jpeg: bytes
    caption: str | None
    annotations: list[Annotation]
    masks: list[RLEMask]


OWN_FORMATS = ("JPEG", "PNG")
"""What images of data that are not SA-1B's may be."""

MAX_ANNOTATIONS = 2**16
"""Most annotations of one image. There are about 100 in real ones, and over 400 in some."""

_DECODER = msgspec.json.Decoder(RecordJSON)


def read_record(raw: RawRecord, caption: str | None) -> Record:
    """Check a raw record: this is the one way from members of a source to a record.

    Raises:
        RecordError: the JPEG is cut or not one; the JSON does not parse, has other types, or belongs to another
            image; an RLE is not valid or not of the image's size. `where` names archive, member and place.
    """
    if raw.file_name:
        with own_hints():
            return _read_record(raw, caption)
    return _read_record(raw, caption)


def _read_record(raw: RawRecord, caption: str | None) -> Record:
    parsed = _parse_json(raw)
    _check_image(raw, parsed.image)
    shape = (parsed.image.height, parsed.image.width)
    masks = []
    for position, annotation in enumerate(parsed.annotations):
        try:
            masks.append(from_segmentation(annotation.segmentation, shape=shape))
        except SegmentationError as error:
            place = f"$.annotations[{position}].segmentation.{error.where}"
            hint = "" if error.marked_hint == SegmentationError.usual_hint else error.marked_hint
            raise RecordError(error.problem, where=_where(raw, place), hint=hint) from None
    return Record(
        archive=raw.archive,
        image=parsed.image,
        jpeg=raw.jpeg,
        caption=caption,
        annotations=parsed.annotations,
        masks=masks,
    )


def to_sa1b_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a row of the `train` table back as the object of its `sa_N.json`; equal to it in every field.

    Args:
        row: `annotations` (list of dicts), `image_id`, `file_name`, `width`, `height`, as `datasets` gives them.
    """
    image = {name: row[name] for name in ("image_id", "width", "height", "file_name")}
    rows: Sequence[Mapping[str, Any]] = row["annotations"]
    return {
        "image": image,
        "annotations": [{name: value for name, value in a.items() if value is not None} for a in rows],
    }


def _parse_json(raw: RawRecord) -> RecordJSON:
    try:
        parsed = _DECODER.decode(raw.json)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # msgspec ends its message with the place: "Expected `int`, got `str` - at `$.annotations[3].area`".
        problem, _, place = str(error).partition(" - at ")
        problem = problem.replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
        if not problem.startswith("expected"):
            problem = f"expected JSON as in SA-1B, found: {problem}"
        elif "found" not in problem:
            problem += ", found something else"
        raise RecordError(
            problem,
            where=_where(raw, place.strip("`") or "$"),
            hint=f"The file is cut or not SA-1B's: get the archive again, or leave it out: {SKIP}.",
        ) from None
    if len(parsed.annotations) > MAX_ANNOTATIONS:
        found = f"expected at most {MAX_ANNOTATIONS} annotations, found {len(parsed.annotations)}"
        raise RecordError(found, where=_where(raw, "$.annotations"))
    expected_name = raw.name
    if parsed.image.image_id != raw.image_id:
        raise RecordError(
            f"expected the member's own id {raw.image_id}, found {parsed.image.image_id}",
            where=_where(raw, "$.image.image_id"),
        )
    if parsed.image.file_name != expected_name:
        raise RecordError(
            f"expected {expected_name!r}, found {parsed.image.file_name!r}", where=_where(raw, "$.image.file_name")
        )
    return parsed


def _check_image(raw: RawRecord, info: ImageInfo) -> None:
    where = f"{raw.label}: {raw.image}"
    if info.height * info.width > MAX_PIXELS:
        raise RecordError(
            f"expected at most {MAX_PIXELS} pixels, found {info.height} × {info.width}",
            where=_where(raw, "$.image"),
        )
    try:
        height, width = image_shape(raw.jpeg, where, formats=OWN_FORMATS if raw.file_name else ("JPEG",))
    except RecordError as error:
        error.member = raw.image
        raise
    if (height, width) != (info.height, info.width):
        raise RecordError(
            f"expected the JPEG's size, {height} × {width} (height × width), found {info.height} × {info.width}",
            where=_where(raw, "$.image"),
            hint="The JSON belongs to another image.",
        )


def _where(raw: RawRecord, place: str) -> str:
    return f"{raw.label}: {raw.annotations}: {place}"
