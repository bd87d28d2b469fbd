"""Maps whose pixels are numbers of objects or of classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from asam_datasets.masks import from_label_map
from asam_datasets.sources.evaluation._images import read_numbers
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Crowds
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout


class IndexMap(PairedLayout, frozen=True, kw_only=True, tag="index_map"):
    """One PNG per image whose pixels are numbers of objects or classes: 8 bits, 16 bits, or palette indices.

    Each value is one mask, touching or not; its id is the value.

    Args:
        values: the only values that become masks; all but background and ignored ones by default.
        category_divisor: a value of this or more is class × divisor + number of the object, as in Cityscapes; a
            smaller one is the class itself. 0: the value says nothing about a class.
        crowd_categories: classes whose value below `category_divisor` is a group of objects, not one.
        values_are_categories: each value is a class, so a semantic map.
        names: names of the classes.
    """

    background: tuple[int, ...] = (0,)
    ignored: tuple[int, ...] = ()
    values: tuple[int, ...] | None = None
    category_divisor: Annotated[int, Meta(ge=0)] = 0
    crowd_categories: tuple[int, ...] = ()
    crowds: Crowds = "drop"
    values_are_categories: bool = False
    names: dict[int, str] = msgspec.field(default_factory=dict)

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks by value, in ascending order."""
        labels = read_numbers(folder, name, shape)
        wanted = None if self.values is None else frozenset(self.values)
        for value, mask in from_label_map(labels, leave_out=(*self.background, *self.ignored)).items():
            if wanted is not None and value not in wanted:
                continue
            category, is_group = self._meaning(value)
            if is_group and self.crowds == "drop":
                continue
            yield Object(mask, value, category, None if category is None else self.names.get(category), is_group)

    def _meaning(self, value: int) -> tuple[int | None, bool]:
        """The class that a value stands for, and whether it is a group of objects."""
        if self.values_are_categories:
            return value, False
        if not self.category_divisor:
            return None, False
        if value >= self.category_divisor:
            return value // self.category_divisor, False
        return value, value in self.crowd_categories
