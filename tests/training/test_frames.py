"""What other libraries take: augmentations' boxes and masks, the order for a map-style dataset, lengths."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from many_records import RECORDS
from torchdata.stateful_dataloader import StatefulDataLoader

from asam_datasets.demo import draw_record
from asam_datasets.errors import StreamError
from asam_datasets.training import (
    Choose,
    Filter,
    SamOptions,
    StreamSampler,
    gather_state,
    open_stream,
    sam_sample,
    to_albumentations,
    to_tv_tensors,
)

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 calls it


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    """Five masks in eight slots."""
    jpeg, text = draw_record(1, height=96, width=128, masks=5, seed=0)
    record = {"image": {"bytes": jpeg}, "annotations": json.loads(text)["annotations"], "image_id": 1}
    return sam_sample(record, SamOptions(size=64, choose=Choose(8)))


def check(boxes: torch.Tensor, masks: torch.Tensor, sample: dict[str, Any]) -> None:
    """A box holds its mask from edge to edge."""
    assert len(boxes) == len(masks) == int(sample["valid"].sum()) == 5
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = torch.nonzero(mask, as_tuple=True)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_albumentations(sample: dict[str, Any]) -> None:
    given = to_albumentations(sample)
    assert given["image"].shape == (64, 64, 3)
    assert given["image"].flags.c_contiguous
    assert (given["image"].transpose(2, 0, 1) == sample["pixel_values"].numpy()).all()
    check(torch.from_numpy(given["bboxes"]), torch.from_numpy(given["masks"]), sample)
    assert given["labels"].tolist() == list(range(5))
    with pytest.raises(StreamError, match="expected one sample with masks, found pixel_values"):
        to_albumentations({"pixel_values": sample["pixel_values"]})


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
def test_tv_tensors(sample: dict[str, Any]) -> None:
    from torchvision import tv_tensors

    given = to_tv_tensors(sample)
    assert isinstance(given["image"], tv_tensors.Image)
    assert isinstance(given["masks"], tv_tensors.Mask)
    assert given["boxes"].canvas_size == (64, 64)
    assert given["boxes"].format == tv_tensors.BoundingBoxFormat.XYXY
    check(given["boxes"], given["masks"], sample)


def test_a_sampler_gives_a_stock_dataset_the_order_of_the_stream(many: Path, tmp_path: Path) -> None:
    rows = datasets.load_dataset(str(many), "sam", split="train", cache_dir=str(tmp_path)).select_columns(["image_id"])
    for more in ({}, {"rank": 1, "world_size": 3}, {"where": Filter(image_ids=range(100, 180))}, {"order": "global"}):
        stream = open_stream(many, "sam", seed=4, columns=["image_id"], **more)  # type: ignore[arg-type]
        sampler = StreamSampler(open_stream(many, "sam", seed=4, **more))  # type: ignore[arg-type]
        assert len(sampler) == len(stream)
        for epoch in (0, 1):
            stream.set_epoch(epoch)
            sampler.set_epoch(epoch)
            assert [rows[index]["image_id"] for index in sampler] == [record["image_id"] for record in stream]


def test_a_sampler_goes_on_where_it_was(many: Path) -> None:
    def loader(rank: int, world_size: int) -> tuple[StreamSampler, StatefulDataLoader]:
        sampler = StreamSampler(open_stream(many, "sam", rank=rank, world_size=world_size))
        return sampler, StatefulDataLoader(range(RECORDS), 8, sampler=sampler, collate_fn=list)

    seen, states, rests = [], [], []
    for rank in range(2):
        sampler, batches = loader(rank, 2)
        sampler.set_epoch(2)
        rows = iter(batches)
        seen += [one for _ in range(3 + rank) for one in next(rows)]
        states.append(sampler.state_dict())
        loaded = batches.state_dict()
        rests.append(list(rows))
        again, batches = loader(rank, 2)
        batches.load_state_dict(loaded)
        again.set_epoch(2)
        assert list(batches) == rests[rank]
    sampler, batches = loader(0, 1)
    sampler.load_state_dict(gather_state(states))
    assert sorted(seen + [one for batch in batches for one in batch]) == list(range(RECORDS))


def test_a_stream_has_a_length(many: Path) -> None:
    assert len(open_stream(many, "sam")) == RECORDS
    assert [len(open_stream(many, "sam", rank=rank, world_size=3)) for rank in range(3)] == [166, 167, 167]
    assert [len(open_stream(many, "sam", rank=rank, world_size=4, order="global")) for rank in (0, 3)] == [125, 125]
    assert len(StatefulDataLoader(open_stream(many, "sam"), 8)) == 63
