"""A job that comes back with other ranks: what is left of the epoch once, the next epoch as if nothing had happened."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from many_records import RECORDS, as_worker
from torchdata.stateful_dataloader import StatefulDataLoader

from asam_datasets.errors import StreamError
from asam_datasets.training import Stream, gather_state, open_stream
from asam_datasets.training._elastic import Place, Segment, find_place, what_is_left
from asam_datasets.training._order import Consumer, Ends, Epoch, Kind, Ordering

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 calls it
few = settings(max_examples=60, deadline=None, derandomize=True, database=None)
Shape = tuple[int, int]


# ------------------------------------------------------------------------------------------------ the algorithm


@given(
    data=st.data(),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    shapes=st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]), st.integers(1, 4)), min_size=2, max_size=4),
    ends=st.sampled_from(["exact", "drop", "pad"]),
    kind=st.sampled_from(["window", "global"]),
    window=st.sampled_from([0, 1, 4]),
)
@few
def test_jobs_one_after_the_other_give_each_record_once(
    data: st.DataObject, sizes: list[int], shapes: list[Shape], ends: Ends, kind: Kind, window: int
) -> None:
    rows, epoch = np.array(sizes, np.int64), 3
    history: tuple[Segment, ...] = ()
    given: Counter[int] = Counter()
    for number, (world_size, workers) in enumerate(shapes):
        ordering = Ordering(7, window, ends, kind, batch_size=data.draw(st.integers(1, 5)))
        left = what_is_left(rows, ordering, epoch, history)
        places = []
        for rank in range(world_size):
            own = []
            for worker in range(workers):
                order, padding = Epoch(rows, ordering, epoch).positions(
                    Consumer(rank, world_size, worker, workers), left
                )
                is_last = number == len(shapes) - 1
                count = len(order) if is_last else data.draw(st.integers(0, len(order)))
                given.update(order[: min(count, len(order) - padding)].tolist())
                own.append((epoch, count))
            places.append(tuple(own))
        history = (*history, Segment(tuple(places), (0,) * world_size, ordering.batch_size))
    total = int(rows.sum())
    assert set(given.values()) <= {1}
    missing = total - len(given)
    assert missing < (shapes[-1][0] if ends == "drop" else 1)
    # The next epoch is whole.
    assert what_is_left(rows, ordering, epoch + 1, history) is None


def test_ranks_may_be_in_different_epochs() -> None:
    sizes, ordering = np.array([10, 10], np.int64), Ordering(1, 4, "exact")
    history = (Segment((((0, 4),), ((1, 3),)), (0, 0)),)
    left = [what_is_left(sizes, ordering, epoch, history) for epoch in range(3)]
    assert [None if one is None else len(one) for one in left] == [6, 17, None]
    # What is left is shared anew by those who go on: a place of its own would forget how far the other epoch is.
    for epoch, rank in ((0, 1), (1, 1), (1, 0)):
        assert find_place(history, epoch, Consumer(rank, 2, 0, 1), None) == Place(epoch, 0, 0, history)


# ------------------------------------------------------------------------------------------------ streams


def opened(many: Path, rank: int = 0, world_size: int = 1, **more: Any) -> Stream:
    return open_stream(many, "sam", rank=rank, world_size=world_size, seed=5, columns=["image_id"], **more)


class Job:
    """Ranks and workers of a job, all in this process, each with a stream of its own, as the processes have them."""

    def __init__(self, many: Path, shape: Shape, state: dict[str, Any] | None = None, **more: Any) -> None:
        self.shape, self.state = shape, state
        self.streams = [[opened(many, rank, shape[0], **more) for _ in range(shape[1])] for rank in range(shape[0])]
        if state is not None:
            for stream in (stream for rank in self.streams for stream in rank):
                stream.load_state_dict(state)

    def give(self, counts: list[list[int]] | None, epoch: int) -> list[int]:
        """Ids of so many records of each worker; of all of them if it is None."""
        ids = []
        for rank, streams in enumerate(self.streams):
            for worker, stream in enumerate(streams):
                with as_worker(worker, self.shape[1]):
                    stream.set_epoch(epoch)
                    rows = iter(stream)
                    count = len(stream) if counts is None else counts[rank][worker]
                    ids += [record["image_id"] for _, record in zip(range(count), rows, strict=False)]
                    rows.close()
        return ids

    def gathered(self) -> dict[str, Any]:
        """What `gather_state` makes of the states of loaders, after JSON."""
        return gather_state([self.loader_state(rank) for rank in range(self.shape[0])])

    def loader_state(self, rank: int) -> dict[str, Any]:
        snapshots = {}
        for worker, stream in enumerate(self.streams[rank]):
            with as_worker(worker, self.shape[1]):
                snapshots[f"worker_{worker}"] = {"dataset_state": stream.state_dict()}
        snapshot = {"_worker_snapshots": snapshots, "_last_yielded_worker_id": self.shape[1] - 1}
        state = {"_snapshot": snapshot, "_steps_since_snapshot": 0, "_iterator_finished": False}
        loaded: dict[str, Any] = json.loads(json.dumps(state))
        return loaded


@pytest.mark.parametrize("order", ["window", "global"])
def test_two_by_two_goes_on_with_any_numbers(many: Path, order: Kind) -> None:
    """Ten random points, unequal over ranks; then 1 × 0, 4 × 1, and one of those is stopped once more."""
    draws = random.Random(7)
    more = {"order": order, "batch_size": 4 if order == "global" else None}
    every = list(range(1, RECORDS + 1))
    following = sorted_epoch(many, (4, 1), 3, more)
    for attempt in range(10):
        first = Job(many, (2, 2), **more)
        ids = first.give([[draws.randrange(125), draws.randrange(125)] for _ in range(2)], epoch=2)
        state = first.gathered()
        one = Job(many, (1, 1), state, **more)
        assert one.streams[0][0].epoch == 2
        assert sorted(ids + one.give(None, epoch=2)) == every
        # Again from the same state: stopped, and taken up by yet other ranks.
        second = Job(many, (2, 4) if attempt % 2 else (1, 1), state, **more)
        ids += second.give([[20] * second.shape[1] for _ in range(second.shape[0])], epoch=2)
        third = Job(many, (4, 1), second.gathered(), **more)
        assert sorted(ids + third.give(None, epoch=2)) == every
        if not attempt:
            assert third.give(None, epoch=3) == following


def sorted_epoch(many: Path, shape: Shape, epoch: int, more: dict[str, Any]) -> list[int]:
    """The ids of an epoch of a job that begins with it."""
    return Job(many, shape, **more).give(None, epoch)


def test_the_same_numbers_go_on_as_if_nothing_had_happened(many: Path) -> None:
    counts = [[10, 30], [0, 77]]
    whole = [Job(many, (2, 2)).give(None, epoch=1), Job(many, (2, 2)).give(None, epoch=2)]
    job = Job(many, (2, 2))
    before = job.give(counts, epoch=1)
    again = Job(many, (2, 2), job.gathered())
    rest = again.give(None, epoch=1)
    lengths = [125] * 4
    shares = [whole[0][125 * number : 125 * number + 125] for number in range(4)]
    flat = [count for rank in counts for count in rank]
    assert before == [one for share, count in zip(shares, flat, strict=True) for one in share[:count]]
    assert rest == [one for share, count in zip(shares, flat, strict=True) for one in share[count:]]
    assert [len(share) for share in shares] == lengths
    assert again.give(None, epoch=2) == whole[1]
    assert again.give(None, epoch=1) == whole[0]  # a history counts once


def test_a_rank_that_was_killed_goes_on_from_its_last_state(many: Path) -> None:
    job = Job(many, (2, 2))
    ids = job.give([[50, 50], [40, 40]], epoch=0)
    states = [job.loader_state(rank) for rank in range(2)]
    with as_worker(0, 2):  # rank 1 gives more, and is gone before it can say so
        job.streams[1][0].load_state_dict(states[1]["_snapshot"]["_worker_snapshots"]["worker_0"]["dataset_state"])
        lost = [record["image_id"] for _, record in zip(range(7), job.streams[1][0], strict=False)]
    rest = Job(many, (1, 1), gather_state(states)).give(None, epoch=0)
    assert sorted(ids + rest) == list(range(1, RECORDS + 1))
    assert set(lost) <= set(rest)


def test_a_rank_may_have_begun_the_next_epoch(many: Path) -> None:
    job = Job(many, (2, 1))
    ids = job.give([[250], [200]], epoch=0)
    ahead = Job(many, (2, 1))
    next_ids = ahead.give([[9], [0]], epoch=1)
    state = gather_state([ahead.loader_state(0), job.loader_state(1)])
    both = Job(many, (1, 3), state)
    assert both.streams[0][0].epoch == 0
    assert sorted(ids + both.give(None, epoch=0)) == list(range(1, RECORDS + 1))
    assert sorted(next_ids + both.give(None, epoch=1)) == list(range(1, RECORDS + 1))
    assert both.give(None, epoch=2) == sorted_epoch(many, (1, 3), 2, {})


@pytest.mark.parametrize("shape", [(2, 1), (1, 1), (1, 3)])
def test_ranks_in_different_epochs_may_be_gathered_twice(many: Path, shape: Shape) -> None:
    """How far the rank that is ahead came is known after a second gathering too, made while the other catches up."""
    seen: Counter[tuple[int, int]] = Counter()

    def give(job: Job, rank: int, epoch: int, count: int = RECORDS) -> None:
        stream = job.streams[rank][0]
        for slot, one in enumerate(job.streams[rank]):
            with as_worker(slot, len(job.streams[rank])):
                one.set_epoch(epoch)
                records = iter(one)
                seen.update((epoch, record["image_id"]) for _, record in zip(range(count), records, strict=False))
                records.close()
        assert stream.epoch == epoch

    job = Job(many, (2, 1))
    give(job, 0, 0)
    give(job, 0, 1, 40)
    give(job, 1, 0, 10)
    job = Job(many, (2, 1), job.gathered())
    give(job, 1, 0, 20)
    last = Job(many, shape, job.gathered())
    for rank in range(shape[0]):
        for epoch in (0, 1):
            give(last, rank, epoch)
    assert seen == Counter({(epoch, number): 1 for epoch in (0, 1) for number in range(1, RECORDS + 1)})


def test_states_that_do_not_belong_together_are_refused(many: Path) -> None:
    job = Job(many, (2, 2))
    job.give([[5, 5], [5, 5]], epoch=0)
    states = [job.loader_state(rank) for rank in range(2)]
    for wrong, found in (
        (states[:1], "2 ranks of one job, found those of ranks 0 of 2"),
        ([states[0], states[0]], "ranks 0 of 2, 0 of 2"),
        ([states[0], Job(many, (2, 2), window=3).loader_state(1)], "one state of each of 2 ranks of one job"),
    ):
        with pytest.raises(StreamError, match=found):
            gather_state(wrong)
    with pytest.raises(StreamError, match="expected states of streams of version 2, found"):
        gather_state([{"version": 1}])
    with pytest.raises(StreamError, match="found that of 3 batches before"):
        gather_state([{**states[0], "_steps_since_snapshot": 3}])
    del states[1]["_snapshot"]["_worker_snapshots"]["worker_1"]
    with pytest.raises(StreamError, match=r"the states of 2 workers of rank 1, found \[0\]"):
        gather_state(states)


def test_the_gathered_state_of_another_stream_is_refused(many: Path) -> None:
    state = Job(many, (2, 2)).gathered()
    with pytest.raises(StreamError, match=r"expected the gathered state of .*dataset: sam .*, found one of"):
        opened(many, window=3).load_state_dict(state)


def test_a_state_of_before_is_still_taken_up(many: Path) -> None:
    """Version 1 had no past and no slot."""
    stream = opened(many)
    rows = iter(stream)
    before = [next(rows)["image_id"] for _ in range(11)]
    names = ("epoch", "position", "stream", "name", "worker", "workers")
    state = {"version": 1, **{name: stream.state_dict()[name] for name in names}}
    again = opened(many)
    again.load_state_dict(state)
    assert sorted(before + [record["image_id"] for record in again]) == list(range(1, RECORDS + 1))


# ------------------------------------------------------------------------------------------------ real loaders


def ids_of(records: list[dict[str, Any]]) -> list[int]:
    return [record["image_id"] for record in records]


def loader_of(stream: Stream, workers: int) -> StatefulDataLoader:
    return StatefulDataLoader(stream, 4, num_workers=workers, collate_fn=ids_of)


def test_loaders_with_workers(many: Path) -> None:
    """2 × 2 stopped, taken up as 3 × 2, stopped again through the loader's own state, and 2 × 2 at the same place."""
    batches: list[list[int]] = []
    states = []
    rest_of_same: list[list[list[int]]] = []
    for rank, count in enumerate((13, 20)):
        stream = opened(many, rank, 2)
        stream.set_epoch(1)
        loader = loader_of(stream, 2)
        rows = iter(loader)
        batches += [next(rows) for _ in range(count)]
        states.append(loader.state_dict())
        rest_of_same.append(list(rows))
    state = json.loads(json.dumps(gather_state(states)))
    for rank in range(2):
        stream = opened(many, rank, 2)
        stream.load_state_dict(state)
        assert list(loader_of(stream, 2)) == rest_of_same[rank]
    rest: list[list[int]] = []
    nexts: list[int] = []
    for rank in range(3):
        stream = opened(many, rank, 3)
        stream.load_state_dict(state)
        loader = loader_of(stream, 2)
        rows = iter(loader)
        rest += [next(rows) for _ in range(5)]
        mine = loader.state_dict()  # has the past in it
        del rows
        stream = opened(many, rank, 3)
        loader = loader_of(stream, 2)
        loader.load_state_dict(mine)
        stream.set_epoch(1)
        rest += list(loader)
        stream.set_epoch(2)
        nexts += [one for batch in loader for one in batch]
    assert sorted(one for batch in batches + rest for one in batch) == list(range(1, RECORDS + 1))
    whole = opened(many, 0, 3)
    whole.set_epoch(2)
    assert nexts[: len(whole)] == [one for batch in loader_of(whole, 2) for one in batch]


