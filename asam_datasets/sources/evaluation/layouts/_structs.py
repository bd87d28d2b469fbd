"""The layouts: how a family of evaluation sets lies on disk, and what its files mean. One struct each.

A catalog entry fills one of them in; an adapter of the same name in `_adapters/` reads it. All paths are patterns
(`_patterns.py`) below the folder that the user names. What a value means is the same in every layout:

- `threshold`: the smallest grey value that is foreground, 1 to 255;
- `background`, `ignored`: values (or colors) that never become a mask;
- `crowds`: whether regions that stand for a group of objects are masks (`keep`, marked `iscrowd`) or not (`drop`);
- `lone_images`, `lone_masks`: whether an image without its mask file, or the reverse, is a bad record (`reject`)
  or belongs to the set as it is released (`drop`).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from asam_datasets.sources.evaluation._patterns import check_pattern

Policy = Literal["reject", "drop"]
Crowds = Literal["drop", "keep"]
Threshold = Annotated[int, Meta(ge=1, le=255)]
Byte = Annotated[int, Meta(ge=0, le=255)]
Color = tuple[Byte, Byte, Byte]


FROM_JSON = frozenset({"file_name", "coco_folder", "coco_name"})
"""Fields of an image's path that an annotation file fills."""


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Pair(_Struct, frozen=True, kw_only=True):
    """A pattern of images, and the pattern of the mask file of each.

    Args:
        listed: a text file of the set that names the images of the split by their field `{name}`, one a line, with or
            without an ending; images that it does not name are not of the split.
    """

    image: str
    mask: str
    listed: str = ""

    def __post_init__(self) -> None:
        fields = check_pattern(self.image)
        check_pattern(self.mask)
        if self.listed and (check_pattern(self.listed) or "name" not in fields):
            raise ValueError("expected `listed` without fields, and a field {name} in `image`")

    @property
    def open_fields(self) -> frozenset[str]:
        """Fields of the mask's path that the image's path does not fill."""
        return check_pattern(self.mask) - check_pattern(self.image)


class _Paired(_Struct, frozen=True, kw_only=True):
    pairs: Annotated[tuple[Pair, ...], Meta(min_length=1)]
    lone_images: Policy = "reject"
    lone_masks: Policy = "reject"


class _OneMaskFile(_Paired, frozen=True, kw_only=True):
    def __post_init__(self) -> None:
        for pair in self.pairs:
            if pair.open_fields:
                raise ValueError(f"expected only fields of `image` in `mask`, found {sorted(pair.open_fields)}")


class Binary(_OneMaskFile, frozen=True, kw_only=True, tag_field="type", tag="binary"):
    """One grey image per image: PNG, JPEG or TIFF; of several channels the first. From `threshold` on is mask."""

    threshold: Threshold = 128


class Objects(_Paired, frozen=True, kw_only=True, tag_field="type", tag="objects"):
    """One grey image per object: all files that `mask` finds with the fields of the image filled in."""

    threshold: Threshold = 128

    def __post_init__(self) -> None:
        for pair in self.pairs:
            if not pair.open_fields:
                raise ValueError("expected a field in `mask` that `image` does not have: many masks for one image")


class IndexMap(_OneMaskFile, frozen=True, kw_only=True, tag_field="type", tag="index_map"):
    """One PNG per image whose pixels are numbers of objects or classes: 8 bits, 16 bits, or palette indices.

    Args:
        values: the only values that become masks; all but background and ignored ones by default.
        category_divisor: a value of this or more is class × divisor + number of the object, as in Cityscapes; a
            smaller one is the class itself. 0: the value says nothing about a class.
        crowd_categories: classes whose value below `category_divisor` is a group of objects, not one.
        values_are_categories: each value is a class, so a semantic map.
        names: names of the classes.
    """

    background: tuple[int, ...] = (0,)
    ignored: tuple[int, ...] = ()
    values: tuple[int, ...] | None = None
    category_divisor: Annotated[int, Meta(ge=0)] = 0
    crowd_categories: tuple[int, ...] = ()
    crowds: Crowds = "drop"
    values_are_categories: bool = False
    names: dict[int, str] = {}


