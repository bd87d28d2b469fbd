"""Samples to tune SAM: the image, masks of it, and prompts that fit them, as `transformers`' SAM models take them.

Masks stay runs until they are written into the tensor that the sample (or the batch) has, at its size.

Coordinates are pixels of the sample, x before y, as SAM takes them: a box is (x_min, y_min, x_max, y_max) of the
outermost pixels of its mask (inclusive, as SA-1B's; SAM adds the half pixel itself), a point is a pixel of its mask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError, SegmentationError, StreamError
from asam_datasets.masks import from_segmentation, parse_together
from asam_datasets.training._geometry import Geometry, draw_geometry
from asam_datasets.training._images import EncodedImage, lay_planes, open_image
from asam_datasets.training._memory import zeros
from asam_datasets.training._options import Choose, SamOptions, random_of
from asam_datasets.training._packed import pack_masks
from asam_datasets.training._records import check_options, check_record, list_records, rows_of

PIXEL_MEAN, PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""ImageNet's, of 0 … 255, as SAM uses them (`pixel_mean` and `pixel_std` in segment_anything's `build_sam.py`)."""

NO_POINT = -10
"""The label of a point that is not there; `transformers` leaves it out of the prompt."""

_DEFAULT = SamOptions()


class _Parts(NamedTuple):
    """What a sample is made of before anything of it is a tensor."""

    image: EncodedImage
    geometry: Geometry
    where: str
    masks: list[RLEMask]
    low_res: list[RLEMask]
    points: NDArray[np.float32]
    record: Mapping[str, Any]


def sam_sample(record: Mapping[str, Any], options: SamOptions = _DEFAULT) -> dict[str, Any]:
    """Make one sample of a record: for `map` on a streaming dataset, and `transform` of `open_stream`.

    Args:
        record: `image` (encoded or a Pillow image), `annotations`, `image_id`; with `epoch`, random choices differ from
            epoch to epoch.
        options: how it is made.

    Returns:
        S is the size, N the number of masks, P the number of points, L the side of SAM's logits: `pixel_values` uint8
        or float32 (3, S, S); `masks` bool (N, S, S), `packed_masks` uint8 (N, S, ⌈S / 8⌉), `low_res_masks` bool (N, L,
        L): those wanted; `input_boxes` float32 (N, 4); `input_points` float32 (N, P, 2) and `input_labels` int64 (N,
        P), if P > 0; `valid` bool (N,), False in slots without a mask, whose boxes are 0 and whose labels are
        `NO_POINT`; `original_sizes`, `reshaped_input_sizes` int64 (2,), (height, width) of the image and of what is not
        padding; `image_id`; `padding`, if the record has it (`ends="pad"`): True for one that is repeated; `stream`
        int64, if the record has it: of which stream of a mixture it is.

        A mask that is empty in the sample, cut off or too small for a target, takes no slot.

    Raises:
        RecordError: it is no record, or the image or an annotation cannot be used.
        StreamError: the options are others.
    """
    check_options(options, SamOptions)
    check_record(record, "sam")
    parts = _read(record, options)
    slots = len(parts.masks) if options.choose.count is None else options.choose.count
    batch = _fill([parts], slots, options)
    return {name: values[0] for name, values in batch.items()}


def sam_samples(batch: Mapping[str, Sequence[Any]], options: SamOptions = _DEFAULT) -> dict[str, list[Any]]:
    """As `sam_sample` for columns: for `with_transform`, and `map(batched=True)`.

    Rows of stock `datasets` have no `epoch`: what is drawn is the same in each, unless `seed` of the options is None.
    """
    samples = [sam_sample(record, options) for record in rows_of(batch, "sam")]
    return {name: [sample[name] for sample in samples] for name in (samples[0] if samples else ())}


def sam_batch(records: Sequence[Mapping[str, Any]], options: SamOptions = _DEFAULT) -> dict[str, Any]:
    """Make one batch of records: for `collate_fn`. Masks are written straight into the batch's (shared) memory.

    Returns:
        As `sam_sample`, with a first axis for the records; `image_id` is a list. With the rule `all` every record has
        as many slots as the one with the most masks.
    """
    check_options(options, SamOptions)
    parts = [_read(record, options) for record in list_records(records, "sam")]
    slots = options.choose.count or max((len(one.masks) for one in parts), default=0)
    return _fill(parts, slots, options)


