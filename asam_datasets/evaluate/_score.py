"""How well masks fit, in whole pixels: on runs, or on the device where the masks were made.

No mask is compared pixel by pixel. On the CPU the pixels that the model gave become runs, of which only the box is
looked at where the logits are positive; on a device the true masks stay runs, and the pixels below a run are one
difference of running sums.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from rlemasklib import RLEMask

from asam_datasets.evaluate._model import Predicted, Predictor, upscale
from asam_datasets.evaluate._samples import Sample
from asam_datasets.evaluate._state import ImageScore, MaskScore
from asam_datasets.models import no_room

_CPU_BYTES, _DEVICE_BYTES = 2**26, 2**30
"""Logits at the size of the image that exist at a time."""

_BOUNDARY = 0.02
"""How wide a boundary is, as a share of the image's diagonal: Boundary IoU (Cheng et al., CVPR 2021)."""

Pair = tuple[int, int]
"""Pixels that two masks share, and pixels that either of them covers."""


def score_sample(predictor: Predictor, sample: Sample, *, candidates: bool, boundaries: bool) -> ImageScore:
    """Let the model find the masks of an image, and score them.

    Args:
        predictor: the model.
        sample: the image.
        candidates: whether three masks of each prompt are scored, or one.
        boundaries: whether the boundary of the mask that the model thinks best is scored too.

    Raises:
        ModelError: the memory of the device is full.
    """
    try:
        scores = _score_prompts(predictor, sample, candidates=candidates, boundaries=boundaries)
    except torch.cuda.OutOfMemoryError as error:
        raise no_room(predictor.device, error) from None
    for place, mask in enumerate(sample.masks):
        if place not in scores:
            nothing = (0, int(mask.area()))
            scores[place] = MaskScore(
                annotation=sample.annotations[place],
                pixels=[nothing],
                boundary=boundary_pair(RLEMask.zeros(mask.shape), mask) if boundaries else None,
                is_lost=True,
            )
    return ImageScore(
        config=sample.config,
        row=sample.row,
        image_id=sample.image_id,
        file_name=sample.file_name,
        masks=[scores[place] for place in sorted(scores)],
        left_out=sample.left_out,
    )


def _score_prompts(predictor: Predictor, sample: Sample, *, candidates: bool, boundaries: bool) -> dict[int, MaskScore]:
    """The scores of the masks that have a prompt, by their number in the sample."""
    scores = {}
    for predicted in predictor.predict(sample, candidates=candidates):
        chosen = predicted.scores.argmax(axis=1)
        for number, pairs, mask in _compare(predictor, predicted, sample, chosen, boundaries):
            place = sample.prompted[predicted.first + number]
            scores[place] = MaskScore(
                annotation=sample.annotations[place],
                pixels=pairs,
                chosen=int(chosen[number]),
                boundary=None if mask is None else boundary_pair(mask, sample.masks[place]),
            )
    return scores


