"""JSON of the VGG Image Annotator, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from asam_datasets.errors import RecordError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._patterns import find
from asam_datasets.sources.evaluation._polygons import from_rings
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._json import JSONStruct, decode, load, locate, missing
from asam_datasets.sources.evaluation.layouts._structs import Via


class _File(JSONStruct, frozen=True, gc=False):
    filename: str
    regions: msgspec.Raw = msgspec.Raw(b"[]")


class _Shape(JSONStruct, frozen=True, gc=False):
    name: str
    all_points_x: list[float] = msgspec.field(default_factory=list)
    all_points_y: list[float] = msgspec.field(default_factory=list)


class _Region(JSONStruct, frozen=True, gc=False):
    shape_attributes: _Shape
    region_attributes: dict[str, Any] = msgspec.field(default_factory=dict)


class _Parsed(NamedTuple):
    files: dict[str, _File]
    twice: list[str]


_FILES = msgspec.json.Decoder(dict[str, _File])
_TABLE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_REGIONS = msgspec.json.Decoder(list[_Region] | dict[str, _Region])
_PROJECT = "_via_img_metadata"


class ViaAdapter:
    """Each region is a mask; images are found by `filename`, as the keys of the file carry its size besides."""

    def index(self, layout: Via, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """The images of each JSON, in all parts that are there."""
        for part in layout.parts:
            for json, fields in sorted(find(folder.root, part.json)):
                parsed = load(folder, json, _parse)
                for name in parsed.twice:
                    folder.reject(bad, f"expected the filename {name!r} once, found it again", json)
                for name in parsed.files:
                    known = {**fields, "file_name": name}
                    member = f"{json}: {name}"
                    try:
                        found = locate(folder, part.images, known, member)
                    except RecordError as error:
                        folder.reject_error(bad, error, member)
                        continue
                    if found is not None:
                        yield EvaluationRef(*found, found[0].rpartition(".")[0], (json,), name)
                    elif layout.lone_images == "reject":
                        folder.reject(bad, missing(part.images, known), member)

    def objects(self, layout: Via, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file, cut off at the image's edges."""
        file = load(folder, ref.masks[0], _parse).files[ref.key]
        place = f"{folder.place(ref.masks[0])}: {ref.key}: regions"
        try:
            regions = _REGIONS.decode(file.regions)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            problem = str(error).replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
            raise RecordError(f"expected regions of VIA: {problem}", where=place) from None
        for key, region in regions.items() if isinstance(regions, dict) else enumerate(regions):
            where = f"{place}[{key}]"
            outline = region.shape_attributes
            if outline.name != "polygon":
                raise RecordError(f"expected a polygon, found {outline.name!r}", where=where)
            xs, ys = outline.all_points_x, outline.all_points_y
            if len(xs) != len(ys):
                raise RecordError(f"expected as many x as y, found {len(xs)} and {len(ys)}", where=where)
            mask = from_rings([[n for xy in zip(xs, ys, strict=True) for n in xy]], shape, where)
            if mask is not None:
                category = region.region_attributes.get(layout.category_attribute)
                yield Object(mask, category=category if isinstance(category, str) else None)

    def evidence(self, layout: Via, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """The regions of this image."""
        yield bytes(load(folder, ref.masks[0], _parse).files[ref.key].regions)


def _parse(data: bytes, where: str) -> _Parsed:
    table = decode(_TABLE, data, where, "JSON of VIA")
    if _PROJECT in table:  # a saved project has the same table one level down
        data = bytes(table[_PROJECT])
    files: dict[str, _File] = {}
    twice = []
    for file in decode(_FILES, data, where, "JSON of VIA").values():
        if files.setdefault(file.filename, file) is not file:
            twice.append(file.filename)
    return _Parsed(files, twice)
