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
    """One archive of the organised folder, complete; `annotations` counts all, decoded or not."""

    archive: str
    images: int
    annotations: int
    captions: int


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
    sets, and `notes` tells what was left out."""

    out: str
    archives: Sequence[ArchiveWritten]
    report: CaptionReport
    rejected: int
    rejects: str | None
    seconds: float
    sets: Sequence[SetWritten] = ()
    notes: Sequence[str] = ()
