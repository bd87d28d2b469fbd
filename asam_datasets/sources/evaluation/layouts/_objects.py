"""One binary image per object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rlemasklib import RLEMask

from asam_datasets.sources.evaluation._images import read_grey
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Threshold
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout


class Objects(PairedLayout, frozen=True, kw_only=True, tag="objects"):
    """One grey image per object: all files that `mask` finds with the fields of the image filled in."""

    labels: ClassVar[tuple[str, str]] = ("images", "masks, one per object")

    threshold: Threshold = 128

    def __post_init__(self) -> None:
        """Many mask files for one image."""
        for pair in self.pairs:
            if not pair.open_fields:
                raise ValueError("expected a field in `mask` that `image` does not have: many masks for one image")

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The mask of one object."""
        yield Object(RLEMask.from_array(read_grey(folder, name, shape), threshold=self.threshold))
