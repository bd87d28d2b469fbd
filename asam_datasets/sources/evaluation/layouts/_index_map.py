"""Maps whose pixels are numbers of objects or of classes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asam_datasets.masks import from_label_map
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import read_numbers
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._pairs import evidence_of_files, index_pairs
from asam_datasets.sources.evaluation.layouts._structs import IndexMap


class IndexMapAdapter:
    """Each value is one mask, touching or not; its id is the value."""

    def index(self, layout: IndexMap, folder: Folder, bad: BadRecords) -> Iterable[EvaluationRef]:
        """Join images and maps."""
        return index_pairs(layout, folder, bad)

    def objects(self, layout: IndexMap, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks by value, in ascending order."""
        labels = read_numbers(folder, ref.masks[0], shape)
        wanted = None if layout.values is None else frozenset(layout.values)
        for value, mask in from_label_map(labels, leave_out=(*layout.background, *layout.ignored)).items():
            if wanted is not None and value not in wanted:
                continue
            category, is_group = _meaning(layout, value)
            if is_group and layout.crowds == "drop":
                continue
            name = None if category is None else layout.names.get(category)
            yield Object(mask, value, category, name, is_group)

    def evidence(self, layout: IndexMap, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """The map."""
        return evidence_of_files(folder, ref)


def _meaning(layout: IndexMap, value: int) -> tuple[int | None, bool]:
    """The class that a value stands for, and whether it is a group of objects."""
    if layout.values_are_categories:
        return value, False
    if not layout.category_divisor:
        return None, False
    if value >= layout.category_divisor:
        return value // layout.category_divisor, False
    return value, value in layout.crowd_categories
