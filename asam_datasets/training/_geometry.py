"""Where the pixels of a sample come from: one crop, one mirroring, one resize, for the image and its masks alike.

In this order: the crop is cut out of the image, mirrored left to right, resized, and laid into the upper left corner
of the sample; what it does not cover is padding. Corners of random crops lie on multiples of 4 pixels, so that they are
whole pixels of a JPEG decoded at a reduced size as well; in a centred crop the image may be off by half of such one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import StreamError
from asam_datasets.masks import centers, resize, sample
from asam_datasets.training._images import EncodedImage, choose_reduction, decode_words, resize_pixels
from asam_datasets.training._numbers import check_share, is_real

Fit = Literal["pad", "squeeze", "crop"]
"""How an image becomes a square. `pad`: its longer side is resized to it and the rest is padding, as SAM does;
`squeeze`: both sides are, as ASAM does; `crop`: the shorter side is, and the middle is kept, as diffusers' do."""

_GRID = 4


class Crop(NamedTuple):
    """A part of an image, in its pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Geometry:
    """How an image becomes a sample of `size` × `size`; `shape` is (height, width) of what is not padding."""

    crop: Crop
    mirrored: bool
    shape: tuple[int, int]
    size: int

    def masks(self, masks: Sequence[RLEMask]) -> list[RLEMask]:
        """Masks of the image as those of the sample, (shape[0], size), without any array: the padding on the right is
        there, that below is not. Nearest neighbour as Pillow's NEAREST."""
        top, left, height, width = self.crop
        if self.mirrored:
            masks = [mask.crop(np.array([left, top, width, height])).fliplr() for mask in masks]
            top = left = 0
        if width >= self.shape[1]:
            rows, columns = centers(self.shape[0], height) + top, centers(self.shape[1], width) + left
            return sample(masks, rows, columns, self.size)
        if not self.mirrored:
            masks = [mask.crop(np.array([left, top, width, height])) for mask in masks]
        return [resize(mask, self.shape).pad(0, 0, 0, self.size - self.shape[1]) for mask in masks]

    def low_res(self, masks: Sequence[RLEMask], side: int) -> list[RLEMask]:
        """What `masks` gave as targets of `side` × `side`, again without the padding below."""
        rows = centers(side, self.size)
        if side <= self.size:
            return sample(masks, rows[rows < self.shape[0]], rows)
        below = self.size - self.shape[0]
        return [resize(mask.pad(0, below, 0, 0), (side, side)) for mask in masks]

    def image(self, image: EncodedImage, where: str) -> torch.Tensor:
        """An image as uint8 (3, *shape), without the padding.

        Raises:
            RecordError: it cannot be decoded.
        """
        return torch.from_numpy(self.words(image, where)).permute(2, 0, 1)[:3]

    def words(self, image: EncodedImage, where: str) -> NDArray[np.uint8]:
        """An image as uint8 (*shape, 4), without the padding; the fourth value of a pixel says nothing.

        Raises:
            RecordError: it cannot be decoded.
        """
        top, left, height, width = self.crop
        by = choose_reduction((height, width), self.shape, image.encoded is not None)
        pixels = decode_words(image, by, where)
        first = round(top / by), round(left / by)
        cut = pixels[first[0] : first[0] - (-height // by), first[1] : first[1] - (-width // by)]
        if self.mirrored:
            cut = cut[:, ::-1].copy()  # one column mirrored is contiguous to NumPy, but not to torch
        words: NDArray[np.uint8] = resize_pixels(cut, self.shape).permute(1, 2, 0).numpy()
        return words


@dataclass(frozen=True)
class Augment:
    """Random changes of the geometry.

    Args:
        mirror: how likely an image is mirrored left to right, 0 … 1.
        crop: range of the share of each side that is kept, such as `(0.5, 1.0)`; one share for both sides, anywhere in
            the image. None keeps all of it.
        jitter: range of the scale of a large-scale jitter, such as `(0.1, 2.0)` (Ghiasi et al., Simple Copy-Paste,
            CVPR 2021): the fitted image is scaled, then a window of the sample's size is cut out of it anywhere where
            it is larger, and padded where it is smaller. None leaves it out.
    """

    mirror: float = 0.0
    crop: tuple[float, float] | None = None
    jitter: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_share("Augment.mirror", self.mirror)
        for name, limits, most in (("crop", self.crop, 1.0), ("jitter", self.jitter, 16.0)):
            if limits is not None and not _are_limits(limits, most):
                raise StreamError(
                    f"expected (lowest, highest) above 0 and up to {most:g}, found {limits!r:.80}",
                    where=f"Augment.{name}",
                )


def draw_geometry(
    source: tuple[int, int], size: int, *, fit: Fit, augment: Augment, random: np.random.Generator
) -> Geometry:
    """Choose crop, mirroring and scale for an image of (height, width) `source`."""
    draws = random.random(7)
    crop = Crop(0, 0, *source)
    if augment.crop is not None:
        share = _between(augment.crop, draws[0])
        crop = _cut(crop, (share * source[0], share * source[1]), draws[1], draws[2])
    if fit == "crop":
        side = min(crop.height, crop.width)
        crop = Crop(
            crop.top + round((crop.height - side) / 2), crop.left + round((crop.width - side) / 2), side, side
        )  # as torchvision's CenterCrop rounds
    shape = fitted_shape((crop.height, crop.width), size, fit)
    if augment.jitter is not None:
        scale = _between(augment.jitter, draws[3])
        scaled = [max(1.0, scale * side) for side in shape]
        kept = [min(1.0, size / side) for side in scaled]
        crop = _cut(crop, (kept[0] * crop.height, kept[1] * crop.width), draws[4], draws[5])
        shape = (min(size, round(scaled[0])), min(size, round(scaled[1])))
    return Geometry(crop, bool(draws[6] < augment.mirror), shape, size)


def fitted_shape(source: tuple[int, int], size: int, fit: Fit) -> tuple[int, int]:
    """The (height, width) of a fitted image, without padding; rounded as SAM's `ResizeLongestSide` does."""
    if fit != "pad":
        return size, size
    scale = size / max(source)
    return max(1, int(source[0] * scale + 0.5)), max(1, int(source[1] * scale + 0.5))


def _are_limits(limits: Any, most: float) -> bool:
    if not isinstance(limits, Sequence) or len(limits) != 2 or not all(map(is_real, limits)):
        return False
    return bool(0 < limits[0] <= limits[1] <= most)


def _between(limits: tuple[float, float], draw: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * float(draw)


def _cut(crop: Crop, sides: tuple[float, float], down: float, across: float) -> Crop:
    """A part of (height, width) `sides` of a crop, at a place from 0 (top, left) to 1 (bottom, right)."""
    height, width = (max(1, min(have, round(want))) for have, want in zip(crop[2:], sides, strict=True))
    top = _place(crop.top, crop.height - height, down)
    left = _place(crop.left, crop.width - width, across)
    return Crop(top, left, height, width)


def _place(first: int, room: int, draw: float) -> int:
    """A multiple of the grid in `first` … `first + room`; `first` where there is none."""
    place = first + int(draw * (room + 1))
    place -= place % _GRID
    return place if place >= first else first
