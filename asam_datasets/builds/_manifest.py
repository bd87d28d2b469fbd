"""What a build is, on disk: `data/train/<name>-<digest>-<run>/part-000.parquet ...` and `build.json` beside them.

A run is one publish, and the folders of what it makes end with its name. Datasets that were made before there were runs
have `data/train/<name>-<digest>/`, which is read as it is.

The digest is that of the parts, so a folder of that name always holds the same bytes. `inputs` of a part is a digest
of what went into it (members and captions): a later run compares it and need not render what is there already.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from asam_datasets.builds._statistics import Statistics, wrong_statistics
from asam_datasets.errors import TargetError
from asam_datasets.rights import Holding, Rights
from asam_datasets.sources.sa1b import ARCHIVE_NAME
from asam_datasets.tables import Column, Kind, columns_of

FORMAT = 2
"""Raised when the same input shall give other parts than before; part of every digest."""

BUILD_FILE = "build.json"
DATA = "data"

PART, VALIDATION = "part", "validation"
"""How the names of parts begin: those of the split `validation` of an archive, and all others."""

_DIGEST = re.compile(r"[0-9a-f]{16}")
_PART = re.compile(rf"({PART}|{VALIDATION})-[0-9]{{3,6}}\.parquet")
_FIELD = re.compile(r"[a-z_]{1,64}")
_RUN = re.compile(r"r[0-9a-f]{12}")
_FOLDER = re.compile(rf"(?P<name>{ARCHIVE_NAME.pattern})-(?P<digest>[0-9a-f]{{16}})(?:-(?P<run>{_RUN.pattern}))?")
_SPLIT = re.compile(r"\w{1,64}", re.ASCII)


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One Parquet file of a build. `row_groups` has the rows of each of its row groups, `columns` the bytes that each
    column takes in it: who plans what to read of many parts needs no footer. `missing` counts the annotations whose
    source left a field out, by the field; it is null in the table then. `image_ids` has the smallest and the largest
    image id of each row group, where ids are numbers; parts of an earlier release have none. `turned` counts the images
    that EXIF wants to be turned when they are shown, which stock readers do, and their masks are not; `skipped` the
    regions of its images that the official code of an evaluation set passes over.

    `statistics` are those of a part that was just written: those of a build have them together."""

    file: str
    rows: int
    row_groups: list[int]
    size_bytes: int
    sha256: str
    inputs: str
    annotations: int
    captions: int
    columns: dict[str, int]
    missing: dict[str, int] = {}
    image_ids: list[tuple[int, int]] = []
    turned: int = 0
    skipped: int = 0
    statistics: Statistics | UnsetType = UNSET


class EvaluationInfo(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the card says of an evaluation set; see the catalog for the words. `columns` are those that its parts have
    besides the ones of all sets."""

    title: str
    homepage: str
    citation: str
    split: str
    source_split: str
    masks: str
    protocol: str
    variant: str | None
    columns: list[str] = []


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"images": "pictures"}):
    """The content of `build.json`: the parts of one archive or evaluation set.

    `rejected` counts the records that `on_bad_record="skip"` left out, `dropped` the images of an evaluation set
    without any object; `images` is False where only the annotations are published. `inputs` is a digest of all that
    it was made from, and empty for an archive, whose parts have it. (In the file `images` is spelled `pictures`, as
    datasets that are published already have it.)

    `run` is the name of the run at the end of its folder's: unset where there is none, and while that is not settled.
    It is no part of `build.json`, which says what a build is and not where; an index has it. `statistics` are unset in
    builds of an earlier release.
    """

    format: int
    kind: Kind
    name: str
    digest: str
    rejected: int
    images: bool
    rights: Rights
    parts: list[Part]
    dropped: int = 0
    inputs: str = ""
    evaluation: EvaluationInfo | None = None
    run: str | UnsetType = UNSET
    statistics: Statistics | UnsetType = UNSET

    @property
    def folder(self) -> str:
        """Name of the build's folder, before the run."""
        return f"{self.name}-{self.digest}"

    @property
    def splits(self) -> Sequence[str]:
        """The splits that its rows are in: one, but for an archive of which some are held out."""
        if self.evaluation:
            return (self.evaluation.split,)
        held_out = [part.file.startswith(VALIDATION) for part in self.parts]
        return (*(["train"] if not all(held_out) or not held_out else []), *([VALIDATION] if any(held_out) else []))

    @property
    def split(self) -> str:
        """The first of its splits."""
        return self.splits[0]

    def in_split(self, split: str) -> Build:
        """The same build, with the parts of one of its splits alone; what is no archive has one, and is as it is."""
        if self.kind != "train":
            return self
        wanted = [part for part in self.parts if part.file.startswith(VALIDATION) == (split == VALIDATION)]
        return msgspec.structs.replace(self, parts=wanted)

    @property
    def extra(self) -> Sequence[str]:
        """The columns that its parts have besides those of their table."""
        return self.evaluation.columns if self.evaluation else ()

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of its parts."""
        return columns_of(self.kind, self.extra)

    @property
    def path(self) -> str:
        """Path of the build's folder in the dataset."""
        return f"{DATA}/{self.kind}/{self.folder}" + ("" if self.run is UNSET else f"-{self.run}")

    @property
    def holding(self) -> Holding:
        """What the rights to it are checked by."""
        return Holding(self.name, self.rights, self.images)

    @property
    def rows(self) -> int:
        """Number of records."""
        return sum(part.rows for part in self.parts)

    @property
    def annotations(self) -> int:
        """Number of masks."""
        return sum(part.annotations for part in self.parts)

    @property
    def captions(self) -> int:
        """Number of records with a caption."""
        return sum(part.captions for part in self.parts)

    @property
    def missing(self) -> dict[str, int]:
        """How many annotations have no value in a field, by the field, as their source left it out."""
        return dict(sum((Counter(part.missing) for part in self.parts), Counter()))

    @property
    def skipped(self) -> int:
        """How many regions are no masks, as the official code of the set passes over them."""
        return sum(part.skipped for part in self.parts)

    @property
    def turned(self) -> int:
        """How many images EXIF wants to be turned when they are shown."""
        return sum(part.turned for part in self.parts)

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.size_bytes for part in self.parts)


