"""Archives to the organised folder: see `asam_datasets.organized`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.errors import SKIP, CaptionsError, SourceError, option
from asam_datasets.machine import (
    AnyPath,
    only_writer_in,
    path_of,
    paths_of,
    texts_of,
    write_errors,
    write_rejects,
)
from asam_datasets.organized._archive import (
    REJECTS,
    Found,
    Outcome,
    check_target,
    finish_archive,
    open_place,
    write_archive,
    write_records,
)
from asam_datasets.organized._image import Place
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._result import Organized
from asam_datasets.progress import Listener
from asam_datasets.sources import BadRecords, CaptionReport, OnBadRecord, Reject, caption_report, read_captions
from asam_datasets.sources.sa1b import (
    Index,
    IndexedSource,
    RawRecord,
    RecordRef,
    Source,
    StreamSource,
    find_archives,
    find_captions,
    open_source,
)
from asam_datasets.workers import open_workers

_CHUNK_RECORDS = 8


@dataclass(frozen=True)
class OrganizeTask:
    """Some records for one worker: by reference into `source`, or as they came out of a stream."""

    place: Place
    source: IndexedSource | None
    records: tuple[RecordRef | RawRecord, ...]
    captions: tuple[str | None, ...]
    skip: bool


@dataclass(frozen=True)
class _Opened:
    source: Source
    index: Index | None


def organize(
    sources: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    captions: AnyPath | Sequence[AnyPath] = (),
    masks: str = "all",
    workers: int | None = None,
    on_bad_record: OnBadRecord = "raise",
    require_captions: bool = False,
    listener: Listener | None = None,
) -> Organized:
    """Make ASAM's organised folder out of archives. A stopped run goes on when it is called again.

    Args:
        sources: folders, tars, folders of tars, organised folders, URLs.
        out: the folder; made, continued, or completed. What is there already is never replaced.
        captions: caption files; those that lie beside an organised folder are found by themselves.
        masks: `all`, `none`, or a range of annotations such as `0:4`.
        workers: processes; one for each core by default.
        on_bad_record: `skip` goes on past bad records and lists them in `out/rejects.jsonl`.
        require_captions: whether an image without caption is an error.
        listener: who follows the run.

    Raises:
        SourceError, RecordError, CaptionsError: the input; finished images are kept.
        TargetError: `out` holds something else, is written by another process, or the disk is full.
    """
    listener, started, chosen = listener or Listener(), time.monotonic(), MaskRange.from_text(masks)
    bad, locations, out = BadRecords(on_bad_record), texts_of(sources), path_of(out)
    with only_writer_in(out), write_errors(out):
        listener.on_stage(f"Looking at {len(locations)} source(s) and {out}")
        opened = _open(locations, bad)
        texts = read_captions(paths_of(captions) or _beside(locations), bad)
        report = None if any(one.index is None for one in opened) else _check(opened, texts, bad, require_captions)
        check_target(out, [(one.source.name, _ids(one.index)) for one in opened])
        totals = [len(one.index.records) for one in opened if one.index is not None]
        listener.on_total(sum(totals) if len(totals) == len(opened) else None)
        seen: set[int] = set()
        written, finished = [], []
        with open_workers(workers, listener.on_records) as pool:
            for one in opened:
                origin = _origin(one)
                place = open_place(out, one.source.name, origin=origin, masks=chosen)
                tasks = _tasks(one, place, texts, bad, seen)
                done, lines = write_archive(place, write_task, tasks, bad=bad, workers=pool)
                written.append(done)
                finished.append((place, lines))
        report = report or _report(texts, seen, bad, require_captions)
        for place, lines in finished:
            finish_archive(place, lines)
        rejects = write_rejects(out / REJECTS, bad.rejects)
    return Organized(
        out=str(out),
        archives=written,
        report=report,
        rejected=len(bad.rejects),
        rejects=str(rejects) if rejects else None,
        seconds=time.monotonic() - started,
        notes=[note for one in written for note in one.notes()],
    )


def write_task(task: OrganizeTask) -> Outcome:
    """Read, check and write the records of a task: what a worker does."""
    try:
        return write_records(_read(task), task.place, skip=task.skip)
    finally:
        if task.source is not None:
            task.source.close()


def _read(task: OrganizeTask) -> Iterator[Found]:
    for record, caption in zip(task.records, task.captions, strict=True):
        if not isinstance(record, RecordRef):
            yield Found(record.image_id, caption, record)
        elif task.source is not None:
            yield Found(record.image_id, caption, task.source.read(record))


def _open(locations: Sequence[str | Path], bad: BadRecords) -> list[_Opened]:
    opened: dict[str, _Opened] = {}
    for location in (found for given in locations for found in find_archives(given)):
        source = open_source(location)
        if source.name in opened:
            raise SourceError(
                f"expected archives of different names, found {source.name} twice",
                where=source.label,
                hint="Give each archive once; its name is the last part of its path.",
            )
        opened[source.name] = _Opened(source, None if isinstance(source, StreamSource) else source.index(bad))
    return list(opened.values())


def _beside(sources: Sequence[str | Path]) -> list[Path]:
    return [path for source in sources for path in find_captions(source)]


def _ids(index: Index | None) -> frozenset[int] | None:
    return None if index is None else frozenset(ref.image_id for ref in index.records)


def _check(opened: Sequence[_Opened], captions: Mapping[str, str], bad: BadRecords, required: bool) -> CaptionReport:
    ids: set[int] = set()
    for one in opened:
        mine = _ids(one.index) or frozenset()
        if twice := ids & mine:
            raise SourceError(
                f"expected image id {min(twice)} once, found it in {one.source.label} and in another archive",
                hint="Was the same archive given twice?",
            )
        ids |= mine
    return _report(captions, ids, bad, required)


def _report(captions: Mapping[str, str], ids: set[int], bad: BadRecords, required: bool) -> CaptionReport:
    report = caption_report(captions, ids)
    if report.unknown and bad.policy == "raise":
        raise CaptionsError(
            f"expected captions of images in the archives, found {report.sentences()[0]}",
            where=option("captions"),
            hint=f"Is it the caption file of another archive? {SKIP} leaves such captions out.",
        )
    bad.rejects += [Reject("captions", name, "the image is in no archive") for name in report.unknown]
    if required:
        report.require_all()
    return report


def _origin(one: _Opened) -> str:
    """What an unfinished archive is recognised by: names and sizes of the members, or the address of a stream."""
    refs = one.index.records if one.index is not None else ()
    members = "\n".join(f"{ref.image_id} {ref.image.size_bytes} {ref.annotations.size_bytes}" for ref in refs)
    return hashlib.sha256((members or one.source.label).encode()).hexdigest()


def _tasks(
    one: _Opened, place: Place, captions: Mapping[str, str], bad: BadRecords, seen: set[int]
) -> Iterator[OrganizeTask]:
    """Tasks of a few records; `seen` collects the image ids."""

    def task(chunk: Sequence[RecordRef | RawRecord], source: IndexedSource | None) -> OrganizeTask:
        seen.update(record.image_id for record in chunk)
        texts = tuple(captions.get(f"sa_{record.image_id}.jpg") for record in chunk)
        return OrganizeTask(place, source, tuple(chunk), texts, bad.policy == "skip")

    if not isinstance(one.source, StreamSource):
        refs = one.index.records if one.index is not None else ()
        for start in range(0, len(refs), _CHUNK_RECORDS):
            yield task(refs[start : start + _CHUNK_RECORDS], one.source)
        return
    chunk: list[RawRecord] = []
    for raw in one.source.records(bad):
        chunk.append(raw)
        if len(chunk) == _CHUNK_RECORDS:
            yield task(chunk, None)
            chunk = []
    if chunk:
        yield task(chunk, None)
