"""WoodScape's polygon JSON, one per image."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES, check_shape
from asam_datasets.sources.evaluation._polygons import from_rings, points
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Crowds
from asam_datasets.sources.evaluation.layouts._json import JSONStruct, decode
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout


class _Annotation(JSONStruct, frozen=True, gc=False):
    tags: list[str]
    segmentation: list[tuple[float, float]]


class _Image(JSONStruct, frozen=True, gc=False):
    image_width: int
    image_height: int
    annotation: list[_Annotation]


_DECODER = msgspec.json.Decoder(dict[str, _Image])


class WoodScape(PairedLayout, frozen=True, kw_only=True, tag="woodscape"):
    """WoodScape's JSON per image: one ring per annotation, with tags. Its one key is the file's own name.

    Args:
        ignored_tags: annotations with one of these never become a mask.
        crowd_prefix: a tag that starts so marks a group of objects.
    """

    ignored_tags: tuple[str, ...] = ()
    crowd_prefix: str = ""
    crowds: Crowds = "drop"

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file, cut off at the image's edges."""
        where = folder.place(name)
        data = folder.read(name, limit_bytes=MAX_IMAGE_BYTES)
        try:
            images = decode(_DECODER, data, where, "JSON of WoodScape")
        except SourceError as error:
            raise RecordError(error.problem, where=error.where) from None
        if len(images) != 1:
            raise RecordError(f"expected one key, the file's own name, found {len(images)}", where=where)
        (image,) = images.values()
        check_shape((image.image_height, image.image_width), shape, where)
        for position, annotation in enumerate(image.annotation):
            if not set(self.ignored_tags).isdisjoint(annotation.tags):
                continue
            prefix = self.crowd_prefix
            is_group = bool(prefix) and any(tag.startswith(prefix) for tag in annotation.tags)
            if is_group and self.crowds == "drop":
                continue
            mask = from_rings([points(annotation.segmentation)], shape, f"{where}: annotation[{position}]")
            if mask is not None:
                category = annotation.tags[0] if annotation.tags else None
                yield Object(mask, position + 1, category=category, iscrowd=is_group)
