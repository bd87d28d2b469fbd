"""One binary image per image."""

from __future__ import annotations

from typing import ClassVar

from asam_datasets.sources.evaluation._images import Deep
from asam_datasets.sources.evaluation.layouts._grey import GreyLayout


class Binary(GreyLayout, frozen=True, kw_only=True, tag="binary"):
    """One grey image per image: PNG, JPEG or TIFF; of several channels the first. From `threshold` on is mask."""

    asam_deep: ClassVar[Deep] = "stored"  # `skimage.io.imread`, and then > 128
