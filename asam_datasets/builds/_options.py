"""What goes into a build and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asam_datasets.builds._manifest import Build


@dataclass
class Options:
    """What changes the content of builds, the same for all of a run.

    `annotations_only` names the archives and sets whose images are left out.
    """

    captions: Mapping[str, str] = field(default_factory=dict)
    ids: frozenset[int] | None = None
    parts: int | None = None
    annotations_only: frozenset[str] = frozenset()


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