class RGBMap(_OneMaskFile, frozen=True, kw_only=True, tag_field="type", tag="rgb_map"):
    """One PNG per image: each color is an object or class. Palettes are resolved, grey counts as three channels.

    Masks come in the order of red + 256 × green + 65536 × blue, which is also their id.

    Args:
        category_code: `ade20k`: the class is (red // 10) × 256 + green.
    """

    background: tuple[Color, ...] = ((0, 0, 0),)
    ignored: tuple[Color, ...] = ()
    category_code: Literal["", "ade20k"] = ""


class _Part(_Struct, frozen=True, kw_only=True):
    """One JSON of a set, and where its images lie: the first pattern that gives a file is taken.

    Fields in `images`: `{file_name}` as the JSON has it. Fields in `json` find the file, and may be used again.
    """

    json: str
    images: Annotated[tuple[str, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        known = check_pattern(self.json) | FROM_JSON
        for pattern in self.images:
            unknown = check_pattern(pattern) - known
            if unknown:
                raise ValueError(f"expected fields of `json` or {sorted(FROM_JSON)}, found {sorted(unknown)}")


class _Parts(_Struct, frozen=True, kw_only=True):
    parts: Annotated[tuple[_Part, ...], Meta(min_length=1)]
    lone_images: Policy = "reject"


class Coco(_Parts, frozen=True, kw_only=True, tag_field="type", tag="coco"):
    """COCO JSON, and LVIS JSON, which has `coco_url` instead of a file name.

    Fields in `images` besides `{file_name}`: `{coco_folder}` and `{coco_name}`, the last two parts of `coco_url`.
    `lone_images` says what happens to an image of the JSON that is not on disk.

    Args:
        as_pycocotools: whatever `COCO.annToMask` makes of an annotation is its mask, and what it fails on is left out:
            all rings where the first has two points. Otherwise only rings of fewer than three points are left out.
    """

    crowds: Crowds = "drop"
    as_pycocotools: bool = False


class Via(_Parts, frozen=True, kw_only=True, tag_field="type", tag="via"):
    """JSON of the VGG Image Annotator: `regions` as dict (version 1) or list (version 2); polygons only.

    Args:
        category_attribute: the region attribute that names the class; empty for none.
    """

    category_attribute: str = ""


class Visor(_Parts, frozen=True, kw_only=True, tag_field="type", tag="visor"):
    """VISOR's JSON per video: each annotation is a list of polygons, filled by the even-odd rule.

    Args:
        size: (height, width) in pixels that the coordinates are meant for.
    """

    size: tuple[int, int] = (1080, 1920)


class WoodScape(_OneMaskFile, frozen=True, kw_only=True, tag_field="type", tag="woodscape"):
    """WoodScape's JSON per image: one ring per annotation, with tags.

    Args:
        ignored_tags: annotations with one of these never become a mask.
        crowd_prefix: a tag that starts so marks a group of objects.
    """

    ignored_tags: tuple[str, ...] = ()
    crowd_prefix: str = ""
    crowds: Crowds = "drop"


class YouTubeVIS(_Parts, frozen=True, kw_only=True, tag_field="type", tag="youtube_vis"):
    """YouTube-VIS JSON: each frame of a video is an image, each track with a mask in it an object."""

    crowds: Crowds = "drop"


class Hypersim(_OneMaskFile, frozen=True, kw_only=True, tag_field="type", tag="hypersim"):
    """HDF5 maps of object numbers beside preview images.

    Args:
        public: a CSV whose rows (`scene_name, camera_name, frame_id, included_in_public_release`) say which frames
            belong to the release; frames that it leaves out are not of the set. Without that file all are.
    """

    background: tuple[int, ...] = (-1,)
    ignored: tuple[int, ...] = ()
    public: str = ""


Layout: TypeAlias = Binary | Objects | IndexMap | RGBMap | Coco | Via | Visor | WoodScape | YouTubeVIS | Hypersim

Paired: TypeAlias = Binary | Objects | IndexMap | RGBMap | WoodScape | Hypersim
"""Layouts whose masks lie in files of their own."""
