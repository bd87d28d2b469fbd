"""Which images of an archive make a second split: `validation-000.parquet ...` beside `part-000.parquet ...`.

Both splits are of one build, so that one digest and one name stand for the archive, and a release shows both or none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

from asam_datasets.builds._manifest import PART, VALIDATION, Build
from asam_datasets.errors import SourceError, option
from asam_datasets.machine import AnyPath, path_of
from asam_datasets.sources import entries_of, read_entries, text_ids
from asam_datasets.sources.sa1b import RawRecord, RecordRef
from asam_datasets.tables import Kind


@dataclass(frozen=True)
class Validation:
    """Which images are held out.

    Args:
        share: about so many of all, 0 to 1: those whose name has a digest below it. So an image stays on its side
            whatever else is in its archive, or in others.
        names: what the table calls them (`file_name`), the name without its folders, or its id.
        files: what the table calls them, and nothing else: those of a split that is published and stays.
    """

    share: float = 0.0
    names: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()

    def holds(self, record: RecordRef | RawRecord) -> bool:
        """Whether a record is held out."""
        name = _name(record)
        if name in self.files:
            return True
        if self.names and not self.names.isdisjoint((name, name.rpartition("/")[2], str(record.image_id))):
            return True
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") < self.share * 2**64


def read_validation(given: float | AnyPath | Iterable[object]) -> Validation:
    """What somebody asked for: a share, or names and ids, in a list or on the lines of a file. A text that is a number
    is a share, unless a file is called so.

    Raises:
        SourceError: it is none, or cannot be read.
    """
    if isinstance(given, str):
        given = _parse(given)
    number: object = given
    if isinstance(number, Real):
        share = float(number)
        if not 0 <= share < 1:
            raise SourceError(
                f"expected a share from 0 to below 1, found {given}",
                where=option("validation"),
                hint="0.1 holds out a tenth; 0 ends a split that is there.",
            )
        return Validation(share=share)
    if not isinstance(given, os.PathLike):
        return Validation(names=frozenset(map(str, text_ids(entries_of(given)).ids)))  # type: ignore[arg-type]
    given = path_of(given)
    if not given.exists():
        raise SourceError(
            f"expected a share such as 0.1, or a file with a name or an image id on each line, found no file {given}",
            where=option("validation"),
        )
    return Validation(names=frozenset(map(str, text_ids(read_entries(given)).ids)))


def divide(kind: Kind, refs: Iterable[Any], validation: Validation | None) -> list[tuple[str, list[Any]]]:
    """The refs of each split in order, by the first word of the names of its parts; none that is empty."""
    if kind != "train" or validation is None:
        return [(PART, list(refs))]
    groups: dict[str, list[Any]] = {PART: [], VALIDATION: []}
    for ref in refs:
        groups[VALIDATION if validation.holds(ref.record) else PART].append(ref)
    return [(word, some) for word, some in groups.items() if some]


def parts_of(build: Build, word: str) -> int:
    """How many parts of a build have names that begin with a word."""
    return sum(part.file.startswith(f"{word}-") for part in build.parts)


def count_held_out(refs: Sequence[Any], validation: Validation | None) -> int:
    """How many of an archive's refs are held out."""
    return sum(validation.holds(ref.record) for ref in refs) if validation is not None else 0


def _parse(text: str) -> float | Path:
    if not Path(text).exists():
        with contextlib.suppress(ValueError):
            return float(text)
    return Path(text)


def _name(record: RecordRef | RawRecord) -> str:
    """What the table calls the image."""
    if isinstance(record, RawRecord):
        return record.name
    return record.own.file_name if record.own is not None else record.image.name.rpartition("/")[2]
