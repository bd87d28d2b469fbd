"""A published dataset to folders of a form: each archive or set is shown when it is whole, and no moment before.

    out/.asam_datasets/<form>/<name>/made-from.json     of what is unfinished: from what, and how
                                     parts/             notes of parts that are complete, and what waits for the others
                                     whole/             becomes out/<name> by one rename
    out/<name>/.asam_datasets.json                      of what is complete: from what, and what is in it

A run that was stopped or killed goes on with the parts that are missing. What is there already is never replaced.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, TargetError, option
from asam_datasets.formats._coco import CocoForm
from asam_datasets.formats._fiftyone import FiftyOneForm
from asam_datasets.formats._form import Form, PartDone, Space, Whole
from asam_datasets.formats._reading import Plan, plan_build, read_items
from asam_datasets.formats._result import Exported, FolderWritten
from asam_datasets.formats._webdataset import WebDatasetForm
from asam_datasets.formats._yolo import YoloForm
from asam_datasets.machine import (
    AnyPath,
    only_writer,
    path_of,
    refuse_links,
    write_atomically,
    write_errors,
)
from asam_datasets.organized import ANY_OBJECT, ObjectKind
from asam_datasets.progress import Listener
from asam_datasets.published import Dataset, PartFile, open_dataset
from asam_datasets.tables import Kind
from asam_datasets.workers import Workers, open_workers, ordered, record_done

FORMS: Mapping[str, Form] = {
    "coco": CocoForm(),
    "yolo": YoloForm(),
    "webdataset": WebDatasetForm(),
    "fiftyone": FiftyOneForm(),
}
"""The forms by name."""

_WORK = ".asam_datasets"
_MARK = ".asam_datasets.json"
_FORMAT = 1  # raised when the same input shall give other files
_SHOWN = 3

_Classes = Mapping[ObjectKind, tuple[int, str]]


class _MadeFrom(msgspec.Struct, frozen=True):
    """From what a folder is made, and how."""

    format: int
    form: str
    origin: str
    classes: list[str]


class _Mark(msgspec.Struct, frozen=True):
    """What lies in a complete folder."""

    made: _MadeFrom
    written: FolderWritten
    turned: int


@dataclass(frozen=True)
class _Task:
    """One part for one worker."""

    form: str
    space: Space
    kind: Kind
    part: PartFile
    names: Sequence[str]
    numbers: Sequence[int]


def export_form(
    dataset: AnyPath,
    out: AnyPath,
    *,
    form: str,
    workers: int | None = None,
    revision: str | None = None,
    listener: Listener | None = None,
) -> Exported:
    """Write a published dataset in the form of another program: a folder for each archive and evaluation set.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub, which is read in place.
        out: the folder; made, continued, or completed. What is there already is never replaced.
        form: one of `FORMS`.
        workers: processes; one for each core by default.
        revision: of the repository; `main` by default.
        listener: who follows the run.

    Raises:
        SourceError, RecordError, HubError: the dataset; finished parts are kept.
        TargetError: no such form; `out` holds something else, is written by another process, or the disk is full.
    """
    listener, started = listener or Listener(), time.monotonic()
    out = path_of(out)
    if form not in FORMS:
        raise TargetError(f"expected one of {', '.join(FORMS)}, found {form!r}", where=option("format"))
    with only_writer(out), write_errors(out):
        listener.on_stage(f"Looking at {dataset} and {out}")
        opened = open_dataset(dataset, revision=revision, log=listener.on_stage)
        builds, notes = _choose(opened)
        views = _views(builds)
        _check_target(out, form, set(views))
        plans = [plan_build(opened, view, name, listener.on_stage) for name, view in views.items()]
        classes = _classes(plans)
        listener.on_total(sum(build.rows for build in builds))
        with open_workers(workers, listener.on_records) as pool:
            marks = [_export_build(plan, out, form, classes, pool, listener) for plan in plans]
        folders = [mark.written for mark in marks]
        for name, content in FORMS[form].shared(folders, _class_names(classes)).items():
            write_atomically(out / name, content)
        _drop_empty(out / _WORK)
    turned = sum(mark.turned for mark in marks)
    if turned:
        notes.append(f"{turned:,} images have an EXIF orientation: readers that follow it turn them, and no mask")
    notes += [f"{one.name}: left out {count:,} {what}" for one in folders for what, count in one.left_out.items()]
    notes += [f"{one.name}: {count:,} {what}" for one in folders for what, count in one.lost.items()]
    return Exported(str(out), form, folders, [*notes, *FORMS[form].notes(folders)], time.monotonic() - started)


def _choose(dataset: Dataset) -> tuple[list[Build], list[str]]:
    """What is written, and what is to be said of the rest.

    Raises:
        SourceError: nothing is left.
    """
    chosen = [build for build in dataset.builds if build.kind != "adversarial" and build.images]
    bare = [build for build in dataset.builds if not build.images]
    notes = [f"{one.name}: left out {one.rows:,} records that were published without their images" for one in bare]
    notes += [
        f"{one.name}: left out {one.rows:,} adversarial samples, which the organised folder has"
        for one in dataset.builds
        if one.kind == "adversarial" and one.images
    ]
    if not chosen:
        found = "; ".join(notes) or "nothing"
        raise SourceError(
            f"expected archives or evaluation sets with images, found: {found}", where=dataset.published.url
        )
    return chosen, notes


def _views(builds: Sequence[Build]) -> dict[str, Build]:
    """What is written, by the name of its folder: what is held out of an archive has one of its own."""
    views = {build.name: build.in_split(build.split) for build in builds}
    for build in builds:
        for split in build.splits[1:]:
            name = f"{build.name}-{split}"
            while name in views:  # another archive is called so
                name += "_"
            views[name] = build.in_split(split)
    return views


def _check_target(out: Path, form: str, names: set[str]) -> None:
    """Refuse a folder that holds something else; nothing is changed.

    Raises:
        TargetError: it is a file, or holds entries that no folder of this form has.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise TargetError("expected a folder, found a file", where=str(nearest), hint=f"Give another {option('out')}.")
    if not out.is_dir():
        return
    known = {_WORK, *FORMS[form].SHARED}
    foreign = [
        entry.name
        for entry in out.iterdir()
        if entry.name not in known and not (entry.is_dir() and (entry / _MARK).is_file())
    ]
    if foreign:
        shown = ", ".join(sorted(foreign)[:_SHOWN])
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        raise TargetError(
            f"expected an empty folder or one that was exported as {form}, found {shown}{more}",
            where=str(out),
            hint=f"Give another {option('out')}; nothing that was there has been changed.",
        )