def normalize(pixel_values: torch.Tensor, reshaped_input_sizes: torch.Tensor) -> torch.Tensor:
    """Turn uint8 images into what SAM takes, on their device: the same as `pixels="float32"` gives.

    Args:
        pixel_values: uint8 (batch, 3, S, S); or of one sample (3, S, S).
        reshaped_input_sizes: (batch, 2), (height, width) of what is not padding; or of one sample (2,).

    Returns:
        float32 in the shape of `pixel_values`, 0 in the padding.

    Raises:
        StreamError: they are not uint8, or not of these shapes.
    """
    if pixel_values.dtype != torch.uint8:
        raise StreamError(
            f"expected pixels of torch.uint8, found {pixel_values.dtype}",
            where="pixel_values",
            hint="SamOptions(pixels='float32') gives images that are normalized already; leave out `normalize`.",
        )
    shape, sizes_shape = tuple(pixel_values.shape), tuple(reshaped_input_sizes.shape)
    if len(shape) not in (3, 4) or shape[-3] != 3 or sizes_shape != (*shape[:-3], 2):
        raise StreamError(
            f"expected (batch, 3, S, S) and sizes (batch, 2), or (3, S, S) and (2,), found {shape} and {sizes_shape}",
            where="pixel_values",
            hint="Give both as `sam_batch` or `sam_sample` gave them.",
        )
    if len(shape) == 3:
        return normalize(pixel_values[None], reshaped_input_sizes[None])[0]
    device, side = pixel_values.device, torch.arange(pixel_values.shape[-1], device=pixel_values.device)
    mean, deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
    sizes = reshaped_input_sizes.to(device)
    inside = (side[None, :, None] < sizes[:, 0, None, None]) & (side[None, None, :] < sizes[:, 1, None, None])
    return (pixel_values.to(torch.float32) - mean) / deviation * inside[:, None]


def _read(record: Mapping[str, Any], options: SamOptions) -> _Parts:
    where = str(record.get("image_id", "record"))
    image = open_image(record.get("image"), f"{where}: image")
    random = random_of(options.seed, record, image.encoded)
    geometry = draw_geometry(image.shape, options.size, fit=options.fit, augment=options.augment, random=random)
    annotations = record.get("annotations")
    if annotations is None:
        raise RecordError("expected `annotations`, found none", where=where, hint="Use a config with that column.")
    ranked = _ranked(annotations, options.choose, random, where)
    limit = len(ranked) if options.choose.count is None else options.choose.count
    masks: list[RLEMask] = []
    low_res: list[RLEMask] = []
    while ranked and len(masks) < limit:
        # Together is fastest; and no more than are needed are looked at.
        some, ranked = ranked[: limit - len(masks)], ranked[limit - len(masks) :]
        full = masks_of(annotations, some, image.shape, where)
        resized = geometry.masks(full)
        small = geometry.low_res(resized, options.low_res) if "low_res_masks" in options.targets else resized
        seen = [place for place, mask in enumerate(small) if mask.any()]  # what vanishes in a target teaches nothing
        masks += (resized[place] for place in seen)
        low_res += (small[place] for place in seen)
    points = _points(masks, options.points, random)
    return _Parts(image, geometry, f"{where}: image", masks, low_res, points, record)


def masks_of(annotations: Sequence[Any], numbers: Sequence[int], shape: tuple[int, int], where: str) -> list[RLEMask]:
    """The masks of some annotations of an image of (height, width) `shape`.

    Raises:
        RecordError: one is no COCO RLE as we publish it, or does not fit.
    """
    counts = _counts_of([annotations[number] for number in numbers], list(shape))
    found = None if counts is None else parse_together(counts, *shape)
    if found is None:  # then one by one, until the one that is wrong
        found = [mask_of(annotations[number], shape, f"{where}: annotations[{number}]") for number in numbers]
    return found


