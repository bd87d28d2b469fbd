"""Samples for training: against pycocotools and Pillow, bit by bit where both can say what is right."""

import io
import json
import mmap
import platform
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Run
from datasets import Image as ImageFeature
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from asam_datasets import training
from asam_datasets.demo import DemoArchive, draw_record
from asam_datasets.errors import RecordError, StreamError
from asam_datasets.masks import from_segmentation, to_segmentation
from asam_datasets.training import (
    NO_POINT,
    Augment,
    Choose,
    ControlNetOptions,
    SamOptions,
    controlnet_batch,
    controlnet_sample,
    controlnet_samples,
    masks_on_device,
    normalize,
    open_stream,
    sam_batch,
    sam_sample,
    sam_samples,
    unpack_masks,
)
from asam_datasets.training._geometry import Crop, Geometry
from asam_datasets.training._images import (
    choose_reduction,
    decode_image,
    decode_words,
    lay_planes,
    open_image,
    resize_image,
)
from asam_datasets.training._memory import _new_zeros, zeros
from asam_datasets.training._packed import unpack_bits

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

ALL = Choose(count=None, rule="all")


def record_of(height: int, width: int, masks: int = 12, image_id: int = 7) -> dict[str, Any]:
    """A drawn record, as a stream gives it; where it is too small for drawings, a piece of one."""
    jpeg, table = draw_record(image_id, height=max(height, 64), width=max(width, 64), masks=masks, seed=3)
    if min(height, width) < 64:
        return piece_of(jpeg, table, height, width)
    return {
        "image": {"bytes": jpeg, "path": None},
        "caption": "a photo of shapes",
        "annotations": json.loads(table)["annotations"],
        "image_id": image_id,
        "width": width,
        "height": height,
    }


def piece_of(jpeg: bytes, table: bytes, height: int, width: int) -> dict[str, Any]:
    """The middle of a record."""
    content = io.BytesIO()
    with Image.open(io.BytesIO(jpeg)) as image:
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image.crop((left, top, left + width, top + height)).save(content, "JPEG")
    annotations = json.loads(table)["annotations"]
    for one in annotations:
        dense = coco.decode(one["segmentation"])[top : top + height, left : left + width]
        one["segmentation"] = to_segmentation(from_segmentation(coco.encode(np.asfortranarray(dense))))
    return {"image": {"bytes": content.getvalue()}, "annotations": annotations, "image_id": 7}


def full_size(record: dict[str, Any]) -> list[np.ndarray]:
    """The masks of a record, the obvious way."""
    return [np.ascontiguousarray(coco.decode(one["segmentation"])) for one in record["annotations"]]


def nearest(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).resize((shape[1], shape[0]), Image.Resampling.NEAREST))


