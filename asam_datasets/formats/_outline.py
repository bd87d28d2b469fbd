"""A mask as ONE closed line, for forms that have room for one: holes and parts are joined by bridges.

The line goes through the centers of the mask's outermost pixels, as OpenCV's `findContours` has it and `fillPoly` takes
it back: filled by the even-odd rule, with the line itself painted, it is the mask again. A bridge is a cut that the
line goes there and back (see `_bridges.py`). One to a hole lies inside the mask and changes nothing; one between parts
that do not touch paints a line of one pixel between them, the shortest there is.

Loops are followed along the edges between pixels, with pixels that touch at a corner as neighbours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.formats._bridges import Points, bridges, joined, points_of

_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # right, down, left, up: the mask is on the right-hand side
# Of each edge, from the corner of its pixel: where it begins, as (x, y).
_BEGINS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
_TOLERANCES = (0.75, 1.5, 3.0, 6.0, 12.0, 25.0, 50.0, 100.0)


class Outline(NamedTuple):
    """A closed line through pixels, its first point not repeated; `parts` that do not touch were joined, and the line
    was `simplified` to keep to the number of points."""

    points: Points
    parts: int
    simplified: bool


def outline(mask: RLEMask, *, most_points: int = 1000) -> Outline | None:
    """The closed line of a mask; None for one without a pixel.

    Args:
        mask: any.
        most_points: that the line has; outlines of more are simplified, and parts that are too many to be joined by
            so few points are left out, the smallest first.
    """
    x, y, width, height = (int(side) for side in mask.bbox())
    if not width or not height:
        return None
    pixels = np.zeros((height + 2, width + 2), np.uint8)
    pixels[1:-1, 1:-1] = mask.crop((x, y, width, height)).to_array(order="C") != 0
    loops, areas = _loops(pixels)
    parts = int(np.count_nonzero(areas > 0))
    largest_first = np.argsort(-np.abs(areas), kind="stable")
    room = 1 + (most_points - 1) // 3  # a loop takes a point and the way there and back
    while True:
        chosen = np.sort(largest_first[:room])
        line, simplified = _line([loops[place] for place in chosen], areas[chosen], most_points)
        if len(line) <= most_points or len(chosen) == 1:
            return Outline(line + np.array((x - 1, y - 1)), parts, simplified or len(chosen) < len(loops))
        room = max(1, min(len(chosen) - 1, len(chosen) * most_points // len(line)))


def _line(loops: Sequence[Points], areas: NDArray[np.int64], most_points: int) -> tuple[Points, bool]:
    """One line along all loops, and whether it was simplified to have no more points, or nearly."""
    start = int(np.argmax(areas))
    ways = bridges(loops, [_corners(loop) for loop in loops], start)
    fixed = [np.zeros(len(loop), bool) for loop in loops]
    for way in ways:
        fixed[way.near.loop][way.near.point] = fixed[way.far.loop][way.far.point] = True
    kept = [_corners(loop, ends) for loop, ends in zip(loops, fixed, strict=True)]
    if sum(map(len, kept)) + points_of(ways) > most_points:  # bends cost little shape, and go first
        ways = [way._replace(bend=None) for way in ways]
    simplified = False
    for tolerance in _TOLERANCES:
        if sum(map(len, kept)) + points_of(ways) <= most_points:
            break
        simplified = True
        kept = [_simplify(*loop, tolerance) for loop in zip(loops, kept, fixed, strict=True)]
    return joined(loops, kept, ways, start), simplified


def _loops(pixels: NDArray[np.uint8]) -> tuple[list[Points], NDArray[np.int64]]:
    """The closed lines around the regions of a padded mask, through its own pixels, and the area that each encloses:
    above 0 around a region, below 0 around a hole."""
    edges = [
        np.argwhere((pixels == 1) & (np.roll(pixels, shift, axis) == 0))
        for shift, axis in ((1, 0), (-1, 1), (-1, 0), (1, 1))
    ]
    pixel = np.concatenate([one[:, ::-1] for one in edges])
    direction = np.repeat(np.arange(4), [len(one) for one in edges])
    begin = pixel + _BEGINS[direction]
    end = begin + _STEPS[direction]
    stride = pixels.shape[1] + 2
    key = (begin[:, 1] * stride + begin[:, 0]) * 4 + direction
    order = np.argsort(key)
    ordered = key[order]
    following = np.full(len(key), -1)
    # At a corner where two pixels touch, go on to the other one: to the left first.
    for turn in (1, 0, 3):
        wanted = (end[:, 1] * stride + end[:, 0]) * 4 + (direction + turn) % 4
        place = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        found = ordered[place] == wanted
        following[found] = order[place[found]]
    return _cycles(following.tolist(), pixel, begin, end)


def _cycles(following: list[int], pixel: Points, begin: Points, end: Points) -> tuple[list[Points], NDArray[np.int64]]:
    seen = bytearray(len(following))
    loops, areas = [], []
    twice = begin[:, 0] * end[:, 1] - begin[:, 1] * end[:, 0]
    for start in range(len(following)):
        if seen[start]:
            continue
        cycle, at = [], start
        while not seen[at]:
            seen[at] = 1
            cycle.append(at)
            at = following[at]
        line = pixel[cycle]
        loops.append(line[np.any(line != np.roll(line, 1, axis=0), axis=1)] if len(line) > 1 else line)
        if not len(loops[-1]):  # a single pixel
            loops[-1] = line[:1]
        areas.append(int(twice[cycle].sum()) // 2)
    return loops, np.array(areas)


def _corners(loop: Points, fixed: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
    """The places of a loop, without those on the way between their neighbours unless they are fixed."""
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    straight = (before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]) & ((before * after).sum(axis=1) > 0)
    kept = ~straight if fixed is None else ~straight | fixed
    return np.flatnonzero(kept)


def _simplify(loop: Points, places: NDArray[np.int64], fixed: NDArray[np.bool_], tolerance: float) -> NDArray[np.int64]:
    """Ramer, Douglas and Peucker: of some places of a loop those that are fixed, and those without which it would move
    by more than the tolerance."""
    if len(places) < 4:
        return places
    points = loop[places]
    kept = fixed[places]
    kept[[0, int(((points - points[0]) ** 2).sum(axis=1).argmax())]] = True
    closed = np.concatenate([points, points[:1]])
    ends = [*np.flatnonzero(kept).tolist(), len(points)]
    kept = np.append(kept, True)
    stack = list(itertools.pairwise(ends))
    while stack:
        first, last = stack.pop()
        if last - first < 2:
            continue
        start, way = closed[first], closed[last] - closed[first]
        offset = closed[first + 1 : last] - start
        length = float(np.hypot(*way))
        distance = np.abs(way[0] * offset[:, 1] - way[1] * offset[:, 0]) / length if length else np.hypot(*offset.T)
        worst = int(distance.argmax())
        if distance[worst] > tolerance:
            middle = first + 1 + worst
            kept[middle] = True
            stack += [(first, middle), (middle, last)]
    return places[kept[:-1]]
