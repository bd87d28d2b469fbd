"""Every record of a part: does it hold what it says, and what its annotations say?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rlemasklib import RLEMask

from asam_datasets.builds import Build, Part
from asam_datasets.errors import RecordError, SegmentationError
from asam_datasets.images import decoding, open_image
from asam_datasets.masks import PngEncoder, from_png, from_segmentation, to_segmentation
from asam_datasets.published._location import Location, open_location
from asam_datasets.published._report import Finding
from asam_datasets.tables import TABLES, arrow_schema
from asam_datasets.workers import record_done

_MOST = 50  # findings of one part: after that many it is clear that the part is broken


class PartCheck(NamedTuple):
    """One part to look at."""

    location: Location
    build: Build
    part: Part


class PartResult(NamedTuple):
    """What was looked at in a part, and what was found."""

    records: int
    masks: int
    findings: list[Finding]


def check_part(task: PartCheck) -> PartResult:
    """Look at every record of a part."""
    path = f"{task.build.path}/{task.part.file}"
    findings: list[Finding] = []
    counts = {"rows": 0, "annotations": 0, "captions": 0}
    encoder = PngEncoder()
    try:
        with open_location(task.location).open(path) as raw, pq.ParquetFile(raw, pre_buffer=True) as file:
            expected = arrow_schema(TABLES[task.build.kind].columns)
            if not file.schema_arrow.equals(expected):
                findings.append(Finding(path, f"expected the columns {expected.names}, found {file.schema_arrow}"))
                return PartResult(0, 0, findings)
            if (file.schema_arrow.metadata or {}).get(b"huggingface") != (expected.metadata or {})[b"huggingface"]:
                findings.append(Finding(path, "expected the features of the table in the metadata, found others"))
            for row in _rows(file):
                counts["rows"] += 1
                counts["annotations"] += len(row["annotations"])
                counts["captions"] += row.get("caption") is not None
                where = f"{path}: {row['file_name']}"
                findings += (Finding(f"{where}{place}", text) for place, text in _check_row(row, task.build, encoder))
                record_done()
                if len(findings) >= _MOST:
                    findings.append(Finding(path, f"stopped here after {len(findings)} findings"))
                    return PartResult(counts["rows"], counts["annotations"], findings)
    except (pa.ArrowException, OSError) as error:
        findings.append(Finding(path, f"expected a Parquet file that can be read, found: {str(error).splitlines()[0]}"))
        return PartResult(counts["rows"], counts["annotations"], findings)
    for name, count in counts.items():
        if getattr(task.part, name) != count:
            findings.append(
                Finding(path, f"expected {getattr(task.part, name)} {name}, as build.json says, found {count}")
            )
    return PartResult(counts["rows"], counts["annotations"], findings)


def _rows(file: pq.ParquetFile) -> Iterator[dict[str, Any]]:
    """Rows one row group at a time: at most 32 MiB before compression."""
    for number in range(file.num_row_groups):
        group = file.read_row_group(number)
        for index in range(len(group)):
            yield group.slice(index, 1).to_pylist()[0]


def _check_row(row: Mapping[str, Any], build: Build, encoder: PngEncoder) -> Iterator[tuple[str, str]]:
    """Place below the row and problem of everything that is wrong with it."""
    shape = (row["height"], row["width"])
    is_archive = build.kind == "train"
    name = "archive" if is_archive else "dataset"
    if row.get(name, build.name) != build.name and build.kind != "adversarial":
        yield f".{name}", f"expected {build.name}, found {row[name]}"
    if is_archive and row["file_name"] != f"sa_{row['image_id']}.jpg":
        yield ".file_name", f"expected sa_{row['image_id']}.jpg, found {row['file_name']}"
    yield from _check_image(row["image"], shape, build.images)
    if len(row["masks"]) != len(row["annotations"]):
        yield ".masks", f"expected {len(row['annotations'])} masks, one for each annotation, found {len(row['masks'])}"
        return
    masks: list[RLEMask] = []
    for position, (annotation, image) in enumerate(zip(row["annotations"], row["masks"], strict=True)):
        try:
            mask = from_segmentation(annotation["segmentation"], shape=shape)
        except SegmentationError as error:
            yield f".annotations[{position}].segmentation.{error.where}", error.problem
            continue
        masks.append(mask)
        yield from (
            (f".annotations[{position}].{place}", text) for place, text in _check_numbers(annotation, mask, is_archive)
        )
        # Equal bytes are equal masks; other bytes may be, from another deflate.
        if image["bytes"] != encoder.mask(mask) and not _same_mask(image["bytes"], mask):
            yield f".masks[{position}]", "expected the mask of its annotation, found another image"
    if is_archive and len(masks) == len(row["annotations"]):
        painted = encoder.conditioning(masks, shape)
        if row["conditioning_image"]["bytes"] != painted and not _same_pixels(
            row["conditioning_image"]["bytes"], painted
        ):
            yield ".conditioning_image", "expected the painting of its masks, found another image"


def _check_numbers(annotation: Mapping[str, Any], mask: RLEMask, inclusive: bool) -> Iterator[tuple[str, str]]:
    """`area` and `bbox` of an annotation, inclusive in archives; what SA-1B left out is null and stays unchecked."""
    area = int(mask.area())
    if annotation["area"] is not None and annotation["area"] != area:
        yield "area", f"expected {area} pixels, found {annotation['area']}"
    if annotation["bbox"] is not None and area:
        x, y, width, height = (float(number) for number in mask.bbox())
        box = [x, y, width - inclusive, height - inclusive]
        kind = "inclusive: one less than COCO's" if inclusive else "exclusive, as COCO's"
        if list(annotation["bbox"]) != box:
            yield "bbox", f"expected {box} ({kind}), found {list(annotation['bbox'])}"


def _check_image(image: Mapping[str, Any] | None, shape: tuple[int, int], expected: bool) -> Iterator[tuple[str, str]]:
    if not expected or image is None:
        if expected or image is not None:
            yield ".image", f"expected {'an' if expected else 'no'} image, found {'one' if image else 'none'}"
        return
    expected_image = "an image that decodes"
    try:
        opened = open_image(image["bytes"] or b"", "", expected=expected_image)
        with decoding("", expected=expected_image):
            opened.load()
    except RecordError as error:
        yield ".image", error.problem
        return
    found = (opened.height, opened.width)
    if found != shape:
        yield ".image", f"expected {shape[0]} × {shape[1]} (height × width), found {found[0]} × {found[1]}"


def _same_mask(png: bytes, mask: RLEMask) -> bool:
    try:
        return from_png(png) == to_segmentation(mask)
    except (SegmentationError, OSError, SyntaxError, ValueError):
        return False


def _same_pixels(png: bytes, painted: bytes) -> bool:
    try:
        found, wanted = open_image(png or b"", ""), open_image(painted, "")
        if (found.mode, found.size) != (wanted.mode, wanted.size):
            return False
        with decoding(""):
            return bool(np.array_equal(np.asarray(found), np.asarray(wanted)))
    except RecordError:
        return False