def _classes(plans: Sequence[Plan]) -> dict[ObjectKind, tuple[int, str]]:
    """One number for each name of a category, over all archives and sets: those without a name first, then by name."""
    named = {kind: plan.category_name(kind) for plan in plans for kind in plan.categories}
    ordered = sorted(set(named.values()), key=lambda name: (name != ANY_OBJECT, name)) or [ANY_OBJECT]
    return {kind: (ordered.index(name), name) for kind, name in named.items()}


def _class_names(classes: _Classes) -> list[str]:
    return [name for _, name in sorted(set(classes.values()))] or [ANY_OBJECT]


def _export_build(plan: Plan, out: Path, form: str, classes: _Classes, workers: Workers, listener: Listener) -> _Mark:
    """Write one archive or set, unless it is there."""
    build = plan.build
    origin = f"{build.folder} {build.split}" if plan.name != build.name else build.folder
    made = _MadeFrom(_FORMAT, form, origin, _class_names(classes))
    target, work = out / plan.name, out / _WORK / form / plan.name
    for own in (target, work):
        refuse_links(out, own)
    if target.exists():
        mark = _read_mark(target, made)
        listener.on_records(build.rows)
        return mark
    done = _write_parts(plan, work, made, classes, workers, listener)
    counted = {name: sum(getattr(one, name) for one in done) for name in ("images", "annotations", "masks", "captions")}
    written = FolderWritten(
        plan.name,
        build.split,
        **counted,
        left_out=dict(sorted(sum((Counter(one.left_out) for one in done), Counter()).items())),
        lost=dict(sorted(sum((Counter(one.lost) for one in done), Counter()).items())),
    )
    prefixes = [_prefix(number) for number in range(len(plan.parts))]
    FORMS[form].finish(
        Whole(
            work / "whole", work / "parts", prefixes, plan.name, plan.title, plan.category_list(), made.classes,
            written.captions,
        )
    )  # fmt: skip
    mark = _Mark(made, written, sum(one.turned for one in done))
    write_atomically(work / "whole" / _MARK, msgspec.json.encode(mark))
    os.rename(work / "whole", target)
    shutil.rmtree(work, ignore_errors=True)
    return mark


