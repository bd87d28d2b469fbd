"""The order of an epoch: pure functions of sizes, seed and epoch, so that a place in it is one number.

The row groups of the whole dataset are put into an order that seed and epoch decide, and their rows are laid end to
end: a record's place in that is its position. There are two ways from there.

`order="window"`: the positions are cut into one stretch for each worker of each rank. Within its stretch a worker mixes
the rows of neighbouring row groups: row group `j` of the stretch gives its rows keys that are spread evenly over `j` to
`j + window`, and rows come in the order of their keys. So about `window` row groups are open at any moment, each is
read once, and the first record needs only one of them.

`order="global"`: the positions are cut into `LANES` stretches, whatever the number of ranks, and each lane mixes its
rows as above. One record of each lane in turn makes the sequence of the whole job; rank `r` of `R` has every `R`-th
record of it from `r` on, so it reads `LANES / R` lanes and no other; and its workers take batches of that in turn, as a
loader takes them from the workers. So the records of all ranks' batches number `k` are one stretch of the sequence.

What is left of an epoch that other ranks began (`left`) is shared in the same way, as if it were all there is.

Random bits come from the bit generator alone, whose stream NumPy promises to keep; its distributions may change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Ends = Literal["exact", "drop", "pad"]
"""What happens when the ranks do not divide the records: some ranks get one record more (`exact`), the last records of
some are left out of the epoch (`drop`), or some repeat one (`pad`)."""

Kind = Literal["window", "global"]
"""`window`: each worker mixes row groups of its own; `global`: one sequence for any number of ranks and workers."""

LANES = 128
"""Lanes of the global order: the numbers of ranks that divide it may take it up."""

_GROUPS, _ROWS, _LANE = 0, 1, 2  # which random numbers of an epoch


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


@dataclass(frozen=True)
class Ordering:
    """What decides the order of each epoch, the same for all ranks.

    Args:
        seed: with the number of the epoch, decides the order.
        window: row groups that are mixed with each other; 0 keeps the order of the dataset.
        ends: what happens when the ranks do not divide the records.
        kind: one order for each worker, or one for all.
        batch_size: records that a rank's loader takes at a time; what workers of the global order have to know.
    """

    seed: int
    window: int
    ends: Ends
    kind: Kind = "window"
    batch_size: int | None = None


class Epoch:
    """One epoch over all row groups: whose records are which, and in which order.

    Args:
        sizes: rows of each row group of the dataset, int64 (row groups,).
        ordering: what decides the order.
        epoch: number of the epoch.
    """

    def __init__(self, sizes: NDArray[np.int64], ordering: Ordering, epoch: int) -> None:
        self.total = int(sizes.sum())
        self._ordering, self._epoch = ordering, epoch
        seed, groups = ordering.seed, len(sizes)
        self._permutation = (
            np.argsort(_random(groups, seed, epoch, _GROUPS), kind="stable") if ordering.window else _count(groups)
        )
        self._starts = np.cumsum(sizes[self._permutation]) - sizes[self._permutation]

    def order(self, consumer: Consumer, left: NDArray[np.int64] | None = None) -> Order:
        """The records that one worker gives.

        Args:
            consumer: whose records.
            left: positions that are left of the epoch, as `all_left` has them; None for all.
        """
        positions, padding = self.positions(consumer, left)
        places = self._places(positions)
        return Order(self._permutation[places], positions - self._starts[places], padding)

    def positions(self, consumer: Consumer, left: NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], int]:
        """The positions of one worker's records in their order, and how many at the end are repeated ones."""
        if self._ordering.kind == "global":
            return self._of_global(consumer, left)
        first, last, padding = _stretch(self.total if left is None else len(left), consumer, self._ordering.ends)
        positions = np.arange(first, last, dtype=np.int64) if left is None else left[first:last]
        positions = self._mixed(positions, _ROWS, *consumer)
        if padding:  # its last record once more, or for a rank without any the first one of the epoch
            again = positions[-1:] if len(positions) else np.zeros(1, np.int64) if left is None else left[:1]
            positions = np.append(positions, again)
        return positions, padding

    def all_left(self, gone: NDArray[np.bool_], left: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """What is left of the epoch: positions in the order in which they are shared.

        Args:
            gone: of each position whether it was given, bool (records,).
            left: what was left before; None for all.
        """
        if left is None:
            left = _count(self.total) if self._ordering.kind == "window" else self._sequence(0, 1)
        return left[~gone[left]]

    def _of_global(self, consumer: Consumer, left: NDArray[np.int64] | None) -> tuple[NDArray[np.int64], int]:
        rank, world_size, worker, workers = consumer
        mine = self._sequence(rank, world_size) if left is None else left[rank::world_size]
        total = self.total if left is None else len(left)
        padding = 0
        if self._ordering.ends == "drop":
            mine = mine[: total // world_size]
        elif self._ordering.ends == "pad" and len(mine) < -(-total // world_size):
            padding = 1
            again = mine[-1:] if len(mine) else self._sequence(0, 1)[:1] if left is None else left[:1]
            mine = np.append(mine, again)
        batches = _count(len(mine)) // (self._ordering.batch_size or 1)
        chosen = batches % workers == worker
        return mine[chosen], int(padding and bool(chosen[-1]))

    def _sequence(self, rank: int, world_size: int) -> NDArray[np.int64]:
        """Every `world_size`-th record of the global sequence from `rank` on."""
        sequence = np.empty(max(0, -(-(self.total - rank) // world_size)), np.int64)
        base, more = divmod(self.total, LANES)
        for lane in range(rank, LANES, world_size):
            first = lane * base + min(lane, more)
            positions = np.arange(first, first + base + (lane < more), dtype=np.int64)
            sequence[(lane - rank) // world_size :: LANES // world_size] = self._mixed(positions, _LANE, lane)
        return sequence

    def _mixed(self, positions: NDArray[np.int64], *entropy: int) -> NDArray[np.int64]:
        """Positions in an order that mixes neighbouring row groups."""
        window = self._ordering.window
        if not window or not len(positions):
            return positions
        draws = _random(len(positions), self._ordering.seed, self._epoch, *entropy)
        return positions[np.argsort(self._places(positions) + window * draws, kind="stable")]

    def _places(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._starts, positions, side="right") - 1


def rank_records(total: int, rank: int, world_size: int, ends: Ends, kind: Kind = "window") -> int:
    """How many records a rank gives in an epoch."""
    if kind == "global" and ends == "exact":
        return max(0, -(-(total - rank) // world_size))
    first, last, padding = _rank_stretch(total, rank, world_size, ends)
    return last - first + padding


def worker_records(total: int, consumer: Consumer, ordering: Ordering) -> int:
    """How many records a worker gives in an epoch."""
    if ordering.kind == "window":
        first, last, padding = _stretch(total, consumer, ordering.ends)
        return last - first + padding
    count = rank_records(total, consumer.rank, consumer.world_size, ordering.ends, ordering.kind)
    batches = np.arange(count) // (ordering.batch_size or 1)
    return int(np.count_nonzero(batches % consumer.workers == consumer.worker))


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
