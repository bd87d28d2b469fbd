"""COCO JSON, and LVIS JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources._polygons import check_shape, from_coco
from asam_datasets.sources.evaluation._patterns import check_pattern, match
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Fact, Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Crowds
from asam_datasets.sources.evaluation.layouts._json import Category, JSONLayout, JSONStruct, Listed, decode, load, lost

Identity = int | str
Extra = Literal["text_input", "is_instance_exhaustive", "is_pixel_exhaustive", "annotator", "subset"]

_OF_IMAGES = frozenset({"text_input", "is_instance_exhaustive", "is_pixel_exhaustive"})


class _Image(JSONStruct, frozen=True, gc=False):
    id: Identity
    file_name: str = ""
    coco_url: str = ""
    width: int | None = None
    height: int | None = None


class _Pair(_Image, frozen=True, gc=False):
    """An image and a phrase, as SA-Co lists them."""

    text_input: str | None = None
    is_instance_exhaustive: bool | None = None
    is_pixel_exhaustive: bool | None = None


class _Annotation(JSONStruct, frozen=True, gc=False):
    image_id: Identity
    id: Identity | None = None
    category_id: int | None = None
    iscrowd: int | bool = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class _Table(JSONStruct, frozen=True, gc=False):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[Category] = msgspec.field(default_factory=list)


class _Pairs(_Table, frozen=True, gc=False):
    images: list[_Pair]  # type: ignore[assignment]  # a list that nobody changes


class _Parsed(NamedTuple):
    images: dict[Identity, _Image]
    annotations: dict[Identity, list[tuple[int, _Annotation]]]
    names: dict[int, str]
    twice: list[Identity]

    def category(self, annotation: _Annotation) -> str | None:
        """The name of an annotation's category, where it has one."""
        return None if annotation.category_id is None else self.names.get(annotation.category_id)


_DECODER = msgspec.json.Decoder(_Table)
# Not strict: the flags are 0 and 1.
_PAIRS_DECODER = msgspec.json.Decoder(_Pairs, strict=False)


class Coco(JSONLayout, frozen=True, kw_only=True, tag="coco"):
    """COCO JSON, and LVIS JSON, which has `coco_url` instead of a file name. Each annotation is a mask.

    Fields in `images` besides `{file_name}`: `{coco_folder}` and `{coco_name}`, the last two steps of `coco_url`.

    Args:
        as_pycocotools: whatever `COCO.annToMask` makes of an annotation is its mask, and what it fails on is left out:
            all rings where the first has two points. Otherwise only rings of fewer than three points are left out.
            ASAM's loader opens the image with OpenCV besides, which turns it as EXIF wants: masks of the turned image,
            as the sizes in the JSON say (or where they say nothing), are turned back to the pixels as they are stored.
            Where the sizes are those of the stored image, ASAM would stretch one over the other; here they fit.
        columns: what is known of each image besides its masks, in columns of their own: fields that SA-Co's images
            have, and fields of the pattern `json`.
    """

    crowds: Crowds = "drop"
    as_pycocotools: bool = False
    columns: tuple[Extra, ...] = ()

    later: ClassVar[frozenset[str]] = JSONLayout.later | {"columns"}

    def __post_init__(self) -> None:
        """Columns that a path says have a place there."""
        for file in (file for files in (self.files, *self.packagings) for file in files):
            unsaid = set(self.columns) - _OF_IMAGES - check_pattern(file.json)
            if unsaid:
                raise ValueError(f"expected fields of `json` for the columns {sorted(unsaid)}, found {file.json!r}")

    def images(self, folder: Folder, json: str, bad: BadRecords) -> Iterator[Listed]:
        """The images in the order of the file; ids that come twice or name no image are reported."""
        parsed = load(folder, json, self._parse)
        for identity in parsed.twice:
            folder.reject(bad, f"expected image id {identity!r} once, found it again", json)
        for image in parsed.images.values():
            key = msgspec.json.encode(image.id).decode()
            yield Listed(f"{json}: image {image.id!r}", _fields(image), str(image.id), key)
        for identity, alone in parsed.annotations.items():
            if identity not in parsed.images:
                problem = f"expected the id of an image of this file, found {identity!r}"
                folder.reject(bad, problem, f"{json}: $.annotations[{alone[0][0]}].image_id")

    def evidence(self, folder: Folder, ref: EvaluationRef) -> Iterator[Evidence]:
        """What the file says of this image, in the order of the file."""
        parsed = load(folder, ref.masks[0], self._parse)
        image = parsed.images.get(msgspec.json.decode(ref.key))
        if image is None:
            raise lost(folder, ref)
        own = parsed.annotations.get(image.id, [])
        said = [[a.id, a.category_id, parsed.category(a), int(a.iscrowd), a.segmentation] for _, a in own]
        extra = self._extra(image, ref.masks[0])
        content = msgspec.json.encode([image.height, image.width, said, *([extra] if self.columns else [])])
        seen = (image.height, image.width) if self.as_pycocotools else None
        yield Evidence(content, partial(self._objects, folder.place(ref.masks[0]), parsed, image), seen, extra)

    @property
    def _parse(self) -> Callable[[bytes, str], _Parsed]:
        return _parse_pairs if self.columns else _parse

    def _extra(self, image: _Image, json: str) -> dict[str, Fact]:
        """The values of the columns: what the path of the file says, and what the file says of the image."""
        found = (match(file.json, json) for file in self.files)
        fields = next((fields for fields in found if fields is not None), {})
        return {name: fields.get(name, getattr(image, name, None)) for name in self.columns}

    def _objects(self, place: str, parsed: _Parsed, image: _Image, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file."""
        if image.height is not None and image.width is not None:
            check_shape((image.height, image.width), shape, f"{place}: image {image.id!r}")
        for position, annotation in parsed.annotations.get(image.id, ()):
            if annotation.iscrowd and self.crowds == "drop":
                continue
            where = f"{place}: $.annotations[{position}].segmentation"
            mask = from_coco(annotation.segmentation, shape, where, as_pycocotools=self.as_pycocotools)
            if mask is not None:
                own = annotation.id if isinstance(annotation.id, int) else None
                name = parsed.category(annotation)
                yield Object(mask, own, annotation.category_id, name, bool(annotation.iscrowd))


def _fields(image: _Image) -> dict[str, str]:
    """What patterns may use: what the JSON does not say is not among it."""
    fields = {"file_name": image.file_name} if image.file_name else {}
    folder, _, name = urlsplit(image.coco_url).path.rpartition("/")
    if name:
        fields |= {"coco_folder": folder.rpartition("/")[2], "coco_name": name}
    return fields


def _parse(data: bytes, where: str) -> _Parsed:
    return _parsed(decode(_DECODER, data, where, "COCO JSON"))


def _parse_pairs(data: bytes, where: str) -> _Parsed:
    return _parsed(decode(_PAIRS_DECODER, data, where, "COCO JSON of images and phrases"))


def _parsed(table: _Table) -> _Parsed:
    images: dict[Identity, _Image] = {}
    twice = []
    for image in table.images:
        if images.setdefault(image.id, image) is not image:
            twice.append(image.id)
    annotations: dict[Identity, list[tuple[int, _Annotation]]] = {}
    for position, annotation in enumerate(table.annotations):
        annotations.setdefault(annotation.image_id, []).append((position, annotation))
    return _Parsed(images, annotations, {category.id: category.name for category in table.categories}, twice)
