"""One binary image per object."""

from __future__ import annotations

from itertools import chain
from typing import ClassVar

from asam_datasets.sources.evaluation._images import Deep
from asam_datasets.sources.evaluation.layouts._grey import GreyLayout


class Objects(GreyLayout, frozen=True, kw_only=True, tag="objects"):
    """One grey image per object: all files that `mask` finds with the fields of the image filled in."""

    labels: ClassVar[tuple[str, str]] = ("images", "masks, one per object")
    asam_deep: ClassVar[Deep] = "high byte"  # `cv2.imread(path, 0)`, and then > 128

    def __post_init__(self) -> None:
        """Many mask files for one image."""
        for pair in chain(self.pairs, *self.packagings):
            if not pair.open_fields:
                raise ValueError("expected a field in `mask` that `image` does not have: many masks for one image")
