"""Polygons and COCO segmentations to runs, by pycocotools' rules, with nothing unchecked in front of them.

pycocotools walks along each edge in steps of a fifth of a pixel and keeps every step, so the length of an outline is
what its memory grows with: that is bounded here, and coordinates are finite. Outlines may leave the image; what is
outside is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from pycocotools import mask as coco
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError, SegmentationError
from asam_datasets.masks import Runs, Segmentation, from_segmentation

MAX_OUTLINE = 2**22
"""Longest outline of one mask, in pixels: pycocotools takes some 40 bytes for each."""

Ring = Sequence[float]
"""x and y in turn, in pixels."""


class _Coded(msgspec.Struct, frozen=True):
    """Runs as strangers write them: other fields may be there, and `counts` may be numbers, which `Runs` never are."""

    size: tuple[int, int]
    counts: str | list[int]


_RESIZED = "The mask belongs to another image, or one of the two was resized."
_DECODER = msgspec.json.Decoder(list[list[float]] | _Coded | None)


def from_coco(
    segmentation: msgspec.Raw, shape: tuple[int, int], where: str, *, as_pycocotools: bool = False
) -> RLEMask | None:
    """A `segmentation` of COCO's JSON: rings, runs as text, runs as numbers. None for one without a mask.

    Args:
        shape: (height, width) of the image in pixels.
        where: the annotation's place, for messages.
        as_pycocotools: see the layout `Coco`.

    Raises:
        RecordError: another type, coordinates out of bounds, or runs that are not of the image's size.
    """
    try:
        parsed = _DECODER.decode(segmentation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if as_pycocotools:
            return None
        problem = str(error).partition(" - at ")[0].replace("Expected", "expected", 1)
        raise RecordError(f"expected rings or COCO RLE, found otherwise: {problem}", where=where) from None
    if parsed is None:
        return None
    if isinstance(parsed, _Coded):
        return _from_runs(parsed, shape, where)
    return _as_pycocotools(parsed, shape, where) if as_pycocotools else from_rings(parsed, shape, where)


def from_rings(rings: Sequence[Ring], shape: tuple[int, int], where: str) -> RLEMask | None:
    """The union of some polygons, as COCO has it. Rings of fewer than three points are left out; None without any.

    Args:
        rings: as `Ring`.
        shape: (height, width) of the image in pixels.

    Raises:
        RecordError: an odd number of coordinates, one that is not finite, or an outline longer than `MAX_OUTLINE`.
    """
    usable = [ring for ring in rings if len(ring) >= 6]
    if not usable:
        return None
    check_rings(usable, where)
    return _checked(coco.merge(coco.frPyObjects([list(ring) for ring in usable], *shape)), shape)


def from_rings_even_odd(rings: Sequence[Ring], shape: tuple[int, int], where: str) -> RLEMask | None:
    """Polygons filled by the even-odd rule: a ring inside another one is a hole. Otherwise as `from_rings`."""
    usable = [ring for ring in rings if len(ring) >= 6]
    if not usable:
        return None
    check_rings(usable, where)
    mask = RLEMask.zeros(shape)
    for coded in coco.frPyObjects([list(ring) for ring in usable], *shape):
        mask = mask ^ _checked(coded, shape)
    return mask


def points(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """Points to a `Ring`."""
    return [number for pair in pairs for number in pair]


def _as_pycocotools(rings: list[list[float]], shape: tuple[int, int], where: str) -> RLEMask | None:
    # `frPyObjects` looks at the first ring alone: up to four numbers make it fail, more make all of them polygons.
    if not rings or len(rings[0]) <= 4:
        return None
    # It passes over half a point, which must stay: a first ring of four numbers would be a box.
    usable = [ring for ring in rings if len(ring) >= 2]
    check_rings([ring[: len(ring) // 2 * 2] for ring in usable], where)
    return _checked(coco.merge(coco.frPyObjects(usable, *shape)), shape)


def _from_runs(coded: _Coded, shape: tuple[int, int], where: str) -> RLEMask:
    check_shape(coded.size, shape, f"{where}.size")
    if isinstance(coded.counts, str):
        try:
            return from_segmentation(Runs(coded.size, coded.counts), shape=shape)
        except SegmentationError as error:
            raise RecordError(error.problem, where=f"{where}.{error.where}", hint=error.marked_hint) from None
    total = sum(coded.counts)
    if total != shape[0] * shape[1] or any(run < 0 for run in coded.counts):
        raise RecordError(
            f"expected runs of at least 0 pixels that cover {shape[0]} × {shape[1]} = {shape[0] * shape[1]} pixels, "
            f"found {len(coded.counts)} that add up to {total}",
            where=f"{where}.counts",
        )
    return RLEMask.from_counts(coded.counts, shape)  # joins the runs around an empty one


def _checked(coded: Segmentation, shape: tuple[int, int]) -> RLEMask:
    return from_segmentation(coded, shape=shape)


def check_rings(rings: Sequence[Ring], where: str) -> None:
    """Refuse outlines that no rasterizer should be given.

    Raises:
        RecordError: an odd number of coordinates, one that is not finite, or an outline longer than `MAX_OUTLINE`.
    """
    length = 0.0
    for ring in rings:
        if len(ring) % 2:
            raise RecordError(f"expected x and y in turn, found {len(ring)} numbers", where=where)
        xy = np.asarray(ring, np.float64).reshape(-1, 2)
        if not np.isfinite(xy).all():
            raise RecordError("expected finite coordinates, found others", where=where)
        inside = np.abs(xy).max(initial=0) <= MAX_OUTLINE
        length += float(np.abs(xy - np.roll(xy, 1, axis=0)).max(axis=1, initial=0).sum()) if inside else math.inf
        if length > MAX_OUTLINE:
            raise RecordError(f"expected an outline of at most {MAX_OUTLINE} pixels, found a longer one", where=where)


def check_shape(found: tuple[int, ...], shape: tuple[int, int], where: str) -> None:
    """Refuse a mask that does not have the image's (height, width).

    Raises:
        RecordError: it does not.
    """
    if found != shape:
        sides = " × ".join(map(str, found))
        raise RecordError(
            f"expected the image's size, {shape[0]} × {shape[1]} (height × width), found {sides}",
            where=where,
            hint=_RESIZED,
        )
