"""Streams: every record once an epoch over all ranks and workers, in an order that can be taken up anywhere.

Each worker of each rank has its own share of the epoch's order (see `_order`), so its state is the epoch and how many
records it gave. Taking it up again means to work out the order and to read on from there; for other ranks and workers
it means to work out first what all of the old ones gave (see `_elastic`).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.utils.data
from numpy.typing import NDArray

from asam_datasets.errors import StreamError
from asam_datasets.published import Footers, Location
from asam_datasets.training._elastic import (
    STATE,
    History,
    Place,
    Segment,
    check_state,
    find_place,
    first_epoch,
    is_gathered,
    load_history,
    what_is_left,
)
from asam_datasets.training._epochs import Epochs
from asam_datasets.training._fetch import Group, Partners, fetch_rows, wanted_rows
from asam_datasets.training._order import LANES, Consumer, Epoch, Order, Ordering, rank_records, worker_records

LOG = logging.getLogger("asam_datasets.training")


@dataclass(frozen=True)
class StreamPlan:
    """What a stream reads and in which order; the same in every process.

    `rows` has of each row group the rows that are wanted, ascending; None for all rows of all of them.
    """

    name: str
    location: Location
    groups: tuple[Group, ...]
    columns: tuple[str, ...]
    rank: int
    world_size: int
    ordering: Ordering
    rows: tuple[NDArray[np.int64], ...] | None = None
    partners: Partners | None = None
    read_ahead: int = 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Wanted rows of each row group, int64 (row groups,)."""
        if self.rows is not None:
            return np.array([len(rows) for rows in self.rows], np.int64)
        return np.array([group.part.row_groups[group.number] for group in self.groups], np.int64)

    def fingerprint(self) -> str:
        """A digest of all that decides which records this rank gives when; the columns do not."""
        order = self.ordering
        return self._digest(f"{self.rank} {self.world_size} {order.seed} {order.window} {order.ends}")

    def dataset(self) -> str:
        """A digest of all that decides the order of an epoch, whatever the ranks are."""
        order = self.ordering
        return self._digest(f"{order.seed} {order.window} {order.ends}")

    def _digest(self, numbers: str) -> str:
        content = hashlib.sha256()
        for group in self.groups:
            content.update(f"{group.part.path} {group.number} {group.part.row_groups[group.number]}\n".encode())
        content.update(numbers.encode())
        if self.ordering.kind == "global":
            content.update(f" global {LANES}".encode())
        for rows in self.rows or ():
            content.update(b" rows " + rows.tobytes())
        return content.hexdigest()[:16]


