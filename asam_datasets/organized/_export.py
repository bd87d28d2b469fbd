"""A published dataset back to the organised folder: see `asam_datasets.organized`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.machine import AnyPath, only_writer_in, path_of, write_errors
from asam_datasets.organized._adversarial import export_samples
from asam_datasets.organized._archive import (
    SAMPLES_FOLDER,
    SETS_FOLDER,
    Outcome,
    check_target,
    finish_archive,
    open_place,
    write_archive,
    write_records,
)
from asam_datasets.organized._evaluation import SetPlan, export_set, plan_set
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
    dataset: AnyPath,
    out: AnyPath,
    *,
    masks: str = "all",
    workers: int | None = None,
    revision: str | None = None,
    listener: Listener | None = None,
) -> Organized:
    """Make ASAM's organised folder out of a published dataset; equal to `organize` of the archives.

    The JPEGs are equal byte for byte, the JSONs in every field, and in their bytes where the archive spells them as
    the SA-1B release does. Evaluation sets go to `out/testdata/<id>/`: images and binary masks (`imgs/`, `gts/`) of
    binary sets, images and a COCO file (`imgs/`, `annotations.json`) of the others. Adversarial samples go to
    `out/adversarial/`, as ASAM's generator lays them (`adv/`, `record/`). What was published without its images is
    left out, with a note. A stopped run goes on when it is called again; from the Hub, row
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
    out = path_of(out)
    with only_writer_in(out), write_errors(out):
        listener.on_stage(f"Looking at {dataset} and {out}")
        opened = open_dataset(dataset, revision=revision, log=listener.on_stage)
        archives, sets, samples, notes = _choose(opened)
        plans = [plan_set(opened, build, listener.on_stage) for build in sets]
        notes += _warnings(plans, out)
        check_target(out, [(build.name, None) for build in archives], {plan.build.name: plan.files() for plan in plans})
        listener.on_total(sum(build.rows for build in (*archives, *sets, *samples)))
        with open_workers(workers, listener.on_records) as pool:
            missing: list[int] = []
            written = [_export_build(opened, build, out, chosen, pool, missing) for build in archives]
            exported = [export_set(plan, out, pool) for plan in plans]
            adversarial = sum(export_samples(opened, build, out, pool) for build in samples)
    return Organized(
        out=str(out),
        archives=written,
        report=CaptionReport(sum(one.captions for one in written), (), sorted(missing)),
        rejected=0,
        rejects=None,
        seconds=time.monotonic() - started,
        sets=exported,
        notes=[*notes, *(note for one in written for note in one.notes())],
        samples=adversarial,
    )


def _choose(dataset: Dataset) -> tuple[list[Build], list[Build], list[Build], list[str]]:
    """Archives, evaluation sets, adversarial samples, and what is to be said of those that are left out.

    Raises:
        SourceError: nothing is left, or an archive has the name of the folder of the sets or of the samples.
    """
    archives = [build for build in dataset.builds if build.kind == "train"]
    sets = [build for build in dataset.builds if build.kind == "evaluation" and build.images]
    samples = [build for build in dataset.builds if build.kind == "adversarial" and build.images]
    left = [build.name for build in dataset.builds if build.kind != "train" and not build.images]
    notes = [f"{name} was published without its images and is left out" for name in left]
    url = dataset.published.url
    if dataset.builds and not archives and not sets and not samples:
        raise SourceError(
            f"expected images, found only annotations of {', '.join(left)}",
            where=url,
            hint=f"Export a dataset that was published with them: without {option('annotations_only')}.",
        )
    for builds, folder, what in ((sets, SETS_FOLDER, "evaluation sets"), (samples, SAMPLES_FOLDER, "samples")):
        if builds and any(build.name.casefold() == folder for build in archives):
            raise SourceError(
                f"expected archives beside the folder of the {what}, found one named {folder}",
                where=url,
                hint="Publish the archive under another name, or in another dataset.",
            )
    return archives, sets, samples, notes


def _warnings(plans: Sequence[SetPlan], out: Path) -> list[str]:
    """What ASAM's loaders of evaluation sets will stumble over in this folder.

    `utils/dataloader.py` tells by `'sam' not in gt_path` whether masks are images of their own.
    """
    place = str(out.resolve() / SETS_FOLDER)
    told = "ASAM's loader of binary sets takes a path with `sam` in it for SA-1B, such as"
    if plans and "sam" in place:
        return [f"{told} {place}"]
    misread = [path for plan in plans for path in plan.masks() if "sam" in path]
    return [f"{told} {misread[0]} and {len(misread) - 1:,} more"] if misread else []


def export_task(task: ExportTask) -> Outcome:
    """Read, check and write the images of one part: what a worker does."""
    return write_records(read_records(task.part, task.archive, task.place), task.place, skip=False)


def _export_build(
    dataset: Dataset, build: Build, out: Path, masks: MaskRange, workers: Workers, missing: list[int]
) -> ArchiveWritten:
    """Export one archive; `missing` collects the ids of images without a caption."""
    place = open_place(out, build.name, origin=build.folder, masks=masks)
    tasks = [ExportTask(place, build.name, part) for part in dataset.parts(build)]
    written, images = write_archive(place, export_task, tasks, bad=BadRecords(), workers=workers)
    if written.images != build.rows:
        raise SourceError(f"expected {build.rows} images, found {written.images}", where=build.folder)
    finish_archive(place, images)
    missing += [image.image_id for image in images if image.caption is None]
    return written
