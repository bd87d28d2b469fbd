"""The order of an epoch: pure functions of sizes, seed and epoch, so that a place in it is one number.

The row groups of the whole dataset are put into an order that seed and epoch decide, and their rows, laid end to end,
are cut into one stretch for each worker of each rank. Within its stretch a worker mixes the rows of neighbouring row
groups: row group `j` of the stretch gives its rows keys that are spread evenly over `j` to `j + window`, and rows come
in the order of their keys. So about `window` row groups are open at any moment, each is read once, and the first
record needs only one of them.

Random bits come from the bit generator alone, whose stream NumPy promises to keep; its distributions may change.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ends = Literal["exact", "drop", "pad"]
"""What happens when the ranks do not divide the records: some ranks get one record more (`exact`), the last records of
some are left out of the epoch (`drop`), or some repeat one (`pad`)."""

_GROUPS, _ROWS = 0, 1  # which random numbers of an epoch


class Consumer(NamedTuple):
    """One worker of one rank."""

    rank: int
    world_size: int
    worker: int
    workers: int


class Order(NamedTuple):
    """The records of one worker in the order of an epoch: for each its row group and its row in that.

    `groups` and `rows` are int64 (records,); `padding` says how many records at the end are repeated ones.
    """

    groups: NDArray[np.int64]
    rows: NDArray[np.int64]
    padding: int


def epoch_order(
    sizes: NDArray[np.int64], consumer: Consumer, *, seed: int, epoch: int, window: int, ends: Ends
) -> Order:
    """The records that one worker gives in an epoch.

    Args:
        sizes: rows of each row group of the dataset, int64 (row groups,).
        consumer: whose records.
        seed: with `epoch`, decides the order.
        epoch: number of the epoch.
        window: row groups that are mixed with each other; 0 keeps the order of the dataset.
        ends: what happens when the ranks do not divide the records.
    """
    total = int(sizes.sum())
    permutation = np.argsort(_random(len(sizes), seed, epoch, _GROUPS), kind="stable") if window else _count(len(sizes))
    starts = np.cumsum(sizes[permutation]) - sizes[permutation]
    first, last, padding = _stretch(total, consumer, ends)
    positions = np.arange(first, last, dtype=np.int64)
    places = np.searchsorted(starts, positions, side="right") - 1
    if window and len(places):
        draws = _random(len(places), seed, epoch, _ROWS, *consumer)
        mixed = np.argsort(places + window * draws, kind="stable")
        positions, places = positions[mixed], places[mixed]
    if padding:  # its last record once more, or for a rank without any the first one of the epoch
        again = positions[-1:] if len(positions) else np.zeros(1, np.int64)
        positions = np.append(positions, again)
        places = np.searchsorted(starts, positions, side="right") - 1
    return Order(permutation[places], positions - starts[places], padding)


def rank_records(total: int, rank: int, world_size: int, ends: Ends) -> int:
    """How many records a rank gives in an epoch."""
    first, last, padding = _rank_stretch(total, rank, world_size, ends)
    return last - first + padding


def _rank_stretch(total: int, rank: int, world_size: int, ends: Ends) -> tuple[int, int, int]:
    """First, last (exclusive) and whether one is repeated."""
    first, last = rank * total // world_size, (rank + 1) * total // world_size
    fewest = total // world_size
    if ends == "drop":
        return first, first + fewest, 0
    most = -(-total // world_size)
    return first, last, int(ends == "pad" and last - first < most)


def _stretch(total: int, consumer: Consumer, ends: Ends) -> tuple[int, int, int]:
    rank, world_size, worker, workers = consumer
    first, last, padding = _rank_stretch(total, rank, world_size, ends)
    count = last - first
    begin, end = first + worker * count // workers, first + (worker + 1) * count // workers
    return begin, end, padding if worker == workers - 1 else 0


def _random(count: int, *entropy: int) -> NDArray[np.float64]:
    """Uniform in 0 … 1, float64 (count,)."""
    bits = np.random.Philox(np.random.SeedSequence(entropy)).random_raw(count)
    uniform: NDArray[np.float64] = (bits >> np.uint64(11)) * 2.0**-53
    return uniform


def _count(count: int) -> NDArray[np.int64]:
    return np.arange(count, dtype=np.int64)
