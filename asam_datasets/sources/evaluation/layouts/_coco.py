"""COCO JSON, and LVIS JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from asam_datasets.errors import RecordError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import check_shape
from asam_datasets.sources.evaluation._patterns import find
from asam_datasets.sources.evaluation._polygons import from_coco
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._json import JSONStruct, decode, encoded, load, locate, missing
from asam_datasets.sources.evaluation.layouts._structs import Coco

Identity = int | str


class _Image(JSONStruct, frozen=True, gc=False):
    id: Identity
    file_name: str = ""
    coco_url: str = ""
    width: int | None = None
    height: int | None = None


class _Annotation(JSONStruct, frozen=True, gc=False):
    image_id: Identity
    id: Identity | None = None
    category_id: int | None = None
    iscrowd: int | bool = 0
    segmentation: msgspec.Raw = msgspec.Raw(b"null")


class _Category(JSONStruct, frozen=True, gc=False):
    id: int
    name: str


class _Table(JSONStruct, frozen=True, gc=False):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category] = msgspec.field(default_factory=list)


class _Parsed(NamedTuple):
    images: dict[Identity, _Image]
    annotations: dict[Identity, list[tuple[int, _Annotation]]]
    names: dict[int, str]
    twice: list[Identity]


_DECODER = msgspec.json.Decoder(_Table)


class CocoAdapter:
    """Each annotation is a mask."""

    def index(self, layout: Coco, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """The images of each JSON, in all parts that are there."""
        for part in layout.parts:
            for json, _ in sorted(find(folder.root, part.json)):
                parsed = load(folder, json, _parse)
                for identity in parsed.twice:
                    folder.reject(bad, f"expected image id {identity!r} once, found it again", json)
                for image in parsed.images.values():
                    fields = _fields(image)
                    member = f"{json}: image {image.id!r}"
                    try:
                        found = locate(folder, part.images, fields, member)
                    except RecordError as error:
                        folder.reject_error(bad, error, member)
                        continue
                    if found is not None:
                        key = msgspec.json.encode(image.id).decode()
                        yield EvaluationRef(*found, str(image.id), (json,), key)
                    elif layout.lone_images == "reject":
                        folder.reject(bad, missing(part.images, fields), member)
                for identity, lost in parsed.annotations.items():
                    if identity in parsed.images:
                        continue
                    position = lost[0][0]
                    problem = f"expected the id of an image of this file, found {identity!r}"
                    folder.reject(bad, problem, f"{json}: $.annotations[{position}].image_id")

    def objects(self, layout: Coco, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file."""
        parsed = load(folder, ref.masks[0], _parse)
        identity = msgspec.json.decode(ref.key)
        image = parsed.images[identity]
        if image.height is not None and image.width is not None:
            check_shape((image.height, image.width), shape, folder.place(f"{ref.masks[0]}: image {identity!r}"))
        for position, annotation in parsed.annotations.get(identity, ()):
            if annotation.iscrowd and layout.crowds == "drop":
                continue
            where = folder.place(f"{ref.masks[0]}: $.annotations[{position}].segmentation")
            mask = from_coco(annotation.segmentation, shape, where, as_pycocotools=layout.as_pycocotools)
            if mask is not None:
                category = annotation.category_id
                name = None if category is None else parsed.names.get(category)
                own = annotation.id if isinstance(annotation.id, int) else None
                yield Object(mask, own, category, name, bool(annotation.iscrowd))

    def evidence(self, layout: Coco, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """What the file says of this image."""
        parsed = load(folder, ref.masks[0], _parse)
        identity = msgspec.json.decode(ref.key)
        image = parsed.images[identity]
        yield from encoded([image.height, image.width])
        for _, a in parsed.annotations.get(identity, ()):
            name = None if a.category_id is None else parsed.names.get(a.category_id)
            yield from encoded([a.id, a.category_id, name, int(a.iscrowd)])
            yield bytes(a.segmentation)


def _fields(image: _Image) -> dict[str, str]:
    """What patterns may use: what the JSON does not say is not among it."""
    fields = {"file_name": image.file_name} if image.file_name else {}
    folder, _, name = urlsplit(image.coco_url).path.rpartition("/")
    if name:
        fields |= {"coco_folder": folder.rpartition("/")[2], "coco_name": name}
    return fields


def _parse(data: bytes, where: str) -> _Parsed:
    table = decode(_DECODER, data, where, "COCO JSON")
    images: dict[Identity, _Image] = {}
    twice = []
    for image in table.images:
        if images.setdefault(image.id, image) is not image:
            twice.append(image.id)
    annotations: dict[Identity, list[tuple[int, _Annotation]]] = {}
    for position, annotation in enumerate(table.annotations):
        annotations.setdefault(annotation.image_id, []).append((position, annotation))
    return _Parsed(images, annotations, {category.id: category.name for category in table.categories}, twice)
