"""What other libraries take: augmentations' boxes and masks, the order for a map-style dataset, lengths."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
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
    from_albumentations,
    from_tv_tensors,
    gather_state,
    open_stream,
    sam_sample,
    to_albumentations,
    to_tv_tensors,
)

pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated")  # torchdata 0.11 calls it


# Each is heavier than all else that tests need: scipy comes with albumentations, CUDA with torchvision of PyPI.
ALBUMENTATIONS = pytest.mark.skipif(
    importlib.util.find_spec("albumentations") is None, reason="albumentations is not installed: it brings scipy"
)
TORCHVISION = pytest.mark.skipif(
    importlib.util.find_spec("torchvision") is None,
    reason="torchvision is not installed: PyPI has none for torch's CPU build",
)


def draw(masks: int) -> dict[str, Any]:
    """So many masks in eight slots."""
    jpeg, text = draw_record(1, height=96, width=128, masks=masks, seed=0)
    record = {"image": {"bytes": jpeg}, "annotations": json.loads(text)["annotations"], "image_id": 1}
    return sam_sample(record, SamOptions(size=64, choose=Choose(8)))


@pytest.fixture(scope="module")
def sample() -> dict[str, Any]:
    return draw(5)


def check(boxes: torch.Tensor, masks: torch.Tensor, count: int) -> None:
    """A box holds its mask from edge to edge."""
    assert len(boxes) == len(masks) == count
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = torch.nonzero(mask, as_tuple=True)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


def test_albumentations(sample: dict[str, Any]) -> None:
    given = to_albumentations(sample)
    assert given["image"].shape == (64, 64, 3)
    assert given["image"].flags.c_contiguous
    assert (given["image"].transpose(2, 0, 1) == sample["pixel_values"].numpy()).all()
    check(torch.from_numpy(given["bboxes"]), torch.from_numpy(given["masks"]), 5)
    assert given["labels"].tolist() == list(range(5))
    with pytest.raises(StreamError, match="expected one sample with masks, found pixel_values"):
        to_albumentations({"pixel_values": sample["pixel_values"]})


def test_without_masks_and_back() -> None:
    given = to_albumentations(draw(0))
    assert given["masks"] == [], "albumentations 2.0.8 fails at an array of no masks"
    assert given["bboxes"].shape == (0, 4)
    back = from_albumentations(given, slots=2)
    assert back["masks"].shape == (2, 64, 64)
    assert not back["valid"].any()


def test_the_way_back_is_a_sample_with_tight_boxes(sample: dict[str, Any]) -> None:
    given = {**to_albumentations(sample), "image_id": 1}
    back = from_albumentations(given, slots=8)
    for name in ("pixel_values", "masks", "input_boxes", "valid"):
        assert torch.equal(back[name], sample[name])
        assert back[name].dtype == sample[name].dtype
    assert back["image_id"] == 1
    given["masks"] = given["masks"].copy()
    given["masks"][1] = 0
    fewer = from_albumentations(given, slots=3)
    assert torch.equal(fewer["masks"], sample["masks"][[0, 2, 3]]), (
        "of the second nothing is left, and room is for three"
    )
    assert len(from_albumentations(given)["masks"]) == 4
    with pytest.raises(StreamError, match="expected masks of the image's 32 × 64 pixels, found \\(64, 64\\)"):
        from_albumentations({**given, "image": given["image"][:32]})
    with pytest.raises(StreamError, match="expected a frame with image and masks, found image"):
        from_albumentations({"image": given["image"]})


@ALBUMENTATIONS
@pytest.mark.filterwarnings("ignore:Got processor for bboxes:UserWarning")
@pytest.mark.parametrize("masks", [0, 1, 5])
def test_albumentations_pipelines(masks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks PyPI otherwise
    import albumentations

    sample = draw(masks)
    for transform in (
        albumentations.HorizontalFlip(p=1),
        albumentations.Rotate(limit=45, p=1),
        albumentations.RandomResizedCrop((48, 48), scale=(0.05, 0.3), p=1),
        albumentations.ColorJitter(p=1),
    ):
        pipeline = albumentations.Compose(
            [transform], bbox_params=albumentations.BboxParams("pascal_voc", label_fields=["labels"]), seed=0
        )
        made = pipeline(**to_albumentations(sample))
        back = from_albumentations(made, slots=8)
        count = int(back["valid"].sum())
        assert count <= masks
        check(back["input_boxes"][:count] + torch.tensor([0, 0, 1, 1]), back["masks"][:count], count)
        if isinstance(transform, albumentations.HorizontalFlip):
            assert torch.equal(back["pixel_values"], sample["pixel_values"].flip(-1))
            assert torch.equal(back["masks"], sample["masks"].flip(-1))
            x = sample["input_boxes"][:masks]
            assert torch.equal(
                back["input_boxes"][:masks], torch.stack([63 - x[:, 2], x[:, 1], 63 - x[:, 0], x[:, 3]], 1)
            )


@TORCHVISION
def test_tv_tensors(sample: dict[str, Any]) -> None:
    from torchvision import tv_tensors

    given = to_tv_tensors(sample)
    assert isinstance(given["image"], tv_tensors.Image)
    assert isinstance(given["masks"], tv_tensors.Mask)
    assert given["boxes"].canvas_size == (64, 64)
    assert given["boxes"].format == tv_tensors.BoundingBoxFormat.XYXY
    check(given["boxes"], given["masks"], 5)
    back = from_tv_tensors(given, slots=8)
    for name in ("pixel_values", "masks", "input_boxes", "valid", "reshaped_input_sizes"):
        expected = torch.tensor([64, 64]) if name == "reshaped_input_sizes" else sample[name]
        assert torch.equal(back[name], expected)
        assert type(back[name]) is torch.Tensor


@TORCHVISION
@pytest.mark.parametrize("masks", [0, 1, 5])
def test_torchvision_transforms(masks: int) -> None:
    from torchvision.transforms import v2

    sample = draw(masks)
    transforms: list[Callable[[], Any]] = [
        lambda: v2.RandomHorizontalFlip(1),
        lambda: v2.RandomRotation(45),
        lambda: v2.RandomResizedCrop(48, scale=(0.05, 0.3)),
        lambda: v2.RandomIoUCrop(),
        lambda: v2.ColorJitter(0.5),
    ]
    for make in transforms:
        torch.manual_seed(0)
        made = v2.Compose([make(), v2.SanitizeBoundingBoxes()])(to_tv_tensors(sample))
        back = from_tv_tensors(made)
        assert len(back["masks"]) <= len(made["masks"]) == len(made["boxes"]) <= masks
        check(back["input_boxes"] + torch.tensor([0, 0, 1, 1]), back["masks"], len(back["masks"]))
        assert back["image_id"] == 1


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
