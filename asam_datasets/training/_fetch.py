"""Rows in a given order out of row groups, each of which is read once and held while rows of it are to come.

One thread per stream reads; it owns the reader, and is one row group ahead of what is needed. The thread that iterates
owns the row groups that were read. So the first record costs one row group, and a second one is under way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from asam_datasets.published import GroupReader, Location, PartFile, row_values
from asam_datasets.training._order import Order


class Group(NamedTuple):
    """A row group of a part."""

    part: PartFile
    number: int


def fetch_rows(
    order: Order,
    groups: Sequence[Group],
    columns: Sequence[str],
    location: Location,
    log: Callable[[str], None],
    *,
    start: int = 0,
) -> Generator[dict[str, Any], None, None]:
    """The rows of an order from position `start` on.

    Args:
        order: row group and row of each record.
        groups: the row groups that `order` counts.
        columns: those that are fetched.
        location: where the parts are.
        log: gets a line when something is tried again.
        start: how many records were given already.

    Raises:
        SourceError: a part is damaged, gone, or not what its manifest says.
        RecordError: the text of a row is not UTF-8.
        HubError: the Hub refused, or was not reached.
    """
    numbers = order.groups[start:]
    left = Counter(numbers.tolist())
    coming = iter(_in_order_of_use(numbers))
    reader = GroupReader(location, log)
    held: dict[int, pa.Table] = {}
    pool = ThreadPoolExecutor(1, thread_name_prefix="asam_datasets")
    ahead: tuple[int, Future[pa.Table]] | None = None

    def read_next() -> tuple[int, Future[pa.Table]] | None:
        number = next(coming, None)
        return None if number is None else (number, pool.submit(reader.read, *groups[number], columns))

    try:
        ahead = read_next()
        for number, row in zip(numbers.tolist(), order.rows[start:].tolist(), strict=True):
            while number not in held and ahead is not None:
                arrived, future = ahead
                held[arrived] = future.result()
                ahead = read_next()
            record = row_values(held[number], row, *groups[number])
            left[number] -= 1
            if not left[number]:
                del held[number]
            yield record
    finally:
        if ahead is not None:
            ahead[1].cancel()  # by hand: `cancel_futures` fails where the interpreter ends with an iterator under way
        pool.shutdown(wait=False)


def _in_order_of_use(numbers: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    unique, first = np.unique(numbers, return_index=True)
    return [int(number) for number in unique[np.argsort(first)]]
