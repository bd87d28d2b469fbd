"""Streams: every record once an epoch over all ranks and workers, in an order that can be taken up anywhere.

Each worker of each rank has its own part of the epoch's order (see `_order`), so its state is the epoch and how many
records it gave. Taking it up again means to work out the order and to read on from there.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
import torch.utils.data

from asam_datasets.errors import SourceError, StreamError
from asam_datasets.published import Location, open_dataset
from asam_datasets.training._fetch import Group, fetch_rows
from asam_datasets.training._options import is_whole
from asam_datasets.training._order import Consumer, Ends, epoch_order, rank_records

_LOG = logging.getLogger("asam_datasets.training")
_STATE = 1
"""Version of what `Stream.state_dict` returns."""


@dataclass(frozen=True)
class StreamPlan:
    """What a stream reads and in which order; the same in every process."""

    name: str
    location: Location
    groups: tuple[Group, ...]
    columns: tuple[str, ...]
    rank: int
    world_size: int
    seed: int
    window: int
    ends: Ends

    @property
    def sizes(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Rows of each row group, int64 (row groups,)."""
        return np.array([group.part.row_groups[group.number] for group in self.groups], np.int64)

    def fingerprint(self) -> str:
        """A digest of all that decides which records come when; the columns do not."""
        content = hashlib.sha256()
        for group in self.groups:
            content.update(f"{group.part.path} {group.number} {group.part.row_groups[group.number]}\n".encode())
        content.update(f"{self.rank} {self.world_size} {self.seed} {self.window} {self.ends}".encode())
        return content.hexdigest()[:16]


