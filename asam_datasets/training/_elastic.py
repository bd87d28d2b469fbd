"""What is left of an epoch that other ranks and workers began, out of nothing but their states.

A worker's state is a place: an epoch, and how many records of its order (see `_order`) it gave. One segment of a
history has the places of all workers of all ranks, at the moment when their states were taken. So, for any epoch `e`:

1. Before the first segment everything is left of `e`.
2. Of a segment, the order of each of its workers is known: it is that over what was left before the segment. A worker
   whose epoch is later than `e` gave all of it; one whose epoch is `e` the first `position` records of it; one whose
   epoch is earlier nothing. Records that were repeated (`ends="pad"`) do not count.
3. What is left after the segment is what was left before it less what its workers gave, in the order of the epoch.

Those of a new job share what is left after the last segment, as they would share a whole epoch; their own places are
the next segment. An epoch that no segment knows is whole, so its order is that of a run from its start. Where the new
job has as many ranks and workers as the last segment, and all of them are in one epoch, its workers go on at their own
places instead, and the last segment is still under way. Ranks whose states were taken at different moments may be in
different epochs; then what is left is shared anew, as by other numbers. (The streams of a mixture go on in place also
then: of such ranks, a second state before they meet in an epoch may have records come twice.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch.distributed
from numpy.typing import NDArray

from asam_datasets.errors import StreamError
from asam_datasets.training._order import Consumer, Epoch, Ordering

ALL = 2**53
"""The position of a worker that gave its epoch to the end."""

STATE = 2
"""Version of the states of streams; those of version 1 have no past."""

_HINT = "Give `gather_state` the states of all ranks of one job, taken at about the same step."


@dataclass(frozen=True)
class Segment:
    """Where each worker of each rank of a job was.

    Args:
        places: of each rank, of each of its workers: epoch, and records given in it.
        turns: of each rank, which of its workers gives the next batch.
        batch_size: of the loaders, where the order depends on it.
    """

    places: tuple[tuple[tuple[int, int], ...], ...]
    turns: tuple[int, ...]
    batch_size: int | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Segment:
        """What `to_dict` made."""
        places = tuple(tuple((int(epoch), int(at)) for epoch, at in rank) for rank in content["places"])
        return cls(places, tuple(content["turns"]), content["batch_size"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        places = [[list(place) for place in rank] for rank in self.places]
        return {"places": places, "turns": list(self.turns), "batch_size": self.batch_size}

    @property
    def epochs(self) -> list[int]:
        """The epochs of all workers."""
        return [epoch for rank in self.places for epoch, _ in rank]

    def is_of(self, world_size: int, workers: int, batch_size: int | None) -> bool:
        """Whether a job has these numbers of ranks and workers."""
        same = all(len(rank) == workers for rank in self.places)
        return same and len(self.places) == world_size and self.batch_size == batch_size


History = tuple[Segment, ...]


class Place(NamedTuple):
    """Where a worker is: epoch and position, as which of the rank's workers, and what was given before."""

    epoch: int
    position: int
    worker: int
    past: History = ()


def find_place(
    history: History, epoch: int, consumer: Consumer, batch_size: int | None, role: int | None = None
) -> Place:
    """Where a worker of a new job begins with an epoch.

    Args:
        history: what `gather_state` knows; the last segment is the newest.
        epoch: the epoch.
        consumer: the worker.
        batch_size: of its loader, where the order depends on it.
        role: as which of the rank's workers it goes on, if that is known.
    """
    rank, world_size, worker, workers = consumer
    if not history or not history[-1].is_of(world_size, workers, batch_size):
        return Place(epoch, 0, worker if role is None else role, history)
    last = history[-1]
    if role is None:
        # A worker that is ahead would say of this epoch that it gave all of it, and no longer how far it was.
        if len(set(last.epochs)) > 1:
            return Place(epoch, 0, worker, history)
        role = role_of(last, epoch, consumer)
    at, position = last.places[rank][role]
    return Place(epoch, position if at == epoch else 0 if at < epoch else ALL, role, history[:-1])


def role_of(last: Segment, epoch: int, consumer: Consumer) -> int:
    """As which of the workers of a segment one of the same numbers of ranks and workers goes on in an epoch."""
    if all(at < epoch for at, _ in last.places[consumer.rank]):
        return consumer.worker
    # Loaders begin with their first worker, so that is the one whose turn it was.
    return (last.turns[consumer.rank] + consumer.worker) % consumer.workers


