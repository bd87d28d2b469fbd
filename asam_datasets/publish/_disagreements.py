"""Decoded masks and maps of an organised folder that are not what the JSON says: the JSON is published, and this is
told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asam_datasets.builds import ArchiveRecipe, Survey
from asam_datasets.errors import RecordError
from asam_datasets.sources.sa1b import FolderSource, RecordRef, check_organized
from asam_datasets.workers import Workers

_CHUNK_RECORDS = 16
_SHOWN = 20


@dataclass(frozen=True)
class _Chunk:
    source: FolderSource
    refs: tuple[RecordRef, ...]


def find_disagreements(archives: Sequence[Survey], workers: Workers) -> list[str]:
    """Compare what lies decoded in organised folders with their JSON; a sentence each, and how many more there are."""
    found: list[str] = []
    for survey in archives:
        source = survey.recipe.source if isinstance(survey.recipe, ArchiveRecipe) else None
        if isinstance(source, FolderSource) and not source.is_own and _holds_decoded(source):
            refs = survey.index.records
            chunks = [
                _Chunk(source, refs[first : first + _CHUNK_RECORDS]) for first in range(0, len(refs), _CHUNK_RECORDS)
            ]
            for _, texts in sorted(workers.run(_check, chunks)):
                found += texts
    if len(found) > _SHOWN:
        found[_SHOWN:] = [f"and {len(found) - _SHOWN:,} more such files"]
    return found


def _check(chunk: _Chunk) -> list[str]:
    texts = []
    for ref in chunk.refs:
        try:
            texts += [f"{one.archive}: {one.member}: {one.problem}" for one in check_organized(chunk.source, [ref])]
        except RecordError:
            continue  # building it says so
    return texts


def _holds_decoded(source: FolderSource) -> bool:
    """Whether anything decoded lies beside the images."""
    return any(
        entry.suffix == ".png" or (entry.is_dir() and entry.name.startswith("sa_")) for entry in source.path.iterdir()
    )
