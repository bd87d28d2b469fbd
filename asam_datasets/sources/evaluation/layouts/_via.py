"""JSON of the VGG Image Annotator, versions 1 and 2."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources._polygons import from_rings
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Folder, Object
from asam_datasets.sources.evaluation.layouts._json import (
    JSONLayout,
    JSONStruct,
    Listed,
    decode,
    decode_own,
    load,
    lost,
)


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
# People draw with both: with `polyline` they click all the way round, and the ring is closed.
_RINGS = ("polygon", "polyline")


class Via(JSONLayout, frozen=True, kw_only=True, tag="via"):
    """JSON of the VGG Image Annotator: `regions` as dict (version 1) or list (version 2). Each polygon is a mask, and
    each polyline, as a closed ring.

    Images are found by `filename`, as the keys of the file carry its size besides.

    Args:
        category_attribute: the region attribute that names the class, or several, of which the first that says
            something counts; empty for none.
        other_shapes: what becomes of a region that is neither, such as a circle: an error, or passed over and counted.
    """

    category_attribute: str | tuple[str, ...] = ""
    other_shapes: Literal["reject", "skip"] = "reject"

    later: ClassVar[frozenset[str]] = JSONLayout.later | {"other_shapes"}

    def images(self, folder: Folder, json: str, bad: BadRecords) -> Iterator[Listed]:
        """The images in the order of the file; names that come twice are reported."""
        parsed = load(folder, json, _parse)
        for name in parsed.twice:
            folder.reject(bad, f"expected the filename {name!r} once, found it again", json)
        for name in parsed.files:
            yield Listed(f"{json}: {name}", {"file_name": name}, None, name)

    def evidence(self, folder: Folder, ref: EvaluationRef) -> Iterator[Evidence]:
        """The regions of this image."""
        file = load(folder, ref.masks[0], _parse).files.get(ref.key)
        if file is None:
            raise lost(folder, ref)
        place = f"{folder.place(ref.masks[0])}: {ref.key}: regions"
        yield Evidence(bytes(file.regions), partial(self._objects, place, file.regions))

    def _objects(self, place: str, content: msgspec.Raw, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file, cut off at the image's edges."""
        regions = decode_own(_REGIONS, content, place, "regions of VIA")
        for key, region in regions.items() if isinstance(regions, dict) else enumerate(regions):
            where = f"{place}[{key}]"
            outline = region.shape_attributes
            if outline.name not in _RINGS and self.other_shapes == "skip":
                yield Object(RLEMask.zeros(shape), skipped=True)
                continue
            if outline.name not in _RINGS:
                raise RecordError(f"expected a polygon or a polyline, found {outline.name!r}", where=where)
            xs, ys = outline.all_points_x, outline.all_points_y
            if len(xs) != len(ys):
                raise RecordError(f"expected as many x as y, found {len(xs)} and {len(ys)}", where=where)
            mask = from_rings([[n for xy in zip(xs, ys, strict=True) for n in xy]], shape, where)
            if mask is not None:
                yield Object(mask, category=self._category(region.region_attributes))

    def _category(self, attributes: dict[str, Any]) -> str | None:
        """What the first attribute that is filled in says."""
        wanted = self.category_attribute
        for name in (wanted,) if isinstance(wanted, str) else wanted:
            value = attributes.get(name)
            if isinstance(value, str) and value.strip():
                return value
        return None


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
