"""Samples in the form that libraries of augmentations take: torchvision's `tv_tensors`, albumentations' arguments.

Boxes leave their inclusive corners there: both libraries mean the edges of pixels, so right and bottom are one more.
The way back makes boxes of the masks: those of the libraries are no longer tight where something was turned or warped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from asam_datasets.errors import StreamError


def to_tv_tensors(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample of `sam_sample` for `torchvision.transforms.v2`; torchvision has to be installed.

    Args:
        sample: with `masks`, of the size S, of which N are valid.

    Returns:
        `image` `tv_tensors.Image` (3, S, S); `boxes` `BoundingBoxes` float32 (N, 4), `XYXY`; `masks` `Mask` bool
        (N, S, S); `labels` int64 (N,), the numbers of the slots; `image_id`.

    Raises:
        StreamError: the sample has no masks.
    """
    from torchvision import tv_tensors

    valid, boxes, masks = _valid(sample)
    size = sample["pixel_values"].shape[-2:]
    return {
        "image": tv_tensors.Image(sample["pixel_values"]),
        "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=tuple(size)),
        "masks": tv_tensors.Mask(masks),
        "labels": valid,
        "image_id": sample["image_id"],
    }


def to_albumentations(sample: Mapping[str, Any]) -> dict[str, Any]:
    """A sample of `sam_sample` as the arguments of an `albumentations.Compose` with
    `bbox_params=BboxParams("pascal_voc", label_fields=["labels"])`.

    Args:
        sample: with `masks`, of the size S, of which N are valid.

    Returns:
        `image` uint8 or float32 (S, S, 3); `masks` uint8 (N, S, S), 0 or 1, and an empty list where N is 0; `bboxes`
        float32 (N, 4), (x_min, y_min, x_max, y_max); `labels` int64 (N,), the numbers of the slots. A pipeline drops
        the boxes that leave the image, with their labels, and keeps their masks: `from_albumentations` knows.

    Raises:
        StreamError: the sample has no masks.
    """
    valid, boxes, masks = _valid(sample)
    return {
        "image": np.ascontiguousarray(sample["pixel_values"].permute(1, 2, 0).numpy()),
        "masks": masks.view(torch.uint8).numpy() if len(masks) else [],  # it fails at arrays without a mask
        "bboxes": boxes.numpy(),
        "labels": valid.numpy(),
    }


def from_tv_tensors(frame: Mapping[str, Any], slots: int | None = None) -> dict[str, Any]:
    """What a transform made of `to_tv_tensors`, as a sample again.

    Args:
        frame: with `image` and `masks`.
        slots: masks that the sample has, so that `default_collate` can make batches; all if not given.

    Returns:
        As `sam_sample`: `pixel_values` (3, H, W); `masks` bool (N, H, W); `input_boxes` float32 (N, 4), inclusive, of
        the masks as they are now; `valid` bool (N,); `reshaped_input_sizes` int64 (2,), all of the image, also where a
        transform padded it; `image_id`, if the frame has it. A mask of which nothing is left takes no slot.

    Raises:
        StreamError: the frame has no image, or no masks of its size.
    """
    return _sample(frame, slots, lambda image: torch.as_tensor(image).as_subclass(torch.Tensor))


def from_albumentations(frame: Mapping[str, Any], slots: int | None = None) -> dict[str, Any]:
    """What an `albumentations.Compose` made of `to_albumentations`, as a sample again; see `from_tv_tensors`.

    Args:
        frame: with `image` and `masks`.
        slots: masks that the sample has; all if not given.

    Raises:
        StreamError: the frame has no image, or no masks of its size.
    """
    return _sample(frame, slots, lambda image: torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1))


def _sample(frame: Mapping[str, Any], slots: int | None, planes: Callable[[Any], torch.Tensor]) -> dict[str, Any]:
    missing = [name for name in ("image", "masks") if name not in frame]
    if missing:
        raise StreamError(f"expected a frame with image and masks, found {', '.join(frame)}", where="frame")
    pixels = planes(frame["image"]).contiguous()
    height, width = pixels.shape[-2:]
    masks = frame["masks"]
    given = torch.as_tensor(np.asarray(masks) if len(masks) else np.zeros((0, height, width)), dtype=torch.bool)
    if given.shape[1:] != (height, width):
        problem = f"expected masks of the image's {height} × {width} pixels, found {tuple(given.shape[1:])}"
        raise StreamError(problem, where="frame", hint="Give all of it to one transform.")
    kept = given[given.flatten(1).any(1)][:slots]
    count = len(kept) if slots is None else slots
    found = torch.zeros((count, height, width), dtype=torch.bool)
    found[: len(kept)] = kept
    boxes = torch.zeros((count, 4))
    for box, mask in zip(boxes, kept, strict=False):
        rows, columns = mask.any(1).nonzero(), mask.any(0).nonzero()
        box[:] = torch.tensor([columns[0], rows[0], columns[-1], rows[-1]])
    sample = {
        "pixel_values": pixels,
        "masks": found,
        "input_boxes": boxes,
        "valid": torch.arange(count) < len(kept),
        "reshaped_input_sizes": torch.tensor([height, width]),
    }
    return {**sample, "image_id": frame["image_id"]} if "image_id" in frame else sample


def _valid(sample: Mapping[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The slots that have a mask, their boxes with exclusive corners, and the masks."""
    if "masks" not in sample or sample["masks"].ndim != 3:
        raise StreamError(
            f"expected one sample with masks, found {', '.join(sample)}",
            where="sample",
            hint="Make it by `sam_sample`, with SamOptions(targets=('masks',)).",
        )
    valid = torch.nonzero(sample["valid"]).flatten()
    one_more = torch.tensor([0.0, 0.0, 1.0, 1.0])
    return valid, sample["input_boxes"][valid] + one_more, sample["masks"][valid]
