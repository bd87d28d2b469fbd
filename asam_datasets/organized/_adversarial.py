"""Adversarial samples out of a published dataset, as ASAM's generator lays them.

    out/adversarial/adv/sa_1.png (or .jpg)     the image, byte for byte
    out/adversarial/record/sa_1.txt            one number: the worst IoU that SAM reached on it

The image is renamed into place after its record. What lies there already is compared and never replaced. As a source,
`out/adversarial` is read by `asam_datasets.sources`: the same parts come out of it again.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.builds import Build
from asam_datasets.errors import RecordError, SourceError
from asam_datasets.organized._archive import (
    SAMPLE_IMAGES,
    SAMPLE_RECORDS,
    SAMPLES_FOLDER,
    drop_work,
    open_place,
)
from asam_datasets.organized._image import Place, place_file
from asam_datasets.organized._masks import MaskRange
from asam_datasets.published import GET_AGAIN, Dataset, GroupReader, PartFile, Row, empty_places, read_rows
from asam_datasets.sources import AdversarialRef, check_sample
from asam_datasets.workers import Workers, record_done

_LIGHT = ("image_id", "worst_iou")
_NAME = re.compile(r"sa_(0|[1-9][0-9]{0,17})\.(png|jpg)", re.ASCII)


@dataclass(frozen=True)
class SamplesTask:
    """One part for one worker."""

    place: Place
    part: PartFile


def export_samples(dataset: Dataset, build: Build, out: Path, workers: Workers) -> int:
    """Export the adversarial samples; gives how many.

    Raises:
        SourceError, RecordError, HubError: the dataset; finished samples are kept.
        TargetError: something else lies there under one of the names.
    """
    place = open_place(out, SAMPLES_FOLDER, origin=build.folder, masks=MaskRange())
    for folder in (SAMPLE_IMAGES, SAMPLE_RECORDS):
        (place.folder / folder).mkdir(exist_ok=True)
    tasks = [SamplesTask(place, part) for part in dataset.parts(build)]
    found = [image_id for _, ids in workers.run(samples_task, tasks) for image_id in ids]
    if twice := len(found) - len(set(found)):
        raise SourceError(f"expected one sample of each image, found {twice} again", where=build.folder, hint=GET_AGAIN)
    drop_work(place)
    return len(found)


def samples_task(task: SamplesTask) -> list[int]:
    """Read, check and write the samples of one part, and give their image ids: what a worker does. A row group whose
    images are all there is read without them."""
    reader, done = GroupReader(task.part.location), []
    for group, count in enumerate(task.part.row_groups):
        if task.place.trusted:
            light = [(row, refer(row)) for row in read_rows(reader, task.part, group, _LIGHT)]
            if all(_has(task.place, ref) for _, ref in light):
                done += [ref.image_id for _, ref in light]
                for _ in range(count):
                    record_done()
                continue
        rows = read_rows(reader, task.part, group, ("image", *_LIGHT))
        for row in rows:
            ref = refer(row)
            write_sample(task.place, row, ref)
            done.append(ref.image_id)
            record_done()
    return done


def refer(row: Row) -> AdversarialRef:
    """The files of a row.

    Raises:
        RecordError: its name is not that of a sample of its image id; it becomes the names of files.
    """
    match = _NAME.fullmatch(row.file_name)
    if match is None or row.image_id != int(match[1]):
        raise RecordError(
            f"expected sa_{row.image_id}.png (or .jpg), found {row.file_name!r}",
            where=f"{row.where}: file_name",
            hint=GET_AGAIN,
        )
    stem = row.file_name.partition(".")[0]
    return AdversarialRef(int(match[1]), f"{SAMPLE_IMAGES}/{row.file_name}", f"{SAMPLE_RECORDS}/{stem}.txt")


def _has(place: Place, ref: AdversarialRef) -> bool:
    return (place.folder / ref.image).is_file() and (place.folder / ref.record).is_file()


def has_sample(place: Place, image_id: int) -> bool:
    """Whether the sample of an image is there."""
    record = f"{SAMPLE_RECORDS}/sa_{image_id}.txt"
    images = (f"{SAMPLE_IMAGES}/sa_{image_id}.{ending}" for ending in ("png", "jpg"))
    return any(_has(place, AdversarialRef(image_id, image, record)) for image in images)


def write_sample(place: Place, row: Row, ref: AdversarialRef) -> None:
    """Write a sample.

    Raises:
        RecordError: a value is missing, its image is none of the kind and the size that the row says, or its number
            is no IoU.
        TargetError, OSError: as `place_file`.
    """
    for empty in empty_places(row, "adversarial", _LIGHT):
        raise RecordError("expected a value, found none", where=f"{row.where}: {empty}", hint=GET_AGAIN)
    if row.image is None or row.image.content is None:
        raise RecordError("expected an image, found none", where=f"{row.where}: image", hint=GET_AGAIN)
    record = repr(row.worst_iou).encode()  # as the generator writes it
    try:
        checked = check_sample(ref, (row.image.content, record), row.where)
    except RecordError as error:
        raise RecordError(error.problem, where=error.where, hint=GET_AGAIN) from None
    if (checked.height, checked.width) != row.shape:
        raise RecordError(
            f"expected {row.height} × {row.width} (height × width), found {checked.height} × {checked.width}",
            where=f"{row.where}: image",
            hint=GET_AGAIN,
        )
    work = place.work / f"{os.getpid()}"
    try:
        place_file(place.folder / ref.record, record, work)
        place_file(place.folder / ref.image, row.image.content, work)
    finally:
        work.unlink(missing_ok=True)
