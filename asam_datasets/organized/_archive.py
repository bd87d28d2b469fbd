"""One archive of the organised folder: tasks for workers, what may lie in the folder, the lists at the end.

    out/.asam_datasets/<archive>/     unfinished work; gone when the archive is complete
    out/<archive>/                    images, each complete (see `_image.py`)
    out/<archive>-*.json              the two lists, written last
    out/testdata/                     evaluation sets: see `_evaluation.py`
    out/adversarial/                  adversarial samples: see `_adversarial.py`

While an archive is unfinished, a note in the work folder says from what and how it is made. A run that finds its own
note goes on; without one, every image that is there is compared with what would be written.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from asam_datasets.errors import CaptionsError, RecordError, SourceError, TargetError, option
from asam_datasets.machine import refuse_links, write_atomically
from asam_datasets.masks import PngEncoder
from asam_datasets.organized._image import Place, write_image
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._result import ArchiveWritten
from asam_datasets.sources import (
    CAPTION_LIST,
    CONTROLNET_LIST,
    BadRecords,
    Reject,
    caption_id,
    encode_lists,
    read_captions,
)
from asam_datasets.sources.sa1b import RawRecord, as_sa1b, read_record
from asam_datasets.workers import Workers, record_done

WORK_FOLDER = ".asam_datasets"
SETS_FOLDER = "testdata"
SAMPLES_FOLDER, SAMPLE_IMAGES, SAMPLE_RECORDS = "adversarial", "adv", "record"
SET_IMAGES, SET_MASKS, SET_COCO = "imgs", "gts", "annotations.json"
REJECTS = "rejects.jsonl"
MISSING_IDS = "missing-ids.txt"

_NOTE = "made-from.json"
_FORMAT = 1  # raised when the same input and settings shall give other files
_ENTRY = re.compile(r"sa_(\d{1,18})(\.jpg|\.json|\.png)?")
_SAMPLE = re.compile(r"(adv/sa_\d{1,18}\.(png|jpg)|record/sa_\d{1,18}\.txt)")
_LIST = re.compile(r".+(-blip2-caption|-controlnet-train)\b.*\.(json|jsonl|partial)")
_SHOWN = 3

Task = TypeVar("Task")


class _Note(msgspec.Struct, frozen=True):
    """From what an unfinished archive is made, and how."""

    format: int
    origin: str
    masks: str


@dataclass(frozen=True)
class Outcome:
    """What one task did: the images that are there now, and rejects."""

    images: list[Image]
    rejects: list[Reject]


class Image(NamedTuple):
    """One image that is there now, with the number of its annotations."""

    image_id: int
    caption: str | None
    annotations: int


class Found(NamedTuple):
    """One image of a source with its caption; `record` is None where it is there already and need not be looked at, and
    `annotations` is their number then."""

    image_id: int
    caption: str | None
    record: RawRecord | None = None
    annotations: int = 0


def write_records(found: Iterable[Found], place: Place, *, skip: bool) -> Outcome:
    """Check and write records: what a worker does.

    Raises:
        RecordError: a record is bad, and the policy is `raise`.
        TargetError, OSError: as `write_image`.
    """
    encoder = PngEncoder()
    images: list[Image] = []
    rejects = []
    for image_id, caption, raw, count in found:
        if raw is not None:
            raw = as_sa1b(raw)
            try:
                record = read_record(raw, caption)
            except RecordError as error:
                if not skip:
                    raise
                rejects.append(Reject(raw.label, raw.annotations, str(error)))
                continue
            if not place.has(image_id):
                write_image(raw, record, place, encoder)
            count = len(record.masks)
        images.append(Image(image_id, caption, count))
        record_done()
    return Outcome(images, rejects)


def open_place(out: Path, archive: str, *, origin: str, masks: MaskRange) -> Place:
    """Make the folders of an archive, and find out whether an unfinished run of the same kind is continued.

    Args:
        out: the organised folder.
        archive: name of the archive.
        origin: a digest of what the images are made from.
        masks: which masks are decoded.
    """
    folder, work = out / archive, out / WORK_FOLDER / archive
    for own in (folder, work):
        refuse_links(out, own)
    folder.mkdir(parents=True, exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    note = msgspec.json.encode(_Note(_FORMAT, origin, masks.to_text()))
    path = work / _NOTE
    trusted = path.is_file() and path.read_bytes() == note
    for entry in work.iterdir():  # what a killed run left half done, and a note that is not ours
        if entry.name != _NOTE or not trusted:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if not trusted and not any(folder.iterdir()):
        write_atomically(path, note)
    return Place(folder, work, masks, trusted)


def write_archive(
    place: Place,
    work: Callable[[Task], Outcome],
    tasks: Iterable[Task],
    *,
    bad: BadRecords,
    workers: Workers,
) -> tuple[ArchiveWritten, list[Image]]:
    """Run the tasks of one archive.

    Returns:
        What is there now, and its images, by image id.

    Raises:
        SourceError: an image id is in it twice.
        TargetError: images of another archive lie in the folder.
    """
    images: list[Image] = []
    for _, outcome in workers.run(work, tasks):
        images += outcome.images
        bad.rejects += outcome.rejects
    images.sort(key=lambda image: image.image_id)
    for one, other in pairwise(images):
        if one.image_id == other.image_id:  # its files would be written once, and counted twice
            problem = f"expected each image once, found image id {one.image_id} again"
            raise SourceError(problem, where=place.folder.name)
    # Of a stream or a published dataset the ids are known only now.
    foreign = _foreign(place.folder, frozenset(image.image_id for image in images))
    if foreign:
        raise _holds_other(place.folder, foreign)
    written = ArchiveWritten(
        archive=place.folder.name,
        images=len(images),
        annotations=sum(image.annotations for image in images),
        captions=sum(image.caption is not None for image in images),
        masks=sum(len(place.masks.numbers(image.annotations)) for image in images),
        bare=sum(not image.annotations for image in images),
    )
    return written, images


def finish_archive(place: Place, images: Iterable[Image]) -> None:
    """Write the lists of a complete archive and drop its work folder.

    Raises:
        TargetError: a list is there that holds other captions, which would be lost.
    """
    write_lists(place, {image.image_id: image.caption for image in images if image.caption is not None})
    drop_work(place)


def write_lists(place: Place, captions: Mapping[int, str]) -> None:
    """Write the lists of an archive.

    Args:
        place: of the archive.
        captions: by image id, in the order of the archive.

    Raises:
        TargetError: a list is there that holds other captions, which would be lost.
    """
    out = place.folder.parent
    lists = encode_lists(place.folder.name, captions.items())
    texts = {f"sa_{image_id}.jpg": text for image_id, text in captions.items()}
    for name in lists:
        _require_contained(out / name, texts)
    for name, content in lists.items():
        write_atomically(out / name, content)


def listed_captions(place: Place) -> dict[int, str]:
    """The captions that the list of an archive has already, by image id.

    Raises:
        TargetError: the list is there and none.
    """
    path = place.folder.parent / f"{place.folder.name}{CAPTION_LIST}"
    if not path.is_file():
        return {}
    found: dict[int, str] = {}
    try:
        for name, text in read_captions([path]).items():
            image_id = caption_id(name)
            if image_id < 0:
                raise CaptionsError(f"expected names such as sa_1.jpg, found {name!r}", where=str(path))
            found[image_id] = text
    except CaptionsError as error:
        hint = f"Move it away, or give another {option('out')}."
        raise TargetError(error.problem, where=error.where or str(path), hint=hint) from None
    return found


def drop_work(place: Place) -> None:
    """Remove the work folder of what is complete, and those above it that are empty then."""
    shutil.rmtree(place.work, ignore_errors=True)
    folder = place.work.parent
    while WORK_FOLDER in folder.parts and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def leave_place(place: Place) -> None:
    """Leave no folder where nothing was written; and where something was, the note, by which others go on."""
    below = (SET_IMAGES, SET_MASKS, SAMPLE_IMAGES, SAMPLE_RECORDS)
    for folder in (*(place.folder / name for name in below), place.folder):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    if not place.folder.exists():
        drop_work(place)


def check_target(
    out: Path,
    archives: Iterable[tuple[str, Collection[int] | None]],
    sets: Mapping[str, Collection[str]] | None = None,
) -> None:
    """Refuse a folder that holds something else; nothing is changed.

    Args:
        out: what shall become, or is, an organised folder.
        archives: name and image ids of each archive that will be written; None for the ids of a stream.
        sets: the files of each evaluation set that will be written, relative to its folder.

    Raises:
        TargetError: it is a file, or holds entries that no organised folder has.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise TargetError("expected a folder, found a file", where=str(nearest), hint=f"Give another {option('out')}.")
    if not out.is_dir():
        return
    expected = dict(archives)
    foreign = []
    for entry in out.iterdir():
        if entry.name.startswith(".") or entry.name in (REJECTS, MISSING_IDS):
            continue
        if _LIST.fullmatch(entry.name) and entry.is_file():
            continue
        if not entry.is_dir():
            foreign.append(entry.name)
        elif entry.name == SAMPLES_FOLDER and SAMPLES_FOLDER not in expected:
            foreign += [f"{entry.name}/{name}" for name in _foreign_samples(entry)]
        elif entry.name == SETS_FOLDER and SETS_FOLDER not in expected:
            foreign += [f"{entry.name}/{name}" for name in _foreign_in_sets(entry, sets or {})]
        else:
            foreign += [f"{entry.name}/{name}" for name in _foreign(entry, expected.get(entry.name))]
    if foreign:
        raise _holds_other(out, foreign)


