"""Mixtures: exact shares, ends as told, each record as often as told, and a place that any ranks can take up."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_records import as_worker
from torchdata.stateful_dataloader import StatefulDataLoader

from asam_datasets.errors import StreamError
from asam_datasets.training import (
    Choose,
    Mixture,
    SamOptions,
    Stream,
    gather_state,
    open_mixture,
    open_stream,
    sam_batch,
)
from asam_datasets.training._mixture import Stop
from asam_datasets.training._turns import ROUND, Turns

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 calls it
weights_ = st.lists(st.one_of(st.floats(0.001, 1), st.integers(1, 9)), min_size=1, max_size=6)


@given(weights=weights_)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_of_any_thousand_turns_a_stream_has_its_share_up_to_one(weights: list[float]) -> None:
    turns, count = Turns(weights), 6000
    sequence = np.array([turns[number] for number in range(count)])
    for stream, weight in enumerate(weights):
        share = weight / sum(weights)
        sums = np.concatenate([[0], np.cumsum(sequence == stream)])
        for length, allowed in ((ROUND, 1 + 1e-6), (100, 4)):
            assert np.abs(sums[length:] - sums[:-length] - length * share).max() <= allowed
        assert abs(sums[-1] - count * share) <= 3
    again = Turns(weights)
    assert [again[number] for number in (5999, 17, 3000)] == [sequence[number] for number in (5999, 17, 3000)]


class Bench:
    """Mixtures of parts of the dataset, so that any sizes are at hand."""

    def __init__(self, many: Path) -> None:
        self._stream = open_stream(many, "sam", seed=2, columns=["image_id"])

    def stream(self, size: int, first: int, rank: int, world_size: int, ends: str = "exact") -> Stream:
        """`size` records from the place `first` of the dataset on."""
        plan, left, rows = self._stream.plan, size, []
        for count in plan.sizes.tolist():
            begin = min(first, count)
            first -= begin
            taken = min(left, count - begin)
            left -= taken
            rows.append(np.arange(begin, begin + taken, dtype=np.int64))
        ordering = replace(plan.ordering, window=3, ends=ends)  # type: ignore[arg-type]
        return Stream(replace(plan, rows=tuple(rows), rank=rank, world_size=world_size, ordering=ordering), None)

    def mixture(
        self, sizes: list[int], weights: list[float], stop: Stop, rank: int = 0, world_size: int = 1, **more: Any
    ) -> Mixture:
        firsts = np.cumsum([0, *sizes]).tolist()
        streams = [
            self.stream(size, first, rank, world_size, **more) for size, first in zip(sizes, firsts, strict=False)
        ]
        return open_mixture(list(zip(streams, weights, strict=True)), stop=stop)


@pytest.fixture(scope="module")
def bench(many: Path) -> Bench:
    return Bench(many)


def take(mixture: Mixture, slot: int, workers: int, count: int | None = None) -> list[tuple[int, int]]:
    """Stream and image of so many records of a worker, or of all."""
    with as_worker(slot, workers):
        rows = iter(mixture)
        records = [record for _, record in zip(range(10**6 if count is None else count), rows, strict=False)]
        rows.close()
    return [(record["stream"], record["image_id"]) for record in records]


def loader_state(mixtures: list[Mixture]) -> dict[str, Any]:
    """As a loader with a mixture in each worker has it."""
    snapshots = {}
    for worker, mixture in enumerate(mixtures):
        with as_worker(worker, len(mixtures)):
            snapshots[f"worker_{worker}"] = {"dataset_state": mixture.state_dict()}
    snapshot = {"_worker_snapshots": snapshots, "_last_yielded_worker_id": 0}
    state: dict[str, Any] = json.loads(json.dumps({"_snapshot": snapshot, "_steps_since_snapshot": 0}))
    return state


sizes_ = st.lists(st.integers(1, 40), min_size=1, max_size=3)


@given(
    data=st.data(),
    sizes=sizes_,
    shapes=st.lists(st.tuples(st.integers(1, 2), st.integers(1, 2)), min_size=2, max_size=2),
    stop=st.sampled_from(["first", "all", "longest"]),
)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
def test_any_mixture_ends_as_told_and_goes_on_with_any_ranks(
    bench: Bench, data: st.DataObject, sizes: list[int], shapes: list[tuple[int, int]], stop: Stop
) -> None:
    weights = [data.draw(st.sampled_from([1, 0.5, 0.3, 2])) for _ in sizes]
    every = {(number, sum(sizes[:number]) + 1 + row) for number, size in enumerate(sizes) for row in range(size)}
    state: dict[str, Any] | None = None
    seen: Counter[tuple[int, int]] = Counter()
    for number, (world_size, workers) in enumerate(shapes):
        states = []
        for rank in range(world_size):
            mixtures = [bench.mixture(sizes, weights, stop, rank, world_size) for _ in range(workers)]
            for slot, mixture in enumerate(mixtures):
                if state is not None:
                    mixture.load_state_dict(state)
                mixture.set_epoch(1)
                count = None if number else data.draw(st.integers(0, 30))
                records = take(mixture, slot, workers, count)
                seen.update(records)
                if state is None and count is None:
                    check_turns(records, weights, slot, workers)
            states.append(loader_state(mixtures))
        state = gather_state(states)
    assert set(seen) <= every
    if stop == "all":
        assert set(seen.values()) <= {1}
    if stop != "first":
        assert set(seen) == every
    # The epoch after it is that of a mixture that begins with it.
    rank, slot = shapes[-1][0] - 1, shapes[-1][1] - 1
    mixture, fresh = (bench.mixture(sizes, weights, stop, rank, shapes[-1][0]) for _ in range(2))
    mixture.load_state_dict(state or {})
    for one in (mixture, fresh):
        one.set_epoch(2)
    assert take(mixture, slot, shapes[-1][1]) == take(fresh, slot, shapes[-1][1])


def check_turns(records: list[tuple[int, int]], weights: list[float], slot: int, workers: int) -> None:
    turns = Turns(weights)
    expected = [turns[slot * ROUND // workers + number] for number in range(len(records))]
    assert [stream for stream, _ in records] == expected


def test_the_three_ends(bench: Bench) -> None:
    first = take(bench.mixture([30, 90], [1, 1], "first"), 0, 1)
    assert Counter(stream for stream, _ in first) in (Counter({0: 30, 1: 30}), Counter({0: 30, 1: 31}))
    check_turns(first, [1, 1], 0, 1)
    every = take(bench.mixture([30, 90], [1, 1], "all"), 0, 1)
    assert Counter(stream for stream, _ in every) == {0: 30, 1: 90}
    assert [stream for stream, _ in every[:61]] == [stream for stream, _ in first[:60]] + [1]
    longest = take(bench.mixture([30, 90], [1, 1], "longest"), 0, 1)
    check_turns(longest, [1, 1], 0, 1)
    counts = Counter(longest)
    assert {counts[one] for one in counts if one[0] == 1} == {1}
    assert {counts[one] for one in counts if one[0] == 0} <= {3, 4}
    assert [one for one in longest if one[0] == 0][:30] != [one for one in longest if one[0] == 0][30:60]


def test_a_cycle_is_told_and_draws_anew(many: Path) -> None:
    streams = [open_stream(many, "sam", window=2, seed=seed) for seed in (1, 2)]
    records = []
    for record in open_mixture([(streams[0], 1), (streams[1], 3)], stop="longest"):
        records.append({name: record[name] for name in ("cycle", "epoch", "stream", "image_id")})
        if len(records) == 700:
            break
    assert {record["epoch"] for record in records} == {0}
    assert {(record["stream"], record["cycle"]) for record in records} == {(0, 0), (1, 0), (1, 1)}
    sample = next(iter(open_stream(many, "train")))
    options = SamOptions(size=32, choose=Choose(1))
    alike = [sam_batch([{**sample, "cycle": cycle}], options)["input_points"].tolist() for cycle in (0, 1, 2, 3, 0)]
    assert alike[0] == alike[4]
    assert any(one != alike[0] for one in alike[1:4])


@pytest.mark.parametrize("stop", ["first", "all", "longest"])
def test_a_state_goes_on_with_the_next_record_of_the_mixture(bench: Bench, stop: Stop) -> None:
    def opened() -> Mixture:
        mixture = bench.mixture([25, 61, 9], [0.5, 0.3, 0.2], stop)
        mixture.set_epoch(4)
        return mixture

    whole = take(opened(), 1, 2)
    for at in random.Random(1).sample(range(len(whole)), 4):
        mixture = opened()
        assert take(mixture, 1, 2, at) == whole[:at]
        with as_worker(1, 2):
            state = json.loads(json.dumps(mixture.state_dict()))
            again = opened()
            again.load_state_dict(state)
        assert take(again, 1, 2) == whole[at:]
        assert take(again, 1, 2) == whole


def test_the_same_ranks_go_on_with_the_turns_they_had(bench: Bench) -> None:
    """The worker whose turn it was is the first one, as a loader begins with it."""
    mixtures = [bench.mixture([80, 41], [0.7, 0.3], "longest") for _ in range(2)]
    whole = [take(bench.mixture([80, 41], [0.7, 0.3], "longest"), slot, 2) for slot in range(2)]
    for slot, mixture in enumerate(mixtures):
        assert take(mixture, slot, 2, 30 + 3 * slot) == whole[slot][: 30 + 3 * slot]
    state = gather_state([loader_state(mixtures)])  # the batch that was given last is worker 0's
    again = [bench.mixture([80, 41], [0.7, 0.3], "longest") for _ in range(2)]
    for mixture in again:
        mixture.load_state_dict(state)
    assert take(again[0], 0, 2) == whole[1][33:]
    assert take(again[1], 1, 2) == whole[0][30:]
    assert gather_state([loader_state(again)])["turns"]  # it can be gathered once more


def test_ranks_are_as_long_as_each_other(bench: Bench) -> None:
    for stop in ("first", "all", "longest"):
        lengths = [
            [len(take(bench.mixture([50, 33], [1, 2], stop, rank, 3, ends="drop"), slot, 2)) for slot in range(2)]
            for rank in range(3)
        ]
        assert lengths[0] == lengths[1] == lengths[2]


def ids_of(records: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(record["stream"], record["image_id"]) for record in records]


def test_a_mixture_in_a_loader_with_workers(bench: Bench) -> None:
    def opened() -> tuple[Mixture, StatefulDataLoader]:
        mixture = bench.mixture([200, 100], [2, 1], "all")
        return mixture, StatefulDataLoader(mixture, 7, num_workers=2, collate_fn=ids_of)

    mixture, loader = opened()
    mixture.set_epoch(1)
    rows = iter(loader)
    batches = [next(rows) for _ in range(12)]
    state = loader.state_dict()
    rest = list(rows)
    assert len({one for batch in batches + rest for one in batch}) == 300
    again, loader = opened()
    loader.load_state_dict(state)
    again.set_epoch(1)
    assert list(loader) == rest
    again, loader = opened()
    again.load_state_dict(gather_state(state))
    assert again.epoch == 1
    assert list(loader) == rest
    with as_worker(0, 1):
        alone, _ = opened()
        alone.load_state_dict(gather_state(state))
        assert sorted(ids_of(list(alone))) == sorted(one for batch in rest for one in batch)


def test_mixtures_that_cannot_be(bench: Bench, many: Path) -> None:
    stream = bench.stream(10, 0, 0, 1)
    for wrong, message in (
        ([], "streams: expected streams with weights, found"),
        ([stream, bench.stream(10, 0, 0, 1)], "streams: expected streams with weights, found"),
        ({stream: 0.5}, "streams: expected streams with weights, found"),
        (stream, "streams: expected streams with weights, found"),
        (None, "streams: expected streams with weights, found None"),
        ([(stream, 0)], "streams: expected weights above 0, found 0"),
        ([(stream, 1), (stream, 1)], "expected a stream of its own for each weight"),
        ([(stream, 1), (bench.stream(10, 0, 0, 2), 1)], r"all of one rank, found \[\(0, 1\), \(0, 2\)\]"),
        ([(open_stream(many, "sam", order="global"), 1)], "expected streams in the order `window`, found `global`"),
    ):
        with pytest.raises(StreamError, match=message):
            open_mixture(wrong)  # type: ignore[arg-type]
    with pytest.raises(StreamError, match="stop: expected first, all or longest, found 'never'"):
        open_mixture([(stream, 1)], stop="never")  # type: ignore[arg-type]
    state = bench.mixture([10, 10], [1, 2], "all").state_dict()
    with pytest.raises(StreamError, match=r"expected the state of a mixture of .*, found one of a mixture of"):
        bench.mixture([10, 10], [1, 3], "all").load_state_dict(state)


def test_pairs_come_from_anything_and_all_has_a_length(bench: Bench) -> None:
    for ends, ranks in (("exact", [8, 9]), ("pad", [9, 9])):
        for rank, length in enumerate(ranks):
            streams = [bench.stream(size, size, rank, 2, ends) for size in (7, 10)]
            mixture = open_mixture(zip(streams, (0.5, 0.5), strict=True), stop="all")
            assert len(mixture) == len(list(mixture)) == length
    for stop in ("first", "longest"):
        mixture = open_mixture(((bench.stream(size, size, 0, 1), 1) for size in (3, 4)), stop=stop)
        assert mixture
        with pytest.raises(TypeError, match=f'stop="{stop}" has no length'):
            len(mixture)
        assert len(list(mixture)) > 3


def test_a_stream_that_has_nothing_for_the_worker_it_was_is_left_out(bench: Bench) -> None:
    """One record and two workers, which change places: the one without it must not wait for it for ever."""
    mixtures = [bench.mixture([1, 6], [1, 1], "longest") for _ in range(2)]
    seen = [one for slot, mixture in enumerate(mixtures) for one in take(mixture, slot, 2, 1)]
    state = gather_state([loader_state(mixtures)])
    for slot in range(2):
        mixture = bench.mixture([1, 6], [1, 1], "longest")
        mixture.load_state_dict(state)
        seen += take(mixture, slot, 2, 50)
    assert len(set(seen)) == 7
    assert len(seen) < 50
