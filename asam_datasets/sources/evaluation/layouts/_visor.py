"""VISOR's polygon JSON, one per video."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from asam_datasets.errors import RecordError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import check_shape
from asam_datasets.sources.evaluation._patterns import find
from asam_datasets.sources.evaluation._polygons import from_rings_even_odd, points
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._json import JSONStruct, decode, load, locate, missing
from asam_datasets.sources.evaluation.layouts._structs import Visor


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


class VisorAdapter:
    """Each annotation is a mask by itself, so that overlaps stay; several polygons of one are filled even-odd."""

    def index(self, layout: Visor, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """The frames of each video."""
        for part in layout.parts:
            for json, fields in sorted(find(folder.root, part.json)):
                for position, frame in enumerate(load(folder, json, _parse)):
                    known = {**fields, "file_name": frame.image.name}
                    member = f"{json}: $.video_annotations[{position}]"
                    try:
                        found = locate(folder, part.images, known, member)
                    except RecordError as error:
                        folder.reject_error(bad, error, member)
                        continue
                    if found is not None:
                        yield EvaluationRef(*found, frame.image.name.rpartition(".")[0], (json,), str(position))
                    elif layout.lone_images == "reject":
                        folder.reject(bad, missing(part.images, known), member)

    def objects(self, layout: Visor, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file."""
        place = f"{folder.place(ref.masks[0])}: $.video_annotations[{ref.key}]"
        check_shape(layout.size, shape, place)
        try:
            annotations = _ANNOTATIONS.decode(self._frame(folder, ref).annotations)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            problem = str(error).replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
            raise RecordError(f"expected annotations of VISOR: {problem}", where=place) from None
        for position, annotation in enumerate(annotations):
            rings = [points(segment) for segment in annotation.segments]
            mask = from_rings_even_odd(rings, shape, f"{place}.annotations[{position}].segments")
            if mask is not None:
                yield Object(mask, position + 1, annotation.class_id, annotation.name)

    def evidence(self, layout: Visor, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """The annotations of this frame."""
        yield bytes(self._frame(folder, ref).annotations)

    @staticmethod
    def _frame(folder: Folder, ref: EvaluationRef) -> _Frame:
        return load(folder, ref.masks[0], _parse)[int(ref.key)]


def _parse(data: bytes, where: str) -> list[_Frame]:
    return decode(_VIDEO, data, where, "JSON of VISOR").video_annotations
