"""Maps in which each color is an object or class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from asam_datasets.masks import from_label_map
from asam_datasets.sources.evaluation._images import read_colors
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout

Byte = Annotated[int, Meta(ge=0, le=255)]
Color = tuple[Byte, Byte, Byte]


class RGBMap(PairedLayout, frozen=True, kw_only=True, tag="rgb_map"):
    """One PNG per image: each color is an object or class. Palettes are resolved, grey counts as three channels.

    Masks come in the order of red + 256 × green + 65536 × blue, which is also their id.

    Args:
        category_code: `ade20k`: the class is (red // 10) × 256 + green.
    """

    background: tuple[Color, ...] = ((0, 0, 0),)
    ignored: tuple[Color, ...] = ()
    category_code: Literal["", "ade20k"] = ""

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in ascending order of their ids."""
        colors = read_colors(folder, name, shape)
        leave_out = [_folded(color) for color in (*self.background, *self.ignored)]
        for value, mask in from_label_map(colors, leave_out=leave_out).items():
            red, green = value & 255, value >> 8 & 255
            category = red // 10 * 256 + green if self.category_code == "ade20k" else None
            yield Object(mask, value, category)


def _folded(color: Color) -> int:
    red, green, blue = color
    return red + (green << 8) + (blue << 16)
