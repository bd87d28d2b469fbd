"""One binary image per image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rlemasklib import RLEMask

from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import read_grey
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._pairs import evidence_of_files, index_pairs
from asam_datasets.sources.evaluation.layouts._structs import Binary, Objects


class BinaryAdapter:
    """Grey values of the threshold and above are the one mask; one file per object gives one mask per file."""

    def index(self, layout: Binary | Objects, folder: Folder, bad: BadRecords) -> Iterable[EvaluationRef]:
        """Join images and mask files."""
        return index_pairs(layout, folder, bad)

    def objects(
        self, layout: Binary | Objects, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]
    ) -> Iterator[Object]:
        """The mask of each file, in the order of their names."""
        for name in ref.masks:
            yield Object(RLEMask.from_array(read_grey(folder, name, shape), threshold=layout.threshold))

    def evidence(self, layout: Binary | Objects, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """The mask files."""
        return evidence_of_files(folder, ref)
