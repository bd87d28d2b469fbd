"""Rows by the ids of their images: which row groups may have them, and the pages of those rows alone.

The index of a dataset has the smallest and the largest image id of each row group. So most ids are in one row group, if
they are anywhere; only where that is not clear, because ranges overlap or an old release has none, the column of ids of
all row groups in question is read first. Of a row group its small columns are read as a whole, ids among them; those
say which rows are wanted, and of all other columns the pages of these are read.

Several row groups are read at a time, in threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError
from asam_datasets.published._dataset import Dataset
from asam_datasets.published._location import Location
from asam_datasets.published._part import GET_AGAIN, GroupReader, PartFile
from asam_datasets.published._rows import row_values
from asam_datasets.published._some import image_paths, with_images
from asam_datasets.tables import TABLES, Config, Scalar

AT_ONCE = 8
"""Row groups that are read at the same time."""

_SMALL_BYTES = 2**16
"""Columns of a row group that are read as a whole: they are in one page anyway."""

_WINDOW_BYTES, _WINDOW_IDS = 2**26, 512
"""What is held at a time of the rows to come, about, and one more such window."""

_LOOKED_AT = 1024
"""Row groups whose ids are asked for at a time."""

_LEAST, _MOST = -(2**63), 2**63 - 1

Id = int | str


class RowGroup(NamedTuple):
    """A row group of a config: where it is, the range of its ids if it is known, and the bytes of a row by column."""

    build: Build
    part: PartFile
    number: int
    ids: tuple[int, int] | None
    row_bytes: dict[str, float]


@dataclass(frozen=True)
class Found:
    """Which row groups may have which of some ids; an id that is in no list is not in the dataset."""

    groups: tuple[RowGroup, ...]
    ids: dict[int, list[Id]]
    """The ids by the number of the row group in `groups`."""

    def only(self, ids: Iterable[Id], places: Mapping[Id, Sequence[int]]) -> Found:
        """The same of some of the ids, without the row groups that have none of them; `places` are those of all."""
        numbers, found = dict[int, int](), dict[int, list[Id]]()
        for one in ids:
            for number in places.get(one, ()):
                found.setdefault(numbers.setdefault(number, len(numbers)), []).append(one)
        return Found(tuple(self.groups[number] for number in numbers), found)

    def places(self) -> dict[Id, list[int]]:
        """The numbers of row groups by id, ascending, and ids in the order of those."""
        found: dict[Id, list[int]] = {}
        for number in sorted(self.ids):
            for one in self.ids[number]:
                found.setdefault(one, []).append(number)
        return found


class FoundRow(NamedTuple):
    """A row: the id that it was asked by, its row group, its number in the part, and its values by column."""

    id: Id
    group: RowGroup
    row: int
    values: dict[str, Any]

    @property
    def label(self) -> str:
        """Where it is, for messages."""
        return f"{self.group.part.label}: row {self.row}"


def has_numbers(config: Config[Build]) -> bool:
    """Whether the image ids of a config are numbers; they are texts otherwise."""
    kind = TABLES[config.kind].columns["image_id"].type
    return isinstance(kind, Scalar) and kind.kind == "int64"


class RowFinder:
    """Finds and reads rows of one config by image id.

    Args:
        location: where the dataset is.
        numbers: whether ids are numbers.
        at_once: row groups that are read at the same time.
        log: gets a line when something is tried again, from any thread.
    """

    def __init__(
        self,
        location: Location,
        *,
        numbers: bool,
        at_once: int = AT_ONCE,
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._reader, self._at_once = GroupReader(location, log), at_once
        # Sets tell an image by its path as well, which people have rather than the source's id.
        self._id_columns = ("image_id",) if numbers else ("image_id", "file_name")
        self._numbers = numbers

    def find(self, groups: Sequence[RowGroup], ids: Collection[Id]) -> Found:
        """Which row groups may have some ids: from the index where that is enough.

        Raises:
            SourceError: a part is damaged, gone, or not what its manifest says.
            HubError: the Hub refused, or was not reached.
        """
        wanted = np.array(sorted(ids), np.int64) if self._numbers else np.array([])
        begins, ends = _slices(groups, wanted) if self._numbers else (np.zeros(len(groups), int),) * 2
        unclear = _unclear(groups, begins, ends, len(wanted))
        found: dict[int, list[Id]] = {}
        for number in np.flatnonzero((ends > begins) & ~unclear).tolist():
            found[number] = wanted[begins[number] : ends[number]].tolist()
        looked_at = np.flatnonzero(unclear).tolist()
        every: list[Id] = [] if self._numbers else list(ids)

        def look(number: int) -> list[Id]:
            mine = wanted[begins[number] : ends[number]].tolist() if self._numbers else every
            table = self._reader.read(*_place(groups[number]), list(self._id_columns))
            return list(dict.fromkeys(one for one, _ in self._match(table, mine, groups[number])))

        with ThreadPoolExecutor(self._at_once, thread_name_prefix="asam_datasets") as pool:
            for start in range(0, len(looked_at), _LOOKED_AT):
                some = looked_at[start : start + _LOOKED_AT]
                found |= {number: there for number, there in zip(some, pool.map(look, some), strict=True) if there}
        return Found(tuple(groups), found)

    def read(self, found: Found, ids: Iterable[Id], columns: Sequence[str]) -> Iterator[tuple[Id, list[FoundRow]]]:
        """The rows of each id, in the order of the ids; none for an id that is not there.

        Args:
            found: what `find` gave of these ids.
            ids: each once.
            columns: what is read; names of columns.

        Raises:
            SourceError: a part is damaged, gone, or not what its manifest says.
            RecordError: a row is not what its table says.
            HubError: the Hub refused, or was not reached.
        """
        places, columns = found.places(), list(columns)
        pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="asam_datasets")
        windows = _windows(found.groups, places, ids, columns)
        ahead: deque[tuple[list[Id], dict[int, Future[list[FoundRow]]]]] = deque()

        def read_next() -> None:
            window = next(windows, None)
            if window is not None:
                by_group: dict[int, list[Id]] = {}
                for one in window:
                    for number in places.get(one, ()):
                        by_group.setdefault(number, []).append(one)
                work = ((number, found.groups[number], some) for number, some in by_group.items())
                ahead.append(
                    (window, {number: pool.submit(self._read, one, some, columns) for number, one, some in work})
                )

        try:
            read_next()
            while ahead:
                read_next()
                window, jobs = ahead[0]
                rows: dict[Id, list[tuple[int, int, FoundRow]]] = {}
                for one in window:
                    for number in places.get(one, ()):
                        if number in jobs:
                            for row in jobs.pop(number).result():
                                rows.setdefault(row.id, []).append((number, row.row, row))
                    yield one, [row for _, _, row in sorted(rows.pop(one, []), key=itemgetter(0, 1))]
                ahead.popleft()
        finally:
            for _, jobs in ahead:
                for job in jobs.values():
                    job.cancel()  # by hand: `cancel_futures` fails where the interpreter ends meanwhile
            pool.shutdown(wait=False)

    def _read(self, group: RowGroup, ids: Sequence[Id], columns: Sequence[str]) -> list[FoundRow]:
        """The rows of a row group that have some ids."""
        reader, place = self._reader, _place(group)
        names, paged = image_paths(reader, *place, columns)
        sizes = reader.column_bytes(*place, [*names, *self._id_columns])
        first = list(dict.fromkeys([*self._id_columns, *(name for name in names if sizes[name] <= _SMALL_BYTES)]))
        table = reader.read(*place, first)
        matches = self._match(table, ids, group)
        if not matches:
            return []
        if self._numbers and len(matches) > len(ids):
            problem = f"expected each image once, found {len(matches)} rows of {len(ids)} image ids"
            raise SourceError(problem, where=group.part.label, hint=GET_AGAIN)
        rows = np.array([row for _, row in matches], np.int64)
        later = [name for name in names if name not in first]
        some = reader.read(*place, later, rows) if later else None
        images = {name: reader.read_images(*place, name, rows, walk=True) for name in paged}
        before = sum(group.part.row_groups[: group.number])
        found = []
        for index, (one, row) in enumerate(matches):
            values = row_values(table, row, *place)
            if some is not None:
                values |= row_values(some, index, *place, row)
            values = with_images(values, {name: contents[index] for name, contents in images.items()})
            found.append(FoundRow(one, group, before + row, {name: values[name] for name in columns}))
        return found

    def _match(self, table: pa.Table, ids: Collection[Id], group: RowGroup) -> list[tuple[Id, int]]:
        """The rows of a table that have one of some ids, each with the id, ascending; with two of them, twice.

        Raises:
            SourceError: the column of ids has another type.
        """
        known, found = list(ids), dict[tuple[int, Id], None]()
        kind = pa.int64() if self._numbers else pa.string()
        for name in self._id_columns:
            column = table.column(name)
            if column.type != kind:
                problem = f"expected a column {name} of {kind}, found {column.type}"
                raise SourceError(problem, where=group.part.label, hint=GET_AGAIN)
            numbers = pc.index_in(column, value_set=pa.array(known, kind))
            rows = np.flatnonzero(pc.is_valid(numbers).to_numpy()).tolist()
            found |= dict.fromkeys((row, known[numbers[row].as_py()]) for row in rows)
        return [(one, row) for row, one in sorted(found, key=itemgetter(0))]


def groups_of(dataset: Dataset, config: Config[Build]) -> list[RowGroup]:
    """The row groups of a config, in its order."""
    found: list[RowGroup] = []
    for build in config.builds:
        for part, file in zip(build.parts, dataset.parts(build), strict=True):
            row_bytes = {name: size / max(1, part.rows) for name, size in part.columns.items()}
            ranges: Sequence[tuple[int, int] | None] = part.image_ids or [None] * len(part.row_groups)
            found += [RowGroup(build, file, number, ids, row_bytes) for number, ids in enumerate(ranges)]
    return found


def _place(group: RowGroup) -> tuple[PartFile, int]:
    return group.part, group.number


def _slices(groups: Sequence[RowGroup], wanted: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of the ids, ascending, each row group may have: the first, and the end."""
    ranges = [(_LEAST, _MOST) if group.ids is None else group.ids for group in groups]
    low, high = (
        np.array([min(max(one[side], _LEAST), _MOST) for one in ranges], np.int64) for side in (0, 1)
    )  # a manifest may say anything
    begins = np.searchsorted(wanted, low, side="left")
    return begins, np.maximum(begins, np.searchsorted(wanted, high, side="right"))


def _unclear(
    groups: Sequence[RowGroup], begins: NDArray[np.int64], ends: NDArray[np.int64], count: int
) -> NDArray[np.bool_]:
    """Which row groups have to be looked into: no range is known, or an id may be in another one as well."""
    unknown = np.array([group.ids is None for group in groups], np.bool_)
    if not count:
        return unknown
    several = np.zeros(count + 1, np.int64)
    np.add.at(several, begins, 1)
    np.add.at(several, ends, -1)
    before = np.concatenate([[0], np.cumsum(np.cumsum(several)[:count] > 1)])
    shared: NDArray[np.bool_] = before[ends] > before[begins]
    return (unknown & (ends > begins)) | shared


def _windows(
    groups: Sequence[RowGroup], places: dict[Id, list[int]], ids: Iterable[Id], columns: Sequence[str]
) -> Iterator[list[Id]]:
    """The ids, so many at a time as may be held."""
    window: list[Id] = []
    size = 0.0
    for one in ids:
        window.append(one)
        size += sum(groups[number].row_bytes.get(name, 0.0) for number in places.get(one, ()) for name in columns)
        if size >= _WINDOW_BYTES or len(window) >= _WINDOW_IDS:
            yield window
            window, size = [], 0.0
    if window:
        yield window
