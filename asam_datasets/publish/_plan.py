"""The plan: what a publish would do, found out before it changes anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from asam_datasets.release import CardChange, Footprint
from asam_datasets.tables import Kind

GROWTH = 1.25
"""By how much a source grows when it becomes Parquet: 1.08 was measured, and small images have more masks."""

State = Literal["new", "unchanged", "replaced", "kept", "removed", "read first"]


@dataclass(frozen=True)
class PlannedBuild:
    """One line of the plan: an archive, or an evaluation set.

    `to_build` tells whether records are rendered: not for what is unchanged, nor for what a killed run left finished.
    `state` is `kept` for what is published and was not named in this run, and `read first` for a stream that replaces
    what is published if it turns out to differ. `rows` and `files` are None for a stream, which was not read yet.
    `turned` counts the images that EXIF wants to be turned; None where they were not read yet.
    `size_bytes` is what there is to read for what is to be built, and what is published otherwise.
    """

    name: str
    kind: Kind
    splits: Sequence[str]
    state: State
    to_build: bool
    source: str
    rows: int | None
    files: int | None
    size_bytes: int | None
    published: str | None
    turned: int | None = None

    @property
    def extra(self) -> Sequence[str]:
        """Columns besides those of the table: known of builds that are there, and of no use for a plan."""
        return ()


@dataclass(frozen=True)
class Loss:
    """Something visible that a publish takes away or replaces: how much there was, and will be.

    `what` is `records`, `masks`, `captions` or `images`; `why` says more where the numbers do not.
    """

    name: str
    what: str
    before: int
    after: int
    why: str = ""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return f"{self.name}: {self.what} {self.before:,} → {self.after:,}{why}"


@dataclass(frozen=True)
class Plan:
    """What a publish would do.

    `transfer_bytes` is about what goes over the network at most: None when a stream is among the sources, 0 for a
    folder. `remote` tells whether the target is on the Hub, `public` whether everyone will see the dataset, and
    `destructive` whether something published goes, all of which is in `losses`, and `replaces_foreign` whether
    that is a card of somebody else's making. `footprint` is what it takes of the Hub; None for a folder. `card` is what
    becomes of words on the card that are there: what is `lost` makes it destructive too. `licenses` says in words which
    archives get another license, or come with one.
    `notes` tell how data that are not SA-1B's were read, and what of them is left out.
    """

    target: str
    remote: bool
    readers: str
    public: bool
    destructive: bool
    replaces_foreign: bool
    configs: Sequence[str]
    builds: Sequence[PlannedBuild]
    transfer_bytes: int | None
    missing_ids: Sequence[int]
    losses: Sequence[Loss] = ()
    footprint: Footprint | None = None
    card: Sequence[CardChange] = ()
    licenses: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def changes(self) -> bool:
        """Whether anything becomes visible, or goes."""
        return any(build.state not in ("unchanged", "kept") for build in self.builds)

    @property
    def rows(self) -> int | None:
        """Records of this run's archives; None when a stream is among them."""
        rows = [build.rows for build in self.builds if build.state not in ("kept", "removed")]
        return None if None in rows else sum(row for row in rows if row is not None)

    @property
    def rows_to_build(self) -> int | None:
        """Records that are rendered; None when a stream is among them."""
        rows = [build.rows for build in self.builds if build.to_build]
        return None if None in rows else sum(row for row in rows if row is not None)
