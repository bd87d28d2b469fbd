"""Every record of a part: does it hold what it says, and what its annotations say?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from rlemasklib import RLEMask

from asam_datasets.builds import Build, Part
from asam_datasets.errors import RecordError, SegmentationError, SourceError
from asam_datasets.images import check_whole, decoding, open_image
from asam_datasets.masks import PngEncoder, from_png, to_segmentation
from asam_datasets.published._part import GroupReader, PartFile
from asam_datasets.published._report import Finding
from asam_datasets.published._rows import EncodedImage, Row, checked_mask, empty_places, scan_rows, wrong_numbers
from asam_datasets.sources.sa1b import is_own_name
from asam_datasets.tables import arrow_schema
from asam_datasets.workers import record_done

_MOST_SHOWN = 2000  # letters of a schema of anybody's making
_MOST = 50  # findings of one part: after that many it is clear that the part is broken


class PartCheck(NamedTuple):
    """One part to look at, and what its manifest says of it."""

    build: Build
    manifest: Part
    part: PartFile


class PartResult(NamedTuple):
    """What was looked at in a part, and what was found; `names` are the file names of its rows."""

    records: int
    masks: int
    findings: list[Finding]
    names: list[str]


def check_part(task: PartCheck) -> PartResult:
    """Look at every record of a part.

    Raises:
        HubError: the Hub refused, or was not reached: that says nothing about the part.
    """
    findings: list[Finding] = []
    counts = {"rows": 0, "annotations": 0, "captions": 0}
    names: list[str] = []
    try:
        _check_part(task, findings, counts, names)
    except SourceError as error:
        findings.append(Finding(task.part.path, error.problem))
    return PartResult(counts["rows"], counts["annotations"], findings, names)


def _check_part(task: PartCheck, findings: list[Finding], counts: dict[str, int], names: list[str]) -> None:
    path, reader, encoder = task.part.path, GroupReader(task.part.location), PngEncoder()
    expected, found = arrow_schema(task.build.columns), reader.schema(task.part)
    if not found.equals(expected):
        findings.append(Finding(path, f"expected the columns {expected.names}, found {str(found)[:_MOST_SHOWN]}"))
        return
    if (found.metadata or {}).get(b"huggingface") != (expected.metadata or {})[b"huggingface"]:
        findings.append(Finding(path, "expected the features of the table in the metadata, found others"))
    groups = reader.row_groups(task.part)
    # What the footer says is looked at, whatever the manifest says.
    part = replace(task.part, rows=sum(groups), row_groups=groups)
    is_whole = True
    for row in (row for group in range(len(groups)) for row in scan_rows(reader, part, group, expected.names)):
        counts["rows"] += 1
        if isinstance(row, RecordError):
            is_whole = False
            findings.append(Finding(row.where, row.problem))
        else:
            names.append(_name_of(row, task.build))
            counts["annotations"] += len(row.annotations)
            counts["captions"] += row.caption is not None
            findings += (Finding(f"{row.where}{place}", text) for place, text in _check_row(row, task.build, encoder))
        record_done()
        if len(findings) >= _MOST:
            findings.append(Finding(path, f"stopped here after {len(findings)} findings"))
            return
    for name, count in counts.items():
        if getattr(task.manifest, name) != count and (is_whole or name == "rows"):
            problem = f"expected {getattr(task.manifest, name)} {name}, as build.json says, found {count}"
            findings.append(Finding(path, problem))
    if groups != task.part.row_groups and sum(groups) == task.part.rows:
        problem = f"expected row groups of {task.part.row_groups} rows, as build.json says, found {groups}"
        findings.append(Finding(path, problem))


def _name_of(row: Row, build: Build) -> str:
    """What no two rows of a build share: an evaluation set may have one image under several ids, and annotators."""
    if build.kind == "train":
        return row.file_name
    who = "".join(f", {what} {name}" for what, name in (("annotator", row.annotator), ("subset", row.subset)) if name)
    return f"{row.file_name} of id {row.image_id}{who}"


def _check_row(row: Row, build: Build, encoder: PngEncoder) -> Iterator[tuple[str, str]]:
    """Place below the row and problem of everything that is wrong with it."""
    is_archive = build.kind == "train"
    name, value = ("archive", row.archive) if is_archive else ("dataset", row.dataset)
    for place in empty_places(row, build.kind, build.columns):
        yield f".{place}", "expected a value, found none"
    if value not in (None, build.name):
        yield f".{name}", f"expected {build.name}, found {value}"
    if is_archive and not is_own_name(row.file_name) and row.file_name != f"sa_{row.image_id}.jpg":
        yield ".file_name", f"expected sa_{row.image_id}.jpg, found {row.file_name}"
    yield from _check_image(row.image, row.shape, build.images)
    if len(row.masks) != len(row.annotations):
        yield ".masks", f"expected {len(row.annotations)} masks, one for each annotation, found {len(row.masks)}"
        return
    masks: list[RLEMask] = []
    for position, (annotation, image) in enumerate(zip(row.annotations, row.masks, strict=True)):
        try:
            mask = checked_mask(row, position)
        except RecordError as error:
            yield f".{error.where}", error.problem
            continue
        masks.append(mask)
        for field, text in wrong_numbers(annotation, mask, inclusive=is_archive):
            yield f".annotations[{position}].{field}", text
        # Equal bytes are equal masks; other bytes may be, from another deflate.
        if image.content != encoder.mask(mask) and not _same_mask(image.content or b"", mask):
            yield f".masks[{position}]", "expected the mask of its annotation, found another image"
    if row.conditioning_image is not None and len(masks) == len(row.annotations):
        painted, found = encoder.conditioning(masks, row.shape), row.conditioning_image.content or b""
        if found != painted and not _same_pixels(found, painted):
            yield ".conditioning_image", "expected the painting of its masks, found another image"


def _check_image(image: EncodedImage | None, shape: tuple[int, int], expected: bool) -> Iterator[tuple[str, str]]:
    if not expected or image is None:
        if expected or image is not None:
            yield ".image", f"expected {'an' if expected else 'no'} image, found {'one' if image else 'none'}"
        return
    expected_image = "an image that decodes"
    try:
        opened = open_image(image.content or b"", "", expected=expected_image)
        with decoding("", expected=expected_image):
            opened.load()
        check_whole(image.content or b"", opened.format or "", "")
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