def _holds_other(folder: Path, names: Collection[str]) -> TargetError:
    shown = ", ".join(sorted(names)[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return TargetError(
        f"expected an empty folder or an organised one of these archives, found {shown}{more}",
        where=str(folder),
        hint=f"Give another {option('out')}; nothing that was there has been changed.",
    )


def _foreign(folder: Path, ids: Collection[int] | None) -> list[str]:
    """What does not belong into the folder of an archive."""
    names = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
    matches = {name: _ENTRY.fullmatch(name) for name in names}
    return [name for name, match in matches.items() if not match or (ids is not None and int(match[1]) not in ids)]


def _foreign_samples(folder: Path) -> Iterator[str]:
    """What does not belong among the adversarial samples; beside them ASAM's generator leaves `pair/`, for people."""
    for one in folder.iterdir():
        if one.name in (SAMPLE_IMAGES, SAMPLE_RECORDS) and one.is_dir():
            names = [f"{one.name}/{entry}" for entry in _listed(one)]
            yield from (name for name in names if not _SAMPLE.fullmatch(name))
        elif one.name != "pair" and not one.name.startswith("."):
            yield one.name


def _foreign_in_sets(folder: Path, sets: Mapping[str, Collection[str]]) -> Iterator[str]:
    """What does not belong among the exported evaluation sets; of other sets than `sets` only the shape is known."""
    for one in folder.iterdir():
        if one.name.startswith("."):
            continue
        names = [entry.name for entry in one.iterdir() if not entry.name.startswith(".")] if one.is_dir() else None
        if not names or not {SET_IMAGES, SET_MASKS, SET_COCO}.issuperset(names):
            if names != []:
                yield one.name
            continue
        for name in names:
            there = [name] if name == SET_COCO else [f"{name}/{entry}" for entry in _listed(one / name)]
            yield from (f"{one.name}/{path}" for path in there if one.name in sets and path not in sets[one.name])


def _listed(path: Path) -> list[str]:
    """The entries of a folder that are not hidden; of a file in its place, itself."""
    return [name for name in os.listdir(path) if not name.startswith(".")] if path.is_dir() else [""]


def _require_contained(path: Path, captions: dict[str, str]) -> None:
    if not path.is_file():
        return
    other = [name for name, text in read_captions([path]).items() if captions.get(name) != text]
    if other:
        raise TargetError(
            f"expected the captions that are written now, found {len(other)} others, such as that of {other[0]}",
            where=str(path),
            hint=f"Give it with {option('captions')}, or move it away, with its *{CONTROLNET_LIST} or *{CAPTION_LIST}.",
        )
