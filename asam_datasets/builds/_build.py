"""One archive to one build, in a folder named by its content.

    source ──index──► plan of parts ──► workers: read, check, render, write ──► work folder ──rename──► build folder
    stream ──chunks──► workers: check, render ──► waiting rows ──plan──► workers: write ──► work folder ──► ...

The work folder keeps finished parts with a note of what they were made from. A run that was killed, or stopped at a
bad record, finds them again. Waiting rows of a stream are not kept: a stream is read again from its start.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asam_datasets.builds._folders import begin_build, empty, finalize
from asam_datasets.builds._manifest import Build, make_build
from asam_datasets.builds._options import Built, Candidate, Options
from asam_datasets.builds._parts import (
    ChunkTask,
    PartTask,
    Waiting,
    build_part,
    check_part,
    compare_part,
    render_chunk,
    write_rows,
)
from asam_datasets.builds._plan import MAX_PART_BYTES, choose_parts, part_file, part_ranges
from asam_datasets.errors import SourceError, option
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import IndexedSource, RawRecord, RecordRef, Source, StreamSource, select
from asam_datasets.workers import Workers, ordered

_CHUNK_RECORDS = 16
_CHUNK_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Planned:
    """An archive that was indexed: what its build will hold."""

    source: IndexedSource
    refs: tuple[RecordRef, ...]
    parts: int
    rejected: int


def _plan(
    source: IndexedSource, options: Options, bad: BadRecords, workers: Workers
) -> tuple[Planned, NDArray[np.int64]]:
    """Find the records of an archive and decide on the parts. Under the policy `skip` every record is checked here,
    so that the parts of the good ones come out equal.

    Raises:
        SourceError, RecordError: see `asam_datasets.sources`; or `ids` selects nothing.
    """
    before = len(bad.rejects)
    found = source.index(bad).records
    all_ids = _ids(ref.image_id for ref in found)
    refs = select(found, options.ids)
    if bad.policy == "skip" and refs:
        pieces = part_ranges(len(refs), min(len(refs), 4 * workers.count))
        tasks = [PartTask(source, refs[r.start : r.stop], (None,) * len(r), Path()) for r in pieces]
        rejected = set()
        for piece, faults in zip(pieces, ordered(workers.run(check_part, tasks)), strict=True):
            for position, reject in faults:
                bad.rejects.append(reject)
                rejected.add(piece.start + position)
        refs = tuple(ref for position, ref in enumerate(refs) if position not in rejected)
    size_bytes = sum(ref.image.size_bytes + ref.annotations.size_bytes for ref in refs)
    if not refs:
        raise _nothing_left(source.label, bad)
    parts = choose_parts(len(refs), size_bytes, options.parts, source.label)
    return Planned(source, refs, parts, len(bad.rejects) - before), all_ids


def _unchanged(planned: Planned, known: Build, options: Options, workers: Workers) -> bool:
    """Whether `known` was made from exactly this input. Reads and hashes the archive, renders nothing."""
    if known.rows != len(planned.refs) or known.rejected != planned.rejected:
        return False
    if len(known.parts) != planned.parts and options.parts is not None:
        return False
    tasks = _part_tasks(planned, options, Path(), len(known.parts))
    inputs = ordered(workers.run(compare_part, tasks))
    return [part.inputs for part in known.parts] == list(inputs)


def find_unchanged(
    source: IndexedSource, options: Options, known: Sequence[Candidate], bad: BadRecords, workers: Workers
) -> Built | None:
    """The one of `known` that was made from exactly this input, if any. Hashes the archive and renders nothing.

    Rejected records are added to `bad` only when such a build is found.

    Raises:
        SourceError, RecordError: see `build_archive`.
    """
    if not known:
        return None
    seen = BadRecords(bad.policy)
    planned, all_ids = _plan(source, options, seen, workers)
    for candidate in known:
        if _unchanged(planned, candidate.build, options, workers):
            bad.rejects += seen.rejects
            return Built(candidate.build, candidate.folder, all_ids, _ids(ref.image_id for ref in planned.refs))
    return None


def build_archive(
    source: Source,
    options: Options,
    *,
    target: Path,
    work: Path,
    known: Sequence[Candidate],
    bad: BadRecords,
    workers: Workers,
) -> Built:
    """Build one archive.

    Args:
        source: the archive.
        options: captions, selection, number of parts.
        target: folder that receives `<archive>-<digest>/`; made when the build is complete.
        work: folder on the same file system for what is not complete.
        known: complete builds of this archive, of which a stream that gives the same bytes takes one; `find_unchanged`
            tells it of other sources beforehand.
        bad: policy for bad records.
        workers: who does it.

    Raises:
        SourceError, RecordError: nothing is left in `target`; finished parts stay in `work`.
    """
    with begin_build(work, source.name) as folder:
        if isinstance(source, StreamSource):
            return _build_stream(source, options, target, folder, known, bad, workers)
        planned, all_ids = _plan(source, options, bad, workers)
        selected = _ids(ref.image_id for ref in planned.refs)
        count = planned.parts
        while True:
            parts = ordered(workers.run(build_part, _part_tasks(planned, options, folder, count)))
            if options.parts is not None or max(part.size_bytes for part in parts) <= MAX_PART_BYTES:
                break
            empty(folder)
            count *= 2
        images = source.name not in options.annotations_only
        build = make_build(source.name, parts, rejected=planned.rejected, images=images)
        return Built(build, finalize(build, folder, target), all_ids, selected)


def _nothing_left(label: str, bad: BadRecords) -> SourceError:
    """The error for an archive none of whose records can be used."""
    return SourceError(
        f"expected at least one usable record, found none ({len(bad.rejects)} rejected)",
        where=label,
        hint=f"Look at {option('ids')} and at the rejected records.",
    )


def _ids(ids: Iterable[int]) -> NDArray[np.int64]:
    return np.sort(np.fromiter(ids, np.int64))


def _part_tasks(planned: Planned, options: Options, folder: Path, parts: int) -> Iterator[PartTask]:
    for index, rows in enumerate(part_ranges(len(planned.refs), parts)):
        refs = planned.refs[rows.start : rows.stop]
        captions = tuple(options.captions.get(f"sa_{ref.image_id}.jpg") for ref in refs)
        images = planned.source.name not in options.annotations_only
        yield PartTask(planned.source, refs, captions, folder / part_file(index), images)


def _build_stream(
    source: StreamSource,
    options: Options,
    target: Path,
    folder: Path,
    known: Sequence[Candidate],
    bad: BadRecords,
    workers: Workers,
) -> Built:
    before = len(bad.rejects)
    images = source.name not in options.annotations_only
    all_ids: list[int] = []
    waiting: list[Waiting] = []
    with tempfile.TemporaryDirectory(prefix="waiting-", dir=folder) as spool:
        tasks = _chunks(source, options, bad, Path(spool), all_ids)
        for _, (rows, rejects) in workers.run(render_chunk, tasks):
            waiting += rows
            bad.rejects += rejects
        if not waiting:
            raise _nothing_left(source.label, bad)
        waiting.sort(key=lambda row: row.position)
        count = choose_parts(len(waiting), sum(row.size_bytes for row in waiting), options.parts, source.label)
        parts = write_rows(waiting, count, folder, workers, kind="train", fixed=options.parts is not None)
    build = make_build(source.name, parts, rejected=len(bad.rejects) - before, images=images)
    selected = _ids(row.position for row in waiting)
    for candidate in known:
        if candidate.build == build:
            empty(folder)
            return Built(candidate.build, candidate.folder, _ids(all_ids), selected)
    return Built(build, finalize(build, folder, target), _ids(all_ids), selected)


def _chunks(
    source: StreamSource, options: Options, bad: BadRecords, spool: Path, all_ids: list[int]
) -> Iterator[ChunkTask]:
    chunk: list[RawRecord] = []
    held = number = 0

    def cut() -> ChunkTask:
        nonlocal chunk, held, number
        captions = tuple(options.captions.get(f"sa_{raw.image_id}.jpg") for raw in chunk)
        images = source.name not in options.annotations_only
        task = ChunkTask(tuple(chunk), captions, spool / f"{number:06d}", bad.policy == "skip", images)
        chunk, held, number = [], 0, number + 1
        return task

    for raw in source.records(bad):
        all_ids.append(raw.image_id)
        if options.ids is not None and raw.image_id not in options.ids:
            continue
        chunk.append(raw)
        held += len(raw.jpeg) + len(raw.json)
        if len(chunk) >= _CHUNK_RECORDS or held >= _CHUNK_BYTES:
            yield cut()
    if chunk:
        yield cut()