def _counts_of(annotations: Sequence[Any], size: list[int]) -> list[str] | None:
    """The runs of annotations, if all are as `datasets` gives them and of that size."""
    counts: list[str] = []
    for one in annotations:
        segmentation = one.get("segmentation") if type(one) is dict else None
        if type(segmentation) is not dict:
            return None
        found, text = segmentation.get("size"), segmentation.get("counts")
        if type(found) is not list or type(text) is not str:
            return None
        if found != size or type(found[0]) is not int or type(found[1]) is not int:
            return None
        counts.append(text)
    return counts


def mask_of(annotation: Any, shape: tuple[int, int], where: str) -> RLEMask:
    """The mask of an annotation of an image of (height, width) `shape`.

    Raises:
        RecordError: it is no COCO RLE as we publish it, or does not fit.
    """
    segmentation = annotation.get("segmentation") if isinstance(annotation, Mapping) else None
    size, counts = (
        segmentation.get(name) if isinstance(segmentation, Mapping) else None for name in ("size", "counts")
    )
    if not isinstance(size, Sequence) or not isinstance(counts, (str, bytes)):
        found = "no annotation" if not isinstance(annotation, Mapping) else f"{segmentation!r:.80}"
        raise RecordError(
            f"expected COCO RLE, a `size` and compressed `counts`, found {found}",
            where=f"{where}.segmentation",
            hint="Give rows as `datasets` has them, without `with_format`, or get the archive again.",
        )
    try:
        return from_segmentation({"size": list(size), "counts": counts}, shape=shape)
    except SegmentationError as error:
        raise RecordError(error.problem, where=f"{where}.segmentation.{error.where}", hint=error.marked_hint) from None


def _ranked(
    annotations: Sequence[Mapping[str, Any]], choose: Choose, random: np.random.Generator, where: str
) -> list[int]:
    """Positions of the annotations that pass the filters, best first."""
    kept = np.arange(len(annotations))
    for name, lowest in (
        ("predicted_iou", choose.min_predicted_iou),
        ("stability_score", choose.min_stability_score),
        ("area", choose.min_area),
    ):
        if lowest > 0:
            kept = kept[_numbers(annotations, name, where)[kept] >= lowest]
    if choose.max_area is not None:
        kept = kept[_numbers(annotations, "area", where)[kept] <= choose.max_area]
    draws = random.random(len(annotations))
    if choose.rule == "random":
        kept = kept[np.argsort(draws[kept], kind="stable")]
    elif choose.rule == "largest":
        kept = kept[np.argsort(-_numbers(annotations, "area", where)[kept], kind="stable")]
    return [int(position) for position in kept]


def _numbers(annotations: Sequence[Mapping[str, Any]], name: str, where: str) -> NDArray[np.float64]:
    """A number of each annotation, float64 (annotations,); what is null is NaN, and passes no filter.

    Raises:
        RecordError: the annotations of this dataset do not have it.
    """
    for position, one in enumerate(annotations):
        if name not in one:
            raise RecordError(
                f"expected annotations with {name}, found {', '.join(one)}",
                where=f"{where}: annotations[{position}]",
                hint="Leave that filter out for this config.",
            )
    return np.array([np.nan if one[name] is None else one[name] for one in annotations], np.float64)


