"""Which records are wanted, decided from small columns, so that the images of the others are not fetched.

`select_rows` is the one place where that is decided; it takes columns from wherever they are known.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asam_datasets.errors import SourceError, StreamError
from asam_datasets.machine import AnyPath
from asam_datasets.published import Location
from asam_datasets.sources import given_entries, number_ids, text_ids
from asam_datasets.training._fetch import Group, read_columns
from asam_datasets.training._numbers import check_share, is_whole

ELEMENT = "annotations.list.element."


@dataclass(frozen=True)
class Filter:
    """Which records a stream gives; all that is asked for has to hold.

    Masks are counted that have the predicted IoU and one of the categories asked for; a record has at least one of
    them, if such are asked for. Records keep all their annotations: which masks a sample has, `Choose` says.

    Args:
        image_ids: only these images, as `published.rows` takes them: numbers, or names of files such as `sa_12.jpg`;
            of evaluation sets ids or paths of images. A path is that of a file of those. Which of them the config has,
            is known when the stream is opened.
        without_image_ids: all but these images, such as those that are validated on.
        min_side: pixels that the shorter side has at least.
        max_side: pixels that the longer side has at most.
        min_masks: masks that a record has at least.
        max_masks: masks that a record has at most.
        min_predicted_iou: of SA-1B's masks, from 0 to 1; a mask without the number does not count.
        categories: of the masks of evaluation sets: names, or ids as their sources have them.
    """

    image_ids: Iterable[int | str] | AnyPath | None = None
    without_image_ids: Iterable[int | str] | AnyPath | None = None
    min_side: int = 0
    max_side: int | None = None
    min_masks: int = 0
    max_masks: int | None = None
    min_predicted_iou: float = 0.0
    categories: Iterable[int | str] | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("min_side", self.min_side),
            ("max_side", self.max_side),
            ("min_masks", self.min_masks),
            ("max_masks", self.max_masks),
        ):
            if not (value is None and name.startswith("max")) and not (is_whole(value) and int(value or 0) >= 0):
                raise StreamError(f"expected a number of 0 or more, found {value!r}", where=f"Filter.{name}")
        check_share("Filter.min_predicted_iou", self.min_predicted_iou)
        for name in ("image_ids", "without_image_ids", "categories"):
            values = getattr(self, name)
            if values is not None:
                object.__setattr__(self, name, _listed(values, f"Filter.{name}", may_be_file=name != "categories"))

    def columns(self, known: Collection[str], numbers: bool) -> list[str]:
        """The columns that decide, in Parquet's words.

        Args:
            known: fields of the annotations of the dataset.
            numbers: whether its image ids are numbers.

        Raises:
            SourceError: the annotations have no such field.
        """
        names = []
        if self.image_ids is not None or self.without_image_ids is not None:
            names = ["image_id"] if numbers else ["image_id", "file_name"]  # as `rows` finds them
        if self.min_side or self.max_side is not None:
            names += ["height", "width"]
        fields = ["predicted_iou"] if self.min_predicted_iou else []
        fields += [] if self.categories is None else ["category", "category_id"]
        for field in fields:
            if field not in known:
                raise SourceError(
                    f"expected annotations with {field}, found {', '.join(known)}",
                    where="Filter",
                    hint="Leave that out of the filter for this config.",
                )
        if not fields and (self.min_masks or self.max_masks is not None):
            fields = ["area"]
        return names + [ELEMENT + field for field in fields]

    def ids(self, numbers: bool) -> tuple[pa.Array | None, pa.Array | None]:
        """`image_ids` and `without_image_ids` as the dataset has them: int64 or text; None for one that is not given.

        Args:
            numbers: whether its image ids are numbers.

        Raises:
            StreamError: one of them is no such id.
        """
        given = {"image_ids": self.image_ids, "without_image_ids": self.without_image_ids}
        only, without = (None if ids is None else _as_column(ids, numbers, name) for name, ids in given.items())
        return only, without

    def chosen(self, table: pa.Table, only: pa.Array | None, without: pa.Array | None) -> NDArray[np.bool_]:
        """Whether each row of `columns` is wanted, bool (rows,).

        Args:
            table: the columns.
            only: what `ids` gave first.
            without: what it gave second.
        """
        wanted = np.ones(len(table), np.bool_)
        if only is not None:
            wanted &= _is_one_of(table, only)
        if without is not None:
            wanted &= ~_is_one_of(table, without)
        if "height" in table.column_names:
            sides = np.stack([table.column(name).to_numpy() for name in ("height", "width")])
            wanted &= sides.min(axis=0) >= self.min_side
            if self.max_side is not None:
                wanted &= sides.max(axis=0) <= self.max_side
        if "annotations" in table.column_names:
            counts = self._counted(table.column("annotations").combine_chunks())
            least = max(self.min_masks, 1 if self.min_predicted_iou or self.categories is not None else 0)
            wanted &= counts >= least
            if self.max_masks is not None:
                wanted &= counts <= self.max_masks
        return wanted

    def _counted(self, annotations: pa.ListArray) -> NDArray[np.int64]:
        """How many masks of each row count, int64 (rows,)."""
        masks, fields = annotations.flatten(), {field.name for field in annotations.type.value_type}
        counting = np.ones(len(masks), np.bool_)
        if "predicted_iou" in fields:
            counting &= _bools(pc.greater_equal(pc.struct_field(masks, "predicted_iou"), self.min_predicted_iou))
        if self.categories is not None:
            names = pa.array([one for one in self.categories if isinstance(one, str)], pa.string())
            numbers = pa.array([int(one) for one in self.categories if is_whole(one)], pa.int64())
            counting &= _bools(pc.is_in(pc.struct_field(masks, "category"), names)) | _bools(
                pc.is_in(pc.struct_field(masks, "category_id"), numbers)
            )
        rows = pc.list_parent_indices(annotations).to_numpy()
        counts: NDArray[np.int64] = np.bincount(rows[counting], minlength=len(annotations)).astype(np.int64)
        return counts


def select_rows(
    where: Filter,
    groups: Sequence[Group],
    fields: Collection[str],
    numbers: bool,
    location: Location,
    log: Callable[[str], None],
) -> tuple[NDArray[np.int64], ...]:
    """The rows of each row group that a filter lets through, ascending.

    Args:
        where: the filter.
        groups: the row groups.
        fields: those of the annotations of the dataset.
        numbers: whether its image ids are numbers.
        location: where the parts are.
        log: gets a line when something is tried again.

    Raises:
        SourceError: a part is damaged, gone, or without what the filter asks for.
        StreamError: the filter names what is no image id of such a dataset.
        HubError: the Hub refused, or was not reached.
    """
    columns, ids = where.columns(fields, numbers), where.ids(numbers)
    if not columns:
        return tuple(np.arange(group.part.row_groups[group.number], dtype=np.int64) for group in groups)
    tables = read_columns(groups, columns, location, log)
    return tuple(np.flatnonzero(where.chosen(table, *ids)).astype(np.int64) for table in tables)


def _listed(values: Any, where: str, *, may_be_file: bool) -> tuple[int | str, ...]:
    """Ids or names that a program gives, each a plain number or text.

    Raises:
        StreamError: they are no list, or something is neither.
        SourceError: a file is missing, empty, or no list of ids.
    """
    if may_be_file and (isinstance(values, (str, os.PathLike)) or is_whole(values)):
        try:
            return tuple(one for _, one in given_entries(values))  # type: ignore[misc]  # numbers and texts
        except SourceError as error:
            raise error.inside(where) from None
    plain = values.tolist() if hasattr(values, "tolist") else values  # of NumPy, torch and Arrow
    if isinstance(plain, (str, bytes)) or not isinstance(plain, Iterable):
        raise StreamError(f"expected a list or a set, found {values!r:.60}", where=where)
    return tuple(_plain(one, f"{where}[{number}]") for number, one in enumerate(plain))


def _plain(one: Any, where: str) -> int | str:
    if type(one) is int or isinstance(one, str):
        return one
    value = one.tolist() if hasattr(one, "tolist") else one
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise StreamError(
        f"expected a number or a text, found {one!r:.60}",
        where=where,
        hint="Such as 226381, or the name of its file, sa_226381.jpg; of tensors those of integers with one axis.",
    )


def _as_column(ids: Any, numbers: bool, name: str) -> pa.Array:
    """Ids as the column `image_id` has them."""
    entries = ((f"Filter.{name}[{number}]", one) for number, one in enumerate(ids))
    try:
        listed = number_ids(entries) if numbers else text_ids(entries)
    except SourceError as error:
        raise StreamError(error.problem, where=error.where, hint=error.marked_hint) from None
    return pa.array(listed.ids, pa.int64() if numbers else pa.string())


def _is_one_of(table: pa.Table, wanted: pa.Array) -> NDArray[np.bool_]:
    """Whether the image of each row is one of some, bool (rows,)."""
    found = np.zeros(len(table), np.bool_)
    for name in ("image_id", "file_name"):
        if name in table.column_names:
            found |= _bools(pc.is_in(table.column(name), wanted))
    return found


def _bools(values: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Null is False."""
    found: NDArray[np.bool_] = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return found
