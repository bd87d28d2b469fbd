"""VISOR's polygon JSON, one per video."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import msgspec

from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources._polygons import check_shape, from_rings_even_odd, points
from asam_datasets.sources.evaluation._opencv import from_rings_opencv, load_opencv
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Folder, Object, without_ending
from asam_datasets.sources.evaluation.layouts._base import Raster
from asam_datasets.sources.evaluation.layouts._json import (
    JSONLayout,
    JSONStruct,
    Listed,
    decode,
    decode_own,
    load,
    lost,
)


class _Image(JSONStruct, frozen=True, gc=False):
    name: str


class _Frame(JSONStruct, frozen=True, gc=False):
    image: _Image
    annotations: msgspec.Raw


class _Video(JSONStruct, frozen=True, gc=False):
    video_annotations: list[_Frame]


class _Annotation(JSONStruct, frozen=True, gc=False):
    name: str | None = None
    class_id: int | None = None
    segments: list[list[tuple[float, float]]] = msgspec.field(default_factory=list)


_VIDEO = msgspec.json.Decoder(_Video)
_ANNOTATIONS = msgspec.json.Decoder(list[_Annotation])


class Visor(JSONLayout, frozen=True, kw_only=True, tag="visor"):
    """VISOR's JSON per video: each annotation is a mask by itself, so that overlaps stay, and a list of polygons, which
    are filled by the even-odd rule.

    Args:
        size: (height, width) in pixels that the coordinates are meant for.
        raster: who fills the polygons; the official code calls `cv2.fillPoly`.
    """

    size: tuple[int, int] = (1080, 1920)
    raster: Raster = "opencv"

    def require(self) -> None:
        """OpenCV, where it fills."""
        if self.raster == "opencv":
            load_opencv()

    def images(self, folder: Folder, json: str, bad: BadRecords) -> Iterator[Listed]:
        """The frames of a video."""
        for position, frame in enumerate(load(folder, json, _parse)):
            name = frame.image.name
            yield Listed(
                f"{json}: $.video_annotations[{position}]", {"file_name": name}, without_ending(name), str(position)
            )

    def evidence(self, folder: Folder, ref: EvaluationRef) -> Iterator[Evidence]:
        """The annotations of this frame."""
        frames = load(folder, ref.masks[0], _parse)
        position = int(ref.key)
        if position >= len(frames) or without_ending(frames[position].image.name) != ref.image_id:
            raise lost(folder, ref)
        content = frames[position].annotations
        place = f"{folder.place(ref.masks[0])}: $.video_annotations[{position}]"
        yield Evidence(bytes(content), partial(self._objects, place, content))

    def _objects(self, place: str, content: msgspec.Raw, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file."""
        check_shape(self.size, shape, place)
        annotations = decode_own(_ANNOTATIONS, content, place, "annotations of VISOR")
        for position, annotation in enumerate(annotations):
            rings = [points(segment) for segment in annotation.segments]
            fill = from_rings_opencv if self.raster == "opencv" else from_rings_even_odd
            mask = fill(rings, shape, f"{place}.annotations[{position}].segments")
            if mask is not None:
                yield Object(mask, position + 1, annotation.class_id, annotation.name)


def _parse(data: bytes, where: str) -> list[_Frame]:
    return decode(_VIDEO, data, where, "JSON of VISOR").video_annotations