def _points(masks: Sequence[RLEMask], count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Pixels of each mask, each with the same chance: float32 (masks, count, 2), x and y."""
    draws = random.random((len(masks), count))
    if not draws.size:
        return np.zeros((len(masks), count, 2), np.float32)
    # The runs of all masks end to end, column-major and background first: one search finds the pixels of all masks.
    lengths = [len(mask.counts_view) for mask in masks]
    runs = np.concatenate([mask.counts_view for mask in masks])
    stops = np.cumsum(lengths)
    ends = np.cumsum(runs, dtype=np.int64)
    for start, stop in pairwise([0, *stops.tolist()]):
        runs[start:stop:2] = 0
    inside = np.cumsum(runs, dtype=np.int64)
    areas = np.diff(inside[stops - 1], prepend=0)[:, None]
    wanted = np.cumsum(areas)[:, None] - areas + (draws * areas).astype(np.int64)
    run = np.searchsorted(inside, wanted, side="right")
    height, width = masks[0].shape
    pixels = ends[run] - (inside[run] - wanted) - np.arange(len(masks))[:, None] * (height * width)
    return np.stack(np.divmod(pixels, height), axis=-1).astype(np.float32)


def _fill(parts: Sequence[_Parts], slots: int, options: SamOptions) -> dict[str, Any]:
    """Lay samples into the tensors of a batch."""
    size, count = options.size, len(parts)
    has_padding = any(one.geometry.shape != (size, size) for one in parts)
    dtype = torch.uint8 if options.pixels == "uint8" else torch.float32
    batch: dict[str, Any] = {"pixel_values": zeros((count, 3, size, size), dtype, filled=has_padding)}
    shapes = {
        "masks": ((size, size), torch.bool),
        "packed_masks": ((size, -(-size // 8)), torch.uint8),
        "low_res_masks": ((options.low_res, options.low_res), torch.bool),
    }
    for name in options.targets:
        shape, kind = shapes[name]
        batch[name] = zeros((count, slots, *shape), kind)
    boxes = np.zeros((count, slots, 4), np.float32)
    points = np.zeros((count, slots, options.points, 2), np.float32)
    labels = np.full((count, slots, options.points), NO_POINT, np.int64)
    valid = np.zeros((count, slots), np.bool_)
    for index, one in enumerate(parts):
        number = len(one.masks)
        found = np.array([mask.bbox() for mask in one.masks], np.int64).reshape(number, 4)
        for name in options.targets:
            planes = batch[name][index].view(torch.uint8).numpy()
            if name == "packed_masks":
                pack_masks(one.masks, found.tolist(), planes)
            else:
                _draw_masks(one.low_res if name == "low_res_masks" else one.masks, planes)
        boxes[index, :number, :2] = found[:, :2]
        boxes[index, :number, 2:] = found[:, :2] + found[:, 2:] - 1
        points[index, :number], labels[index, :number], valid[index, :number] = one.points, 1, True
        # Last, because a decoded image takes the place of the runs in the cache.
        _lay_image(one, batch["pixel_values"][index])
    batch["input_boxes"] = torch.from_numpy(boxes)
    if options.points:
        batch.update(input_points=torch.from_numpy(points), input_labels=torch.from_numpy(labels))
    batch["valid"] = torch.from_numpy(valid)
    sizes = {
        "original_sizes": [one.image.shape for one in parts],
        "reshaped_input_sizes": [one.geometry.shape for one in parts],
    }
    batch |= {name: torch.tensor(found, dtype=torch.int64).view(count, 2) for name, found in sizes.items()}
    batch["image_id"] = [one.record.get("image_id") for one in parts]
    if parts and all("padding" in one.record for one in parts):
        batch["padding"] = torch.tensor([bool(one.record["padding"]) for one in parts])
    if parts and all("stream" in one.record for one in parts):
        batch["stream"] = torch.tensor([int(one.record["stream"]) for one in parts])
    return batch


def _lay_image(one: _Parts, canvas: torch.Tensor) -> None:
    """Decode an image into zeros (3, size, size), uint8 or float32; what is not padding is normalized in the latter.

    Raises:
        RecordError: it cannot be decoded.
    """
    height, width = one.geometry.shape
    pixels = canvas[:, :height, :width]
    if canvas.dtype == torch.uint8:
        lay_planes(one.geometry.words(one.image, one.where), pixels.numpy())
        return
    pixels.copy_(one.geometry.image(one.image, one.where))
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (PIXEL_MEAN, PIXEL_STD))
    pixels.sub_(mean).div_(deviation)


def _draw_masks(masks: Sequence[RLEMask], planes: NDArray[np.uint8]) -> None:
    """Draw masks into zeros (slots, height, width); what they lack of the height stays."""
    for plane, mask in zip(planes, masks, strict=False):
        mask.decode_into(plane[: mask.shape[0]], fg_value=1)