class Stream(Epochs[Place], torch.utils.data.IterableDataset[Any]):
    """The records of one rank; made by `open_stream`.

    A record is a dict of the columns, as the rows of `datasets` with images not decoded
    (`{"bytes": ..., "path": ...}`), and `epoch`; with `ends="pad"` also `padding`, True for a record that is repeated.
    In a `DataLoader` the workers share the records of the rank. `torchdata`'s `StatefulDataLoader` saves and loads
    the state of all workers; with any other loader the state is known to its workers alone. `gather_state` makes of the
    states of all ranks one that any number of ranks and workers can take up.

    Its length is the number of records that this rank gives in an epoch. (Of a loader over it the length is an
    estimate: each of its workers may end with a batch that is not full.)
    """

    def __init__(self, plan: StreamPlan, transform: Callable[[dict[str, Any]], Any] | None) -> None:
        super().__init__()
        self._plan = plan
        self._transform = transform
        self._resume_in: Consumer | None = None
        self._history: History = ()
        self._footers = Footers()

    @property
    def plan(self) -> StreamPlan:
        """What it reads and in which order."""
        return self._plan

    @property
    def num_records(self) -> int:
        """How many records this rank gives in an epoch."""
        plan = self._plan
        order = plan.ordering
        return rank_records(int(plan.sizes.sum()), plan.rank, plan.world_size, order.ends, order.kind)

    def __len__(self) -> int:
        return self.num_records

    def __iter__(self) -> Generator[Any, None, None]:
        if self._resume is not None and self._resume_in != self._consumer():
            raise StreamError(
                "expected a state that each worker loads for itself, found one that was loaded outside of them",
                where="load_state_dict",
                hint="Load the state of the loader, a StatefulDataLoader; or iterate without workers; or load what "
                "`gather_state` makes.",
            )
        return self.records_from(self.next_place())

    def records_from(self, place: Place, **more: Any) -> Generator[Any, None, None]:
        """The records of this process from a place on.

        Args:
            place: where; it counts as begun at once.
            more: fields that each record has in addition.
        """
        worker = self._consumer().worker
        if self._history:
            self._begun[worker] = max(int(self._begun[worker]), place.epoch)
        self._place = place
        return self._records(place, more)

    def place_in(self, epoch: int, role: int | None = None) -> Place:
        """Where this process begins with an epoch: at its start, or after what the history says of it; as which of the
        rank's workers, if that is known."""
        consumer = self._consumer()
        if not self._history or epoch <= int(self._begun[consumer.worker]):
            return Place(epoch, 0, consumer.worker if role is None else role)
        return find_place(self._history, epoch, consumer, self._plan.ordering.batch_size, role)

    @property
    def place(self) -> Place | None:
        """Where this process is, once an iteration has begun."""
        return self._place

    @property
    def history(self) -> History:
        """What jobs before this one gave, where a state said so."""
        return self._history

    def share_as(self, worker: int) -> int:
        """How many records one of the rank's workers gives in an epoch."""
        consumer = self._consumer()._replace(worker=worker)
        return worker_records(int(self._plan.sizes.sum()), consumer, self._plan.ordering)

    def state_dict(self) -> dict[str, Any]:
        """Where this process is: a stream that was opened in the same way goes on from it with the next record.

        With workers each of them has its own: ask the `StatefulDataLoader`. Of two iterations at once, it is the place
        of the one that gave a record last.
        """
        return self.state_of(self._resume or self._place or self._next_place())

    def state_of(self, place: Place) -> dict[str, Any]:
        """The state of this process at a place."""
        plan, consumer = self._plan, self._consumer()
        return {
            "version": STATE,
            "epoch": place.epoch,
            "position": place.position,
            "stream": plan.fingerprint(),
            "name": plan.name,
            "worker": place.worker,
            "workers": consumer.workers,
            "slot": consumer.worker,
            "dataset": plan.dataset(),
            "rank": plan.rank,
            "world_size": plan.world_size,
            "batch_size": plan.ordering.batch_size,
            "past": [segment.to_dict() for segment in place.past],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, in the next iteration: a state of this process, or what `gather_state` made,
        which is loaded before a loader makes its workers.

        Raises:
            StreamError: it is the state of another stream; or it is not gathered, and of another number of workers.
        """
        check_state(state, "load_state_dict")
        if is_gathered(state):
            self.load_segments(load_history(state, {"name": self._plan.name, "dataset": self._plan.dataset()}))
            return
        place = self.take_up(state)
        self._resume, self._resume_in = place, self._consumer()
        # A loader loads when its iteration starts, after `set_epoch`, and from the end of an epoch it goes on with the
        # next one at once: that has to be the one that was chosen.
        if not self._epoch_chosen:
            self._epoch.fill_(place.epoch)

    def load_segments(self, history: History) -> None:
        """Go on after a history: with the epoch of its slowest worker."""
        self._history, self._resume, self._place = history, None, None
        self._begun.fill_(-1)
        self._epoch.fill_(first_epoch(history))

    def take_up(self, state: Mapping[str, Any]) -> Place:
        """As `load_state_dict` for a state of this process, which has to go on from the place by itself.

        Raises:
            StreamError: it is the state of another stream, or of another number of workers.
        """
        place = self._place_of(state)
        self._history = place.past
        self._begun[self._consumer().worker] = -1
        return place

    def _place_of(self, state: Mapping[str, Any]) -> Place:
        plan, consumer = self._plan, self._consumer()
        version = state.get("version")
        mine = {
            "version": version if version in (1, STATE) else STATE,
            "stream": plan.fingerprint(),
            "slot": consumer.worker,
            "workers": consumer.workers,
            "batch_size": plan.ordering.batch_size,
        }
        found = {"slot": state.get("worker"), "batch_size": None, **state}
        for key, expected in mine.items():
            if found.get(key) != expected:
                raise StreamError(
                    f"expected the state of {plan.name} ({key} {expected!r}), found one of "
                    f"{state.get('name')} ({key} {found.get(key)!r})",
                    where="state_dict",
                    hint="Open the stream with the same dataset, revision, rank, world size, seed, window, order, ends "
                    "and filter, and load it with the same number of workers; or load what `gather_state` makes of the "
                    "states of all ranks, which any number of ranks and workers can take up.",
                )
        past = tuple(Segment.from_dict(one) for one in state.get("past", ()))
        return Place(int(state["epoch"]), int(state["position"]), int(state["worker"]), past)

    def _next_place(self) -> Place:
        return self._resume or self.place_in(int(self._epoch))

    def _consumer(self) -> Consumer:
        info = torch.utils.data.get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        return Consumer(self._plan.rank, self._plan.world_size, worker, workers)

    def indices_from(self, place: Place) -> Generator[int, None, None]:
        """As `records_from`, the numbers of the records in the dataset instead of what they are."""
        order = self._order(place, self._consumer())
        if self._history:
            self._begun[self._consumer().worker] = place.epoch
        counts = [group.part.row_groups[group.number] for group in self._plan.groups]
        rows = order.rows if self._plan.rows is None else wanted_rows(order.groups, order.rows, self._plan.rows)
        indices = (np.cumsum(counts) - counts)[order.groups] + rows
        for position, index in enumerate(indices[place.position :].tolist(), place.position + 1):
            self._place = place._replace(position=position)
            yield index

    def next_place(self) -> Place:
        """Where the next iteration begins; the state that was loaded for it is used up."""
        place, self._resume = self._next_place(), None
        self._place = place
        return place

    def _order(self, place: Place, consumer: Consumer) -> Order:
        plan = self._plan
        left = what_is_left(plan.sizes, plan.ordering, place.epoch, place.past)
        epoch = Epoch(plan.sizes, plan.ordering, place.epoch)
        return epoch.order(consumer._replace(worker=place.worker), left)

    def _records(self, place: Place, more: Mapping[str, Any]) -> Generator[Any, None, None]:
        plan, epoch = self._plan, place.epoch
        consumer = self._consumer()
        if plan.ordering.kind == "global" and consumer.workers > 1 and plan.ordering.batch_size is None:
            raise StreamError(
                "expected a batch size, which workers of a global order take turns by, found none",
                where="batch_size",
                hint="Give `open_stream` the batch size of the loader; or iterate without workers.",
            )
        order = self._order(place, consumer)
        rows = fetch_rows(
            order,
            plan.groups,
            plan.columns,
            plan.location,
            LOG.warning,
            start=place.position,
            wanted=plan.rows,
            by_worker=plan.ordering.kind == "window",
            partners=plan.partners,
            read_ahead=plan.read_ahead,
            footers=self._footers,
        )
        try:
            for position, record in enumerate(rows, place.position + 1):
                record["epoch"] = epoch
                if plan.ordering.ends == "pad":
                    record["padding"] = position > len(order.rows) - order.padding
                record.update(more)
                sample = record if self._transform is None else self._transform(record)
                self._place = place._replace(position=position)
                yield sample
        finally:
            rows.close()
