"""Maps whose pixels are numbers of objects or of classes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from asam_datasets.masks import from_label_map
from asam_datasets.sources.evaluation._images import read_numbers
from asam_datasets.sources.evaluation._patterns import check_pattern
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Crowds
from asam_datasets.sources.evaluation.layouts._pairs import Pair, PairedLayout


class IndexMap(PairedLayout, frozen=True, kw_only=True, tag="index_map"):
    """One PNG per image whose pixels are numbers of objects or classes: 8 bits, 16 bits, or palette indices.

    Each value is one mask, touching or not; its id is the value.

    Args:
        values: the only values that become masks; all but background and ignored ones by default.
        category_divisor: a value of this or more is class × divisor + number of the object, as in Cityscapes; a
            smaller one is the class itself. 0: the value says nothing about a class.
        crowd_categories: classes whose value below `category_divisor` is a group of objects, not one.
        values_are_categories: each value is a class, so a semantic map.
        classes: the map of the classes that lies beside one of objects, with the fields of `mask`: an object's class is
            the one that most of its pixels have, background and ignored values aside. Objects have none without it.
        names: names of the classes.
    """

    background: tuple[int, ...] = (0,)
    ignored: tuple[int, ...] = ()
    values: tuple[int, ...] | None = None
    category_divisor: Annotated[int, Meta(ge=0)] = 0
    crowd_categories: tuple[int, ...] = ()
    crowds: Crowds = "drop"
    values_are_categories: bool = False
    classes: str = ""
    names: dict[int, str] = msgspec.field(default_factory=dict)

    later: ClassVar[frozenset[str]] = PairedLayout.later | {"classes"}

    def __post_init__(self) -> None:
        """As `PairedLayout`; and what finds the map of the classes is known from the path of the masks."""
        PairedLayout.__post_init__(self)
        unknown = check_pattern(self.classes) if self.classes else frozenset()
        for pair in chain(self.pairs, *self.packagings):
            unknown -= check_pattern(pair.mask)
        if unknown:
            raise ValueError(f"expected fields of `mask` in `classes`, found {sorted(unknown)}")

    def companions(self, pair: Pair) -> tuple[str, ...]:
        """The map of the classes."""
        return (self.classes,) if self.classes else ()

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks by value, in ascending order."""
        labels = read_numbers(folder, name, shape)
        known: dict[int, int] = {}
        for other in folder.held_besides(name):
            known = _classes(labels, read_numbers(folder, other, shape), {*self.background, *self.ignored})
        wanted = None if self.values is None else frozenset(self.values)
        for value, mask in from_label_map(labels, leave_out=(*self.background, *self.ignored)).items():
            if wanted is not None and value not in wanted:
                continue
            category, is_group = self._meaning(value)
            if is_group and self.crowds == "drop":
                continue
            category = known.get(value, category)
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


def _classes(
    labels: NDArray[np.integer[Any]], classes: NDArray[np.integer[Any]], leave_out: Collection[int]
) -> dict[int, int]:
    """The class that most pixels of each value have; values without a pixel of any class are not there."""
    both = (labels.astype(np.int64) << 32) + (classes.astype(np.int64) + 2**31)  # of 32 bits and a sign each
    values, counts = np.unique(both, return_counts=True)
    found: dict[int, int] = {}
    for place in np.argsort(counts, kind="stable").tolist():  # the last one of a value has most
        value, kind = int(values[place]) >> 32, (int(values[place]) & (2**32 - 1)) - 2**31
        if kind not in leave_out:
            found[value] = kind
    return found