def _write_parts(
    plan: Plan, work: Path, made: _MadeFrom, classes: _Classes, workers: Workers, listener: Listener
) -> list[PartDone]:
    """Write the parts that are missing."""
    note, encoded = work / "made-from.json", msgspec.json.encode(made)
    if not (note.is_file() and note.read_bytes() == encoded):
        shutil.rmtree(work, ignore_errors=True)  # of another dataset, or of another version
    for folder in ("parts", *(f"whole/{name}" for name in ("", *FORMS[made.form].FOLDERS))):
        (work / folder).mkdir(parents=True, exist_ok=True)
    write_atomically(note, encoded)
    tasks, done, before = [], dict[int, PartDone](), 0
    for number, (part, manifest) in enumerate(zip(plan.parts, plan.build.parts, strict=True)):
        path = work / "parts" / f"{_prefix(number)}.done.json"
        if path.is_file():
            done[number] = msgspec.json.decode(path.read_bytes(), type=PartDone)
            listener.on_records(part.rows)
        else:
            space = Space(work / "whole", work / "parts", _prefix(number), plan.name, before, plan.categories, classes)
            tasks.append(_Task(made.form, space, plan.build.kind, part, plan.names[number], plan.numbers[number]))
        before += manifest.annotations
    for found in ordered(workers.run(_write_part, tasks)):
        done[found[0]] = found[1]
    for number, manifest in enumerate(plan.build.parts):
        if done[number].annotations != manifest.annotations:
            problem = (
                f"expected {manifest.annotations} annotations as its manifest says, found {done[number].annotations}"
            )
            raise SourceError(problem, where=plan.parts[number].label)
    return [done[number] for number in range(len(plan.parts))]


def _write_part(task: _Task) -> tuple[int, PartDone]:
    """Read, check and write the images of one part: what a worker does."""
    writer = FORMS[task.form].writer(task.space)
    images = annotations = captions = turned = 0
    try:
        for item in read_items(task.part, task.kind, task.names, task.numbers):
            writer.add(item)
            images += 1
            annotations += len(item.objects)
            captions += item.caption is not None
            turned += item.turned
            record_done()
    finally:
        writer.close()
    tally = writer.tally
    done = PartDone(images, annotations, tally.masks, captions, turned, dict(tally.left_out), dict(tally.lost))
    write_atomically(task.space.waiting / f"{task.space.prefix}.done.json", msgspec.json.encode(done))
    return int(task.space.prefix.rpartition("-")[2]), done


def _read_mark(target: Path, made: _MadeFrom) -> _Mark:
    """What a complete folder says of itself.

    Raises:
        TargetError: it is of something else.
    """
    try:
        mark = msgspec.json.decode((target / _MARK).read_bytes(), type=_Mark)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        mark = None
    if mark is None or mark.made != made:
        raise TargetError(
            f"expected nothing there, or what this run would write, found {mark.made.form if mark else 'something'} of "
            "another dataset or version",
            where=str(target),
            hint=f"Give another {option('out')}, or move it away; nothing that was there has been changed.",
        )
    return mark


def _prefix(number: int) -> str:
    return f"part-{number:05}"


def _drop_empty(folder: Path) -> None:
    """Remove the folder of unfinished work where nothing is in it."""
    for one in (*folder.glob("*"), folder):
        if one.is_dir() and not any(one.iterdir()):
            one.rmdir()