class Stream(torch.utils.data.IterableDataset[Any]):
    """The records of one rank; made by `open_stream`.

    A record is a dict of the columns, as the rows of `datasets` with images not decoded
    (`{"bytes": ..., "path": ...}`), and `epoch`; with `ends="pad"` also `padding`, True for a record that is repeated.
    In a `DataLoader` the workers share the records of the rank. `torchdata`'s `StatefulDataLoader` saves and loads
    the state of all workers; with any other loader the state is known to its workers alone.
    """

    def __init__(self, plan: StreamPlan, transform: Callable[[dict[str, Any]], Any] | None) -> None:
        super().__init__()
        self._plan = plan
        self._transform = transform
        # Shared, because workers that stay alive over epochs would not see a plain number change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._epoch_chosen = False
        self._resume: tuple[int, int] | None = None
        self._resume_in: Consumer | None = None
        self._place: tuple[int, int] | None = None

    @property
    def num_records(self) -> int:
        """How many records this rank gives in an epoch."""
        plan = self._plan
        return rank_records(int(plan.sizes.sum()), plan.rank, plan.world_size, plan.ends)

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration gives, or the one that is under way."""
        place = self._resume or self._place
        return place[0] if place else int(self._epoch)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the iterations to come: another order. Call it before each epoch, as for a
        `DistributedSampler`; a state that was loaded for this epoch stays.

        Raises:
            StreamError: it is no number from 0.
        """
        if not is_whole(epoch) or epoch < 0:
            raise StreamError(f"expected an epoch of 0 or more, found {epoch!r}", where="set_epoch")
        self._epoch.fill_(int(epoch))
        self._epoch_chosen = True
        if self._resume is not None and self._resume[0] != epoch:
            self._resume = None
        if self._place is not None and self._place[0] != epoch:
            self._place = None

    def __iter__(self) -> Generator[Any, None, None]:
        if self._resume is not None and self._resume_in != self._consumer():
            raise StreamError(
                "expected a state that each worker loads for itself, found one that was loaded outside of them",
                where="load_state_dict",
                hint="Load the state of the loader, a StatefulDataLoader; or iterate without workers.",
            )
        epoch, position = self._resume or (int(self._epoch), 0)
        self._resume = None
        self._place = (epoch, position)
        return self._records(epoch, position)

    def state_dict(self) -> dict[str, Any]:
        """Where this process is: a stream that was opened in the same way goes on from it with the next record.

        With workers each of them has its own: ask the `StatefulDataLoader`. Of two iterations at once, it is the place
        of the one that gave a record last.
        """
        epoch, position = self._resume or self._place or (int(self._epoch), 0)
        consumer = self._consumer()
        return {
            "version": _STATE,
            "epoch": epoch,
            "position": position,
            "stream": self._plan.fingerprint(),
            "name": self._plan.name,
            "worker": consumer.worker,
            "workers": consumer.workers,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, in the next iteration.

        Raises:
            StreamError: it is the state of another stream, or of another number of workers.
        """
        consumer = self._consumer()
        mine = {
            "version": _STATE,
            "stream": self._plan.fingerprint(),
            "worker": consumer.worker,
            "workers": consumer.workers,
        }
        for key, expected in mine.items():
            if state.get(key) != expected:
                raise StreamError(
                    f"expected the state of {self._plan.name} ({key} {expected!r}), found one of "
                    f"{state.get('name')} ({key} {state.get(key)!r})",
                    where="state_dict",
                    hint="Open the stream with the same dataset, revision, rank, world size, seed, window and ends, "
                    "and load it with the same number of workers.",
                )
        epoch, position = int(state["epoch"]), int(state["position"])
        self._resume, self._resume_in = (epoch, position), consumer
        # A loader loads when its iteration starts, after `set_epoch`, and from the end of an epoch it goes on with the
        # next one at once: that has to be the one that was chosen.
        if not self._epoch_chosen:
            self._epoch.fill_(epoch)

    def _consumer(self) -> Consumer:
        info = torch.utils.data.get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        return Consumer(self._plan.rank, self._plan.world_size, worker, workers)

    def _records(self, epoch: int, start: int) -> Generator[Any, None, None]:
        plan = self._plan
        order = epoch_order(
            plan.sizes, self._consumer(), seed=plan.seed, epoch=epoch, window=plan.window, ends=plan.ends
        )
        rows = fetch_rows(order, plan.groups, plan.columns, plan.location, log=_LOG.warning, start=start)
        try:
            for position, record in enumerate(rows, start + 1):
                record["epoch"] = epoch
                if plan.ends == "pad":
                    record["padding"] = position > len(order.rows) - order.padding
                sample = record if self._transform is None else self._transform(record)
                self._place = (epoch, position)
                yield sample
        finally:
            rows.close()


def open_stream(
    dataset: str | Path,
    config: str = "sam",
    *,
    rank: int | None = None,
    world_size: int | None = None,
    seed: int = 0,
    window: int = 8,
    ends: Ends = "exact",
    columns: Sequence[str] | None = None,
    transform: Callable[[dict[str, Any]], Any] | None = None,
    revision: str | None = None,
) -> Stream:
    """Stream a published dataset into a training job, from a folder or straight from the Hub.

    Every record comes exactly once an epoch over all ranks and their workers. Seed and epoch decide the order, with
    the numbers of ranks and of workers. A worker holds at most `window` + 2 row groups (each at most 32 MiB).

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub.
        config: a config of the dataset: `train`, `controlnet`, `sam`, an evaluation set.
        rank: of this process; from `torch.distributed`, or torchrun's environment, if not given.
        world_size: number of ranks; as `rank`.
        seed: of the order.
        window: row groups that are mixed with each other; 0 gives the records in the order of the dataset.
        ends: when the ranks do not divide the records: `exact` gives some ranks one more (a collective operation per
            batch then waits for ever at the end), `drop` leaves some out of the epoch, `pad` repeats some and marks
            them (`padding`). What happens is said to the logger `asam_datasets.training`.
        columns: of the config; the others are not fetched. All by default.
        transform: what becomes of a record, in the worker, such as `partial(sam_sample, options=...)`.
        revision: branch, tag or commit on the Hub; `main` by default. One commit is read from first to last.

    Raises:
        SourceError: no such dataset, config or column.
        StreamError: an argument is out of range.
        HubError: the Hub refused, or was not reached.
    """
    rank, world_size = _place_of_process(rank, world_size)
    _check(rank, world_size, seed=seed, window=window, ends=ends)
    opened = open_dataset(dataset, revision=revision, log=_LOG.warning)
    found = opened.config(config)
    columns = (columns,) if isinstance(columns, str) else columns
    unknown = [name for name in columns or () if name not in found.columns]
    if unknown or (columns is not None and not columns):
        raise SourceError(
            f"expected some of the columns {', '.join(found.columns)}, found {', '.join(unknown) or 'none'}",
            where=f"{opened.published.url}: {config}",
            hint="Name columns of this config, or another config.",
        )
    groups = tuple(
        Group(part, number)
        for build in found.builds
        for part in opened.parts(build)
        for number in range(len(part.row_groups))
    )
    name = f"{opened.published.url}: {config}"
    if opened.published.location.commit:
        name += f" at {opened.published.location.commit}"
    plan = StreamPlan(
        name=name,
        location=opened.published.location,
        groups=groups,
        columns=tuple(columns or found.columns),
        rank=rank,
        world_size=world_size,
        seed=seed,
        window=window,
        ends=ends,
    )
    total = int(plan.sizes.sum())
    if total % world_size and rank == 0:
        _LOG.warning("%s: %s", name, _uneven(total, world_size, ends))
    return Stream(plan, transform)


def _place_of_process(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        known = torch.distributed.get_rank(), torch.distributed.get_world_size()
    else:
        known = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    return known[0] if rank is None else rank, known[1] if world_size is None else world_size


def _check(rank: int, world_size: int, *, seed: int, window: int, ends: str) -> None:
    for where, number in (("world_size", world_size), ("rank", rank), ("seed", seed), ("window", window)):
        if not is_whole(number):
            raise StreamError(f"expected a whole number, found {number!r}", where=where, hint="Correct the argument.")
    for where, good, expected, given in (
        ("world_size", world_size >= 1, "at least 1 rank", world_size),
        ("rank", 0 <= rank < world_size, f"a rank of 0 to {world_size - 1}", rank),
        ("seed", seed >= 0, "a seed of 0 or more", seed),
        ("window", window >= 0, "0 row groups or more", window),
        ("ends", ends in ("exact", "drop", "pad"), "exact, drop or pad", ends),
    ):
        if not good:
            raise StreamError(f"expected {expected}, found {given!r}", where=where, hint="Correct the argument.")


def _uneven(total: int, world_size: int, ends: Ends) -> str:
    most, left = -(-total // world_size), total % world_size
    text = f"{total} records and {world_size} ranks: "
    if ends == "drop":
        return text + f"{left} records are left out of each epoch"
    if ends == "pad":
        return text + f"{world_size - left} ranks repeat one record, marked with `padding`"
    return text + f"some ranks give {most} records and some {most - 1}; ends='drop' or 'pad' makes them equal"
