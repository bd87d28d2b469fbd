"""Masks as bits, eight pixels to a byte: what travels from a worker to the loop, and on to a device.

A row of S pixels takes ⌈S / 8⌉ bytes, the leftmost pixel in the highest bit; the last bits of a row are 0. Dense masks
take eight times as much memory, and as much longer on each way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import StreamError


def pack_masks(masks: Sequence[RLEMask], boxes: Sequence[Sequence[int]], planes: NDArray[np.uint8]) -> None:
    """Draw masks as bits into zeros (slots, height, ⌈width / 8⌉). Of each its box, (x, y, width, height), is looked at
    and nothing else."""
    canvas = np.zeros(masks[0].shape if masks else (0, 0), np.uint8)  # one for all: it stays in the cache
    for plane, mask, (x, y, width, height) in zip(planes, masks, boxes, strict=False):
        mask.decode_into(canvas, fg_value=1)
        first, stop = x // 8, -(-(x + width) // 8)
        box = canvas[y : y + height, first * 8 : stop * 8]
        plane[y : y + height, first:stop] = np.packbits(box, axis=1)
        box[...] = 0


def masks_on_device(batch: Mapping[str, Any], device: torch.device | str) -> torch.Tensor:
    """The masks of a batch on a device, drawn there where they come as bits: those are an eighth of what goes over.

    Args:
        batch: what `sam_batch` or `sam_sample` gave, with `packed_masks` in its targets, or `masks`. Out of pinned
            memory (`pin_memory=True` of the loader) bits go over while the device works on.
        device: such as `"cuda"`, or the CPU.

    Returns:
        bool (..., S, S), equal to `masks`.

    Raises:
        StreamError: the batch has neither.
    """
    for name in ("packed_masks", "masks"):
        if name in batch:
            there: torch.Tensor = batch[name].to(device, non_blocking=True)
            return unpack_masks(there) if name == "packed_masks" else there
    raise StreamError(
        f"expected a batch with packed_masks, found {', '.join(batch) or 'an empty one'}",
        where="batch",
        hint="Make it with SamOptions(targets=('packed_masks',)).",
    )


def unpack_masks(packed_masks: torch.Tensor) -> torch.Tensor:
    """Turn `packed_masks` into `masks`, on their device: uint8 (..., S, ⌈S / 8⌉) to bool (..., S, S)."""
    size = packed_masks.shape[-2]
    if packed_masks.device.type == "cpu":
        return torch.from_numpy(np.unpackbits(packed_masks.numpy(), axis=-1, count=size)).view(torch.bool)
    return unpack_bits(packed_masks, size)


def unpack_bits(packed: torch.Tensor, width: int) -> torch.Tensor:
    """As `unpack_masks`, by torch alone: uint8 (..., ⌈width / 8⌉) to bool (..., width)."""
    places = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=packed.device)
    return (packed[..., None] & places).bool().flatten(-2)[..., :width].contiguous()
