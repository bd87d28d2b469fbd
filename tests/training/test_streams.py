"""Streams: each record once an epoch, the same order for the same seed, and an exact place to go on from."""

from __future__ import annotations

import io
import json
import logging
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import ROOT, TORCH, Run, run_python
from evaluation_trees import TREES
from hypothesis import given, settings
from hypothesis import strategies as st
from many_records import RECORDS
from PIL import Image
from torchdata.stateful_dataloader import StatefulDataLoader

from asam_datasets.demo import DemoArchive
from asam_datasets.errors import RecordError, SourceError, StreamError
from asam_datasets.published._byte_ranges import fetch as _fetch
from asam_datasets.training import Choose, SamOptions, Stream, gather_state, open_mixture, open_stream, sam_sample
from asam_datasets.training._order import Consumer, Ends, Epoch, Order, Ordering, rank_records

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy"),
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata 0.11 calls it
]


@pytest.fixture(scope="module")
def small(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, published."""
    out = tmp_path_factory.mktemp("small") / "dataset"
    done = publish("--train", demo.archive, "--captions", demo.captions, "--out", out)
    assert done.code == 0, done.err
    return out


def ids_of(stream: Iterable[dict[str, Any]]) -> list[int]:
    return [record["image_id"] for record in stream]


# ------------------------------------------------------------------------------------------------ the order


sizes_ = st.lists(st.integers(1, 30), min_size=1, max_size=20)
few = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def orders(sizes: list[int], world_size: int, workers: int, ends: Ends, **more: int) -> list[list[Order]]:
    """The orders of all workers, by rank."""
    choice = {"seed": 3, "epoch": 0, "window": 4, **more}
    epoch = Epoch(np.array(sizes, np.int64), Ordering(choice["seed"], choice["window"], ends), choice["epoch"])
    return [
        [epoch.order(Consumer(rank, world_size, worker, workers)) for worker in range(workers)]
        for rank in range(world_size)
    ]


def places(order: Order) -> list[tuple[int, int]]:
    return list(zip(order.groups.tolist(), order.rows.tolist(), strict=True))


@given(sizes=sizes_, world_size=st.integers(1, 9), workers=st.integers(1, 5), window=st.sampled_from([0, 1, 3, 100]))
@few
def test_each_record_once(sizes: list[int], world_size: int, workers: int, window: int) -> None:
    every = [(group, row) for group, size in enumerate(sizes) for row in range(size)]
    ranks = orders(sizes, world_size, workers, "exact", window=window)
    assert sorted(place for rank in ranks for order in rank for place in places(order)) == every
    counts = [sum(len(order.rows) for order in rank) for rank in ranks]
    assert max(counts) - min(counts) <= 1
    assert counts == [rank_records(len(every), rank, world_size, "exact") for rank in range(world_size)]
    for rank in ranks:
        within = [len(order.rows) for order in rank]
        assert max(within) - min(within) <= 1


@given(sizes=sizes_, world_size=st.integers(1, 9), workers=st.integers(1, 5))
@few
def test_uneven_ends(sizes: list[int], world_size: int, workers: int) -> None:
    total = sum(sizes)
    every = [(group, row) for group, size in enumerate(sizes) for row in range(size)]
    for ends, count in (("drop", total // world_size), ("pad", -(-total // world_size))):
        ranks = orders(sizes, world_size, workers, ends)  # type: ignore[arg-type]
        assert {sum(len(order.rows) for order in rank) for rank in ranks} == {count}
        seen = Counter(place for rank in ranks for order in rank for place in places(order))
        if ends == "drop":
            assert set(seen.values()) <= {1}
            assert len(seen) == total - total % world_size
        else:
            assert sorted(seen) == every
            assert sum(order.padding for rank in ranks for order in rank) == count * world_size - total
            real = [p for rank in ranks for o in rank for p in places(o)[: len(o.rows) - o.padding]]
            assert sorted(real) == every


@given(sizes=sizes_, window=st.integers(1, 8))
@few
def test_few_row_groups_are_open_at_once(sizes: list[int], window: int) -> None:
    groups = orders(sizes, 1, 1, "exact", window=window)[0][0].groups.tolist()
    first = {group: groups.index(group) for group in groups}
    last = {group: len(groups) - 1 - groups[::-1].index(group) for group in groups}
    for position in range(len(groups)):
        assert sum(first[g] <= position <= last[g] for g in first) <= window + 1


def test_the_shuffle_is_a_real_one() -> None:
    sizes = [25] * 1000
    mixed = orders(sizes, 1, 1, "exact", window=8)[0][0]
    positions = np.arange(25_000)
    number = mixed.groups * 25 + mixed.rows
    assert abs(np.corrcoef(positions, number)[0, 1]) < 0.15
    # Neighbours come from different row groups, and rows of a group in no order.
    assert (np.diff(mixed.groups) == 0).mean() < 0.25
    assert abs(np.corrcoef(mixed.rows, positions % 25)[0, 1]) < 0.1
    other = orders(sizes, 1, 1, "exact", window=8, epoch=1)[0][0]
    assert (other.groups[:1000] == mixed.groups[:1000]).mean() < 0.05
    plain = orders(sizes, 1, 1, "exact", window=0)[0][0]
    assert np.array_equal(plain.groups * 25 + plain.rows, positions)


def test_the_order_stays_what_it_is() -> None:
    """A state is worth something only as long as the order is the same: these numbers must never change."""
    order = orders([4, 3, 5], 1, 1, "exact", seed=7, epoch=2, window=2)[0][0]
    assert places(order) == ORDER_OF_SEED_7


ORDER_OF_SEED_7 = [
    (0, 3), (1, 0), (0, 2), (0, 0), (0, 1), (1, 2), (2, 0), (2, 4), (2, 2), (1, 1), (2, 1), (2, 3),
]  # fmt: skip


# ------------------------------------------------------------------------------------------------ one process


def test_a_stream_gives_the_rows_of_the_dataset(small: Path) -> None:
    parts = sorted(small.glob("data/train/*/*.parquet"))
    rows = {row["image_id"]: row for part in parts for row in pq.read_table(part).to_pylist()}
    seen = {record["image_id"]: record for record in open_stream(small, "train")}
    for record in seen.values():
        assert record.pop("epoch") == 0
    assert seen == rows
    with Image.open(io.BytesIO(seen[1]["image"]["bytes"])) as image:
        assert image.size == (seen[1]["width"], seen[1]["height"])
    assert list(next(iter(open_stream(small, "controlnet")))) == ["image", "caption", "conditioning_image", "epoch"]
    chosen = next(iter(open_stream(small, "sam", columns=["image_id", "caption"])))
    assert sorted(chosen) == ["caption", "epoch", "image_id"]
    assert sorted(next(iter(open_stream(small, "sam", columns="caption")))) == ["caption", "epoch"]


def test_fields_of_annotations_are_columns(small: Path) -> None:
    def read(columns: Any) -> list[dict[str, Any]]:
        return list(open_stream(small, "sam", window=0, columns=columns))

    everything = read(None)
    areas = read("annotations.area")
    assert [sorted(record) for record in areas] == [["annotations", "epoch"]] * len(everything)
    for record, whole in zip(areas, everything, strict=True):
        assert record["annotations"] == [{"area": one["area"]} for one in whole["annotations"]]
    assert read(["annotations", "annotations.area"]) == [
        {name: record[name] for name in ("annotations", "epoch")} for record in everything
    ]
    for choose in (
        Choose(4),
        Choose(4, "largest"),
        Choose(4, min_predicted_iou=0.9, min_stability_score=0.9, min_area=9),
    ):
        options = SamOptions(size=64, choose=choose)
        for record, whole in zip(read(options.columns), everything, strict=True):
            sample, expected = sam_sample(record, options), sam_sample(whole, options)
            assert all(torch.equal(sample[name], one) for name, one in expected.items() if name != "image_id")
            for one in record["annotations"]:
                assert len(one) < len(whole["annotations"][0])
    for wrong in ("annotations.nothing", "caption.area"):
        with pytest.raises(SourceError, match=f"expected some of the columns .*, found {re.escape(wrong)}"):
            read(["image_id", wrong])


def test_seed_and_epoch_decide_the_order(many: Path) -> None:
    stream = open_stream(many, "sam", seed=5, columns=["image_id"])
    first = ids_of(stream)
    assert sorted(first) == list(range(1, RECORDS + 1))
    assert ids_of(stream) == first
    assert ids_of(open_stream(many, "sam", seed=5, columns=["image_id"])) == first
    stream.set_epoch(1)
    second = ids_of(stream)
    assert sorted(second) == sorted(first)
    assert second != first
    assert ids_of(open_stream(many, "sam", seed=6, columns=["image_id"])) != first
    assert ids_of(open_stream(many, "train", window=0, columns=["image_id"])) == list(range(1, RECORDS + 1))


@pytest.mark.parametrize("window", [0, 1, 8])
def test_a_state_goes_on_with_the_next_record(many: Path, window: int) -> None:
    def opened() -> Stream:
        return open_stream(many, "sam", seed=1, window=window, columns=["image_id"])

    whole = opened()
    whole.set_epoch(3)
    expected = ids_of(whole)
    for stop in (0, 1, 17, 249, 499, 500):
        stream = opened()
        stream.set_epoch(3)
        rows = iter(stream)
        assert [next(rows)["image_id"] for _ in range(stop)] == expected[:stop]
        state = json.loads(json.dumps(stream.state_dict()))  # it is plain
        rows.close()
        other = opened()
        other.load_state_dict(state)
        assert other.epoch == 3
        other.set_epoch(3)  # as a loop over epochs does first
        assert ids_of(other) == expected[stop:]
        assert ids_of(other) == expected  # and after it the epoch from its start
        other.load_state_dict(state)
        other.set_epoch(4)  # another epoch lets go of the state
        assert sorted(ids_of(other)) == sorted(expected)


def test_a_state_is_taken_before_and_between_iterations(many: Path) -> None:
    stream = open_stream(many, "sam", columns=["image_id"])
    assert stream.state_dict()["position"] == 0
    rows = iter(stream)
    assert stream.state_dict()["position"] == 0
    next(rows)
    assert stream.state_dict()["position"] == 1
    other = open_stream(many, "sam", columns=["image_id"])
    other.load_state_dict(stream.state_dict())
    assert other.state_dict() == stream.state_dict()


def test_the_state_before_the_first_record_has_the_epoch(many: Path) -> None:
    stream = open_stream(many, "sam", columns=["image_id"])
    stream.set_epoch(3)
    assert stream.state_dict()["epoch"] == 3
    list(stream)
    stream.set_epoch(4)
    assert (stream.state_dict()["epoch"], stream.state_dict()["position"]) == (4, 0)


@pytest.mark.parametrize("epoch", [-1, 1.5, "1", None])
def test_an_epoch_is_a_number(many: Path, epoch: Any) -> None:
    with pytest.raises(StreamError, match="set_epoch: expected an epoch of 0 or more, found"):
        open_stream(many, "sam").set_epoch(epoch)


@pytest.mark.parametrize(
    ("workers", "options"),
    [(0, {}), (2, {}), (2, {"persistent_workers": True, "snapshot_every_n_steps": 4}), (2, {"drop_last": True})],
    ids=str,
)
def test_the_end_of_an_epoch_is_gone_on_from_with_the_next(many: Path, workers: int, options: dict[str, Any]) -> None:
    """A loader goes over an epoch that has ended, and begins another before anybody can say which."""

    def epoch_of(stream: Stream, loader: StatefulDataLoader, epoch: int) -> list[list[int]]:
        stream.set_epoch(epoch)
        return list(loader)

    def opened() -> tuple[Stream, StatefulDataLoader]:
        stream = open_stream(many, "sam", columns=["image_id"])
        return stream, StatefulDataLoader(stream, 7, num_workers=workers, collate_fn=ids_of, **options)

    stream, loader = opened()
    epoch_of(stream, loader, 0)
    state = loader.state_dict()
    following = [epoch_of(stream, loader, epoch) for epoch in (1, 2)]
    stream, loader = opened()
    loader.load_state_dict(state)
    assert [epoch_of(stream, loader, epoch) for epoch in (1, 2)] == following


def test_a_state_from_outside_of_the_workers_is_refused(many: Path) -> None:
    stream = open_stream(many, "sam", columns=["image_id"])
    rows = iter(stream)
    next(rows)
    other = open_stream(many, "sam", columns=["image_id"])
    other.load_state_dict(stream.state_dict())
    with pytest.raises(StreamError, match="expected a state that each worker loads for itself"):
        next(iter(StatefulDataLoader(other, 7, num_workers=2, collate_fn=ids_of)))


def test_a_program_may_end_with_an_iterator_under_way(many: Path) -> None:
    program = f"""from asam_datasets.training import open_stream
rows = iter(open_stream({str(many)!r}, "sam", window=2))
next(rows)"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_folder_of_the_process_may_change(many: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(many.parent)
    stream = open_stream(many.name, "sam", columns=["image_id"])
    monkeypatch.chdir(tmp_path)
    assert len(ids_of(stream)) == RECORDS


def test_a_record_that_failed_is_not_counted(many: Path) -> None:
    def fail_once(record: dict[str, Any]) -> int:
        if record["image_id"] not in failed and len(failed) < 1 and len(seen) == 5:
            failed.append(record["image_id"])
            raise ValueError("something of the user's own")
        return int(record["image_id"])

    failed: list[int] = []
    seen: list[int] = []
    stream = open_stream(many, "sam", columns=["image_id"], transform=fail_once)
    with pytest.raises(ValueError, match="the user's own"):
        seen.extend(stream)
    again = open_stream(many, "sam", columns=["image_id"], transform=fail_once)
    again.load_state_dict(stream.state_dict())
    seen += list(again)
    assert sorted(seen) == list(range(1, RECORDS + 1))


@pytest.mark.parametrize(
    "other",
    [{"seed": 2}, {"window": 3}, {"rank": 1, "world_size": 2}, {"ends": "pad"}, {"rank": 0, "world_size": 5}],
    ids=str,
)
def test_the_state_of_another_stream_is_refused(many: Path, other: dict[str, Any]) -> None:
    state = open_stream(many, "sam").state_dict()
    stream = open_stream(many, "sam", **other)
    with pytest.raises(StreamError, match=r"state_dict: expected the state of .*dataset: sam \(stream '.*found one of"):
        stream.load_state_dict(state)
    with pytest.raises(StreamError, match="version"):
        stream.load_state_dict({})


def test_the_state_of_another_dataset_is_refused(many: Path, small: Path) -> None:
    with pytest.raises(StreamError, match="expected the state of"):
        open_stream(small, "sam").load_state_dict(open_stream(many, "sam").state_dict())


def test_a_stream_can_be_pickled(many: Path) -> None:
    stream = open_stream(many, "sam", columns=["image_id"])
    assert ids_of(pickle.loads(pickle.dumps(stream))) == ids_of(stream)


@pytest.mark.parametrize("ends", ["exact", "drop", "pad"])
def test_uneven_ranks_are_told(many: Path, ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "asam_datasets.training"):
        streams = [
            open_stream(many, "sam", rank=rank, world_size=3, ends=ends, columns=["image_id"]) for rank in range(3)
        ]
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].endswith(
        {
            "exact": "500 records and 3 ranks: some ranks give 167 records and some 166; ends='drop' or 'pad' makes "
            "them equal",
            "drop": "500 records and 3 ranks: 2 records are left out of each epoch",
            "pad": "500 records and 3 ranks: 1 ranks repeat one record, marked with `padding`",
        }[ends]
    )
    seen = [list(stream) for stream in streams]
    assert [len(records) for records in seen] == [stream.num_records for stream in streams]
    padding = [record["image_id"] for records in seen for record in records if record.get("padding")]
    assert len(padding) == (1 if ends == "pad" else 0)
    ids = Counter(record["image_id"] for records in seen for record in records)
    assert len(ids) == (498 if ends == "drop" else 500)
    assert [image_id for image_id, count in ids.items() if count > 1] == padding


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "world_size": 2}, "rank: expected a rank of 0 to 1, found 2"),
        ({"world_size": 0}, "world_size: expected at least 1 rank, found 0"),
        ({"seed": -1}, "seed: expected a seed of 0 or more, found -1"),
        ({"window": -1}, "window: expected 0 row groups or more"),
        ({"read_ahead": 0}, "read_ahead: expected 1 to 64 row groups, found 0"),
        ({"seed": 1.5}, "seed: expected a whole number, found 1.5"),
        ({"ends": "wrap"}, "ends: expected exact, drop or pad, found 'wrap'"),
        ({"config": 0}, "config: expected a text, found 0"),
        ({"split": 0}, "split: expected a text, found 0"),
        ({"columns": 3}, "columns: expected names of columns, found 3"),
        ({"columns": ["image_id", 3]}, "columns: expected names of columns, found 3"),
        ({"where": {"min_masks": 3}}, r"where: expected a Filter, found \{'min_masks': 3\}"),
        ({"where": bool}, "where: expected a Filter, found <class 'bool'>"),
        ({"transform": SamOptions()}, r"transform: expected a function of a record, found SamOptions\("),
    ],
)
def test_bad_arguments(small: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(StreamError, match=message) as caught:
        open_stream(small, **{"config": "sam", **options})
    assert "transform" not in options or "partial(sam_sample, options=SamOptions())" in caught.value.hint


@pytest.mark.parametrize(
    ("options", "environment", "where", "message", "hint"),
    [
        ({"world_size": 2}, {}, "rank", "expected the rank of this process among 2, found none", "with torchrun"),
        ({}, {"WORLD_SIZE": "2"}, "rank", "expected the rank of this process among 2, found none", "with torchrun"),
        ({"world_size": 2}, {"SLURM_PROCID": "1"}, "rank", "found none", 'rank=int(os.environ["SLURM_PROCID"])'),
        ({}, {"RANK": "x"}, "RANK", "expected a whole number in the environment, found 'x'", "Correct the variable"),
        ({"rank": 0}, {"WORLD_SIZE": ""}, "WORLD_SIZE", "expected a whole number in the env", "Correct the variable"),
    ],
    ids=str,
)
def test_a_rank_is_never_guessed(
    small: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    environment: dict[str, str],
    where: str,
    message: str,
    hint: str,
) -> None:
    for name in ("RANK", "WORLD_SIZE", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StreamError, match=message) as caught:
        open_stream(small, "sam", **options)
    assert caught.value.where == where
    assert hint in caught.value.hint
    if where == "RANK":  # it is not asked for
        assert len(open_stream(small, "sam", rank=0, world_size=1)) == 12


def test_columns_may_be_anything_that_gives_names(small: Path) -> None:
    names = ["image_id", "annotations.area"]
    expected = list(open_stream(small, "sam", columns=names))
    assert sorted(expected[0]) == ["annotations", "epoch", "image_id"]
    for columns in (iter(names), (name for name in names), np.array(names), dict.fromkeys(names)):
        assert list(open_stream(small, "sam", columns=columns)) == expected


def test_a_stream_has_no_numbers_and_no_other_states(many: Path) -> None:
    stream = open_stream(many, "sam", columns=["image_id"])
    for wrong in (lambda: stream[0], lambda: open_mixture([(stream, 1)])[0]):
        with pytest.raises(StreamError, match="expected a loop over the stream, found the index 0") as caught:
            wrong()
        assert "rows" in caught.value.hint
    for load in (stream.load_state_dict, open_mixture([(stream, 1)]).load_state_dict):
        with pytest.raises(StreamError, match="load_state_dict: expected a state, found None"):
            load(None)  # type: ignore[arg-type]
    for state in (None, [None], 3, "state"):
        with pytest.raises(StreamError, match="gather_state: expected a state"):
            gather_state(state)  # type: ignore[arg-type]


def test_bad_places(small: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected one of the configs train, controlnet, sam, found 'sma'") as caught:
        open_stream(small, "sma")
    assert caught.value.hint == "Did you mean sam?"
    with pytest.raises(SourceError, match=r"expected some of the columns image, caption.* found photo"):
        open_stream(small, "sam", columns=["photo"])
    with pytest.raises(SourceError, match="found none"):
        open_stream(small, "sam", columns=[])
    with pytest.raises(SourceError, match="expected a dataset made by asam_datasets"):
        open_stream(tmp_path)


def test_a_damaged_part_is_one_sentence(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(small, copy)
    part = min(copy.glob("data/train/*/*.parquet"))
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(SourceError, match=rf"{part.name}: expected a part"):
        list(open_stream(copy, "sam"))
    table = pq.read_table(io.BytesIO(content))
    pq.write_table(table.drop_columns(["caption"]), part)
    with pytest.raises(SourceError, match=rf"{part.name}: expected a column caption, found none"):
        list(open_stream(copy, "sam"))
    part.unlink()
    with pytest.raises(SourceError, match=rf"{part.name}: expected a part that the dataset names, found none"):
        list(open_stream(copy, "sam"))


def test_evaluation_sets_are_streamed_too(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    folders = []
    for name in ("hrsod_te", "coco2017_val"):
        (tmp_path / name).mkdir()
        TREES[name](tmp_path / name)
        folders.append(f"{name}={tmp_path / name}")
    out = tmp_path / "dataset"
    assert publish("--train", demo.archive, "--evaluation", *folders, "--out", out).code == 0
    counts = {}
    options = SamOptions(size=64, choose=Choose(None, "all"))
    for config in ("hrsod_te", "coco2017_val", "evaluation"):
        records = list(open_stream(out, config))
        counts[config] = len(records)
        assert {record["dataset"] for record in records} <= {"hrsod_te", "coco2017_val"}
        for record in records:
            assert sam_sample(record, options)["valid"].all()
    assert counts["evaluation"] == counts["hrsod_te"] + counts["coco2017_val"]
    with pytest.raises(SourceError, match="train, controlnet, sam, coco2017_val, hrsod_te, evaluation, found 'lvis'"):
        open_stream(out, "lvis")


def test_rows_without_images_say_so(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "dataset"
    assert publish("--train", demo.archive, "--annotations-only", "sa_000000", "--out", out).code == 0
    stream = open_stream(out, "sam", transform=sam_sample)
    with pytest.raises(RecordError, match=r"image: expected an image .* found none"):
        next(iter(stream))


@pytest.mark.parametrize("ranges", [[(-1, 4)], [(8, 4)], [(0, 10**12)], [(90, 101)]], ids=str)
def test_a_footer_that_points_anywhere_is_refused(ranges: list[tuple[int, int]]) -> None:
    with pytest.raises(pa.ArrowInvalid, match=r"a column at bytes .* of a file of 100"):
        _fetch(io.BytesIO(bytes(100)), ranges, memoryview(bytearray(100)))


# ------------------------------------------------------------------------------------------------ real processes


def run_ranks(world_size: int, out: Path, **job: Any) -> list[dict[str, Any]]:
    """Run a job by torchrun (gloo); what each rank saw."""
    out.mkdir(exist_ok=True)
    (out / "job.json").write_text(json.dumps({"out": str(out), "columns": ["image_id"], **job}))
    command = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world_size}"]
    run_torch(*command, str(ROOT / "tests/support/stream_ranks.py"), str(out / "job.json"))
    if "resume" in job:
        return []
    return [json.loads((out / f"rank-{rank}.json").read_text()) for rank in range(world_size)]


def run_torch(*arguments: str) -> None:
    ran = run_python(*arguments, env={**os.environ, "OMP_NUM_THREADS": "1"}, imports=TORCH)
    assert ran.code == 0, ran.err[-4000:]


def flat(batches: list[dict[str, list[int]]], name: str = "ids") -> list[int]:
    return [value for batch in batches for value in batch[name]]


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_and_workers_share_the_records(world_size: int, many: Path, small: Path, tmp_path: Path) -> None:
    for name, dataset, count in (("many", many, RECORDS), ("small", small, 12)):
        job = {"dataset": str(dataset), "workers": 2, "batch_size": 4, "epochs": 2, "persistent": world_size == 3}
        ranks = run_ranks(world_size, tmp_path / name, **job)
        orders = []
        for epoch in range(2):
            ids = [flat(rank["epochs"][epoch]) for rank in ranks]
            assert sorted(image_id for rank in ids for image_id in rank) == list(range(1, count + 1))
            assert [len(rank) for rank in ids] == [rank["num_records"] for rank in ranks]
            assert {e for rank in ranks for e in flat(rank["epochs"][epoch], "epochs")} == {epoch}
            orders.append(ids)
        assert orders[0] != orders[1]
        again = run_ranks(world_size, tmp_path / f"{name}-again", **job)
        assert [[flat(epoch) for epoch in rank["epochs"]] for rank in again] == [
            [flat(epoch) for epoch in rank["epochs"]] for rank in ranks
        ]


@pytest.mark.parametrize("workers", [0, 2])
def test_stopped_anywhere_and_gone_on_with(workers: int, many: Path, tmp_path: Path) -> None:
    """Ten states of a run of two ranks, each gone on with in new processes: the sequence is that of the whole run."""
    job = {"dataset": str(many), "workers": workers, "batch_size": 4, "epochs": 2, "seed": 11}
    batches = 61  # of the rank with the fewest
    stops = [*sorted(random.Random(4).sample(range(1, batches), 9)), batches]
    whole = run_ranks(2, tmp_path, **job, stops=stops)
    for rank in range(2):
        whole_epochs = whole[rank]["epochs"]
        states = [str(tmp_path / f"state-{rank}-{stop}.pt") for stop in stops]
        (tmp_path / "resume.json").write_text(
            json.dumps(
                {**job, "columns": ["image_id"], "rank": rank, "world_size": 2, "resume": states, "out": str(tmp_path)}
            )
        )
        run_torch(str(ROOT / "tests/support/stream_ranks.py"), str(tmp_path / "resume.json"))
        for stop, state in zip(stops, states, strict=True):
            gone_on = json.loads(Path(state).with_suffix(".json").read_text())["epochs"]
            expected = [whole_epochs[0][stop:], whole_epochs[1]]
            for name in ("ids", "epochs"):
                assert [flat(batches, name) for batches in gone_on] == [flat(batches, name) for batches in expected]
            assert len(gone_on[0]) == len(expected[0])


def test_another_number_of_workers_is_refused(many: Path) -> None:
    stream = open_stream(many, "sam", columns=["image_id"])
    state = {**stream.state_dict(), "workers": 2}
    with pytest.raises(StreamError, match=r"\(workers 1\), found one of .* \(workers 2\)"):
        stream.load_state_dict(state)


def test_a_plain_loader_works_as_well(many: Path) -> None:
    stream = open_stream(many, "sam", columns=["image_id"])
    loader = torch.utils.data.DataLoader(stream, batch_size=7, num_workers=2)
    ids = [int(image_id) for batch in loader for image_id in batch["image_id"]]
    assert sorted(ids) == list(range(1, RECORDS + 1))
