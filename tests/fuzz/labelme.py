"""LabelMe's XML: judged by another parser, of minidom, and by COCO's way to fill a polygon, written a second time."""

from __future__ import annotations

import math
import random
from xml.dom import minidom

import numpy as np

from asam_datasets.errors import AsamDatasetsError
from fuzz import mutate, sets
from fuzz.polygons import Bitmap, fill
from fuzz.target import Target, refused

H, W = sets.SHAPE
ODD = ("nan", "inf", "-1e300", "1_0", "", "five", "\n 7 \n", "&#55;", "<b/>", "٣", "1" * 400)
NAMES = ("Left hand", "right_HAND", "", "a &amp; b", "&h;", "\n", "<![CDATA[x]]>")
HEADS = (
    "",
    "",
    "",
    '<?xml version="1.0"?>',
    '<?xml version="1.0" encoding="latin-1"?>',
    '<!DOCTYPE a [<!ENTITY h "&#9;">]>',
)


def _number(rng: random.Random, top: int) -> str:
    if rng.random() < 0.03:
        return rng.choice(ODD)
    return str(rng.randint(-3, top + 3)) if rng.random() < 0.6 else f"{rng.uniform(-2, top + 2):.3f}"


def _object(rng: random.Random) -> str:
    points = "".join(
        f"<pt><x>{_number(rng, W)}</x><y>{_number(rng, H)}</y></pt>" for _ in range(rng.choice((0, 1, 2, 3, 4, 5, 9)))
    )
    polygon = "" if rng.random() < 0.05 else f"<polygon><username>u</username>{points}</polygon>"
    kind = "<type>bounding_box</type>" if rng.random() < 0.05 else ""
    deleted = rng.choice(("0", "0", "0", "1", ""))
    return f"<object><name>{rng.choice(NAMES)}</name><deleted>{deleted}</deleted>{kind}{polygon}</object>"


def _file(rng: random.Random) -> bytes:
    rows = rng.choice((str(H),) * 12 + ("", str(H + 1), "many"))
    objects = "".join(_object(rng) for _ in range(rng.randrange(4)))
    root = "annotation" if rng.random() < 0.97 else "html"
    size = f"<imagesize><nrows>{rows}</nrows><ncols>{W}</ncols></imagesize>"
    data = f"{rng.choice(HEADS)}<{root}>{objects}{size}</{root}>".encode()
    return mutate.blob(rng, data) if rng.random() < 0.2 else data


def try_one(rng: random.Random) -> bool:
    """One file of one image."""
    data = _file(rng)
    sets.write(sets.root("fuzz_labelme") / "masks/one.bin", data)
    try:
        record = sets.read("fuzz_labelme")
    except AsamDatasetsError as error:
        return refused(error)
    expected = _expected(data)
    found = sets.bitmaps(record)
    assert len(found) == len(expected), "more masks, or fewer"
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)), "other masks"
    return True


def _expected(data: bytes) -> list[Bitmap]:
    """The masks of what was taken."""
    document = minidom.parseString(data)
    assert document.doctype is None, "a document type was taken"
    assert document.documentElement.tagName == "annotation"
    masks = []
    for one in _children(document.documentElement, "object"):
        if _text(one, "deleted") == "1" or _text(one, "type") == "bounding_box":
            continue
        points = [point for polygon in _children(one, "polygon") for point in _children(polygon, "pt")]
        ring = [float(_text(point, axis)) for point in points for axis in ("x", "y")]
        assert all(map(math.isfinite, ring)) or len(points) < 3
        if len(points) >= 3 and (mask := fill(ring)).any():
            masks.append(mask)
    return masks


def _children(element: minidom.Element, name: str) -> list[minidom.Element]:
    return [one for one in element.childNodes if one.nodeType == one.ELEMENT_NODE and one.tagName == name]


def _text(element: minidom.Element, name: str) -> str:
    """The text of the first child of that name, up to a child of its own."""
    for child in _children(element, name)[:1]:
        texts = []
        for one in child.childNodes:
            if one.nodeType == one.ELEMENT_NODE:
                break
            texts.append(one.data if one.nodeType in (one.TEXT_NODE, one.CDATA_SECTION_NODE) else "")
        return "".join(texts).strip()
    return ""


TARGET = Target("labelme", try_one, share=20_000, short=150)
