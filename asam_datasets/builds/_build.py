"""One recipe to one build, in a folder named by its content: the same path for every kind.

    refs ───────► plan of parts ──► workers: read, check, render, write ──► work folder ──rename──► build folder
    refs that may drop out, streams ──► workers: read, check, render ──► waiting rows ──plan──► workers: write ──► ...

Where the number of rows is certain, parts are written in place, and the work folder keeps finished ones with a note of
what they were made from: a run that was killed, or stopped at a bad record, finds them again. Elsewhere rows wait in
files until the number is known; those are not kept.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from asam_datasets.builds._digest import inputs_of
from asam_datasets.builds._folders import begin_build, empty, finalize
from asam_datasets.builds._manifest import FORMAT, PART, VALIDATION, Build, Part, parts_digest, same_content
from asam_datasets.builds._plan import MAX_PART_BYTES, choose_parts, part_file, part_ranges
from asam_datasets.builds._recipe import Built, Candidate, Options, Recipe, Ref, Survey
from asam_datasets.builds._split import divide, parts_of
from asam_datasets.builds._statistics import add_up, shorten
from asam_datasets.builds._tasks import (
    TAKEN,
    RefsTask,
    Waiting,
    WaitingTask,
    build_part,
    check_refs,
    digest_refs,
    spool_refs,
    write_waiting,
)
from asam_datasets.errors import SourceError, option
from asam_datasets.sources import BadRecords, OnBadRecord
from asam_datasets.workers import AHEAD, Workers, ordered

_CHUNK_REFS = 16
_CHUNK_BYTES = 16 * 2**20


def look_over(recipe: Recipe, options: Options, policy: OnBadRecord = "raise") -> Survey:
    """Find out what a build will be made of; only listings and headers are read.

    Raises:
        SourceError, RecordError: as `Recipe.index`.
    """
    bad = BadRecords(policy)
    return Survey(recipe, recipe.index(options, bad), tuple(bad.rejects))


def without_bad(survey: Survey, policy: OnBadRecord, workers: Workers) -> Survey:
    """Where parts are written in place, every record is checked first under the policy `skip`, so that the parts of
    the good ones come out equal. A survey that was checked before is given back as it is."""
    refs = survey.index.refs
    if policy == "raise" or refs is None or not refs or survey.recipe.drops or survey.checked:
        return survey
    pieces = part_ranges(len(refs), min(len(refs), 4 * workers.count))
    found = ordered(workers.run(check_refs, [_task(survey.recipe, refs, piece, Path(), True) for piece in pieces]))
    faults = dict(fault for some in found for fault in some)
    good = tuple(ref for position, ref in enumerate(refs) if position not in faults)
    index = survey.index._replace(refs=good)
    return dataclasses.replace(survey, index=index, rejects=(*survey.rejects, *faults.values()), checked=True)


def find_unchanged(
    survey: Survey, options: Options, candidates: Sequence[Candidate], bad: BadRecords, workers: Workers
) -> Built | None:
    """The candidate that was made from exactly this input, if any. Reads and hashes the input, renders nothing.

    Args:
        survey: of `without_bad`, where the policy is `skip`.
        options: those of the build.
        candidates: complete builds of the same name.
        bad: gets what the survey rejected, when such a build is found.
        workers: who does it.
    """
    refs, recipe = survey.index.refs, survey.recipe
    possible = [one for one in candidates if _may_be(one.build, survey, options)]
    if refs is None or not possible:
        return None
    groups = divide(recipe.kind, refs, options.validation)
    tasks = _chunks(recipe, enumerate(ref for _, some in groups for ref in some), Path(), skip=True)
    digests = [digest for some in ordered(workers.run(digest_refs, tasks)) for digest in some]
    for one in possible:
        if recipe.drops:
            same = one.build.inputs == inputs_of(digests)
        else:
            inputs, start, counts = [], 0, [parts_of(one.build, word) for word, _ in groups]
            for count, (_, some) in zip(counts, groups, strict=True):
                ranges = part_ranges(len(some), count) if count else []
                inputs += [inputs_of(digests[start + r.start : start + r.stop]) for r in ranges]
                start += len(some)
            same = all(counts) and [part.inputs for part in one.build.parts] == inputs
        if same:
            bad.rejects += survey.rejects
            made = msgspec.structs.replace(one.build, rights=recipe.rights)  # no part depends on them
            return Built(made, one.folder, survey.all_ids, _ids_of(recipe, refs))
    return None


def build(
    survey: Survey,
    options: Options,
    *,
    target: Path,
    work: Path,
    candidates: Sequence[Candidate] = (),
    bad: BadRecords,
    workers: Workers,
    on_part: Callable[[Path, Part], None] | None = None,
) -> Built:
    """Build one archive, evaluation set, or the adversarial samples.

    Args:
        survey: what it is made of.
        options: captions, selection, number of parts.
        target: folder that receives `<name>-<digest>/`; made when the build is complete.
        work: folder on the same file system for what is not complete.
        candidates: complete builds of this name, of which a stream that gives the same bytes takes one;
            `find_unchanged` tells it of other sources beforehand.
        bad: policy for bad records; gets what is rejected.
        workers: who does it.
        on_part: gets the file of each part as soon as it is written, which is gone when it returns: so the disk holds
            one for each worker at most. The build is then complete elsewhere; `target` gets nothing, and the result
            has no folder.

    Raises:
        SourceError, RecordError: nothing is left in `target`; finished parts stay in `work`.
    """
    recipe, before = survey.recipe, len(bad.rejects)
    with begin_build(work, recipe.name) as folder:
        survey = without_bad(survey, bad.policy, workers)
        bad.rejects += survey.rejects
        refs = survey.index.refs
        if refs is not None and not recipe.drops:
            parts = _in_place(survey, options, folder, bad, workers, on_part)
            made = _describe(recipe, parts, rejected=len(bad.rejects) - before)
            return Built(made, _finish(made, folder, target, on_part), survey.all_ids, _ids_of(recipe, refs))
        seen: list[int] = []
        held_out: set[int] = set()
        items = enumerate(refs) if refs is not None else _streamed(recipe, options, bad, seen, held_out)
        spooled = _spool(recipe, items, held_out, options, folder, bad, workers, on_part)
        made = _describe(
            recipe,
            spooled.parts,
            rejected=len(bad.rejects) - before,
            dropped=spooled.dropped,
            inputs=spooled.inputs if recipe.drops else "",
        )
        ids = _int64(spooled.positions) if refs is None else _ids_of(recipe, refs)
        for one in candidates:
            if refs is None and same_content(one.build, made):
                empty(folder)
                return Built(one.build, one.folder, _int64(seen), ids)
        return Built(made, _finish(made, folder, target, on_part), _int64(seen), ids)


def _finish(made: Build, folder: Path, target: Path, on_part: Callable[[Path, Part], None] | None) -> Path | None:
    """Where a complete build lies; None when its parts were taken one by one."""
    if on_part is None:
        return finalize(made, folder, target)
    empty(folder)
    return None


class _Parts(NamedTuple):
    """Parts that were written out of waiting rows; `positions` are those of their rows."""

    parts: list[Part]
    dropped: int
    inputs: str
    positions: list[int]


def _in_place(
    survey: Survey,
    options: Options,
    folder: Path,
    bad: BadRecords,
    workers: Workers,
    on_part: Callable[[Path, Part], None] | None,
) -> list[Part]:
    """Write the parts of refs each of which becomes a row.

    Raises:
        SourceError: none is left.
    """
    recipe, refs = survey.recipe, survey.index.refs or ()
    if not refs:
        raise _nothing_left(recipe, 0, len(bad.rejects))
    parts = []
    for word, some in divide(recipe.kind, refs, options.validation):

        def write(count: int, word: str = word, some: Sequence[Ref] = some) -> list[Part]:
            ranges = enumerate(part_ranges(len(some), count))
            tasks = (_task(recipe, some, r, folder / part_file(number, word), False) for number, r in ranges)
            return _taken(workers.run(build_part, tasks, ahead=_ahead(on_part)), folder, on_part)

        count = choose_parts(len(some), recipe.size_bytes(some), _wanted(options, word, len(some)), recipe.label)
        parts += _small_enough(write, count, len(some), options, (folder, word))
    return parts


def _wanted(options: Options, word: str, rows: int) -> int | None:
    """The number of parts that a person said: of what is held out, as many as there are rows for."""
    return min(options.parts, rows) if options.parts is not None and word == VALIDATION else options.parts


def _spool(
    recipe: Recipe,
    items: Iterable[tuple[int, Ref]],
    held_out: Collection[int],
    options: Options,
    folder: Path,
    bad: BadRecords,
    workers: Workers,
    on_part: Callable[[Path, Part], None] | None,
) -> _Parts:
    """Render what comes, let the rows wait until their number is known, and write their parts.

    Raises:
        SourceError: no row is left.
    """
    before = len(bad.rejects)
    with tempfile.TemporaryDirectory(prefix="waiting-", dir=folder) as spool:
        tasks = _chunks(recipe, items, Path(spool), skip=bad.policy == "skip")
        spooled = ordered(workers.run(spool_refs, tasks))
        bad.rejects += [reject for one in spooled for reject in one.rejects]
        dropped = sum(one.dropped for one in spooled)
        rows = sorted((row for one in spooled for row in one.rows), key=lambda row: row.position)
        if not rows:
            raise _nothing_left(recipe, dropped, len(bad.rejects) - before)
        parts = []
        for word, is_held_out in ((PART, False), (VALIDATION, True)):
            some = [row for row in rows if (row.position in held_out) == is_held_out]
            if not some:
                continue

            def write(count: int, word: str = word, some: Sequence[Waiting] = some) -> list[Part]:
                extra = tuple(recipe.extra)
                tasks = (
                    WaitingTask(tuple(some[r.start : r.stop]), folder / part_file(number, word), recipe.kind, extra)
                    for number, r in enumerate(part_ranges(len(some), count))
                )
                return _taken(workers.run(write_waiting, tasks, ahead=_ahead(on_part)), folder, on_part)

            size = sum(row.size_bytes for row in some)
            count = choose_parts(len(some), size, _wanted(options, word, len(some)), recipe.label)
            parts += _small_enough(write, count, len(some), options, None)
    inputs = inputs_of(digest for one in spooled for digest in one.digests)
    return _Parts(parts, dropped, inputs, [row.position for row in rows])


def _ahead(on_part: Callable[[Path, Part], None] | None) -> int:
    """Parts per worker that the disk holds at once: one where each is given away, so that it bounds the disk."""
    return AHEAD if on_part is None else 1


def _taken(
    finished: Iterable[tuple[int, Part]], folder: Path, on_part: Callable[[Path, Part], None] | None
) -> list[Part]:
    """The parts in order; with `on_part` each is given away as soon as it is there, once."""
    parts = []
    for position, part in finished:
        path = folder / part.file
        if on_part is not None and path.exists():
            on_part(path, part)
            path.with_suffix(TAKEN).touch()
            path.unlink(missing_ok=True)
        parts.append((position, part))
    return list(ordered(parts))


def _small_enough(
    write: Callable[[int], list[Part]], count: int, rows: int, options: Options, place: tuple[Path, str] | None
) -> list[Part]:
    """Write `count` parts, or twice as many while one is too large and nobody asked for so many. With `place`, a folder
    and the first word of the parts, what was too large is taken away from it."""
    while True:
        parts = write(count)
        if options.parts is not None or count >= rows or max(part.size_bytes for part in parts) <= MAX_PART_BYTES:
            return parts
        for path in place[0].glob(f"{place[1]}-*") if place is not None else ():
            path.unlink()
        count = min(2 * count, rows)


def _streamed(
    recipe: Recipe, options: Options, bad: BadRecords, seen: list[int], held_out: set[int]
) -> Iterator[tuple[int, Ref]]:
    """Position and ref of what a stream holds; `seen` gets the ids of all of it, `held_out` those that are held out."""
    for one in recipe.stream(options, bad):
        seen.append(one.position)
        if one.ref is not None:
            if options.validation is not None and options.validation.holds(one.ref.record):
                held_out.add(one.position)
            yield one.position, one.ref


def _chunks(recipe: Recipe, items: Iterable[tuple[int, Ref]], folder: Path, *, skip: bool) -> Iterator[RefsTask]:
    """Tasks of a few refs each, and of few bytes where refs hold them."""
    chunk: list[tuple[int, Ref]] = []
    held = number = 0
    for item in items:
        chunk.append(item)
        held += recipe.held_bytes(item[1])
        if len(chunk) >= _CHUNK_REFS or held >= _CHUNK_BYTES:
            yield _chunk(recipe, chunk, folder / f"{number:08d}", skip)
            chunk, held, number = [], 0, number + 1
    if chunk:
        yield _chunk(recipe, chunk, folder / f"{number:08d}", skip)


def _chunk(recipe: Recipe, items: Sequence[tuple[int, Ref]], path: Path, skip: bool) -> RefsTask:
    return RefsTask(recipe, tuple(ref for _, ref in items), tuple(position for position, _ in items), path, skip)


def _task(recipe: Recipe, refs: Sequence[Ref], positions: range, path: Path, skip: bool) -> RefsTask:
    return RefsTask(recipe, tuple(refs[positions.start : positions.stop]), positions, path, skip)


def _may_be(known: Build, survey: Survey, options: Options) -> bool:
    """Whether a build could have been made from this, by all that is known without reading."""
    recipe = survey.recipe
    return (
        options.parts in (None, parts_of(known, PART) or len(known.parts))
        and known.rejected == len(survey.rejects)
        and (recipe.drops or known.rows == survey.rows)
        and known.evaluation == recipe.info
    )


def _describe(recipe: Recipe, parts: Sequence[Part], *, rejected: int, dropped: int = 0, inputs: str = "") -> Build:
    """The finished build; its digest is that of its parts, and its statistics are theirs together."""
    counted = [part.statistics for part in parts if part.statistics is not UNSET]
    return Build(
        format=FORMAT,
        kind=recipe.kind,
        name=recipe.name,
        digest=parts_digest(parts),
        rejected=rejected,
        images=recipe.images,
        rights=recipe.rights,
        parts=[msgspec.structs.replace(part, statistics=UNSET) for part in parts],
        dropped=dropped,
        inputs=inputs,
        evaluation=recipe.info,
        statistics=shorten(add_up(counted)),
    )


def _nothing_left(recipe: Recipe, dropped: int, rejected: int) -> SourceError:
    """The error for a source none of whose records becomes a row."""
    if recipe.drops:
        return SourceError(
            f"expected images with objects, found {dropped} without any and {rejected} that were rejected",
            where=recipe.label,
        )
    return SourceError(
        f"expected at least one usable record, found none ({rejected} rejected)",
        where=recipe.label,
        hint=f"Look at {option('ids')} and at the rejected records.",
    )


def _ids_of(recipe: Recipe, refs: Sequence[Ref]) -> NDArray[np.int64]:
    return _int64(ref.image_id for ref in refs) if recipe.kind == "train" else _int64(())


def _int64(numbers: Iterable[int]) -> NDArray[np.int64]:
    return np.sort(np.fromiter(numbers, np.int64))
