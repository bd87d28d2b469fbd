"""Evaluation sets out of a published dataset, as ASAM's loaders take them.

    out/testdata/hrsod_te/imgs/1001_abc_o.jpg       the original, byte for byte
    out/testdata/hrsod_te/gts/1001_abc_o.png        binary sets: all masks of it as one, 8-bit grey, 0 or 255
    out/testdata/coco2017_val/imgs/...
    out/testdata/coco2017_val/annotations.json      the others: COCO instances, written last

The image is renamed into place after its mask, so one that is there is there completely. What lies there already is
compared and never replaced. The annotations of one set are held in memory, as every reader of its COCO file does;
images are not.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
from msgspec import Meta
from rlemasklib import RLEMask

from asam_datasets.builds import Build
from asam_datasets.errors import AsamDatasetsError, RecordError, SegmentationError, SourceError
from asam_datasets.images import image_shape
from asam_datasets.masks import PngEncoder, from_segmentation
from asam_datasets.organized._archive import SET_COCO, SET_IMAGES, SET_MASKS, SETS_FOLDER, drop_work, open_place
from asam_datasets.organized._coco import Imaged, encode_coco
from asam_datasets.organized._image import Place, place_file
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._names import flat_names, mask_name
from asam_datasets.published import Dataset, PartFile
from asam_datasets.sources.evaluation import EvaluationAnnotation
from asam_datasets.tables import TABLES, arrow_schema
from asam_datasets.workers import Workers, record_done

Form = Literal["binary", "coco"]

_LIGHT = ("annotations", "image_id", "file_name", "width", "height")
_HINT = "The dataset was changed by hand or damaged; get it again, or publish it again."
_Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]


@dataclass(frozen=True)
class SetWritten:
    """One exported evaluation set, complete. `form` says what is beside its images: `gts/`, or a COCO file."""

    dataset: str
    form: Form
    images: int
    annotations: int


@dataclass(frozen=True)
class SetPlan:
    """One evaluation set that will be written; `names` has its images, part by part, in the order of the table."""

    build: Build
    title: str
    form: Form
    parts: list[PartFile]
    names: list[list[str]]

    def files(self) -> frozenset[str]:
        """All its files, relative to its folder."""
        names = [name for part in self.names for name in part]
        files = {f"{SET_IMAGES}/{name}" for name in names}
        files |= {f"{SET_MASKS}/{mask_name(name)}" for name in names} if self.form == "binary" else {SET_COCO}
        return frozenset(files)


@dataclass(frozen=True)
class SetTask:
    """One part for one worker."""

    place: Place
    form: Form
    part: PartFile
    names: list[str]


class _Image(msgspec.Struct, frozen=True, rename={"content": "bytes"}):
    """What `datasets.Image` stores; a field of the name of its type would hide the type."""

    content: bytes | None = None


class _Row(msgspec.Struct, frozen=True):
    """A row of the `evaluation` table as it is read here, without its masks."""

    annotations: list[EvaluationAnnotation]
    image_id: str
    file_name: str
    width: _Side
    height: _Side
    image: _Image | None = None


class _Found(NamedTuple):
    name: str
    image: bytes | None
    row: Imaged
    masks: list[RLEMask]


def plan_set(dataset: Dataset, build: Build) -> SetPlan:
    """Find out which files an evaluation set becomes: reads the names of its images.

    Raises:
        SourceError: a part is damaged.
        HubError: the Hub refused, or was not reached.
    """
    parts = dataset.parts(build)
    paths: list[list[str]] = []
    for part in parts:
        with part.open() as parquet:
            found = parquet.read(columns=["file_name"]).column("file_name").to_pylist()
        if not all(isinstance(path, str) for path in found):
            raise SourceError("expected a file name in each row, found another value", where=part.label, hint=_HINT)
        paths.append(found)
    names = iter(flat_names([path for found in paths for path in found]))
    info = build.evaluation
    form: Form = "binary" if info is not None and info.masks == "binary" else "coco"
    title = info.title if info is not None else build.name
    return SetPlan(build, title, form, parts, [[next(names) for _ in found] for found in paths])


def export_set(plan: SetPlan, out: Path, workers: Workers) -> SetWritten:
    """Export one evaluation set.

    Raises:
        SourceError, RecordError, HubError: the dataset; finished images are kept.
        TargetError: something else lies there under one of the names.
    """
    place = open_place(out, f"{SETS_FOLDER}/{plan.build.name}", origin=plan.build.folder, masks=MaskRange())
    for folder in (SET_IMAGES, SET_MASKS) if plan.form == "binary" else (SET_IMAGES,):
        (place.folder / folder).mkdir(exist_ok=True)
    tasks = [SetTask(place, plan.form, part, names) for part, names in zip(plan.parts, plan.names, strict=True)]
    done = sorted(workers.run(set_task, tasks), key=lambda pair: pair[0])
    images = [image for _, found in done for image in found]
    if plan.form == "coco":
        content = encode_coco(plan.title, [name for part in plan.names for name in part], images)
        place_file(place.folder / SET_COCO, content, place.work / SET_COCO)
    drop_work(place)
    annotations = sum(len(image.annotations) for image in images)
    return SetWritten(plan.build.name, plan.form, len(images), annotations)


def set_task(task: SetTask) -> list[Imaged]:
    """Read, check and write the images of one part: what a worker does."""
    encoder, done = PngEncoder(), []
    work = task.place.work / f"{os.getpid()}"
    try:
        with closing(_found(task)) as rows:
            for name, image, row, masks in rows:
                if image is not None:
                    if task.form == "binary":
                        joined = RLEMask.union(masks) if masks else RLEMask.zeros((row.height, row.width))
                        mask = encoder.mask(joined, bit_depth=8)
                        place_file(task.place.folder / SET_MASKS / mask_name(name), mask, work)
                    place_file(task.place.folder / SET_IMAGES / name, image, work)
                done.append(row)
                record_done()
    finally:
        work.unlink(missing_ok=True)
    return done


def _found(task: SetTask) -> Generator[_Found, None, None]:
    """The rows of a part, checked; no image for those that are there already. A row group of which all are there is
    read without its images."""
    names = iter(task.names)
    with task.part.open() as parquet:
        expected = arrow_schema(TABLES["evaluation"].columns)
        if not parquet.schema_arrow.equals(expected):
            raise SourceError(
                f"expected the columns {', '.join(expected.names)} of an evaluation set, found others",
                where=task.part.label,
                hint=_HINT,
            )
        for group in range(parquet.num_row_groups):
            mine = [next(names) for _ in range(parquet.metadata.row_group(group).num_rows)]
            there = [_has(task, name) for name in mine]
            columns = list(_LIGHT) if all(there) else ["image.bytes", *_LIGHT]
            rows = parquet.read_row_group(group, columns=columns).to_pylist()
            for name, has, row in zip(mine, there, rows, strict=True):
                yield _check(name, row, task.part.label, has=has)


def _has(task: SetTask, name: str) -> bool:
    """Whether an image is there and need not be looked at; its mask came before it."""
    folder = task.place.folder
    return (
        task.place.trusted
        and (folder / SET_IMAGES / name).is_file()
        and (task.form == "coco" or (folder / SET_MASKS / mask_name(name)).is_file())
    )


def _check(name: str, raw: dict[str, Any], label: str, *, has: bool) -> _Found:
    where = f"{label}: {raw['file_name']}"
    try:
        row = msgspec.convert(raw, _Row)
        shape = (row.height, row.width)
        masks = [_check_annotation(one, number, shape) for number, one in enumerate(row.annotations)]
        image = None
        if not has:
            image = row.image.content if row.image is not None else None
            if image is None:
                raise RecordError("expected an image, found none", where="image")
            found = image_shape(image, "image")
            if found != shape:
                raise RecordError(
                    f"expected {shape[0]} × {shape[1]} (height × width), found {found[0]} × {found[1]}", where="image"
                )
    except msgspec.ValidationError as error:
        raise RecordError(f"expected a row of an evaluation set, found: {error}", where=where, hint=_HINT) from None
    except AsamDatasetsError as error:
        raise RecordError(error.problem, where=f"{where}: {error.where}", hint=_HINT) from None
    return _Found(name, image, Imaged(row.file_name, row.image_id, row.width, row.height, row.annotations), masks)


def _check_annotation(one: EvaluationAnnotation, number: int, shape: tuple[int, int]) -> RLEMask:
    """The mask of an annotation whose numbers are right.

    Raises:
        RecordError: they are not, or its runs do not describe a mask of the image.
    """
    where = f"annotations[{number}]"
    try:
        mask = from_segmentation({"size": list(one.segmentation.size), "counts": one.segmentation.counts}, shape=shape)
    except SegmentationError as error:
        raise RecordError(error.problem, where=f"{where}.segmentation.{error.where}") from None
    if one.area != int(mask.area()):
        raise RecordError(f"expected {int(mask.area())} pixels, found {one.area}", where=f"{where}.area")
    box = tuple(float(n) for n in mask.bbox().tolist())
    if one.area and one.bbox != box:
        raise RecordError(f"expected {list(box)} (exclusive, as COCO's), found {list(one.bbox)}", where=f"{where}.bbox")
    return mask
