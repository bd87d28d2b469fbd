"""One binary image per image."""

from __future__ import annotations

from collections.abc import Iterator

from rlemasklib import RLEMask

from asam_datasets.sources.evaluation._images import read_grey
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Threshold
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout


class Binary(PairedLayout, frozen=True, kw_only=True, tag="binary"):
    """One grey image per image: PNG, JPEG or TIFF; of several channels the first. From `threshold` on is mask."""

    threshold: Threshold = 128

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The one mask."""
        yield Object(RLEMask.from_array(read_grey(folder, name, shape), threshold=self.threshold))
