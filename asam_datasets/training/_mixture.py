"""Mixtures: several streams as one, by weights, in an order that can be taken up anywhere by any ranks and workers.

Each worker takes its share of every stream, in turns that the weights decide (see `_turns`). A stream that begins again
within an epoch of the mixture does so with another order: cycle `c` of the mixture's epoch `e` is epoch `e * CYCLES +
c` of the stream, so that the places of its workers are in order whatever happens (see `_elastic`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
import torch.utils.data

from asam_datasets.errors import StreamError
from asam_datasets.training._elastic import STATE, Place, check_state, first_epoch, is_gathered, load_history
from asam_datasets.training._epochs import Epochs
from asam_datasets.training._stream import Stream
from asam_datasets.training._turns import ROUND, Turns

Stop = Literal["first", "all", "longest"]
"""When an epoch ends: `first`, when a stream has no more for its turn; `all`, when each record of each stream was given
once, where streams that have ended leave their turns to the others; `longest`, when each stream has ended at least
once, where those that end earlier begin again."""

CYCLES = 2**20
"""Times that a stream may begin again within an epoch."""

_END = object()


@dataclass(frozen=True)
class _Start:
    """Where a worker is in a mixture.

    Args:
        epoch: of the mixture.
        turn: number of the next turn.
        out: streams that have ended: with `all` and for good, with `longest` at least once.
        ended: whether the epoch has come to its end.
        places: of each stream.
    """

    epoch: int
    turn: int
    out: frozenset[int]
    ended: bool
    places: tuple[Place, ...]


class Mixture(Epochs[_Start], torch.utils.data.IterableDataset[Any]):
    """Records of several streams; made by `open_mixture`.

    A record is that of its stream, with `stream`, the number of it from 0, and `epoch`, that of the mixture; with
    `stop="longest"` also `cycle`, how often its stream has begun again in this epoch. Loaders, `set_epoch` and states
    are as for a `Stream`.

    With `stop="all"` its length is the number of records that this rank gives in an epoch. With `first` and `longest`
    it has none (`len` raises TypeError): each worker ends by itself, when its own share of a stream has ended, so how
    many records come depends on how many workers there are, which only the loader knows.
    """

    def __init__(self, streams: Sequence[Stream], weights: Sequence[float], stop: Stop) -> None:
        super().__init__()
        self._streams, self._weights, self._stop = tuple(streams), tuple(weights), stop
        self._turns: list[list[list[Any]]] | None = None

    @property
    def streams(self) -> tuple[Stream, ...]:
        """What is mixed."""
        return self._streams

    def __len__(self) -> int:
        if self._stop != "all":
            # Of this type, as of whatever has no length: loaders, trainers and `list` expect it.
            raise TypeError(f'a mixture with stop="{self._stop}" has no length: it depends on the number of workers')
        return sum(map(len, self._streams))

    def __bool__(self) -> bool:
        return True  # also without a length

    def __iter__(self) -> Generator[Any, None, None]:
        start = self._resume or self._next_start()
        self._resume = None
        if self._turns is not None:
            worker = _worker()[0]
            self._begun[worker] = max(int(self._begun[worker]), start.epoch)
        self._place = start
        return self._records(start)

    def state_dict(self) -> dict[str, Any]:
        """As for a `Stream`."""
        start = self._resume or self._place or self._next_start()
        slot, workers = _worker()
        return {
            "version": STATE,
            "name": self._name(),
            "mixture": self._digest(),
            "epoch": start.epoch,
            "turn": start.turn,
            "out": sorted(start.out),
            "ended": start.ended,
            "slot": slot,
            "workers": workers,
            "streams": [stream.state_of(place) for stream, place in zip(self._streams, start.places, strict=True)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As for a `Stream`.

        Raises:
            StreamError: it is the state of another mixture; or it is not gathered, and of another number of workers.
        """
        check_state(state, "load_state_dict")
        if state.get("mixture") != self._digest() or len(state.get("streams", ())) != len(self._streams):
            raise StreamError(
                f"expected the state of {self._name()} ({self._digest()}), found one of {state.get('name')} "
                f"({state.get('mixture')})",
                where="state_dict",
                hint="Mix the same streams with the same weights and the same stop.",
            )
        self._place = None
        if is_gathered(state):
            for stream, one in zip(self._streams, state["streams"], strict=True):
                expected = {"name": stream.plan.name, "dataset": stream.plan.dataset()}
                stream.load_segments(load_history(one, expected))
            self._resume, self._turns = None, list(state["turns"])
            self._begun.fill_(-1)
            self._epoch.fill_(min(worker[0] for rank in self._turns for worker in rank))
            return
        places = tuple(stream.take_up(one) for stream, one in zip(self._streams, state["streams"], strict=True))
        self._resume = _Start(int(state["epoch"]), int(state["turn"]), frozenset(state["out"]), state["ended"], places)
        if not self._epoch_chosen:
            self._epoch.fill_(self._resume.epoch)

    def _next_start(self) -> _Start:
        """Where this process begins with the epoch that was chosen."""
        epoch = int(self._epoch)
        slot, workers = _worker()
        turn = slot * ROUND // workers  # workers whose turns are the same would make batches of the same shares
        if self._turns is None or epoch <= int(self._begun[slot]):
            places = tuple(stream.place_in(epoch * CYCLES, slot) for stream in self._streams)
            return _Start(epoch, turn, frozenset(), False, places)
        plan, history = self._streams[0].plan, self._streams[0].history
        out: list[int] = []
        if history[-1].is_of(plan.world_size, workers, plan.ordering.batch_size):
            mine = self._turns[plan.rank]
            turning = any(at >= epoch for at, *_ in mine)
            role = (history[-1].turns[plan.rank] + slot) % workers if turning else slot
            at, own_turn, ended, own_out = mine[role]
            firsts = [self._cycle(stream, epoch, role) for stream in self._streams]
            if at == epoch:
                turn, out = own_turn, own_out
            ended = at > epoch or (at == epoch and ended)
        else:
            role = slot
            firsts = [self._cycle(stream, epoch, None) for stream in self._streams]
            if self._stop == "longest":
                out = [number for number, first in enumerate(firsts) if first > epoch * CYCLES]
            ended = all(at > epoch or (at == epoch and done) for rank in self._turns for at, _, done, _ in rank)
        places = tuple(stream.place_in(first, role) for stream, first in zip(self._streams, firsts, strict=True))
        return _Start(epoch, turn, frozenset(out), ended, places)

    def _cycle(self, stream: Stream, epoch: int, role: int | None) -> int:
        """The epoch of a stream that goes on within an epoch of the mixture: of one worker, or that of the slowest."""
        last = stream.history[-1]
        found = first_epoch(stream.history) if role is None else last.places[stream.plan.rank][role][0]
        return found if found // CYCLES == epoch else epoch * CYCLES

    def _records(self, start: _Start) -> Generator[Any, None, None]:
        if start.ended:
            return
        turns, alive = self._turns_of(start)
        running = [self._begin(number, start) for number in range(len(self._streams))]
        try:
            while True:
                number = alive[turns[start.turn]]
                record = next(running[number], _END)
                if record is not _END:
                    start = self._place = replace(start, turn=start.turn + 1, places=self._places(number, start))
                    yield record
                    continue
                start = replace(start, out=start.out | {number}, places=self._places(number, start))
                if self._stop == "first" or len(start.out) == len(self._streams):
                    self._place = replace(start, ended=True)
                    return
                if number in self._silent(start):
                    start = self._place = replace(start, turn=0)
                    turns, alive = self._turns_of(start)
                    continue
                running[number].close()
                start, running[number] = self._again(number, start)
                self._place = start
        finally:
            for one in running:
                one.close()

    def _turns_of(self, start: _Start) -> tuple[Turns, list[int]]:
        """The turns of the streams that take any, and the numbers of those."""
        silent = self._silent(start)
        alive = [number for number in range(len(self._streams)) if number not in silent]
        return Turns([self._weights[number] for number in alive]), alive

    def _silent(self, start: _Start) -> frozenset[int]:
        """The streams that take no turns any more: with `longest` those that have nothing for this worker at all."""
        if self._stop == "all":
            return start.out
        shares = {number: self._streams[number].share_as(start.places[number].worker) for number in start.out}
        return frozenset(number for number, share in shares.items() if not share)

    def _places(self, number: int, start: _Start) -> tuple[Place, ...]:
        """All places, after one of the streams went on."""
        place = self._streams[number].place
        return tuple(place if one == number and place else old for one, old in enumerate(start.places))

    def _again(self, number: int, start: _Start) -> tuple[_Start, Generator[Any, None, None]]:
        """Begin a stream again in its next cycle."""
        stream = self._streams[number]
        old_place = start.places[number]
        place = stream.place_in(old_place.epoch + 1, old_place.worker)
        places = tuple(place if one == number else old for one, old in enumerate(start.places))
        start = replace(start, places=places)
        return start, self._begin(number, start)

    def _begin(self, number: int, start: _Start) -> Generator[Any, None, None]:
        place = start.places[number]
        more = {"epoch": start.epoch, "stream": number}
        if self._stop == "longest":
            more["cycle"] = place.epoch % CYCLES
        return self._streams[number].records_from(place, **more)

    def _digest(self) -> str:
        content = f"{self._stop} " + " ".join(
            f"{weight!r} {stream.plan.dataset()}" for weight, stream in zip(self._weights, self._streams, strict=True)
        )
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    def _name(self) -> str:
        return "a mixture of " + " and ".join(stream.plan.name for stream in self._streams)


