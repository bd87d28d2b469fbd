"""What `organize` and `export` say that they wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from asam_datasets.sources import CaptionReport

Form = Literal["binary", "coco"]
"""What is beside the images of an evaluation set: `gts/`, or a COCO file."""


@dataclass(frozen=True)
class ArchiveWritten:
    """One archive of the organised folder, complete; `annotations` counts all, `masks` those that are decoded, and
    `bare` the images that have none."""

    archive: str
    images: int
    annotations: int
    captions: int
    masks: int
    bare: int

    def notes(self) -> list[str]:
        """What ASAM's programs will stumble over in it."""
        told = []
        if self.captions < self.images:
            told.append(
                f"{self.archive}: {self.images - self.captions:,} of {self.images:,} images have no caption, "
                "and are in no list"
            )
        if self.bare:
            told.append(
                f"{self.archive}: {self.bare:,} of {self.images:,} images have no annotation; "
                "ASAM's loader divides by their number"
            )
        return told


@dataclass(frozen=True)
class SetWritten:
    """One exported evaluation set, complete."""

    dataset: str
    form: Form
    images: int
    annotations: int


@dataclass(frozen=True)
class Organized:
    """What `organize` or `export` wrote. `report` says how captions and images fit together; `sets` are evaluation
    sets, `samples` counts adversarial ones, and `notes` tells what was left out, and what ASAM's programs will stumble
    over."""

    out: str
    archives: Sequence[ArchiveWritten]
    report: CaptionReport
    rejected: int
    rejects: str | None
    seconds: float
    sets: Sequence[SetWritten] = ()
    notes: Sequence[str] = ()
    samples: int = 0


@dataclass(frozen=True)
class Fetched:
    """What `fetch` did. `asked` counts ids, each once, and `repeated` those that came again; `images` are there now, of
    which `fetched` were not before. `missing` ids are not in the dataset: `first_missing` are some, and the file
    `missing_ids` has all."""

    out: str
    config: str
    asked: int
    repeated: int
    images: int
    fetched: int
    captions: int
    missing: int
    first_missing: Sequence[str]
    missing_ids: str | None
    seconds: float
