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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
from rlemasklib import RLEMask

from asam_datasets.builds import Build
from asam_datasets.errors import RecordError, SourceError
from asam_datasets.masks import PngEncoder
from asam_datasets.organized._archive import SET_COCO, SET_IMAGES, SET_MASKS, SETS_FOLDER, drop_work, open_place
from asam_datasets.organized._coco import Imaged, encode_coco
from asam_datasets.organized._image import Place, place_file
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._names import flat_names, mask_name
from asam_datasets.organized._result import Form, SetWritten
from asam_datasets.published import (
    GET_AGAIN,
    Dataset,
    GroupReader,
    PartFile,
    Row,
    checked_image,
    checked_masks,
    empty_places,
    read_file_names,
    read_rows,
    wrong_numbers,
)
from asam_datasets.sources.evaluation import EvaluationAnnotation
from asam_datasets.tables import arrow_schema, columns_of
from asam_datasets.workers import Workers, record_done

_LIGHT = ("annotations", "image_id")


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

    def masks(self) -> list[str]:
        """The masks of a binary set, relative to the folder of the sets; none of another."""
        names = [name for part in self.names for name in part] if self.form == "binary" else []
        return [f"{self.build.name}/{SET_MASKS}/{mask_name(name)}" for name in names]


@dataclass(frozen=True)
class SetTask:
    """One part for one worker."""

    place: Place
    form: Form
    part: PartFile
    names: list[str]
    extra: Sequence[str] = ()


def plan_set(dataset: Dataset, build: Build, log: Callable[[str], None]) -> SetPlan:
    """Find out which files an evaluation set becomes: reads the names of its images.

    `log` gets a line when something is tried again.

    Raises:
        SourceError: a part is damaged.
        HubError: the Hub refused, or was not reached.
    """
    parts, reader = dataset.parts(build), GroupReader(dataset.published.location, log)
    paths = [read_file_names(reader, part) for part in parts]
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
    make_folders(place, plan.form)
    extra = plan.build.extra
    tasks = [SetTask(place, plan.form, part, names, extra) for part, names in zip(plan.parts, plan.names, strict=True)]
    done = sorted(workers.run(set_task, tasks), key=lambda pair: pair[0])
    images = [image for _, found in done for image in found]
    if plan.form == "coco":
        content = encode_coco(plan.title, [name for part in plan.names for name in part], images)
        place_file(place.folder / SET_COCO, content, place.work / SET_COCO)
    drop_work(place)
    annotations = sum(len(image.annotations) for image in images)
    return SetWritten(plan.build.name, plan.form, len(images), annotations)


def make_folders(place: Place, form: Form) -> None:
    """Make the folders of a set."""
    for folder in (SET_IMAGES, SET_MASKS) if form == "binary" else (SET_IMAGES,):
        (place.folder / folder).mkdir(exist_ok=True)


def set_task(task: SetTask) -> list[Imaged]:
    """Read, check and write the images of one part: what a worker does. A row group whose images are all there is read
    without them."""
    part, encoder, done = task.part, PngEncoder(), []
    reader, names = GroupReader(part.location), iter(task.names)
    expected = arrow_schema(columns_of("evaluation", task.extra))
    if not reader.schema(part).equals(expected):
        raise SourceError(
            f"expected the columns {', '.join(expected.names)} of an evaluation set, found others",
            where=part.label,
            hint=GET_AGAIN,
        )
    for group, count in enumerate(part.row_groups):
        mine = list(islice(names, count))
        there = {name for name in mine if has_image(task, name)}
        columns = _LIGHT if len(there) == count else ("image", *_LIGHT)
        for name, row in zip(mine, read_rows(reader, part, group, columns), strict=True):
            image, masks = check_row(row)
            if name not in there:
                write_set_image(task, name, row, masks, encoder)
            done.append(image)
            record_done()
    return done


def has_image(task: SetTask, name: str) -> bool:
    """Whether an image is there and need not be looked at; its mask came before it."""
    folder = task.place.folder
    return (
        task.place.trusted
        and (folder / SET_IMAGES / name).is_file()
        and (task.form == "coco" or (folder / SET_MASKS / mask_name(name)).is_file())
    )


def write_set_image(task: SetTask, name: str, row: Row, masks: list[RLEMask], encoder: PngEncoder) -> None:
    """Write an image, after its mask.

    Raises:
        RecordError: it is no image, or one of another size.
        TargetError, OSError: as `place_file`.
    """
    image = checked_image(row)
    folder, work = task.place.folder, task.place.work / f"{os.getpid()}"
    try:
        if task.form == "binary":
            mask = encoder.mask(RLEMask.union(masks) if masks else RLEMask.zeros(row.shape), bit_depth=8)
            place_file(folder / SET_MASKS / mask_name(name), mask, work)
        place_file(folder / SET_IMAGES / name, image, work)
    finally:
        work.unlink(missing_ok=True)


def check_row(row: Row) -> tuple[Imaged, list[RLEMask]]:
    """What a row says without its image, and its masks.

    Raises:
        RecordError: a value is missing, the numbers of an annotation are not those of its mask, or its runs do not
            describe one.
    """
    for place in empty_places(row, "evaluation", _LIGHT):
        raise RecordError("expected a value, found none", where=f"{row.where}: {place}", hint=GET_AGAIN)
    masks = checked_masks(row)
    for number, (one, mask) in enumerate(zip(row.annotations, masks, strict=True)):
        for field, problem in wrong_numbers(one, mask, inclusive=False):
            raise RecordError(problem, where=f"{row.where}: annotations[{number}].{field}", hint=GET_AGAIN)
    annotations = msgspec.convert(row.annotations, list[EvaluationAnnotation], from_attributes=True)
    return Imaged(row.file_name, str(row.image_id), row.width, row.height, annotations), masks
