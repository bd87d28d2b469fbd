"""Maps in which each color is an object or class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from asam_datasets.errors import RecordError
from asam_datasets.masks import from_label_map
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES, read_colors
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._pairs import Pair, PairedLayout

Byte = Annotated[int, Meta(ge=0, le=255)]
Color = tuple[Byte, Byte, Byte]


_ADE20K_MAP = "_seg.png"


class _Thing(msgspec.Struct, frozen=True):
    name_ndx: Any = None
    name: Any = None


class _Things(msgspec.Struct, frozen=True):
    object: list[_Thing] | _Thing = msgspec.field(default_factory=list)  # one may come without its list


class _ADE20K(msgspec.Struct, frozen=True):
    annotation: _Things


_DECODER = msgspec.json.Decoder(_ADE20K)


class RGBMap(PairedLayout, frozen=True, kw_only=True, tag="rgb_map"):
    """One PNG per image: each color is an object or class. Palettes are resolved, grey counts as three channels.

    Masks come in the order of red + 256 × green + 65536 × blue, which is also their id.

    Args:
        category_code: `ade20k`: the class is (red // 10) × 256 + green, and its name is in the image's JSON, which lies
            beside `*_seg.png` in the release of 2021 and not in that of 2016.
    """

    background: tuple[Color, ...] = ((0, 0, 0),)
    ignored: tuple[Color, ...] = ()
    category_code: Literal["", "ade20k"] = ""

    def companions(self, pair: Pair) -> tuple[str, ...]:
        """ADE20K's JSON."""
        if self.category_code != "ade20k" or not pair.mask.endswith(_ADE20K_MAP):
            return ()
        return (f"{pair.mask.removesuffix(_ADE20K_MAP)}.json",)

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in ascending order of their ids."""
        colors = read_colors(folder, name, shape)
        names: dict[int, str] = {}
        for other in folder.held_besides(name):
            names |= _names(folder.read(other, limit_bytes=MAX_IMAGE_BYTES), folder.place(other))
        leave_out = [_folded(color) for color in (*self.background, *self.ignored)]
        for value, mask in from_label_map(colors, leave_out=leave_out).items():
            red, green = value & 255, value >> 8 & 255
            category = red // 10 * 256 + green if self.category_code == "ade20k" else None
            yield Object(mask, value, category, None if category is None else names.get(category))


def _folded(color: Color) -> int:
    red, green, blue = color
    return red + (green << 8) + (blue << 16)


def _names(data: bytes, where: str) -> dict[int, str]:
    """The names of the classes in an image, as ADE20K's JSON lists its objects and their parts.

    Raises:
        RecordError: it is another kind of JSON.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:  # the release has files in ISO-8859-1
        data = data.decode("iso-8859-1").encode("utf-8")
    try:
        things = _DECODER.decode(data).annotation.object
    except (msgspec.DecodeError, RecursionError) as error:
        problem = str(error).replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
        raise RecordError(f"expected the JSON of ADE20K: {problem}", where=where) from None
    return {
        thing.name_ndx: thing.name
        for thing in (things if isinstance(things, list) else [things])
        if isinstance(thing.name_ndx, int) and isinstance(thing.name, str) and thing.name
    }
