"""One archive of the organised folder: tasks for workers, what may lie in the folder, the lists at the end.

    out/.asam_datasets/<archive>/     unfinished work; gone when the archive is complete
    out/<archive>/                    images, each complete (see `_image.py`)
    out/<archive>-*.json              the two lists, written last
    out/testdata/                     evaluation sets: see `_evaluation.py`

While an archive is unfinished, a note in the work folder says from what and how it is made. A run that finds its own
note goes on; without one, every image that is there is compared with what would be written.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from asam_datasets.errors import RecordError, TargetError, option
from asam_datasets.machine import refuse_links, write_atomically
from asam_datasets.masks import PngEncoder
from asam_datasets.organized._image import Place, write_image
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._result import ArchiveWritten
from asam_datasets.sources import CAPTION_LIST, CONTROLNET_LIST, BadRecords, Reject, encode_lists, read_captions
from asam_datasets.sources.sa1b import RawRecord, read_record
from asam_datasets.workers import Workers, record_done

WORK_FOLDER = ".asam_datasets"
SETS_FOLDER = "testdata"
SET_IMAGES, SET_MASKS, SET_COCO = "imgs", "gts", "annotations.json"
REJECTS = "rejects.jsonl"

_NOTE = "made-from.json"
_FORMAT = 1  # raised when the same input and settings shall give other files
_ENTRY = re.compile(r"sa_(\d{1,18})(\.jpg|\.json|\.png)?")
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
    """What one task did: (image id, caption) of the images that are there now, the number of the masks that it looked
    at, and rejects."""

    captions: list[tuple[int, str | None]]
    annotations: int
    rejects: list[Reject]


class Found(NamedTuple):
    """One image of a source with its caption; `record` is None where it is there already and need not be looked at."""

    image_id: int
    caption: str | None
    record: RawRecord | None = None


def write_records(found: Iterable[Found], place: Place, *, skip: bool) -> Outcome:
    """Check and write records: what a worker does.

    Raises:
        RecordError: a record is bad, and the policy is `raise`.
        TargetError, OSError: as `write_image`.
    """
    encoder = PngEncoder()
    captions: list[tuple[int, str | None]] = []
    annotations, rejects = 0, []
    for image_id, caption, raw in found:
        if raw is not None:
            try:
                record = read_record(raw, caption)
            except RecordError as error:
                if not skip:
                    raise
                rejects.append(Reject(raw.label, raw.annotations, str(error)))
                continue
            if not place.has(image_id):
                write_image(raw, record, place, encoder)
            annotations += len(record.masks)
        captions.append((image_id, caption))
        record_done()
    return Outcome(captions, annotations, rejects)


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
) -> tuple[ArchiveWritten, list[tuple[int, str]]]:
    """Run the tasks of one archive.

    Returns:
        What is there now, and (image id, caption) of the images that have one, by image id.

    Raises:
        TargetError: images of another archive lie in the folder.
    """
    captions: list[tuple[int, str | None]] = []
    annotations = 0
    for _, outcome in workers.run(work, tasks):
        captions += outcome.captions
        annotations += outcome.annotations
        bad.rejects += outcome.rejects
    captions.sort()
    # Of a stream or a published dataset the ids are known only now.
    foreign = _foreign(place.folder, frozenset(image_id for image_id, _ in captions))
    if foreign:
        raise _holds_other(place.folder, foreign)
    with_caption = [(image_id, text) for image_id, text in captions if text is not None]
    return ArchiveWritten(place.folder.name, len(captions), annotations, len(with_caption)), with_caption


def finish_archive(place: Place, captions: Iterable[tuple[int, str]]) -> None:
    """Write the lists of a complete archive and drop its work folder.

    Raises:
        TargetError: a list is there that holds other captions, which would be lost.
    """
    out = place.folder.parent
    lists = encode_lists(place.folder.name, captions)
    texts = {f"sa_{image_id}.jpg": text for image_id, text in captions}
    for name in lists:
        _require_contained(out / name, texts)
    for name, content in lists.items():
        write_atomically(out / name, content)
    drop_work(place)


def drop_work(place: Place) -> None:
    """Remove the work folder of what is complete, and those above it that are empty then."""
    shutil.rmtree(place.work, ignore_errors=True)
    folder = place.work.parent
    while WORK_FOLDER in folder.parts and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


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
        if entry.name.startswith(".") or entry.name == REJECTS or (_LIST.fullmatch(entry.name) and entry.is_file()):
            continue
        if not entry.is_dir():
            foreign.append(entry.name)
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
