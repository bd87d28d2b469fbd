"""Rows in a given order out of row groups, each of which is read once and held while rows of it are to come.

A row group is read as a whole where most of its rows are wanted and few are open at once; so it is in the order
`window`. Otherwise its small columns are read once and its images by themselves, not long before they are needed: of a
filter the few that it lets through, of a global order with many lanes a few of each lane at a time.

Threads of their own read: one for whole row groups, and it is one ahead of what is needed; several for single images,
so that as many requests are under way. The thread that iterates owns what was read. So the first record costs one read,
and the next is under way.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from asam_datasets.published import Footers, GroupReader, Location, PartFile, image_paths, row_values, with_images
from asam_datasets.training._order import Order

HELD = 10
"""Row groups of which images are held at once, about; each has at most 32 MiB."""

_THREADS = 4
"""Reads of single images that are under way at once."""


Content = bytes | memoryview | None
"""An encoded image: by itself, or in what was read of its row group."""


class Group(NamedTuple):
    """A row group of a part."""

    part: PartFile
    number: int


class Partners(NamedTuple):
    """For each row of a row group the row that belongs to it: in which of `groups`, and its number there."""

    groups: Sequence[Group]
    columns: Sequence[str]
    numbers: Sequence[NDArray[np.int64]]
    rows: Sequence[NDArray[np.int64]]


class _Read(NamedTuple):
    """One read: of a row group all, or images of some rows, the first time with the other columns."""

    number: int
    rows: NDArray[np.int64] | None
    is_first: bool


class _Arrived(NamedTuple):
    """What a read gave: a table; images by column and row; and partners by row."""

    table: pa.Table | None
    images: Mapping[str, dict[int, Content]]
    partners: dict[int, dict[str, Any]]


def fetch_rows(
    order: Order,
    groups: Sequence[Group],
    columns: Sequence[str],
    location: Location,
    log: Callable[[str], None],
    *,
    start: int = 0,
    wanted: Sequence[NDArray[np.int64]] | None = None,
    by_worker: bool = True,
    partners: Partners | None = None,
    read_ahead: int = 1,
    footers: Footers | None = None,
) -> Generator[dict[str, Any], None, None]:
    """The rows of an order from position `start` on.

    Args:
        order: row group and row of each record.
        groups: the row groups that `order` counts.
        columns: those that are fetched.
        location: where the parts are.
        log: gets a line when something is tried again.
        start: how many records were given already.
        wanted: of each row group the rows that `order` counts; None for all rows.
        by_worker: whether a row group is read by one worker, or two, as in the order `window`.
        partners: rows of other row groups that become `original` of each record.
        read_ahead: how many row groups are read before they are needed, at once.
        footers: those of an earlier order of the same dataset; they cost a read for each part.

    Raises:
        SourceError: a part is damaged, gone, or not what its manifest says.
        RecordError: the text of a row is not UTF-8.
        HubError: the Hub refused, or was not reached.
    """
    numbers, rows = order.groups[start:], order.rows[start:]
    if wanted is not None:
        rows = wanted_rows(numbers, rows, wanted)
    reads = _plan_reads(numbers, rows, groups, whole=by_worker and wanted is None)
    left = Counter(numbers.tolist())
    reading = _Reading(groups, columns, location, log, partners, footers)
    threads = read_ahead if all(read.rows is None for read in reads) else max(read_ahead, _THREADS)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="asam_datasets")
    coming, ahead = iter(reads), deque[tuple[_Read, "Future[_Arrived]"]]()
    held: dict[int, _Arrived] = {}
    repeated = (int(numbers[-1]), int(rows[-1])) if len(numbers) else None  # with `ends="pad"` the last one may be

    def read_next() -> None:
        read = next(coming, None)
        if read is not None:
            ahead.append((read, pool.submit(reading.read, read)))

    try:
        for _ in range(threads):
            read_next()
        for number, row in zip(numbers.tolist(), rows.tolist(), strict=True):
            while ahead and not _has(held.get(number), row, partners):
                read, future = ahead.popleft()
                _add(held, read.number, future.result())
                read_next()
            found = held[number]
            record = _record(found, row, groups[number])
            if partners is not None:
                record["original"] = found.partners[row]
            if (number, row) != repeated:
                found.partners.pop(row, None)
                for images in found.images.values():
                    images.pop(row, None)
            left[number] -= 1
            if not left[number]:
                del held[number]
            yield record
    finally:
        for _, future in ahead:
            future.cancel()  # by hand: `cancel_futures` fails where the interpreter ends with an iterator under way
        pool.shutdown(wait=False)


def read_columns(
    groups: Sequence[Group], columns: Sequence[str], location: Location, log: Callable[[str], None]
) -> Iterator[pa.Table]:
    """Small columns of all rows, one row group after the other; several are read at once.

    Raises:
        SourceError: a part is damaged, gone, or not what its manifest says.
        HubError: the Hub refused, or was not reached.
    """
    reading = _Reading(groups, columns, location, log)
    with ThreadPoolExecutor(_THREADS * 2, thread_name_prefix="asam_datasets") as pool:
        yield from pool.map(lambda number: reading.reader.read(*groups[number], columns), range(len(groups)))


def wanted_rows(
    numbers: NDArray[np.int64], rows: NDArray[np.int64], wanted: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """The rows of a row group that the rows of an order among the wanted ones are."""
    ends = np.cumsum([len(one) for one in wanted])
    every = np.concatenate([*wanted, np.empty(0, np.int64)])
    chosen: NDArray[np.int64] = every[(ends - [len(one) for one in wanted])[numbers] + rows]
    return chosen


class _Reading:
    """Does reads, in any thread."""

    def __init__(
        self,
        groups: Sequence[Group],
        columns: Sequence[str],
        location: Location,
        log: Callable[[str], None],
        partners: Partners | None = None,
        footers: Footers | None = None,
    ) -> None:
        self._groups, self._columns, self._partners = groups, columns, partners
        self.reader = GroupReader(location, log, footers)

    def read(self, read: _Read) -> _Arrived:
        """Do one read."""
        group, columns = self._groups[read.number], self._columns
        if read.rows is None:
            rows = np.arange(group.part.row_groups[group.number], dtype=np.int64)
            table, found = self.reader.read_with_images(*group, columns)
            by_row: dict[str, dict[int, Content]] = {name: dict(enumerate(one)) for name, one in found.items()}
            return _Arrived(table, by_row, self._read_partners(read.number, rows))
        table, images = self._read_some(group, columns, read.rows, with_table=read.is_first)
        return _Arrived(table, images, self._read_partners(read.number, read.rows))

    def _read_some(
        self, group: Group, columns: Sequence[str], rows: NDArray[np.int64], *, with_table: bool
    ) -> tuple[pa.Table | None, dict[str, dict[int, Content]]]:
        reader = self.reader
        names, paged = image_paths(reader, *group, columns)
        table = reader.read(*group, names) if with_table else None
        images = {name: dict(zip(rows.tolist(), reader.read_images(*group, name, rows), strict=True)) for name in paged}
        return table, images

    def _read_partners(self, number: int, rows: NDArray[np.int64]) -> dict[int, dict[str, Any]]:
        """The partners of some rows of a row group, by those."""
        partners = self._partners
        if partners is None:
            return {}
        found: dict[int, dict[str, Any]] = {}
        theirs, their_rows = partners.numbers[number], partners.rows[number]
        rows = rows[theirs[rows] >= 0]
        for other in np.unique(theirs[rows]).tolist():
            mine = rows[theirs[rows] == other]
            group = partners.groups[other]
            table, images = self._read_some(group, partners.columns, np.unique(their_rows[mine]), with_table=True)
            for row in mine.tolist():
                found[row] = _record(_Arrived(table, images, {}), int(their_rows[row]), group)
        return found


def _record(arrived: _Arrived, row: int, group: Group) -> dict[str, Any]:
    """One row of a row group, with its images where they were read by themselves."""
    found = {name: contents[row] for name, contents in arrived.images.items()}
    images = {name: bytes(one) if isinstance(one, memoryview) else one for name, one in found.items()}
    return with_images(row_values(arrived.table, row, *group), images)


def _plan_reads(
    numbers: NDArray[np.int64], rows: NDArray[np.int64], groups: Sequence[Group], *, whole: bool
) -> list[_Read]:
    """What is read, in the order of its first use."""
    unique, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    if whole:
        return [_Read(int(number), None, True) for number in unique[np.argsort(first)]]
    count = len(numbers)
    if not count:
        return []
    last = count - 1 - np.unique(numbers[::-1], return_index=True)[1]
    opened = np.bincount(first, minlength=count + 1) - np.bincount(last + 1, minlength=count + 2)[: count + 1]
    most_open = int(np.cumsum(opened).max())
    sizes = np.array([groups[number].part.row_groups[groups[number].number] for number in unique], np.int64)
    together = max(1, HELD * int(sizes.mean()) // most_open)
    reads: list[tuple[int, _Read]] = []
    by_group = np.argsort(inverse, kind="stable")
    for place, positions in enumerate(np.split(by_group, np.cumsum(np.bincount(inverse))[:-1])):
        number = int(unique[place])
        if most_open <= HELD and 2 * len(positions) >= sizes[place]:
            reads.append((int(positions[0]), _Read(number, None, True)))
            continue
        for begin in range(0, len(positions), together):
            some = positions[begin : begin + together]
            reads.append((int(some[0]), _Read(number, rows[some], begin == 0)))
    return [read for _, read in sorted(reads, key=lambda pair: pair[0])]


def _has(found: _Arrived | None, row: int, partners: Partners | None) -> bool:
    if found is None or (partners is not None and row not in found.partners):
        return False
    return all(row in images for images in found.images.values())


def _add(held: dict[int, _Arrived], number: int, arrived: _Arrived) -> None:
    if number not in held:
        held[number] = arrived
        return
    for name, images in arrived.images.items():
        held[number].images[name].update(images)
    held[number].partners.update(arrived.partners)