def what_is_left(
    sizes: NDArray[np.int64], ordering: Ordering, epoch: int, history: History
) -> NDArray[np.int64] | None:
    """The positions that are left of an epoch after a history, int64 (records,); None for all.

    Args:
        sizes: rows of each row group of the dataset, int64 (row groups,).
        ordering: what decides the order.
        epoch: the epoch.
        history: the segments, the oldest first.
    """
    left: NDArray[np.int64] | None = None
    for segment in history:
        if max(segment.epochs) < epoch:
            continue
        order = Epoch(sizes, replace(ordering, batch_size=segment.batch_size), epoch)
        gone = np.zeros(order.total, np.bool_)
        for rank, places in enumerate(segment.places):
            for worker, (at, position) in enumerate(places):
                if at < epoch or (at == epoch and not position):
                    continue
                consumer = Consumer(rank, len(segment.places), worker, len(places))
                given, padding = order.positions(consumer, left)
                count = len(given) - padding
                gone[given[: count if at > epoch else min(position, count)]] = True
        left = order.all_left(gone, left)
    return left


def gather_state(state: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, group: Any = None) -> dict[str, Any]:
    """Put the states of all ranks together, so that any number of ranks and workers can go on: each gives the result to
    `load_state_dict` of its stream, or mixture, before the first iteration (not to that of the loader).

    Of the epoch that was under way, what is left is shared by the new ranks, each record once; the epochs after it are
    those of a run that never stopped. With as many ranks and workers as before the sequence is that of such a run too.

    Args:
        state: of this rank's `StatefulDataLoader`, or of its stream if that is iterated without workers; the states of
            the other ranks come through `torch.distributed`. Or the states of all ranks, such as each saved to a file.
        group: of `torch.distributed`; that of all ranks by default. States of a GPU's job go through the CPU if the
            group is of gloo.

    Returns:
        A state of plain values, the same on each rank.

    Raises:
        StreamError: these are not the states of all ranks of one job, or not of streams of this package.
    """
    if not isinstance(state, Iterable):
        raise StreamError(f"expected a state, or those of all ranks, found {state!r}", where="gather_state", hint=_HINT)
    states: list[Any] = [state] if isinstance(state, Mapping) else list(state)
    for one in states:
        check_state(one, "gather_state", _HINT)
    if isinstance(state, Mapping) and torch.distributed.is_available() and torch.distributed.is_initialized():
        mine, states = (_workers_of(state)), [None] * torch.distributed.get_world_size(group)
        torch.distributed.all_gather_object(states, mine, group=group)
        return _gathered(states)
    return _gathered([_workers_of(one) for one in states])


def load_history(state: Mapping[str, Any], expected: Mapping[str, Any]) -> History:
    """The history in what `gather_state` made.

    Args:
        expected: `name` and `dataset` of the stream that takes it up.

    Raises:
        StreamError: it is that of another stream.
    """
    if state.get("version") != STATE or state.get("dataset") != expected["dataset"] or not state.get("past"):
        raise StreamError(
            f"expected the gathered state of {expected['name']} ({expected['dataset']}), found one of "
            f"{state.get('name')} ({state.get('dataset')})",
            where="state_dict",
            hint="Open the stream with the same dataset, revision, seed, window, order, ends and filter.",
        )
    return tuple(Segment.from_dict(one) for one in state["past"])


def first_epoch(history: History) -> int:
    """The epoch in which the slowest worker is."""
    return min(history[-1].epochs)


def check_state(state: object, where: str, hint: str = "Give what `state_dict` or `gather_state` gave.") -> None:
    """Check that something can be a state.

    Raises:
        StreamError: it is no mapping.
    """
    if not isinstance(state, Mapping):
        raise StreamError(f"expected a state, found {state!r:.60}", where=where, hint=hint)


def is_gathered(state: Mapping[str, Any]) -> bool:
    """Whether a state is one that `gather_state` made."""
    return bool(state.get("gathered"))


class _Rank(NamedTuple):
    """The states of a rank's workers, and which of them gives the next batch."""

    workers: list[dict[str, Any]]
    turn: int