def test_without_a_new_epoch_the_history_counts_once(many: Path) -> None:
    """A loop that never calls `set_epoch`, with workers that are made anew for each epoch."""
    stream = opened(many)
    rows = iter(stream)
    for _ in range(490):
        next(rows)
    again = opened(many)
    again.load_state_dict(gather_state(stream.state_dict()))
    loader = loader_of(again, 2)
    assert [sum(map(len, loader)) for _ in range(2)] == [10, RECORDS]


def test_states_come_through_the_processes(many: Path) -> None:
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=torch.distributed.HashStore())
    try:
        stream = opened(many)
        loader = loader_of(stream, 0)
        next(iter(loader))
        assert gather_state(loader.state_dict()) == gather_state([loader.state_dict()])
    finally:
        torch.distributed.destroy_process_group()


# ------------------------------------------------------------------------------------------------ one order for all


def test_batches_of_all_ranks_are_the_same_sets(many: Path) -> None:
    """1 × 0, 2 × 2, 4 × 1, 8 × 0 with 16 records a step: the same records in each step of three epochs."""

    def steps(world_size: int, workers: int, epoch: int) -> list[list[int]]:
        batch = 16 // world_size
        found: dict[int, list[int]] = {}
        for rank in range(world_size):
            for worker in range(workers):
                stream = opened(many, rank, world_size, order="global", batch_size=batch)
                stream.set_epoch(epoch)
                with as_worker(worker, workers):
                    ids = [record["image_id"] for record in stream]
                for number in range(0, len(ids), batch):
                    found.setdefault(number // batch * workers + worker, []).extend(ids[number : number + batch])
        return [sorted(found[step]) for step in sorted(found)]

    for epoch in range(3):
        expected = steps(1, 1, epoch)
        assert sorted(one for step in expected for one in step) == list(range(1, RECORDS + 1))
        assert [len(step) for step in expected] == [16] * 31 + [4]
        for world_size, workers in ((2, 2), (4, 1), (8, 1), (1, 3)):
            assert steps(world_size, workers, epoch) == expected


def test_the_global_order_goes_on_with_the_same_steps(many: Path) -> None:
    """After step 9 of two ranks, four ranks give what two would have given in step 10, and so on."""
    two = [opened(many, rank, 2, order="global", batch_size=8) for rank in range(2)]
    ids = [[record["image_id"] for record in stream] for stream in two]
    states = []
    for stream in two:
        rows = iter(stream)
        for _ in range(72):
            next(rows)
        states.append(stream.state_dict())
    four = [opened(many, rank, 4, order="global", batch_size=4) for rank in range(4)]
    for stream in four:
        stream.load_state_dict(gather_state(states))
    rest = [[record["image_id"] for record in stream] for stream in four]
    for step in range(9, 31):
        expected = {one for rank in ids for one in rank[8 * step : 8 * step + 8]}
        assert {one for rank in rest for one in rank[4 * (step - 9) : 4 * (step - 9) + 4]} == expected


def test_the_global_order_with_workers_has_to_know_the_batch(many: Path) -> None:
    stream = opened(many, order="global")
    assert len(ids_of(list(stream))) == RECORDS
    with as_worker(0, 2), pytest.raises(StreamError, match="batch_size: expected a batch size"):
        next(iter(stream))
    with pytest.raises(StreamError, match="world_size: expected ranks that divide 128, found 3"):
        opened(many, 0, 3, order="global")
    with pytest.raises(StreamError, match="order: expected window or global, found 'any'"):
        opened(many, order="any")


@given(sizes=st.lists(st.integers(1, 30), min_size=1, max_size=20), ends=st.sampled_from(["exact", "drop", "pad"]))
@few
def test_ranks_of_the_global_order_read_lanes_of_their_own(sizes: list[int], ends: Ends) -> None:
    rows = np.array(sizes, np.int64)
    for world_size in (1, 4, 16):
        seen: Counter[int] = Counter()
        counts = set()
        for rank in range(world_size):
            positions, padding = Epoch(rows, Ordering(1, 1, ends, "global", 3), 0).positions(
                Consumer(rank, world_size, 0, 1)
            )
            seen.update(positions[: len(positions) - padding].tolist())
            counts.add(len(positions))
        assert set(seen.values()) <= {1}
        assert len(counts) <= (2 if ends == "exact" else 1)
        assert len(seen) == (sum(sizes) // world_size * world_size if ends == "drop" else sum(sizes))
