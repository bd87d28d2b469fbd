"""Adversarial samples to one build: each with the masks of its original out of an archive of the same run."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from asam_datasets.builds._folders import begin_build, empty, finalize
from asam_datasets.builds._manifest import FORMAT, Build, parts_digest
from asam_datasets.builds._options import Built, Candidate, Options
from asam_datasets.builds._spool import Rendered, Spooled, spool_rows, write_rendered
from asam_datasets.errors import RecordError, SourceError, option
from asam_datasets.masks import PngEncoder
from asam_datasets.rights import SA1B
from asam_datasets.sources import AdversarialRef, AdversarialSource, BadRecords, Reject
from asam_datasets.sources.sa1b import IndexedSource, RecordRef, read_record
from asam_datasets.tables import ADVERSARIAL_NAME, render_adversarial
from asam_datasets.workers import Workers, ordered

_CHUNK_RECORDS = 8
_NO_IDS = np.zeros(0, np.int64)
Original = tuple[IndexedSource, RecordRef]
Originals = Mapping[int, Original]
"""Where the record of an image id is: an archive that can be read in any order, and its place there."""


@dataclass(frozen=True)
class AdversarialChunk:
    """Some samples with their originals (None where no archive has it), and the file in which their rows wait."""

    source: AdversarialSource
    samples: tuple[tuple[AdversarialRef, Original | None, str | None], ...]
    first: int
    path: Path
    skip: bool
    images: bool


def find_originals(sources: Sequence[IndexedSource]) -> dict[int, Original]:
    """The records of some archives by image id.

    Raises:
        SourceError: as `source.index`.
    """
    return {ref.image_id: (source, ref) for source in sources for ref in source.index(BadRecords("skip")).records}


def find_unchanged_adversarial(
    source: AdversarialSource,
    originals: Originals,
    options: Options,
    known: Sequence[Candidate],
    bad: BadRecords,
    workers: Workers,
) -> Built | None:
    """The one of `known` that was made from exactly these samples and originals, if any. Renders nothing.

    Raises:
        SourceError, RecordError: see `build_adversarial`.
    """
    if not known:
        return None
    seen = BadRecords(bad.policy)
    inputs = _inputs(source, source.index(seen), originals, options, workers)
    for one in known:
        fits = options.parts in (None, len(one.build.parts)) and one.build.rejected == len(seen.rejects)
        if fits and one.build.inputs == inputs:
            bad.rejects += seen.rejects
            return Built(one.build, one.folder, _NO_IDS, _NO_IDS)
    return None


def build_adversarial(
    source: AdversarialSource,
    originals: Originals,
    options: Options,
    *,
    target: Path,
    work: Path,
    bad: BadRecords,
    workers: Workers,
) -> Built:
    """Build the adversarial samples; arguments as `build_archive`.

    Raises:
        RecordError: a sample is damaged, or no archive has its original, under the policy `raise`.
        SourceError: no sample is left.
    """
    with begin_build(work, ADVERSARIAL_NAME) as folder:
        before = len(bad.rejects)
        refs = source.index(bad)
        with tempfile.TemporaryDirectory(prefix="waiting-", dir=folder) as spool:
            tasks = list(_chunks(source, refs, originals, options, Path(spool), skip=bad.policy == "skip"))
            rendered = ordered(workers.run(render_adversarial_chunk, tasks))
            parts, _ = write_rendered(rendered, options, folder, bad, workers, "adversarial", source.label)
        build = Build(
            format=FORMAT,
            kind="adversarial",
            name=ADVERSARIAL_NAME,
            digest=parts_digest(parts),
            rejected=len(bad.rejects) - before,
            images=ADVERSARIAL_NAME not in options.annotations_only,
            rights=SA1B,
            parts=parts,
            inputs=_inputs(source, refs, originals, options, workers),
        )
        built = Built(build, finalize(build, folder, target), _NO_IDS, _NO_IDS)
        empty(folder)
        return built


def render_adversarial_chunk(task: AdversarialChunk) -> Spooled:
    """Render samples into a file of rows.

    Raises:
        RecordError: a sample is bad, and the policy is `raise`.
    """
    encoder = PngEncoder()

    def rows() -> Iterator[Rendered]:
        for ref, original, caption in task.samples:
            try:
                if original is None:
                    raise RecordError(
                        f"expected the original sa_{ref.image_id}.jpg in an archive of {option('train')}, found none",
                        where=f"{task.source.label}: {ref.image}",
                        hint=f"Give the archive that it was made from: {option('train', 'sa_000000.tar')}",
                    )
                sample = task.source.read(ref)
                record = read_record(original[0].read(original[1]), caption)
            except RecordError as error:
                if not task.skip:
                    raise
                yield Reject(task.source.label, ref.image, str(error))
                continue
            row = render_adversarial(sample, record, encoder, images=task.images)
            yield row, len(sample.content), _digest(task, ref, original, caption)

    return spool_rows(rows(), task.path, task.first)


def digest_chunk(task: AdversarialChunk) -> bytes:
    """The digests of what some samples would be made from; what cannot be read counts as such."""
    content = hashlib.sha256()
    for ref, original, caption in task.samples:
        try:
            content.update(_digest(task, ref, original, caption))
        except (RecordError, SourceError):
            content.update(b"unreadable")
    return content.digest()


def _digest(task: AdversarialChunk, ref: AdversarialRef, original: Original | None, caption: str | None) -> bytes:
    content = hashlib.sha256(b"" if task.images else b"annotations only")
    for name in (ref.image, ref.record):
        content.update(hashlib.sha256((task.source.path / name).read_bytes()).digest())
    if original is not None:
        raw = original[0].read(original[1])
        content.update(hashlib.sha256(raw.json).digest() + raw.archive.encode())
    content.update(b"no caption" if caption is None else b"caption " + caption.encode("utf-8", "surrogatepass"))
    return content.digest()


def _inputs(
    source: AdversarialSource,
    refs: Sequence[AdversarialRef],
    originals: Originals,
    options: Options,
    workers: Workers,
) -> str:
    content = hashlib.sha256(f"asam_datasets {FORMAT}\n".encode())
    for digest in ordered(workers.run(digest_chunk, _chunks(source, refs, originals, options, Path(), skip=True))):
        content.update(digest)
    return content.hexdigest()


def _chunks(
    source: AdversarialSource,
    refs: Sequence[AdversarialRef],
    originals: Originals,
    options: Options,
    spool: Path,
    *,
    skip: bool,
) -> Iterator[AdversarialChunk]:
    images = ADVERSARIAL_NAME not in options.annotations_only
    for first in range(0, len(refs), _CHUNK_RECORDS):
        samples = tuple(
            (ref, originals.get(ref.image_id), options.captions.get(f"sa_{ref.image_id}.jpg"))
            for ref in refs[first : first + _CHUNK_RECORDS]
        )
        yield AdversarialChunk(source, samples, first, spool / f"{first:08d}", skip, images)
