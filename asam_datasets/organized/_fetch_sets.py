"""Images of evaluation sets, and adversarial samples, by their ids into the organised folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from asam_datasets.masks import PngEncoder
from asam_datasets.organized._adversarial import has_sample, refer, write_sample
from asam_datasets.organized._archive import (
    SAMPLE_IMAGES,
    SAMPLE_RECORDS,
    SAMPLES_FOLDER,
    SET_COCO,
    SETS_FOLDER,
    leave_place,
    open_place,
)
from asam_datasets.organized._coco import Imaged, encode_coco
from asam_datasets.organized._evaluation import SetPlan, SetTask, check_row, has_image, make_folders, write_set_image
from asam_datasets.organized._fetch_archives import Done
from asam_datasets.organized._image import place_file
from asam_datasets.organized._masks import MaskRange
from asam_datasets.published import Found, FoundRow, RowFinder, row_columns, typed_row

_SET_LIGHT = ("annotations", "image_id")
_SAMPLE = ("image", "image_id", "worst_iou")

Id = int | str


class _Set:
    """One evaluation set: where its images go, under which names, and what is known of them."""

    def __init__(self, plan: SetPlan, out: Path) -> None:
        self.plan = plan
        origin, place = plan.build.folder, f"{SETS_FOLDER}/{plan.build.name}"
        self.task = SetTask(open_place(out, place, origin=origin, masks=MaskRange()), plan.form, plan.parts[0], [])
        make_folders(self.task.place, plan.form)
        starts = accumulate((part.rows for part in plan.parts), initial=0)
        self._starts = dict(zip((part.path for part in plan.parts), starts, strict=False))
        self._names = [name for part in plan.names for name in part]
        self.images: dict[int, Imaged] = {}

    def number(self, row: FoundRow) -> int:
        """The number of a row in the set."""
        return self._starts[row.group.part.path] + row.row

    def name(self, row: FoundRow) -> str:
        """The file of the image of a row."""
        return self._names[self.number(row)]

    def finish(self) -> None:
        """Write the COCO file, if there is to be one."""
        if self.plan.form != "coco" or not self.images:
            return
        numbers = sorted(self.images)
        images = [self.images[number] for number in numbers]
        content = encode_coco(self.plan.title, [self._names[number] for number in numbers], images)
        place_file(self.task.place.folder / SET_COCO, content, self.task.place.work / SET_COCO)

    def leave(self) -> None:
        """Leave no folder where nothing was found."""
        leave_place(self.task.place)


def fetch_sets(
    finder: RowFinder,
    found: Found,
    ids: Sequence[Id],
    plans: Sequence[SetPlan],
    out: Path,
    on_images: Callable[[int], None],
) -> Done:
    """Fetch images of evaluation sets: annotations of all of them first, then the images that are not there yet.

    Raises:
        SourceError, RecordError, HubError: the dataset; finished images are kept.
        TargetError: something else lies there under one of the names.
    """
    sets, encoder = {plan.build.path: _Set(plan, out) for plan in plans}, PngEncoder()
    missing, needed = set[Id](), list[Id]()
    for one, rows in finder.read(found, ids, row_columns(_SET_LIGHT)):
        there = True
        for row in rows:
            mine = sets[row.group.build.path]
            mine.images[mine.number(row)] = check_row(typed_row(row.values, row.label))[0]
            there = there and has_image(mine.task, mine.name(row))
        missing |= set() if rows else {one}
        needed += [] if there else [one]
        on_images(int(there))
    for _, rows in finder.read(found, needed, row_columns(("image", *_SET_LIGHT))):
        for row in rows:
            mine, name = sets[row.group.build.path], sets[row.group.build.path].name(row)
            if not has_image(mine.task, name):
                typed = typed_row(row.values, row.label)
                write_set_image(mine.task, name, typed, check_row(typed)[1], encoder)
        on_images(1)
    for mine in sets.values():
        mine.finish()
        mine.leave()
    return Done(sum(len(one.images) for one in sets.values()), len(needed), 0, frozenset(missing))


def fetch_samples(
    finder: RowFinder, found: Found, ids: Sequence[Id], out: Path, on_images: Callable[[int], None]
) -> Done:
    """Fetch adversarial samples.

    Raises:
        SourceError, RecordError, HubError: the dataset; finished samples are kept.
        TargetError: something else lies there under one of the names.
    """
    places = found.places()
    builds = {found.groups[number].build.folder for number in found.ids}
    missing = {one for one in ids if one not in places}
    if not builds:
        return Done(0, 0, 0, frozenset(missing))
    place = open_place(out, SAMPLES_FOLDER, origin=min(builds), masks=MaskRange())
    for folder in (SAMPLE_IMAGES, SAMPLE_RECORDS):
        (place.folder / folder).mkdir(exist_ok=True)
    there = {one for one in places if place.trusted and has_sample(place, int(one))}
    needed = [one for one in ids if one in places and one not in there]
    on_images(len(ids) - len(needed))
    for one, rows in finder.read(found, needed, row_columns(_SAMPLE)):
        for row in rows:
            typed = typed_row(row.values, row.label)
            write_sample(place, typed, refer(typed))
        missing |= set() if rows else {one}
        on_images(1)
    leave_place(place)
    return Done(len(ids) - len(missing), len(ids) - len(missing) - len(there), 0, frozenset(missing))
