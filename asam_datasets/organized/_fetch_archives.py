"""Images of archives by their ids into the organised folder.

Images that an earlier call has put there, as its note says, are not read again, but for the captions of those that
are in no list yet: the lists are written last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from asam_datasets.machine import available_cores
from asam_datasets.masks import PngEncoder
from asam_datasets.organized._archive import leave_place, listed_captions, open_place, write_lists
from asam_datasets.organized._image import Place, write_image
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._records import RECORD_COLUMNS, image_id_of, raw_record
from asam_datasets.progress import Listener
from asam_datasets.published import Dataset, Found, FoundRow, Location, RowFinder, row_columns, typed_row
from asam_datasets.sources.sa1b import read_record
from asam_datasets.workers import open_workers, record_done

_TASK_IDS = 128
_MANY = 256
"""Images from which on more than one process is worth its start."""

_LIGHT = ("image_id", "caption")

Id = int | str


class Done(NamedTuple):
    """What was done: the images that are there now, those of them that were fetched, captions, and what is missing."""

    images: int
    fetched: int
    captions: int
    missing: frozenset[Id]


@dataclass(frozen=True)
class FetchTask:
    """Some images for one worker; of `light` ones the captions alone."""

    location: Location
    found: Found
    ids: tuple[Id, ...]
    places: Mapping[str, Place]
    at_once: int
    light: bool


class FetchedImage(NamedTuple):
    """An image that is there now, and in which archive."""

    archive: str
    image_id: int
    caption: str | None


def fetch_archives(
    dataset: Dataset,
    found: Found,
    ids: Sequence[Id],
    out: Path,
    masks: MaskRange,
    workers: int | None,
    at_once: int,
    listener: Listener,
) -> Done:
    """Fetch images of archives.

    Raises:
        SourceError, RecordError, HubError: the dataset; finished images are kept.
        TargetError: something else lies there under one of the names.
    """
    builds = {found.groups[number].build.name: found.groups[number].build for number in found.ids}
    places = {name: open_place(out, name, origin=build.folder, masks=masks) for name, build in sorted(builds.items())}
    try:
        return _fetch(dataset.published.location, found, ids, places, workers, at_once, listener)
    finally:
        for place in places.values():
            leave_place(place)


def _fetch(
    location: Location,
    found: Found,
    ids: Sequence[Id],
    places: Mapping[str, Place],
    workers: int | None,
    at_once: int,
    listener: Listener,
) -> Done:
    captions = {name: listed_captions(place) for name, place in places.items()}
    numbers = found.places()
    where = {one: {found.groups[number].build.name for number in mine} for one, mine in numbers.items()}
    there = {one for one, names in where.items() if all(places[name].has(int(one)) for name in names)}
    told = {one for one in there if all(int(one) in captions[name] for name in where[one])}
    listener.on_records(len(told) + len(ids) - len(where))
    light, full = [one for one in where if one in there and one not in told], [one for one in where if one not in there]
    count = workers or (available_cores() if len(full) > _MANY else 1)
    each = max(1, at_once // count)
    tasks = (
        FetchTask(location, found.only(some, numbers), tuple(some), places, each, is_light)
        for is_light, mine in ((True, light), (False, full))
        for some in (mine[start : start + _TASK_IDS] for start in range(0, len(mine), _TASK_IDS))
    )
    seen: set[Id] = set()
    with open_workers(count, listener.on_records) as pool:
        work = partial(fetch_task, log=listener.on_stage) if count == 1 else fetch_task
        for _, images in pool.run(work, tasks):
            for image in images:
                seen.add(image.image_id)
                if image.caption is not None:
                    captions[image.archive][image.image_id] = image.caption
    for name, place in places.items():
        write_lists(place, dict(sorted(captions[name].items())))
    missing = frozenset(one for one in ids if one not in seen and one not in told)
    mine = {one: [captions[name].get(int(one)) for name in where[one]] for one in where if one not in missing}
    captioned = sum(any(text is not None for text in texts) for texts in mine.values())
    return Done(len(mine), len(seen & set(full)), captioned, missing)


def fetch_task(task: FetchTask, log: Callable[[str], None] = lambda text: None) -> list[FetchedImage]:
    """Read, check and write the images of a task: what a worker does."""
    finder, encoder = RowFinder(task.location, numbers=True, at_once=task.at_once, log=log), PngEncoder()
    columns = row_columns(_LIGHT if task.light else RECORD_COLUMNS)
    images: list[FetchedImage] = []
    rows = finder.read(task.found, task.ids, columns)
    for _, there in rows:
        images += [_image(row, task, encoder) for row in there]
        record_done()
    return images


def _image(found: FoundRow, task: FetchTask, encoder: PngEncoder) -> FetchedImage:
    row, part, archive = typed_row(found.values, found.label), found.group.part, found.group.build.name
    image_id = image_id_of(row, part)
    if not task.light:
        raw = raw_record(row, part, archive)
        write_image(raw, read_record(raw, row.caption), task.places[archive], encoder)
    return FetchedImage(archive, image_id, row.caption)
