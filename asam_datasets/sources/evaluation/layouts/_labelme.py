"""LabelMe's XML, one per image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NoReturn
from xml.etree import ElementTree

from rlemasklib import RLEMask

from asam_datasets.errors import RecordError
from asam_datasets.sources._polygons import check_shape, from_rings
from asam_datasets.sources.evaluation._records import Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Crowds
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout

_MAX_BYTES = 2**22
"""Largest file: one of a few bytes an element takes some hundred megabytes as a tree."""


class LabelMe(PairedLayout, frozen=True, kw_only=True, tag="labelme"):
    """LabelMe's XML per image: each object that was not deleted is a mask, as COCO fills its polygon.

    Its class is its name, with small letters and blanks: people wrote `Left hand`, `left_hand` and so on.

    Args:
        crowd_prefix: a name that starts so, in small letters, marks a group of objects.
        other_shapes: what becomes of an object that is a box, or has no polygon: an error, or passed over and counted.
    """

    crowd_prefix: str = ""
    crowds: Crowds = "drop"
    other_shapes: Literal["reject", "skip"] = "reject"

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in the order of the file, cut off at the image's edges."""
        where = folder.place(name)
        root = _tree(folder.read(name, limit_bytes=_MAX_BYTES), where)
        size = [_text(root, f"imagesize/{side}") for side in ("nrows", "ncols")]
        if all(size):
            check_shape((_int(size[0], where), _int(size[1], where)), shape, where)
        for position, one in enumerate(root.iterfind("object")):
            if _text(one, "deleted") == "1":
                continue
            place = f"{where}: object[{position}]"
            category = " ".join(_text(one, "name").replace("_", " ").lower().split())
            is_group = bool(self.crowd_prefix) and category.startswith(self.crowd_prefix)
            if is_group and self.crowds == "drop":
                continue
            if one.find("polygon") is None or _text(one, "type") == "bounding_box":
                if self.other_shapes == "reject":
                    raise RecordError("expected a polygon, found an object without one", where=place)
                yield Object(RLEMask.zeros(shape), skipped=True)
                continue
            ring = [_float(_text(pt, axis), place) for pt in one.iterfind("polygon/pt") for axis in ("x", "y")]
            mask = from_rings([ring], shape, place)
            if mask is not None:
                yield Object(mask, position + 1, category=category or None, iscrowd=is_group)


class _NoEntities(ElementTree.TreeBuilder):
    """Ends at a document type: LabelMe writes none, and entities could make gigabytes out of a few bytes."""

    def doctype(self, *_: Any) -> NoReturn:
        raise ValueError("a document type")


def _tree(data: bytes, where: str) -> ElementTree.Element:
    """The root of a file.

    Raises:
        RecordError: it is no XML of LabelMe.
    """
    parser = ElementTree.XMLParser(target=_NoEntities())
    try:
        parser.feed(data)
        root: ElementTree.Element = parser.close()
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # also an encoding that nobody knows
        raise RecordError(f"expected XML of LabelMe, found: {str(error)[:200]}", where=where) from None
    if root.tag != "annotation":
        raise RecordError(f"expected XML of LabelMe, whose root is annotation, found {root.tag[:80]!r}", where=where)
    return root


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _int(text: str, where: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise RecordError(f"expected the image's size in pixels, found {text[:80]!r}", where=where)
    return int(text)


def _float(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RecordError(f"expected a coordinate, found {text[:80]!r}", where=where) from None
