"""Samples in the form that libraries of augmentations take: torchvision's `tv_tensors`, albumentations' arguments.

Boxes leave their inclusive corners there: both libraries mean the edges of pixels, so right and bottom are one more.
"""

from __future__ import annotations

from collections.abc import Mapping
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
        `image` uint8 or float32 (S, S, 3); `masks` uint8 (N, S, S), 0 or 1; `bboxes` float32 (N, 4), (x_min, y_min,
        x_max, y_max); `labels` int64 (N,), the numbers of the slots.

    Raises:
        StreamError: the sample has no masks.
    """
    valid, boxes, masks = _valid(sample)
    return {
        "image": np.ascontiguousarray(sample["pixel_values"].permute(1, 2, 0).numpy()),
        "masks": masks.view(torch.uint8).numpy(),
        "bboxes": boxes.numpy(),
        "labels": valid.numpy(),
    }


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
