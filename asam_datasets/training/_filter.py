"""Which records are wanted, decided from small columns, so that the images of the others are not fetched.

`select_rows` is the one place where that is decided; it takes columns from wherever they are known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asam_datasets.errors import SourceError, StreamError
from asam_datasets.published import Location
from asam_datasets.training._fetch import Group, read_columns
from asam_datasets.training._options import is_whole

ELEMENT = "annotations.list.element."


@dataclass(frozen=True)
class Filter:
    """Which records a stream gives; all that is asked for has to hold.

    Masks are counted that have the predicted IoU and one of the categories asked for; a record has at least one of
    them, if such are asked for. Records keep all their annotations: which masks a sample has, `Choose` says.

    Args:
        image_ids: only these images; numbers, or text as evaluation sets have it.
        without_image_ids: all but these images, such as those that are validated on.
        min_side: pixels that the shorter side has at least.
        max_side: pixels that the longer side has at most.
        min_masks: masks that a record has at least.
        max_masks: masks that a record has at most.
        min_predicted_iou: of SA-1B's masks, from 0 to 1; a mask without the number does not count.
        categories: of the masks of evaluation sets: names, or ids as their sources have them.
    """

    image_ids: Collection[int | str] | None = None
    without_image_ids: Collection[int | str] | None = None
    min_side: int = 0
    max_side: int | None = None
    min_masks: int = 0
    max_masks: int | None = None
    min_predicted_iou: float = 0.0
    categories: Collection[int | str] | None = None

    def __post_init__(self) -> None:
        for name, value in (
            ("min_side", self.min_side),
            ("max_side", self.max_side),
            ("min_masks", self.min_masks),
            ("max_masks", self.max_masks),
        ):
            if not (value is None and name.startswith("max")) and not (is_whole(value) and int(value or 0) >= 0):
                raise StreamError(f"expected a number of 0 or more, found {value!r}", where=f"Filter.{name}")
        if not 0 <= self.min_predicted_iou <= 1:
            problem = f"expected 0 to 1, found {self.min_predicted_iou!r}"
            raise StreamError(problem, where="Filter.min_predicted_iou")
        for name in ("image_ids", "without_image_ids", "categories"):
            values = getattr(self, name)
            if values is not None and (isinstance(values, (str, bytes)) or not isinstance(values, Collection)):
                raise StreamError(f"expected a list or a set, found {values!r:.60}", where=f"Filter.{name}")

    def columns(self, known: Collection[str]) -> list[str]:
        """The columns that decide, in Parquet's words.

        Args:
            known: fields of the annotations of the dataset.

        Raises:
            SourceError: the annotations have no such field.
        """
        names = [] if self.image_ids is None and self.without_image_ids is None else ["image_id"]
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

    def chosen(self, table: pa.Table) -> NDArray[np.bool_]:
        """Whether each row of `columns` is wanted, bool (rows,)."""
        wanted = np.ones(len(table), np.bool_)
        if self.image_ids is not None:
            wanted &= _is_one_of(table.column("image_id"), self.image_ids)
        if self.without_image_ids is not None:
            wanted &= ~_is_one_of(table.column("image_id"), self.without_image_ids)
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
    location: Location,
    log: Callable[[str], None],
) -> tuple[NDArray[np.int64], ...]:
    """The rows of each row group that a filter lets through, ascending.

    Args:
        where: the filter.
        groups: the row groups.
        fields: those of the annotations of the dataset.
        location: where the parts are.
        log: gets a line when something is tried again.

    Raises:
        SourceError: a part is damaged, gone, or without what the filter asks for.
        HubError: the Hub refused, or was not reached.
    """
    columns = where.columns(fields)
    if not columns:
        return tuple(np.arange(group.part.row_groups[group.number], dtype=np.int64) for group in groups)
    tables = read_columns(groups, columns, location, log)
    return tuple(np.flatnonzero(where.chosen(table)).astype(np.int64) for table in tables)


def _is_one_of(ids: pa.ChunkedArray, wanted: Collection[int | str]) -> NDArray[np.bool_]:
    """Whether each id is one of some, bool (rows,)."""
    numbers = pa.types.is_integer(ids.type)
    # Numbers of text and text of numbers are the same image: lists of ids are files of lines.
    values = [int(one) if numbers else str(one) for one in wanted if not numbers or _is_number(one)]
    return _bools(pc.is_in(ids, pa.array(values, ids.type)))


def _bools(values: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Null is False."""
    found: NDArray[np.bool_] = pc.fill_null(values, False).to_numpy(zero_copy_only=False).astype(np.bool_)
    return found


def _is_number(value: int | str) -> bool:
    return is_whole(value) or (isinstance(value, str) and value.isdecimal())
