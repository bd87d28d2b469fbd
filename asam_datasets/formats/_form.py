"""What a form is: who writes one part, and what comes when all parts are there.

A part is written into the folder that becomes the result; what has to wait for the others (lines of a JSON, tars that
get their numbers later) into a folder for that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import msgspec

from asam_datasets.formats._reading import Item
from asam_datasets.formats._result import FolderWritten
from asam_datasets.organized import ObjectKind


@dataclass(frozen=True)
class Space:
    """Where one part goes, and what its writer has to know of the others.

    Args:
        folder: becomes the result.
        waiting: for what is put together at the end; files there begin with `prefix`.
        prefix: of this part.
        name: of the archive or set.
        first_annotation: how many annotations the parts before it have.
        categories: number of each kind of object, as COCO counts.
        classes: the same as the form counts, over all archives and sets, with their names.
    """

    folder: Path
    waiting: Path
    prefix: str
    name: str
    first_annotation: int
    categories: Mapping[ObjectKind, int]
    classes: Mapping[ObjectKind, tuple[int, str]]


@dataclass
class Tally:
    """What a writer counts; `left_out` and `lost` as in `FolderWritten`."""

    masks: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)


class PartDone(msgspec.Struct, frozen=True):
    """The note of a part that is complete."""

    images: int
    annotations: int
    masks: int
    captions: int
    turned: int
    left_out: dict[str, int]
    lost: dict[str, int]


class PartWriter(Protocol):
    """Writes the images of one part, in order."""

    tally: Tally

    def add(self, item: Item) -> None:
        """Write one image. Raises OSError where the disk is full, or the like."""

    def close(self) -> None:
        """Finish the files of the part."""


@dataclass(frozen=True)
class Whole:
    """A folder whose parts are complete: `prefixes` of the parts in order, and what the form needs to finish it."""

    folder: Path
    waiting: Path
    prefixes: Sequence[str]
    name: str
    title: str
    categories: Sequence[Mapping[str, object]]
    classes: Sequence[str]
    captions: int


class Form(Protocol):
    """One form. `FOLDERS` are made in each result; `SHARED` are the files beside the results."""

    FOLDERS: ClassVar[Sequence[str]]
    SHARED: ClassVar[Sequence[str]]

    def writer(self, space: Space) -> PartWriter:
        """What writes one part."""

    def finish(self, whole: Whole) -> None:
        """Put together what waits. A run that was killed in it does it again."""

    def shared(self, folders: Sequence[FolderWritten], classes: Sequence[str]) -> Mapping[str, bytes]:
        """The files beside the results."""

    def notes(self, folders: Sequence[FolderWritten]) -> list[str]:
        """What readers of the form should know."""
