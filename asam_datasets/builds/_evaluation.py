"""One evaluation set to one build.

How many of its images have objects is known when all were read, so rows wait in files until then, as those of a
stream do; the parts are equal for any number of workers.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asam_datasets.builds._folders import begin_build, empty, finalize
from asam_datasets.builds._manifest import FORMAT, Build, EvaluationInfo, parts_digest
from asam_datasets.builds._options import Built, Candidate, Options
from asam_datasets.builds._spool import Rendered, Spooled, spool_rows, write_rendered
from asam_datasets.errors import RecordError
from asam_datasets.masks import PngEncoder
from asam_datasets.rights import Rights
from asam_datasets.sources import BadRecords, Reject
from asam_datasets.sources.evaluation import EvaluationRef, EvaluationSource
from asam_datasets.tables import render_evaluation
from asam_datasets.workers import Workers, ordered

_CHUNK_RECORDS = 16
_NO_IDS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class EvaluationChunk:
    """Some images of a set, and the file in which their rows wait."""

    source: EvaluationSource
    refs: tuple[EvaluationRef, ...]
    first: int
    path: Path
    skip: bool
    images: bool


def evaluation_rights(source: EvaluationSource) -> Rights:
    """What the catalog says of a set's license."""
    entry = source.entry
    return Rights(entry.license or "unknown", entry.license_link or "", entry.redistributable)


def find_unchanged_evaluation(
    source: EvaluationSource, options: Options, known: Sequence[Candidate], bad: BadRecords, workers: Workers
) -> Built | None:
    """The one of `known` that was made from exactly these files, if any. Hashes the set and renders nothing.

    Raises:
        SourceError, RecordError: see `build_evaluation`.
    """
    if not known:
        return None
    seen = BadRecords(bad.policy)
    refs = source.index(seen)
    try:
        inputs = _inputs(source, refs, options, workers)
    except RecordError:
        return None  # building it says so, or leaves the record out
    for one in known:
        build = one.build
        fits = options.parts in (None, len(build.parts)) and build.rejected == len(seen.rejects)
        told = build.evaluation == _info(source) and build.rights == evaluation_rights(source)
        if fits and build.inputs == inputs and told:
            bad.rejects += seen.rejects
            return Built(build, one.folder, _NO_IDS, _NO_IDS)
    return None


def build_evaluation(
    source: EvaluationSource,
    options: Options,
    *,
    target: Path,
    work: Path,
    bad: BadRecords,
    workers: Workers,
) -> Built:
    """Build one evaluation set; arguments as `build_archive`.

    Raises:
        SourceError: the folder is not that of the set, or no image has an object.
        RecordError: an image or its masks cannot be read, under the policy `raise`; nothing is left in `target`.
    """
    with begin_build(work, source.name) as folder:
        before = len(bad.rejects)
        refs = source.index(bad)
        with tempfile.TemporaryDirectory(prefix="waiting-", dir=folder) as spool:
            tasks = list(_chunks(source, refs, options, Path(spool), skip=bad.policy == "skip"))
            rendered = ordered(workers.run(render_evaluation_chunk, tasks))
            parts, dropped = write_rendered(rendered, options, folder, bad, workers, "evaluation", source.label)
        build = Build(
            format=FORMAT,
            kind="evaluation",
            name=source.name,
            digest=parts_digest(parts),
            rejected=len(bad.rejects) - before,
            images=source.name not in options.annotations_only,
            rights=evaluation_rights(source),
            parts=parts,
            dropped=dropped,
            inputs=_inputs(source, refs, options, workers, may_fail=bad.policy == "skip"),
            evaluation=_info(source),
        )
        built = Built(build, finalize(build, folder, target), _NO_IDS, _NO_IDS)
        empty(folder)
        return built


def render_evaluation_chunk(task: EvaluationChunk) -> Spooled:
    """Render images into a file of rows: the rows, how many images had no object, and what was rejected.

    Raises:
        RecordError: an image is bad, and the policy is `raise`.
    """
    encoder = PngEncoder()

    def rows() -> Iterator[Rendered]:
        for ref in task.refs:
            try:
                record, digest = task.source.read(ref)
            except RecordError as error:
                if not task.skip:
                    raise
                yield Reject(task.source.label, ref.file_name, str(error))
                continue
            if record is None:
                yield None
                continue
            yield render_evaluation(record, encoder, images=task.images), len(record.image), digest

    return spool_rows(rows(), task.path, task.first)


def digest_chunk(task: EvaluationChunk) -> bytes:
    """The digests of what some images would be made from; nothing is rendered.

    Raises:
        RecordError: a file cannot be read, and the policy is `raise`.
    """
    content = hashlib.sha256()
    for ref in task.refs:
        try:
            content.update(task.source.digest(ref))
        except RecordError:
            if not task.skip:
                raise
            content.update(b"unreadable")
    return content.digest()


def _inputs(
    source: EvaluationSource,
    refs: Sequence[EvaluationRef],
    options: Options,
    workers: Workers,
    *,
    may_fail: bool = False,
) -> str:
    content = hashlib.sha256(f"asam_datasets {FORMAT}\n".encode())
    content.update(b"images" if source.name not in options.annotations_only else b"annotations only")
    tasks = _chunks(source, refs, options, Path(), skip=may_fail)
    for digest in ordered(workers.run(digest_chunk, tasks)):
        content.update(digest)
    return content.hexdigest()


def _chunks(
    source: EvaluationSource, refs: Sequence[EvaluationRef], options: Options, spool: Path, *, skip: bool
) -> Iterator[EvaluationChunk]:
    images = source.name not in options.annotations_only
    for first in range(0, len(refs), _CHUNK_RECORDS):
        some = tuple(refs[first : first + _CHUNK_RECORDS])
        yield EvaluationChunk(source, some, first, spool / f"{first:08d}", skip, images)


def _info(source: EvaluationSource) -> EvaluationInfo:
    entry = source.entry
    return EvaluationInfo(
        title=entry.name,
        homepage=entry.homepage,
        citation=entry.citation,
        split=source.split,
        source_split=source.source_split,
        masks=source.kind,
        protocol=source.protocol if entry.asam is not None else "default",
        variant=source.variant,
    )
