"""WoodScape's polygon JSON, one per image."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources._polygons import check_shape, from_rings, points
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES
from asam_datasets.sources.evaluation._opencv import from_rings_opencv, load_opencv
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Crowds, Raster
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
    """WoodScape's JSON per image: one ring per annotation, with a tag. Its one key is the file's own name.

    As the official code does, annotations that have not exactly one tag are left out, and counted.

    Args:
        ignored_tags: annotations with one of these never become a mask.
        crowd_prefix: a tag that starts so marks a group of objects.
        raster: who fills the polygons; the official code calls `cv2.fillPoly`.
    """

    ignored_tags: tuple[str, ...] = ()
    crowd_prefix: str = ""
    crowds: Crowds = "drop"
    raster: Raster = "opencv"

    def require(self) -> None:
        """OpenCV, where it fills."""
        if self.raster == "opencv":
            load_opencv()

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
        fill = from_rings_opencv if self.raster == "opencv" else from_rings
        for position, annotation in enumerate(image.annotation):
            if len(annotation.tags) != 1:
                yield Object(RLEMask.zeros(shape), skipped=True)
                continue
            (tag,) = annotation.tags
            if tag in self.ignored_tags:
                continue
            is_group = bool(self.crowd_prefix) and tag.startswith(self.crowd_prefix)
            if is_group and self.crowds == "drop":
                continue
            mask = fill([points(annotation.segmentation)], shape, f"{where}: annotation[{position}]")
            if mask is not None:
                yield Object(mask, position + 1, category=tag, iscrowd=is_group)
