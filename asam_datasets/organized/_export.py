"""A published dataset back to the organised folder: see `asam_datasets.organized`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.machine import available_cores, only_writer, write_errors
from asam_datasets.organized._archive import (
    SETS_FOLDER,
    Outcome,
    check_target,
    finish_archive,
    open_place,
    write_archive,
    write_records,
)
from asam_datasets.organized._evaluation import export_set, plan_set
from asam_datasets.organized._image import Place
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._records import read_records
from asam_datasets.organized._result import ArchiveWritten, Organized
from asam_datasets.progress import Listener
from asam_datasets.published import Dataset, PartFile, open_dataset
from asam_datasets.sources import BadRecords, CaptionReport
from asam_datasets.workers import Workers, open_workers


@dataclass(frozen=True)
class ExportTask:
    """One part of an archive for one worker."""

    place: Place
    archive: str
    part: PartFile


def export(
    dataset: str | Path,
    out: Path,
    *,
    masks: str = "all",
    workers: int | None = None,
    revision: str | None = None,
    listener: Listener | None = None,
) -> Organized:
    """Make ASAM's organised folder out of a published dataset; equal to `organize` of the archives.

    The JPEGs are equal byte for byte, the JSONs in every field, and in their bytes where the archive spells them as
    the SA-1B release does. Evaluation sets go to `out/testdata/<id>/`: images and binary masks (`imgs/`, `gts/`) of
    binary sets, images and a COCO file (`imgs/`, `annotations.json`) of the others; a set that was published
    without its images is left out, with a note. A stopped run goes on when it is called again; from the Hub, row
    groups whose images are all there are not transferred again.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub, which is read in place.
        out: the folder; made, continued, or completed. What is there already is never replaced.
        masks: of archives: `all`, `none`, or a range of annotations such as `0:4`.
        workers: processes; one for each core by default.
        revision: of the repository; `main` by default.
        listener: who follows the run.

    Raises:
        SourceError, RecordError, HubError: the dataset; finished images are kept.
        TargetError: `out` holds something else, is written by another process, or the disk is full.
    """
    listener, started, chosen = listener or Listener(), time.monotonic(), MaskRange.from_text(masks)
    with only_writer(out), write_errors(out):
        listener.on_stage(f"Looking at {dataset} and {out}")
        opened = open_dataset(dataset, revision=revision, log=listener.on_stage)
        archives, sets, notes = _choose(opened)
        notes += _warnings(archives, sets, out)
        plans = [plan_set(opened, build, listener.on_stage) for build in sets]
        check_target(out, [(build.name, None) for build in archives], {plan.build.name: plan.files() for plan in plans})
        listener.on_total(sum(build.rows for build in (*archives, *sets)))
        with open_workers(workers or available_cores(), listener.on_records) as pool:
            written = [_export_build(opened, build, out, chosen, pool) for build in archives]
            exported = [export_set(plan, out, pool) for plan in plans]
    captions = sum(one.captions for one in written)
    # Which images have no caption is a question to the publisher; here their number is enough.
    report = CaptionReport(captions, (), ())
    return Organized(str(out), written, report, 0, None, time.monotonic() - started, exported, notes)


def _choose(dataset: Dataset) -> tuple[list[Build], list[Build], list[str]]:
    """Archives, evaluation sets, and what is to be said of the sets that are left out.

    Raises:
        SourceError: nothing is left, or an archive has the name of the folder of the sets.
    """
    archives = [build for build in dataset.builds if build.kind == "train"]
    sets = [build for build in dataset.builds if build.kind == "evaluation" and build.images]
    left = [build.name for build in dataset.builds if build.kind == "evaluation" and not build.images]
    notes = [f"{name} was published without its images and is left out" for name in left]
    samples = [build for build in dataset.builds if build.kind == "adversarial"]
    notes += [f"{one.name}: {one.rows:,} adversarial samples are left out; `load_dataset` has them" for one in samples]
    url = dataset.published.url
    if dataset.builds and not archives and not sets:
        raise SourceError(
            f"expected images, found only annotations of {', '.join(left)}",
            where=url,
            hint=f"Export a dataset that was published with them: without {option('annotations_only')}.",
        )
    if sets and any(build.name.casefold() == SETS_FOLDER for build in archives):
        raise SourceError(
            f"expected archives beside the folder of the evaluation sets, found one named {SETS_FOLDER}",
            where=url,
            hint="Publish the archive under another name, or in another dataset.",
        )
    return archives, sets, notes


def _warnings(archives: Sequence[Build], sets: Sequence[Build], out: Path) -> list[str]:
    """What ASAM's programs will stumble over in this folder."""
    notes = [
        f"{build.name}: {build.rows - build.captions:,} of {build.rows:,} images have no caption, and are in no list"
        for build in archives
        if build.captions < build.rows
    ]
    place = str(out.resolve() / SETS_FOLDER)
    if sets and "sam" in place:
        # `main.py` tells by `'sam' not in gt_path` whether masks are binary images.
        notes.append(f"ASAM's loader of binary sets takes a path with `sam` in it for SA-1B, such as {place}")
    return notes


def export_task(task: ExportTask) -> Outcome:
    """Read, check and write the images of one part: what a worker does."""
    return write_records(read_records(task.part, task.archive, task.place), task.place, skip=False)


def _export_build(dataset: Dataset, build: Build, out: Path, masks: MaskRange, workers: Workers) -> ArchiveWritten:
    """Export one archive."""
    place = open_place(out, build.name, origin=build.folder, masks=masks)
    tasks = [ExportTask(place, build.name, part) for part in dataset.parts(build)]
    written, captions = write_archive(place, export_task, tasks, bad=BadRecords(), workers=workers)
    if written.images != build.rows:
        raise SourceError(f"expected {build.rows} images, found {written.images}", where=build.folder)
    finish_archive(place, captions)
    return ArchiveWritten(build.name, build.rows, build.annotations, written.captions)
