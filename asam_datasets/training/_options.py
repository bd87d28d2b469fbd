"""What samples are made of, stated by the caller once and checked at once."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from asam_datasets.errors import RecordError, StreamError
from asam_datasets.training._geometry import Augment, Fit
from asam_datasets.training._numbers import check_share, is_real, is_whole

Pixels = Literal["uint8", "float32"]
"""Images as they are, 0 … 255 and 0 in the padding; or as SAM takes them: ImageNet's mean and deviation, then 0 in
the padding."""

Target = Literal["masks", "packed_masks", "low_res_masks"]
_NO_CHANGE = "Augment() changes nothing."
_TARGETS = ("masks", "packed_masks", "low_res_masks")


@dataclass(frozen=True)
class Choose:
    """Which masks of an image a sample has.

    Args:
        count: how many; slots that are left over are not valid. None where `rule` is `all`.
        rule: `random`, `largest` (by area), or `all`, in the order of the annotations.
        min_predicted_iou: leaves out masks below it, 0 … 1, and those without the number; 0 leaves out none.
        min_stability_score: as `min_predicted_iou`.
        min_area: leaves out masks of fewer pixels, counted in the image as published.
        max_area: leaves out masks of more.
    """

    count: int | None = 64
    rule: Literal["random", "largest", "all"] = "random"
    min_predicted_iou: float = 0.0
    min_stability_score: float = 0.0
    min_area: int = 0
    max_area: int | None = None

    def __post_init__(self) -> None:
        if self.rule not in ("random", "largest", "all"):
            raise StreamError(f"expected random, largest or all, found {self.rule!r}", where="Choose.rule")
        if (self.rule == "all") != (self.count is None) or not (
            self.count is None or (is_whole(self.count) and self.count >= 1)
        ):
            raise StreamError(
                f"expected a count from 1, or None with the rule `all`, found {self.count!r} with {self.rule!r}",
                where="Choose.count",
            )
        check_share("Choose.min_predicted_iou", self.min_predicted_iou)
        check_share("Choose.min_stability_score", self.min_stability_score)
        for name, area in (("min_area", self.min_area), ("max_area", 0 if self.max_area is None else self.max_area)):
            if not is_real(area) or not area >= 0:
                raise StreamError(f"expected 0 pixels or more, found {area!r:.80}", where=f"Choose.{name}")
        if self.max_area is not None and self.max_area < self.min_area:
            problem = f"expected at least min_area, {self.min_area!r}, found {self.max_area!r}"
            raise StreamError(problem, where="Choose.max_area")


@dataclass(frozen=True)
class SamOptions:
    """How samples to tune SAM are made.

    Args:
        size: side of the sample in pixels.
        fit: how an image becomes a square: `pad` as SAM does, `squeeze` as ASAM does, or `crop`.
        choose: which masks.
        augment: random changes of the geometry.
        points: points inside of each mask.
        targets: one or some of `masks` in the size of the sample; `packed_masks`, the same as bits, which go from a
            worker to the loop and on to a device eight times faster (`masks_on_device` draws them there);
            `low_res_masks` in the size of SAM's logits.
        low_res: side of `low_res_masks`.
        pixels: `uint8`, or `float32` as SAM takes it.
        seed: of all random choices, with the epoch and the id of the image; None draws anew each time.
    """

    size: int = 1024
    fit: Fit = "pad"
    choose: Choose = field(default_factory=Choose)
    augment: Augment = field(default_factory=Augment)
    points: int = 1
    targets: tuple[Target, ...] | Target = ("masks",)
    low_res: int = 256
    pixels: Pixels = "uint8"
    seed: int | None = 0

    def __post_init__(self) -> None:
        _check_size("SamOptions.size", self.size)
        _check_size("SamOptions.low_res", self.low_res)
        _check_seed("SamOptions.seed", self.seed)
        _check_one_of("SamOptions.fit", self.fit, ("pad", "squeeze", "crop"))
        _check_one_of("SamOptions.pixels", self.pixels, ("uint8", "float32"))
        if not is_whole(self.points) or self.points < 0:
            raise StreamError(f"expected 0 points or more, found {self.points!r}", where="SamOptions.points")
        _check_kind("SamOptions.choose", self.choose, Choose, "Such as choose=Choose(16).")
        _check_kind("SamOptions.augment", self.augment, Augment, _NO_CHANGE)
        given: Any = (self.targets,) if isinstance(self.targets, str) else self.targets
        if not isinstance(given, Collection) or not all(one in _TARGETS for one in given):
            raise StreamError(f"expected some of {_TARGETS}, found {self.targets!r:.80}", where="SamOptions.targets")
        object.__setattr__(self, "targets", tuple(given))

    @property
    def columns(self) -> tuple[str, ...]:
        """What such samples need, for `open_stream`: of the annotations the masks, and what chooses them."""
        choose = self.choose
        needed = {
            "predicted_iou": choose.min_predicted_iou > 0,
            "stability_score": choose.min_stability_score > 0,
            "area": choose.rule == "largest" or choose.min_area > 0 or choose.max_area is not None,
        }
        fields = ("segmentation", *(name for name, is_needed in needed.items() if is_needed))
        return ("image_id", "image", *(f"annotations.{name}" for name in fields))


@dataclass(frozen=True)
class ControlNetOptions:
    """How samples to train a ControlNet are made.

    Args:
        size: side of the sample in pixels.
        fit: how an image becomes a square: `crop` as diffusers' script does, `squeeze` as ASAM's does, or `pad`.
        augment: random changes of the geometry.
        empty_captions: share of the samples whose caption is replaced with an empty one, 0 … 1.
        seed: of all random choices, with the epoch and the image; None draws anew each time.
    """

    size: int = 512
    fit: Fit = "crop"
    augment: Augment = field(default_factory=Augment)
    empty_captions: float = 0.0
    seed: int | None = 0

    def __post_init__(self) -> None:
        _check_size("ControlNetOptions.size", self.size)
        _check_seed("ControlNetOptions.seed", self.seed)
        _check_one_of("ControlNetOptions.fit", self.fit, ("pad", "squeeze", "crop"))
        _check_kind("ControlNetOptions.augment", self.augment, Augment, _NO_CHANGE)
        check_share("ControlNetOptions.empty_captions", self.empty_captions)


def random_of(seed: int | None, record: Mapping[str, Any], encoded: bytes | None) -> np.random.Generator:
    """The random numbers of one record in one epoch: the same wherever and whenever it is read.

    A record is known by its `image_id`, and where it has none (config `controlnet`) by the bytes of its image.

    Raises:
        RecordError: neither is there, and there is a seed.
    """
    if seed is None:
        return np.random.default_rng()
    name = record.get("image_id")
    if name is None and encoded is None:
        raise RecordError(
            "expected `image_id` in the record, found none, nor encoded bytes of the image",
            where="record",
            hint="Keep that column, decode images later (`Image(decode=False)`), or give seed=None.",
        )
    content = encoded if name is None else str(name).encode()
    entropy = [seed, int(record.get("epoch", 0)), zlib.crc32(content or b"")]
    if record.get("cycle"):  # a stream of a mixture that has begun again within the epoch
        entropy.append(int(record["cycle"]))
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def _check_seed(where: str, seed: int | None) -> None:
    if seed is not None and not (is_whole(seed) and seed >= 0):
        raise StreamError(f"expected a seed of 0 or more, or None, found {seed!r}", where=where)


def _check_size(where: str, size: int) -> None:
    if not is_whole(size) or not 1 <= size <= 8192:
        raise StreamError(f"expected a side of 1 to 8192 pixels, found {size!r}", where=where)


def _check_kind(where: str, value: object, kind: type, hint: str) -> None:
    if not isinstance(value, kind):
        raise StreamError(f"expected {kind.__name__}, found {value!r:.80}", where=where, hint=hint)


def _check_one_of(where: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise StreamError(f"expected {', '.join(known[:-1])} or {known[-1]}, found {value!r}", where=where)