def open_mixture(streams: Iterable[tuple[Stream, float]], *, stop: Stop = "first") -> Mixture:
    """Mix streams: of any thousand records that a worker gives, each stream has its share up to one record.

    Args:
        streams: each with its weight; weights are positive, of any sum. All streams are opened for the same rank and
            world size, in the order `window`. With `ends="drop"` in each, all ranks give the same number of records.
        stop: when an epoch ends: `first`, when a stream has no more for its turn; `all`, when each record of each
            stream was given once, where streams that have ended leave their turns to the others; `longest`, when each
            stream has ended at least once, where those that end earlier begin again, in another order.

    Raises:
        StreamError: there are no streams, a weight is not positive, or the streams do not go together.
    """
    hint = "Give a list of pairs: a stream of its own, and its weight."
    pairs = _pairs(streams)
    if not pairs:
        raise StreamError(f"expected streams with weights, found {streams!r:.80}", where="streams", hint=hint)
    for _, weight in pairs:
        if not (isinstance(weight, (int, float)) and 0 < weight < float("inf")):
            raise StreamError(f"expected weights above 0, found {weight!r}", where="streams", hint=hint)
    if stop not in ("first", "all", "longest"):
        raise StreamError(f"expected first, all or longest, found {stop!r}", where="stop", hint="Correct the argument.")
    plans = [stream.plan for stream, _ in pairs]
    places = {(plan.rank, plan.world_size) for plan in plans}
    if len(places) > 1 or len({id(stream) for stream, _ in pairs}) < len(pairs):
        problem = f"expected a stream of its own for each weight, all of one rank, found {sorted(places)}"
        raise StreamError(problem, where="streams", hint=hint)
    if any(plan.ordering.kind != "window" for plan in plans):
        hint = "A global order is of one stream: leave out `order`."
        raise StreamError("expected streams in the order `window`, found `global`", where="streams", hint=hint)
    return Mixture([stream for stream, _ in pairs], [weight for _, weight in pairs], stop)


def _pairs(streams: Any) -> list[tuple[Stream, float]] | None:
    """The pairs, if they are such; a stream is not iterated to see that it is none."""
    if isinstance(streams, (Mapping, Epochs)) or not isinstance(streams, Iterable):
        return None
    pairs = list(streams)
    good = all(isinstance(one, (tuple, list)) and len(one) == 2 and isinstance(one[0], Stream) for one in pairs)
    return pairs if good else None


def _worker() -> tuple[int, int]:
    """Which worker this process is, of how many."""
    info = torch.utils.data.get_worker_info()
    return (0, 1) if info is None else (info.id, info.num_workers)