def parts_digest(parts: Sequence[Part]) -> str:
    """The digest of a build: 16 hexadecimal digits of the sha256 over the names and sha256 of its parts."""
    content = hashlib.sha256(f"asam_datasets {FORMAT}\n".encode())
    for part in parts:
        content.update(f"{part.file} {part.sha256}\n".encode())
    return content.hexdigest()[:16]


def encode_build(build: Build) -> bytes:
    """The text of `build.json`: the same build gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(in_run(build, UNSET)), indent=1) + b"\n"


def same_content(one: Build, other: Build) -> bool:
    """Whether two builds hold the same, wherever they lie: the digest stands for the parts."""
    bare = [msgspec.structs.replace(build, parts=[], run=UNSET, statistics=UNSET) for build in (one, other)]
    return bare[0] == bare[1]


def in_run(build: Build, run: str | UnsetType) -> Build:
    """The same build in the folder that a run makes for it."""
    return msgspec.structs.replace(build, run=run)


def decode_build(content: bytes, where: str) -> Build:
    """Read `build.json`.

    Raises:
        TargetError: it is not one.
    """
    try:
        build = msgspec.json.decode(content, type=Build)
        found = wrong_build(build)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = str(error)
    if found:
        raise TargetError(
            f"expected a {BUILD_FILE} of asam_datasets, found: {found}",
            where=where,
            hint="The dataset was changed by hand or made by another version; publish it to a new place.",
        )
    return build


def is_run(name: str) -> bool:
    """Whether it may be the name of a run: never the end of a digest, nor of a folder without a run."""
    return _RUN.fullmatch(name) is not None


def new_run(digits: str) -> str:
    """The name of a run by at least 12 hexadecimal digits: random ones, or a digest of what it makes."""
    return f"r{digits[:12]}"


def wrong_build(build: Build) -> str:
    """What is wrong with a manifest of anybody's making; empty when nothing is. Its names become paths."""
    if not ARCHIVE_NAME.fullmatch(build.name):
        return f"the name {build.name!r}"
    if not _SPLIT.fullmatch(build.split):  # it stands in code on the card
        return f"the split {build.split!r}"
    if not _DIGEST.fullmatch(build.digest):
        return f"the digest {build.digest!r}"
    if build.run is not UNSET and not is_run(build.run):
        return f"the run {build.run!r}"
    for number, part in enumerate(build.parts):
        if not _PART.fullmatch(part.file) or (part.file.startswith(VALIDATION) and build.kind != "train"):
            return f"the file {part.file!r}"
        if not all(map(_FIELD.fullmatch, part.missing)):
            return f"a field that is called {next(name for name in part.missing if not _FIELD.fullmatch(name))!r}"
        counts = [part.rows, part.size_bytes, part.annotations, part.captions, part.turned, part.skipped]
        counts += [*part.row_groups, *part.columns.values(), *part.missing.values()]
        if min(counts) < 0 or max(counts) >= 2**63 or sum(part.row_groups) != part.rows:
            return f"numbers of parts[{number}] that cannot be"
        if part.image_ids and len(part.image_ids) != len(part.row_groups):
            return f"image ids of parts[{number}] for {len(part.image_ids)} of {len(part.row_groups)} row groups"
        if part.statistics is not UNSET:
            return f"statistics of parts[{number}] alone"
    if len({part.file for part in build.parts}) != len(build.parts) or not build.parts:
        return "a file twice, or none"
    return "" if build.statistics is UNSET else wrong_statistics(build.statistics, build.rows, build.annotations)


class BuildFolder(NamedTuple):
    """What the name of a build's folder says."""

    name: str
    digest: str
    run: str | UnsetType


def split_folder(name: str) -> BuildFolder | None:
    """Split `sa_000000-0123456789abcdef-r0123456789ab` into name, digest and run; None for other names."""
    match = _FOLDER.fullmatch(name)
    return BuildFolder(match["name"], match["digest"], match["run"] or UNSET) if match else None
