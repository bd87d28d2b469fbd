"""What a build is made of: a recipe finds what becomes rows, reads one of them, and tells whether it has changed.

There is one recipe for each kind of table (`_archive.py`, `_evaluation.py`, `_adversarial.py`), and one build path
for all of them (`_build.py`). Recipes are small and travel to worker processes; what they read there is named by refs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from asam_datasets.builds._manifest import Build, EvaluationInfo
from asam_datasets.builds._split import Validation
from asam_datasets.errors import RecordError
from asam_datasets.masks import PngEncoder
from asam_datasets.rights import Rights
from asam_datasets.sources import BadRecords, Reject
from asam_datasets.sources.sa1b import RecordRef
from asam_datasets.tables import AnyRow, Kind

Ref = Any
"""One record to come, as its recipe names it; picklable."""


@dataclass(frozen=True)
class Options:
    """What changes the content of builds, the same for all of a run: caption by file name, the image ids to take (all
    if None), the number of parts (by size if None), and which images are held out."""

    captions: Mapping[str, str] = field(default_factory=dict)
    ids: frozenset[int] | None = None
    parts: int | None = None
    validation: Validation | None = None


class Index(NamedTuple):
    """What a recipe found.

    `refs` are in the order of the rows, None for a stream that was not read yet. `records` are all records of an
    archive, also those that `Options.ids` leaves out; `notes` tell how data of one's own were read, and what of them is
    left out.
    """

    refs: tuple[Ref, ...] | None
    records: tuple[RecordRef, ...] = ()
    notes: tuple[str, ...] = ()


class Rendered(NamedTuple):
    """One record that was read. `row` is None for an image without any object, which is no row; `digest` is of all
    that was read for it; `size_bytes` is of its image and annotations as the source has them."""

    row: AnyRow | None
    digest: bytes
    size_bytes: int


class Streamed(NamedTuple):
    """What came out of a stream: its place in the order of the rows, which is its id, and its ref; no ref for what
    `Options.ids` leaves out."""

    position: int
    ref: Ref | None


class Recipe(Protocol):
    """How the rows of one build are made."""

    @property
    def kind(self) -> Kind:
        """The table."""

    @property
    def name(self) -> str:
        """The build's name."""

    @property
    def label(self) -> str:
        """What it is made from, for messages."""

    @property
    def images(self) -> bool:
        """Whether the images are published too."""

    @property
    def drops(self) -> bool:
        """Whether an image may turn out to be no row; the number of rows is then known when all were read."""

    @property
    def extra(self) -> Sequence[str]:
        """The columns of the rows besides those of the table."""

    @property
    def rights(self) -> Rights:
        """The license, and whether the images may be given on."""

    @property
    def info(self) -> EvaluationInfo | None:
        """What the card says of an evaluation set."""

    def index(self, options: Options, bad: BadRecords) -> Index:
        """Find what becomes rows; nothing of it is read. What is wrong follows the policy.

        Raises:
            SourceError, RecordError: the source cannot be used.
        """

    def stream(self, options: Options, bad: BadRecords) -> Iterator[Streamed]:
        """Read a stream once, where `index` gave no refs; what is wrong follows the policy.

        Raises:
            SourceError, RecordError: the source cannot be used.
        """

    def size_bytes(self, refs: Sequence[Ref]) -> int:
        """Bytes of what some refs of `index` name, together: what the number of parts follows from."""

    def held_bytes(self, ref: Ref) -> int:
        """Bytes that a ref carries by itself: none, but out of a stream."""

    def read(self, ref: Ref, encoder: PngEncoder, columns: Collection[str] | None = None) -> Rendered:
        """Read, check and render one record; every file of it is read once.

        Args:
            ref: of `index` or `stream`.
            encoder: of this process.
            columns: what is not among them is not rendered; all by default, none to check only.

        Raises:
            RecordError: the record is bad.
            SourceError: the source is gone or changed.
        """

    def digest(self, ref: Ref) -> bytes:
        """The digest that `read` gives, without checking or rendering. Raises as `read`, for what cannot be read."""

    def reject(self, ref: Ref, error: RecordError) -> Reject:
        """What the list of rejects says of a ref that `read` refused."""

    def close(self) -> None:
        """Close what is held open; the next `read` opens it again."""


@dataclass(frozen=True)
class Survey:
    """A recipe that was looked over, once: what its build will be made of.

    `rejects` are what the index rejected, and with `checked` also every record that cannot be read.
    """

    recipe: Recipe
    index: Index
    rejects: tuple[Reject, ...]
    checked: bool = False

    @property
    def rows(self) -> int | None:
        """How many rows there will be at most; None for a stream that was not read yet."""
        return None if self.index.refs is None else len(self.index.refs)

    @property
    def size_bytes(self) -> int:
        """Bytes that there are to read; 0 for a stream."""
        return self.recipe.size_bytes(self.index.refs or ())

    @property
    def captions(self) -> int:
        """How many rows will have a caption, of those that are known."""
        return sum(getattr(ref, "caption", None) is not None for ref in self.index.refs or ())

    @property
    def all_ids(self) -> NDArray[np.int64]:
        """The image ids found in an archive, sorted; none for other sets, and for a stream that was not read yet."""
        return np.sort(np.fromiter((ref.image_id for ref in self.index.records), np.int64))


def with_captions(survey: Survey, captions: Mapping[str, str]) -> Survey:
    """The same survey with these captions, by file name; sets have none."""
    refs = survey.index.refs
    if refs is None or not refs or not hasattr(refs[0], "caption"):
        return survey
    captioned = tuple(ref._replace(caption=captions.get(f"sa_{ref.image_id}.jpg")) for ref in refs)
    return dataclasses.replace(survey, index=survey.index._replace(refs=captioned))


def with_images(survey: Survey, images: bool) -> Survey:
    """The same survey with or without its images."""
    recipe: Any = survey.recipe
    return dataclasses.replace(survey, recipe=dataclasses.replace(recipe, images=images))


def with_rights(survey: Survey, rights: Rights | None) -> Survey:
    """The same survey under a license that somebody said; sets have that of their catalog."""
    recipe: Any = survey.recipe
    return dataclasses.replace(survey, recipe=dataclasses.replace(recipe, licensed=rights))


def only(survey: Survey, ids: Collection[int]) -> Survey:
    """The same survey of an archive with these image ids alone."""
    refs = tuple(ref for ref in survey.index.refs or () if ref.image_id in ids)
    return dataclasses.replace(survey, index=survey.index._replace(refs=refs))


@dataclass(frozen=True)
class Candidate:
    """A complete build that may be taken as it is. `folder` is where it lies, None when the target shows it."""

    build: Build
    folder: Path | None


@dataclass(frozen=True)
class Built:
    """A finished build: `folder` is where it lies, None when the target has it already.

    `all_ids` are the image ids found in an archive, `ids` those in the build; int64, sorted; none for other sets.
    """

    build: Build
    folder: Path | None
    all_ids: NDArray[np.int64]
    ids: NDArray[np.int64]