def by_formula(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixel `i` takes `floor((i + 1/2) n_in / n_out)`: Pillow's NEAREST, but where that lies exactly between two pixels
    Pillow's sums of floats decide."""
    down, across = ((np.arange(n) * 2 + 1) * have // (2 * n) for n, have in zip(shape, mask.shape, strict=True))
    return mask[down][:, across]


def check_prompts(sample: dict[str, Any]) -> None:
    """Boxes are tight around the masks, points lie on them, and what is not valid is empty."""
    for slot, mask in enumerate(sample["masks"]):
        labels = sample["input_labels"][slot].tolist()
        if not sample["valid"][slot]:
            assert not mask.any()
            assert sample["input_boxes"][slot].tolist() == [0, 0, 0, 0]
            assert set(labels) <= {NO_POINT}
            continue
        rows, columns = torch.nonzero(mask, as_tuple=True)
        box = [columns.min(), rows.min(), columns.max(), rows.max()]
        assert sample["input_boxes"][slot].tolist() == [float(side) for side in box]
        assert set(labels) <= {1}
        for x, y in sample["input_points"][slot].long().tolist():
            assert mask[y, x]


@pytest.mark.parametrize("shape", [(300, 420), (420, 300), (256, 256), (75, 1000)])
@pytest.mark.parametrize("size", [256, 1024])
def test_squeezed_masks_equal_pycocotools_and_pillow(shape: tuple[int, int], size: int) -> None:
    record = record_of(*shape)
    sample = sam_sample(record, SamOptions(size=size, fit="squeeze", choose=ALL, points=3))
    expected = np.stack([nearest(mask, (size, size)) for mask in full_size(record)])
    seen = expected.any(axis=(1, 2))  # what vanishes at this size is no mask
    assert np.array_equal(sample["masks"].numpy(), expected[seen].astype(bool))
    assert sample["valid"].all()
    check_prompts(sample)


@pytest.mark.parametrize("shape", [(300, 420), (420, 301), (40, 33), (3, 1000)])
def test_padded_masks_equal_pycocotools_and_pillow(shape: tuple[int, int]) -> None:
    record = record_of(*shape)
    sample = sam_sample(record, SamOptions(size=512, choose=ALL, targets=("masks", "low_res_masks")))
    scale = 512 / max(shape)
    height, width = (max(1, int(side * scale + 0.5)) for side in shape)  # as SAM's ResizeLongestSide
    assert sample["reshaped_input_sizes"].tolist() == [height, width]
    assert sample["original_sizes"].tolist() == list(shape)
    expected = np.stack([by_formula(mask, (height, width)) for mask in full_size(record)])
    pillow = np.stack([nearest(mask, (height, width)) for mask in full_size(record)])
    assert (pillow != expected).mean() < 0.002
    expected = np.pad(expected, ((0, 0), (0, 512 - height), (0, 512 - width)))
    low = np.stack([nearest(mask, (256, 256)) for mask in expected])
    seen = low.any(axis=(1, 2))  # what vanishes in a target takes no slot
    assert np.array_equal(sample["masks"].numpy(), expected[seen].astype(bool))
    assert np.array_equal(sample["low_res_masks"].numpy(), low[seen].astype(bool))
    assert not sample["pixel_values"][:, height:].any()
    assert not sample["pixel_values"][:, :, width:].any()
    check_prompts(sample)


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    bits=st.integers(0, 2**64 - 1),
    cut=st.tuples(*[st.floats(0, 1)] * 4),
    mirrored=st.booleans(),
    shape=st.tuples(st.integers(1, 48), st.integers(1, 48)),
)
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_geometry_commutes_with_decoding(
    rows: int,
    columns: int,
    bits: int,
    cut: tuple[float, float, float, float],
    mirrored: bool,
    shape: tuple[int, int],
) -> None:
    dense = (np.random.default_rng(bits).random((rows, columns)) < 0.4).astype(np.uint8)
    top, left = int(cut[0] * (rows - 1)), int(cut[1] * (columns - 1))
    height, width = 1 + int(cut[2] * (rows - top - 1)), 1 + int(cut[3] * (columns - left - 1))
    geometry = Geometry(Crop(top, left, height, width), mirrored, shape, 48)
    encoded = coco.encode(np.asfortranarray(dense))
    mask = from_segmentation({"size": [rows, columns], "counts": encoded["counts"]})
    (rendered, again) = (one.to_array() for one in geometry.masks([mask, mask]))

    cropped = dense[top : top + height, left : left + width]
    flipped = cropped[:, ::-1] if mirrored else cropped
    expected = np.zeros((48, 48), np.uint8)
    expected[: shape[0], : shape[1]] = by_formula(flipped, shape)
    assert np.array_equal(rendered, expected[: shape[0]])
    assert np.array_equal(rendered, again)
    for side in (7, 24, 48, 60):
        low = by_formula(expected, (side, side))
        (small,) = (one.to_array() for one in geometry.low_res(geometry.masks([mask]), side))
        assert np.array_equal(small, low[: len(small)])
        assert not low[len(small) :].any()


@given(
    seed=st.integers(0, 1000),
    fit=st.sampled_from(["pad", "squeeze", "crop"]),
    mirror=st.sampled_from([0.0, 0.5, 1.0]),
    crop=st.sampled_from([None, (0.4, 1.0), (0.5, 0.5)]),
    jitter=st.sampled_from([None, (0.1, 2.0), (1.0, 2.0)]),
)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_masks_follow_the_image(
    seed: int, fit: Any, mirror: float, crop: tuple[float, float] | None, jitter: tuple[float, float] | None
) -> None:
    """An image that is white where its only mask is: the mask of the sample is where the sample is white."""
    dense = np.zeros((240, 320), np.uint8)
    dense[72:160, 96:240] = 1
    content = io.BytesIO()
    Image.fromarray(np.repeat(dense[:, :, None] * 255, 3, axis=2)).save(content, "JPEG", quality=95)
    record = {
        "image": {"bytes": content.getvalue()},
        "annotations": [{"segmentation": to_segmentation(from_segmentation(coco.encode(np.asfortranarray(dense))))}],
        "image_id": 1,
    }
    options = SamOptions(size=128, fit=fit, choose=ALL, augment=Augment(mirror, crop, jitter), seed=seed, points=2)
    sample = sam_sample(record, options)
    if not len(sample["masks"]):
        return
    check_prompts(sample)
    white = sample["pixel_values"].float().mean(0) / 255
    mask = sample["masks"][0]
    grown, shrunk = (torch.nn.functional.max_pool2d(sign * mask[None].float(), 9, 1, 4)[0] for sign in (1, -1))
    inner = grown == -shrunk  # away from the border of the mask, which bilinear resizing makes grey
    assert not inner.any() or (white - mask.float()).abs()[inner].max() < 0.2


def test_random_choices_follow_seed_epoch_and_image() -> None:
    record = record_of(300, 420, masks=60)
    options = SamOptions(size=64, choose=Choose(8), augment=Augment(0.5, (0.3, 1.0)), points=2)

    def signature(record: dict[str, Any], options: SamOptions = options) -> list[float]:
        sample = sam_sample(record, options)
        return [*sample["input_boxes"].flatten().tolist(), *sample["input_points"].flatten().tolist()]

    first = signature(record)
    assert signature(record) == first
    assert signature({**record, "epoch": 0}) == first
    assert signature({**record, "epoch": 1}) != first
    assert signature({**record, "image_id": 8}) != first
    again = SamOptions(size=64, choose=Choose(8), augment=Augment(0.5, (0.3, 1.0)), points=2, seed=1)
    assert signature(record, again) != first
    fresh = SamOptions(size=64, choose=Choose(8), augment=Augment(0.5, (0.3, 1.0)), points=2, seed=None)
    assert len({tuple(signature(record, fresh)) for _ in range(4)}) > 1


def test_rules_and_filters() -> None:
    record = record_of(300, 420, masks=30)
    areas = [one["area"] for one in record["annotations"]]
    for number, one in enumerate(record["annotations"]):
        one["predicted_iou"] = number / 30
        one["stability_score"] = None if number == 29 else 1 - number / 30

    def areas_of(choose: Choose) -> list[int]:
        sample = sam_sample(record, SamOptions(size=420, fit="pad", choose=choose))
        return [int(mask.sum()) for mask in sample["masks"][sample["valid"]]]

    assert areas_of(ALL) == areas  # nothing is resized here: 420 is the longer side
    assert areas_of(Choose(5, "largest")) == sorted(areas, reverse=True)[:5]
    drawn = areas_of(Choose(10))
    assert len(drawn) == 10
    assert set(drawn) <= set(areas)
    assert areas_of(Choose(None, "all", min_predicted_iou=0.5)) == areas[15:]
    assert areas_of(Choose(None, "all", min_stability_score=0.9)) == areas[:4]
    middle = sorted(areas)[15]
    assert areas_of(Choose(None, "all", min_area=middle)) == [area for area in areas if area >= middle]
    assert areas_of(Choose(None, "all", max_area=middle)) == [area for area in areas if area <= middle]
    assert areas_of(Choose(None, "all", min_predicted_iou=1)) == []


def test_slots_that_are_left_over_are_padding() -> None:
    record = record_of(300, 420, masks=3)
    sample = sam_sample(record, SamOptions(size=128, choose=Choose(5), points=2))
    assert sample["valid"].tolist() == [True] * 3 + [False] * 2
    assert sample["masks"].shape == (5, 128, 128)
    check_prompts(sample)
    empty = sam_sample({**record, "annotations": []}, SamOptions(size=128, choose=Choose(5)))
    assert not empty["valid"].any()
    assert sam_sample({**record, "annotations": []}, SamOptions(size=64, choose=ALL))["masks"].shape == (0, 64, 64)


def test_a_batch_is_its_samples() -> None:
    records = [record_of(300, 420, 9, 1), record_of(420, 300, 4, 2), record_of(64, 64, 0, 3)]
    options = SamOptions(size=200, choose=Choose(6), points=2, targets=("masks", "low_res_masks"), pixels="float32")
    batch = sam_batch(records, options)
    samples = [sam_sample(record, options) for record in records]
    for name, values in batch.items():
        if name == "image_id":
            assert values == [1, 2, 3]
        else:
            assert torch.equal(values, torch.stack([sample[name] for sample in samples])), name
    everything = sam_batch(records, SamOptions(size=200, choose=ALL))
    assert everything["masks"].shape == (3, 9, 200, 200)
    assert everything["valid"].sum(1).tolist() == [9, 4, 0]
    columns = {name: [record[name] for record in records] for name in records[0]}
    listed = sam_samples(columns, options)
    assert torch.equal(torch.stack(listed["masks"]), batch["masks"])


@pytest.mark.parametrize("size", [64, 100, 129])
def test_packed_masks_are_the_masks(size: int) -> None:
    records = [record_of(300, 420, 9, 1), record_of(64, 64, 0, 3), record_of(420, 300, 4, 2)]
    for choose in (Choose(6), ALL):
        batch = sam_batch(records, SamOptions(size=size, choose=choose, targets=("masks", "packed_masks")))
        assert batch["packed_masks"].shape == (*batch["masks"].shape[:3], -(-size // 8))
        assert torch.equal(unpack_masks(batch["packed_masks"]), batch["masks"])
        bits = unpack_bits(batch["packed_masks"], size)  # as on a device that is not the CPU
        assert torch.equal(bits, batch["masks"])
        assert bits.is_contiguous()


@pytest.mark.parametrize("fit", ["pad", "squeeze"])
def test_masks_are_drawn_on_a_device_from_their_bits(fit: Any) -> None:
    records = [record_of(300, 420, 9, 1), record_of(420, 300, 4, 2)]
    options = SamOptions(size=100, fit=fit, choose=Choose(6), targets=("packed_masks", "masks"))
    batch = sam_batch(records, options)
    dense = batch.pop("masks")
    drawn = masks_on_device(batch, "cpu")
    assert drawn.dtype == torch.bool
    assert torch.equal(drawn, dense)
    assert torch.equal(masks_on_device({"masks": dense}, torch.device("cpu")), dense)
    assert torch.equal(masks_on_device(sam_sample(records[0], options), "cpu"), dense[0])
    elsewhere = masks_on_device(batch, "meta")  # a device that computes shapes, by the way of all that are no CPU
    assert (elsewhere.device.type, elsewhere.shape, elsewhere.dtype) == ("meta", dense.shape, torch.bool)
    with pytest.raises(StreamError, match="expected a batch with packed_masks, found low_res_masks"):
        masks_on_device({"low_res_masks": dense}, "cpu")


def test_the_memory_of_a_sample_that_is_gone_comes_back_as_zeros() -> None:
    shape = (5, 2**20)
    first = zeros(shape, torch.uint8)
    address = first.data_ptr()
    first.fill_(255)
    part, view = first[2, 7:9], first.numpy()[1]
    del first
    second = zeros(shape, torch.uint8)
    assert second.data_ptr() != address  # parts of the first are still held
    assert (part == 255).all()
    assert (view == 255).all()
    second.fill_(255)
    kept = second.data_ptr()
    del second
    again = zeros((5, 2**18), torch.float32)
    assert again.data_ptr() == kept
    assert not again.any()


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="a system without huge pages")
def test_new_memory_of_samples_is_whole_huge_pages() -> None:
    """Also where the heap has enough of the small ones lying about."""
    blocks = [b"x" * (20 << 20) for _ in range(8)]
    del blocks
    memory = _new_zeros((64 << 20) + 3)
    assert (len(memory), memory.ctypes.data % (2 << 20)) == ((64 << 20) + 3, 0)
    assert not memory.any()
    memory[...] = 1


def test_padding_is_zero_in_the_memory_of_an_image_without() -> None:
    record = record_of(300, 420, masks=2)
    whole = sam_sample(record, SamOptions(size=1024, fit="squeeze"))["pixel_values"]
    address = whole.data_ptr()
    assert whole.any(dim=0).float().mean() > 0.5
    del whole
    padded = sam_sample(record, SamOptions(size=1024))["pixel_values"]
    assert padded.data_ptr() == address
    assert not padded[:, 731:].any()


_ROUNDS = """
import resource
from asam_datasets.training._memory import keep_heap
keep_heap()
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [b"x" * (10 << 20) for _ in range(4)]
    del blocks
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is tested is glibc's heap")
def test_memory_that_a_sample_needs_for_a_moment_stays_on_the_heap() -> None:
    done = subprocess.run([sys.executable, "-c", _ROUNDS], capture_output=True, text=True, check=True)
    assert all(int(pages) < 1000 for pages in done.stdout.split()[2:])  # otherwise 10,208 each time


def test_no_valid_target_is_empty() -> None:
    record = record_of(300, 420, masks=200)
    options = SamOptions(size=512, choose=Choose(150), targets=("masks", "low_res_masks"), low_res=32)
    sample = sam_sample(record, options)
    assert sample["valid"].sum() < 150  # some are smaller than a pixel of the target
    assert sample["low_res_masks"][sample["valid"]].flatten(1).any(1).all()
    assert sample["masks"][sample["valid"]].flatten(1).any(1).all()


def test_padding_stays_marked() -> None:
    records = [{**record_of(66, 80, 2, number), "padding": number == 2} for number in (1, 2)]
    assert sam_batch(records, SamOptions(size=32))["padding"].tolist() == [False, True]
    painted = controlnet_batch(records, ControlNetOptions(size=32))
    assert painted["padding"].tolist() == [False, True]
    assert sorted(painted) == ["caption", "conditioning_pixel_values", "padding", "pixel_values"]


def test_float_images_are_normalized_as_sam_does() -> None:
    records = [record_of(300, 420, 2, 1), record_of(420, 300, 2, 2)]
    as_bytes = sam_batch(records, SamOptions(size=256, choose=Choose(2)))
    as_floats = sam_batch(records, SamOptions(size=256, choose=Choose(2), pixels="float32"))
    mine = normalize(as_bytes["pixel_values"], as_bytes["reshaped_input_sizes"])
    assert torch.allclose(mine, as_floats["pixel_values"], atol=1e-5)
    assert torch.equal(normalize(as_bytes["pixel_values"][1], as_bytes["reshaped_input_sizes"][1]), mine[1])
    assert not as_floats["pixel_values"][0, :, 183:].any()
    pixel = as_bytes["pixel_values"][0, :, 10, 10].double()
    mean, deviation = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    assert torch.allclose(as_floats["pixel_values"][0, :, 10, 10].double(), (pixel - mean) / deviation, atol=1e-5)


# ------------------------------------------------------------------------------------------------ images


@pytest.mark.parametrize(
    ("region", "shape", "by"),
    [
        ((1500, 2250), (683, 1024), 2),
        ((1500, 2250), (1024, 1024), 1),
        ((1500, 1500), (512, 512), 2),
        ((1500, 2250), (171, 256), 4),
        ((1500, 2250), (85, 128), 4),
    ],
)
def test_a_jpeg_is_decoded_no_larger_than_needed(region: tuple[int, int], shape: tuple[int, int], by: int) -> None:
    assert choose_reduction(region, shape, encoded=True) == by
    assert choose_reduction(region, shape, encoded=False) == 1


@pytest.mark.parametrize("side", [17, 64, 128, 300])
def test_reduced_images_look_like_full_ones(side: int) -> None:
    """Against decoding at full size and resizing with Pillow: what differs is below what anybody sees."""
    jpeg, _ = draw_record(5, height=601, width=903, masks=20, seed=0)
    image = open_image({"bytes": jpeg}, "test")
    geometry = Geometry(Crop(0, 0, 601, 903), False, (side, side), side)
    mine = geometry.image(image, "test").permute(1, 2, 0).numpy().astype(int)
    with Image.open(io.BytesIO(jpeg)) as full:
        expected = np.asarray(full.resize((side, side), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(mine - expected).mean() < 2  # drawings have sharper lines than photographs


def test_images_of_all_kinds() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)

    def encoded(mode: str, form: str) -> dict[str, bytes]:
        content = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(content, form)
        return {"bytes": content.getvalue()}

    for mode, form in (("RGB", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("L", "PNG"), ("RGBA", "PNG")):
        value = encoded(mode, form)
        with Image.open(io.BytesIO(value["bytes"])) as image:
            expected = np.asarray(image.convert("RGB"))
        found = decode_image(open_image(value, "test"), 1, "test").astype(int)
        assert np.abs(found - expected).max() <= (1 if mode == "CMYK" else 0), (mode, form)
        assert np.array_equal(decode_image(open_image(Image.fromarray(expected), "test"), 1, "test"), expected)
        for by in (1, 2, 4):
            small = decode_image(open_image(value, "test"), by, "test").copy()
            words = decode_words(open_image(value, "test"), by, "test").copy()
            planes = np.zeros((3, *small.shape[:2]), np.uint8)
            lay_planes(words, planes)
            assert np.array_equal(planes.transpose(1, 2, 0), small), (mode, form, by)
    assert torch.equal(resize_image(pixels, (40, 60)), torch.from_numpy(pixels).permute(2, 0, 1))


def test_16_bits_become_8() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    content = io.BytesIO()
    Image.fromarray(grey.astype(np.uint16) * 257).save(content, "PNG")
    found = decode_image(open_image({"bytes": content.getvalue()}, "test"), 1, "test")
    assert np.array_equal(found, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_mirrored_image_may_be_one_pixel_wide(form: str) -> None:
    content = io.BytesIO()
    Image.new("RGB", (1, 40), (200, 200, 200)).save(content, form)
    record = {"image": {"bytes": content.getvalue()}, "annotations": [], "image_id": 7}
    for fit in ("pad", "squeeze", "crop"):
        sample = sam_sample(record, SamOptions(size=32, fit=fit, augment=Augment(mirror=1.0)))  # type: ignore[arg-type]
        assert sample["pixel_values"].max() == 200


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "expected an image .* found none"),
        ({"bytes": None, "path": None}, "found none"),
        ({"bytes": b"\xff\xd8\xff\xe0 no more"}, "expected an image that can be decoded"),
        ({"bytes": b"something else"}, "expected an image that can be decoded"),
        ({"bytes": None, "path": "/etc/passwd"}, "found none"),  # a dataset does not have files of this machine opened
        (3, "found a int"),
    ],
)
def test_bad_images_are_one_sentence(value: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        sam_sample({**record_of(66, 80, 1), "image": value})
    assert caught.value.where.startswith("7: image")


def test_the_error_of_a_worker_is_one_sentence_too() -> None:
    record = {**record_of(66, 80, 1), "image": {"bytes": b"something else"}}
    loader = torch.utils.data.DataLoader([record], num_workers=1, collate_fn=sam_batch)
    with pytest.raises(RecordError) as caught:
        list(loader)
    assert str(caught.value) == (
        "7: image: expected an image that can be decoded, found 14 bytes that start with b'somethin' "
        "(DataLoader worker process 0)"
    )
    if sys.version_info >= (3, 11):  # from where on a traceback has it
        assert caught.value.hint == "`asam-datasets verify DATASET --deep` finds all records that are damaged."


def test_a_image_that_is_cut_off_is_refused() -> None:
    record = record_of(300, 420)
    record["image"]["bytes"] = record["image"]["bytes"][:6000]
    with pytest.raises(RecordError, match="7: image: expected an image that can be decoded"):
        sam_sample(record)


def test_bad_annotations_are_one_sentence() -> None:
    record = record_of(66, 80, 2)
    record["annotations"][1]["segmentation"]["size"] = [80, 66]
    with pytest.raises(RecordError, match=r"7: annotations\[1\].segmentation.size: expected .* \[66, 80\]"):
        sam_sample(record, SamOptions(choose=ALL))
    evaluation = record_of(66, 80, 2)
    for one in evaluation["annotations"]:
        del one["predicted_iou"]
    with pytest.raises(RecordError, match="expected annotations with predicted_iou"):
        sam_sample(evaluation, SamOptions(choose=Choose(min_predicted_iou=0.5)))
    with pytest.raises(RecordError, match="expected `annotations`"):
        sam_sample({name: value for name, value in record.items() if name != "annotations"})


@pytest.mark.parametrize(
    "annotation",
    [
        None,
        {},
        {"segmentation": None},
        {"segmentation": [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]]},
        {"segmentation": {"size": [66, 80], "counts": [66 * 80]}},
        {"segmentation": {"counts": "PP1"}},
        {"segmentation": {"size": np.array([66, 80]), "counts": "PP1"}},  # of `with_format("numpy")`
    ],
    ids=str,
)
def test_what_is_no_rle_is_one_sentence(annotation: Any) -> None:
    record = record_of(66, 80, 2)
    record["annotations"] = [record["annotations"][0], annotation]
    for make in (sam_sample, controlnet_sample):
        with pytest.raises(RecordError, match=r"7: annotations\[1\].segmentation: expected COCO RLE"):
            make(record)


def test_a_number_that_one_annotation_lacks_is_one_sentence() -> None:
    record = record_of(66, 80, 2)
    del record["annotations"][1]["area"]
    with pytest.raises(RecordError, match=r"7: annotations\[1\]: expected annotations with area"):
        sam_sample(record, SamOptions(choose=Choose(2, "largest")))


@pytest.mark.parametrize(
    ("make", "where"),
    [
        (lambda: SamOptions(size=0), "SamOptions.size"),
        (lambda: SamOptions(size=64.5), "SamOptions.size"),  # type: ignore[arg-type]
        (lambda: SamOptions(seed=-1), "SamOptions.seed"),
        (lambda: ControlNetOptions(seed=0.5), "ControlNetOptions.seed"),  # type: ignore[arg-type]
        (lambda: Choose(1.5), "Choose.count"),  # type: ignore[arg-type]
        (lambda: SamOptions(fit="stretch"), "SamOptions.fit"),  # type: ignore[arg-type]
        (lambda: SamOptions(targets=("mask",)), "SamOptions.targets"),  # type: ignore[arg-type]
        (lambda: SamOptions(pixels="float16"), "SamOptions.pixels"),  # type: ignore[arg-type]
        (lambda: SamOptions(points=-1), "SamOptions.points"),
        (lambda: Choose(None), "Choose.count"),
        (lambda: Choose(4, "all"), "Choose.count"),
        (lambda: Choose(4, "smallest"), "Choose.rule"),  # type: ignore[arg-type]
        (lambda: Augment(mirror=2), "Augment.mirror"),
        (lambda: Augment(crop=(0.0, 1.0)), "Augment.crop"),
        (lambda: Augment(crop=(0.5, 1.5)), "Augment.crop"),
        (lambda: Augment(jitter=(2.0, 1.0)), "Augment.jitter"),
        (lambda: ControlNetOptions(empty_captions=3), "ControlNetOptions.empty_captions"),
        (lambda: ControlNetOptions(empty_captions="3"), "ControlNetOptions.empty_captions"),  # type: ignore[arg-type]
        (lambda: ControlNetOptions(augment=None), "ControlNetOptions.augment"),  # type: ignore[arg-type]
        (lambda: Choose(min_predicted_iou=90), "Choose.min_predicted_iou"),
        (lambda: Choose(min_stability_score=90), "Choose.min_stability_score"),
        (lambda: Choose(min_stability_score="0.9"), "Choose.min_stability_score"),  # type: ignore[arg-type]
        (lambda: Choose(min_area=100, max_area=50), "Choose.max_area"),
        (lambda: Choose(min_area=None), "Choose.min_area"),  # type: ignore[arg-type]
        (lambda: Choose(max_area=-1), "Choose.max_area"),
        (lambda: SamOptions(choose=16), "SamOptions.choose"),  # type: ignore[arg-type]
        (lambda: SamOptions(choose=None), "SamOptions.choose"),  # type: ignore[arg-type]
        (lambda: SamOptions(augment=None), "SamOptions.augment"),  # type: ignore[arg-type]
        (lambda: SamOptions(targets=None), "SamOptions.targets"),  # type: ignore[arg-type]
        (lambda: SamOptions(targets=[["masks"]]), "SamOptions.targets"),  # type: ignore[arg-type,list-item]
        (lambda: SamOptions(low_res="256"), "SamOptions.low_res"),  # type: ignore[arg-type]
        (lambda: SamOptions(size=(64, 64)), "SamOptions.size"),  # type: ignore[arg-type]
        (lambda: Augment(crop=0.5), "Augment.crop"),  # type: ignore[arg-type]
        (lambda: Augment(crop=("0", "1")), "Augment.crop"),  # type: ignore[arg-type]
        (lambda: Augment(jitter=2), "Augment.jitter"),  # type: ignore[arg-type]
        (lambda: Augment(mirror=None), "Augment.mirror"),  # type: ignore[arg-type]
        (lambda: sam_sample(RECORD, {"size": 512}), "options"),  # type: ignore[arg-type]
        (lambda: sam_batch([], ControlNetOptions()), "options"),  # type: ignore[arg-type]
        (lambda: controlnet_sample(RECORD, SamOptions()), "options"),  # type: ignore[arg-type]
        (lambda: normalize(torch.zeros(1, 3, 8, 8), torch.tensor([[8, 8]])), "pixel_values"),
        (lambda: normalize(torch.zeros(1, 3, 8, 8).byte(), torch.tensor([8, 8])), "pixel_values"),
    ],
)
def test_bad_options_name_themselves(make: Any, where: str) -> None:
    with pytest.raises(StreamError) as caught:
        make()
    assert caught.value.where == where


RECORD: dict[str, Any] = {"image": {"bytes": b""}, "image_id": 1, "annotations": []}
COLUMNS = {name: [value] for name, value in RECORD.items()}


@pytest.mark.parametrize("family", ["sam", "controlnet"])
@pytest.mark.parametrize(
    ("function", "given", "message"),
    [
        ("sample", COLUMNS, "record: expected one record, found columns"),
        ("sample", [RECORD], "record: expected one record, found a list"),
        ("samples", RECORD, "batch: expected columns, found one record"),
        ("samples", [RECORD], "batch: expected columns, found a list"),
        ("samples", {**COLUMNS, "image_id": []}, "batch: expected columns of one length, found .*'image_id': 0"),
        ("batch", RECORD, "records: expected a list of records, found one record"),
        ("batch", COLUMNS, "records: expected a list of records, found columns"),
        ("batch", [COLUMNS], "record: expected one record, found columns"),
        ("batch", None, "records: expected a list of records, found none"),
    ],
)
def test_what_is_given_in_another_form_is_one_sentence(family: str, function: str, given: Any, message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        getattr(training, f"{family}_{function}")(given)
    assert f"`{family}_samples` columns" in caught.value.hint


def test_a_single_target_may_be_a_text() -> None:
    assert SamOptions(targets="masks") == SamOptions(targets=["masks"]) == SamOptions()  # type: ignore[arg-type]


def test_decoding_releases_the_interpreter() -> None:
    """Another thread goes on counting while a large JPEG is decoded; it could not in between, for there is nothing."""
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (4000, 4000, 3), np.uint8)
    Image.fromarray(noise).save(content, "JPEG", quality=95)
    image = open_image({"bytes": content.getvalue()}, "test")
    decoded, beats = threading.Event(), []

    def count() -> None:
        while not decoded.is_set():
            beats.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    start = time.perf_counter()
    decode_image(image, 1, "test")
    end = time.perf_counter()
    decoded.set()
    thread.join()
    assert sum(start < beat < end for beat in beats) >= 3


# ------------------------------------------------------------------------------------------------ ControlNet


@pytest.mark.parametrize("fit", ["crop", "squeeze"])
def test_controlnet_samples(fit: Any, published: Path) -> None:
    for record in open_stream(published, "train", window=0):
        sample = controlnet_sample(record, ControlNetOptions(size=128, fit=fit))
        assert sample["caption"] == (record["caption"] or "")
        with (
            Image.open(io.BytesIO(record["image"]["bytes"])) as image,
            Image.open(io.BytesIO(record["conditioning_image"]["bytes"])) as painted,
        ):
            side = min(image.size)
            left, top = round((image.width - side) / 2), round((image.height - side) / 2)
            box = (left, top, left + side, top + side) if fit == "crop" else (0, 0, *image.size)
            target, source = (
                np.asarray(one.convert("RGB").crop(box).resize((128, 128), Image.Resampling.BILINEAR), np.float32)
                for one in (image, painted)
            )
        assert np.abs(sample["pixel_values"].permute(1, 2, 0).numpy() - (target / 127.5 - 1)).mean() < 0.05
        assert np.abs(sample["conditioning_pixel_values"].permute(1, 2, 0).numpy() - source / 255).mean() < 0.03
        assert sample["pixel_values"].min() >= -1
        assert sample["pixel_values"].max() <= 1
        assert sample["conditioning_pixel_values"].min() >= 0
        assert sample["conditioning_pixel_values"].max() <= 1


def test_the_conditioning_image_is_painted_where_there_is_none(published: Path) -> None:
    """At full size, where nothing is resized, the painting is the published image."""
    for record in open_stream(published, "train", window=0):
        height, width = record["height"], record["width"]
        options = ControlNetOptions(size=max(height, width), fit="pad")
        decoded = controlnet_sample(record, options)["conditioning_pixel_values"]
        painted = controlnet_sample({**record, "conditioning_image": None}, options)["conditioning_pixel_values"]
        assert torch.equal(decoded, painted)


def test_empty_captions_are_a_share(published: Path) -> None:
    records = [r for r in open_stream(published, "controlnet") if r["caption"]]
    options = ControlNetOptions(size=32, empty_captions=0.5)
    empty = sum(controlnet_sample({**r, "epoch": e}, options)["caption"] == "" for r in records for e in range(6))
    assert 0 < empty < 6 * len(records)
    with pytest.raises(RecordError, match="expected `image_id` in the record"):
        controlnet_sample({**records[0], "image": Image.new("RGB", (420, 300))}, options)


# ------------------------------------------------------------------------------------------------ stock datasets


@pytest.fixture(scope="module")
def published(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, published into a folder."""
    out = tmp_path_factory.mktemp("samples") / "dataset"
    done = publish("--train", demo.archive, "--captions", demo.captions, "--out", out)
    assert done.code == 0, done.err
    return out


def test_they_work_with_transform_map_and_collate(published: Path, tmp_path: Path) -> None:
    options = SamOptions(size=96, choose=Choose(4), points=2)
    mine = {record["image_id"]: sam_sample(record, options) for record in open_stream(published, "sam")}

    def same(sample: dict[str, Any]) -> None:
        expected = mine[int(sample["image_id"])]
        assert torch.equal(sample["masks"], expected["masks"])
        assert torch.equal(sample["pixel_values"], expected["pixel_values"])
        assert torch.equal(sample["input_boxes"], expected["input_boxes"])

    stored = load_dataset(str(published), "sam", split="train", cache_dir=str(tmp_path))
    stored = stored.cast_column("image", ImageFeature(decode=False))
    stored.set_transform(partial(sam_samples, options=options))
    for sample in stored:
        same(sample)
    assert len(stored) == len(mine)

    stream = load_dataset(str(published), "sam", split="train", streaming=True)
    names = list(stream.features)
    raw = stream.cast_column("image", ImageFeature(decode=False))
    seen = list(raw.map(partial(sam_sample, options=options), remove_columns=[n for n in names if n != "image_id"]))
    for sample in seen:
        same(sample)
    assert len(seen) == len(mine)

    loader = torch.utils.data.DataLoader(raw, batch_size=3, collate_fn=partial(sam_batch, options=options))
    for batch in loader:
        for index, image_id in enumerate(batch["image_id"]):
            assert torch.equal(batch["masks"][index], mine[image_id]["masks"])

    decoded = next(iter(stream))  # a Pillow image: decoded at full size, so the image differs a little
    sample = sam_sample(decoded, options)
    assert torch.equal(sample["masks"], mine[decoded["image_id"]]["masks"])

    control = load_dataset(str(published), "controlnet", split="train", cache_dir=str(tmp_path))
    control = control.cast_column("image", ImageFeature(decode=False))
    loader = torch.utils.data.DataLoader(
        control.with_transform(partial(controlnet_samples, options=ControlNetOptions(size=64))), batch_size=4
    )
    assert [tuple(batch["pixel_values"].shape) for batch in loader] == [(4, 3, 64, 64)] * 3
    rows = [control[index] for index in range(4)]
    assert controlnet_batch(rows, ControlNetOptions(size=64))["conditioning_pixel_values"].shape == (4, 3, 64, 64)