def _compare(
    predictor: Predictor, predicted: Predicted, sample: Sample, chosen: np.ndarray, boundaries: bool
) -> Iterator[tuple[int, list[Pair], RLEMask | None]]:
    """For each prompt its number, the pixels of its masks against the true one, and the chosen mask if its boundary is
    wanted."""
    prompts, masks = predicted.logits.shape[:2]
    on_device = predictor.counts_there
    pixels = max(sample.shape[0] * sample.shape[1], predictor.size**2)
    together = max(1, (_DEVICE_BYTES if on_device else _CPU_BYTES) // (4 * masks * pixels))
    for start in range(0, prompts, together):
        logits = predicted.logits[start : start + together]
        large = upscale(logits, predictor.size, sample.fitted, sample.shape)
        numbers = range(start, start + len(logits))
        truths = [sample.masks[sample.prompted[predicted.first + number]] for number in numbers]
        if on_device:
            yield from _on_device(large > 0, truths, numbers, chosen, boundaries)
            continue
        for number, small, one, truth in zip(numbers, logits, large, truths, strict=True):
            found = [
                positive_runs(some, full, predictor.size, sample.fitted)
                for some, full in zip(small.numpy(), one.numpy(), strict=True)
            ]
            yield number, [pixel_pair(mask, truth) for mask in found], found[chosen[number]] if boundaries else None


def positive_runs(logits: np.ndarray, large: np.ndarray, size: int, fitted: tuple[int, int]) -> RLEMask:
    """Where the logits at the size of the image are positive.

    A pixel is a mean of logits nearby, so it can be positive only where one of those is: what is far from all of them
    is not looked at.

    Args:
        logits: float32 (side, side), as the decoder gave them.
        large: float32 (height, width), the same at the size of the image.
        size, fitted: of the sample, as for `upscale`.
    """
    positive = logits > 0
    height, width = large.shape
    spans = []
    for axis, length, middle in ((1, height, fitted[0]), (0, width, fitted[1])):
        found = np.flatnonzero(positive.any(axis))
        if not len(found):
            return RLEMask.zeros(large.shape)
        first, last = _reach(int(found[0]), int(found[-1]), size / len(logits))
        first, last = _reach(first, last, length / middle)
        spans.append(slice(max(0, first), min(length, last + 1)))
    rows, columns = spans
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return RLEMask.zeros(large.shape)
    mask = RLEMask.from_array((large[rows, columns] > 0).view(np.uint8))
    return mask.pad(rows.start, height - rows.stop, columns.start, width - columns.stop)


def _reach(first: int, last: int, scale: float) -> tuple[int, int]:
    """The pixels that `first` … `last` have a part in, after an enlargement by `scale`, and one more on each side."""
    return int(np.floor((first - 0.5) * scale - 0.5)) - 1, int(np.ceil((last + 1.5) * scale - 0.5)) + 1


def pixel_pair(one: RLEMask, other: RLEMask) -> Pair:
    """What two masks of a size share, and what they cover."""
    shared = int((one & other).area())
    return shared, int(one.area()) + int(other.area()) - shared


def boundary_pair(one: RLEMask, other: RLEMask) -> Pair:
    """What the boundaries of two masks of a size share, and what they cover."""
    return pixel_pair(boundary(one), boundary(other))


def boundary(mask: RLEMask) -> RLEMask:
    """The pixels of a mask that are no farther from its outside than 2 % of the image's diagonal, in steps to any of
    the eight neighbors; outside of the image is outside of the mask."""
    height, width = mask.shape
    steps = max(1, round(_BOUNDARY * (height**2 + width**2) ** 0.5))
    core = mask.pad(1, 1, 1, 1).erode("square", 2 * steps + 1).crop(np.array([1, 1, width, height]))
    return mask & ~core


def found_masks(predictor: Predictor, sample: Sample, places: Sequence[int], *, candidates: bool) -> dict[int, RLEMask]:
    """The masks that the model thinks best, for some of the masks of an image by their number in the sample; those
    without a prompt are missing."""
    found = {}
    for predicted in predictor.predict(sample, candidates=candidates):
        chosen = predicted.scores.argmax(axis=1)
        for number, logits in enumerate(predicted.logits):
            place = sample.prompted[predicted.first + number]
            if place in places:
                best = logits[None, int(chosen[number]), None]
                large = upscale(best, predictor.size, sample.fitted, sample.shape)[0, 0]
                found[place] = positive_runs(
                    best[0, 0].cpu().numpy(), large.cpu().numpy(), predictor.size, sample.fitted
                )
    return found


def _on_device(
    found: torch.Tensor, truths: Sequence[RLEMask], numbers: range, chosen: np.ndarray, boundaries: bool
) -> Iterator[tuple[int, list[Pair], RLEMask | None]]:
    """As `_compare`, for bool (prompts, masks, height, width) on a device."""
    for number, candidates, pairs in zip(numbers, found, device_pairs(found, truths), strict=True):
        best = candidates[int(chosen[number])]
        yield number, pairs, RLEMask.from_array(best.cpu().numpy().view(np.uint8)) if boundaries else None


def device_pairs(found: torch.Tensor, truths: Sequence[RLEMask]) -> list[list[Pair]]:
    """The pixels of masks against their true ones, counted where they are.

    Args:
        found: bool (prompts, masks, height, width).
        truths: of each prompt, of that size.
    """
    masks, height, width = found.shape[1:]
    pairs = []
    for candidates, truth in zip(found, truths, strict=True):
        # Runs go down the columns, and background comes first: sums up to the end of each run, one after the other.
        sums = candidates.transpose(1, 2).reshape(masks, height * width).cumsum(1, dtype=torch.int32)
        ends = np.cumsum(truth.counts, dtype=np.int64)
        ends = ends[: len(ends) // 2 * 2]
        places = torch.from_numpy(ends - 1).to(found.device)
        upto = torch.where(places >= 0, sums[:, places.clamp(min=0)], 0).view(masks, -1, 2)
        shared = (upto[..., 1] - upto[..., 0]).sum(1).tolist()
        area = int(truth.area())
        pairs.append(
            [(int(one), int(all_) + area - int(one)) for one, all_ in zip(shared, sums[:, -1].tolist(), strict=True)]
        )
    return pairs