def _workers_of(state: Mapping[str, Any]) -> _Rank:
    if "_snapshot" in state:
        found = state["_snapshot"]
        count = len(found["_worker_snapshots"])
        workers = [found["_worker_snapshots"][f"worker_{worker}"].get("dataset_state") for worker in range(count)]
        if state.get("_iterator_finished"):
            workers = [_ended(one) for one in workers]
        elif state["_steps_since_snapshot"]:
            raise StreamError(
                "expected the state after the last batch, found that of "
                f"{state['_steps_since_snapshot']} batches before it",
                where="gather_state",
                hint="Leave out `snapshot_every_n_steps` of the StatefulDataLoader, or give it 1.",
            )
        return _Rank(workers, (found["_last_yielded_worker_id"] + 1) % count)
    inner = state.get("dataset_state")
    if inner is not None:
        return _Rank([_ended(inner) if state.get("_iterator_finished") else dict(inner)], 0)
    return _Rank([dict(state)], 0)


def _ended(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a worker whose loader has come to its end: what a loader drops there is not given later."""
    if "streams" in state:
        return {**state, "ended": True}
    return {**state, "position": ALL}


def _gathered(ranks: Sequence[_Rank]) -> dict[str, Any]:
    for rank in ranks:
        for one in rank.workers:
            if not isinstance(one, Mapping) or one.get("version") != STATE or is_gathered(one):
                raise StreamError(
                    f"expected states of streams of version {STATE}, found {one!s:.60}",
                    where="gather_state",
                    hint=_HINT,
                )
    first = ranks[0].workers[0] if ranks and ranks[0].workers else {}
    if "streams" in first:
        return _gathered_mixture(ranks)
    by_rank = {rank.workers[0]["rank"]: rank for rank in ranks}
    every = [one for rank in ranks for one in rank.workers]
    size = first.get("world_size")
    same = {(one["dataset"], one["world_size"], one["batch_size"]) for one in every}
    if len(same) != 1 or sorted(by_rank) != list(range(size or 0)) or len(by_rank) != len(ranks):
        found = ", ".join(f"{rank.workers[0]['rank']} of {rank.workers[0]['world_size']}" for rank in ranks)
        problem = f"expected one state of each of {size} ranks of one job, found those of ranks {found}"
        raise StreamError(problem, where="gather_state", hint=_HINT)
    places, turns = [], []
    for number in range(len(by_rank)):
        workers, turn = by_rank[number]
        own = {one["worker"]: (one["epoch"], one["position"]) for one in workers}
        if sorted(own) != list(range(workers[0]["workers"])):
            problem = f"expected the states of {workers[0]['workers']} workers of rank {number}, found {sorted(own)}"
            raise StreamError(problem, where="gather_state", hint=_HINT)
        places.append(tuple(own[worker] for worker in range(len(own))))
        turns.append(workers[turn]["worker"])
    newest = Segment(tuple(places), tuple(turns), first["batch_size"])
    past = _common_past(every, min(newest.epochs))
    return {
        "version": STATE,
        "gathered": True,
        "name": first["name"],
        "dataset": first["dataset"],
        "past": [*past, newest.to_dict()],
    }


def _common_past(states: Sequence[Mapping[str, Any]], epoch: int) -> list[dict[str, Any]]:
    """What all these states began with, as far as it says anything of `epoch` and later."""
    past: list[dict[str, Any]] = max((one["past"] for one in states), key=len)
    if any(one["past"] not in ([], past) for one in states):
        raise StreamError("expected states of one job, found two pasts", where="gather_state", hint=_HINT)
    return [segment for segment in past if max(Segment.from_dict(segment).epochs) >= epoch]


def _gathered_mixture(ranks: Sequence[_Rank]) -> dict[str, Any]:
    """As `_gathered` for each stream of a mixture."""
    first = ranks[0].workers[0]
    every = [one for rank in ranks for one in rank.workers]
    if any(one.get("mixture") != first["mixture"] for one in every):
        raise StreamError("expected states of one mixture, found two", where="gather_state", hint=_HINT)
    streams = [
        _gathered([_Rank([one["streams"][number] for one in rank.workers], rank.turn) for rank in ranks])
        for number in range(len(first["streams"]))
    ]
    by_rank = sorted(ranks, key=lambda rank: int(rank.workers[0]["streams"][0]["rank"]))
    turns = [
        [
            [one["epoch"], one["turn"], one["ended"], one["out"]]
            for one in sorted(rank.workers, key=lambda one: int(one["streams"][0]["worker"]))
        ]
        for rank in by_rank
    ]
    return {
        "version": STATE,
        "gathered": True,
        "name": first["name"],
        "mixture": first["mixture"],
        "streams": streams,
        "turns": turns,
    }
