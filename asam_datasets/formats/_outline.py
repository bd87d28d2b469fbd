"""A mask as ONE closed line, for forms that have room for one: holes and parts are joined by bridges.

The line goes through the centers of the mask's outermost pixels, as OpenCV's `findContours` has it and `fillPoly` takes
it back: filled by the even-odd rule, with the line itself painted, it is the mask again. A bridge is a cut that the
line goes there and back. One to a hole lies inside the mask and changes nothing; one between parts that do not touch
paints a line of one pixel between them.

Loops are followed along the edges between pixels, with pixels that touch at a corner as neighbours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

Points = NDArray[np.int64]
"""x and y of pixels: int64 (points, 2)."""

_STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)])  # right, down, left, up: the mask is on the right-hand side
# Of each edge, from the corner of its pixel: where it begins, as (x, y).
_BEGINS = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
_TOLERANCES = (0.75, 1.5, 3.0, 6.0, 12.0, 25.0, 50.0, 100.0)
_MOST_PAIRS = 2**22  # distances that are computed at once


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
    corners = [_without_straight(loop) for loop in loops]
    simplified = False
    for tolerance in _TOLERANCES:
        if _count(corners) <= most_points:
            break
        simplified = True
        corners = [_simplify(loop, tolerance) for loop in corners]
    if _count(corners) > most_points:
        corners, areas = _largest(corners, areas, most_points)
    return Outline(_joined(corners, areas) + np.array((x - 1, y - 1)), parts, simplified)


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


def _without_straight(loop: Points) -> Points:
    """The loop without points that lie on the way between their neighbours."""
    if len(loop) < 3:
        return loop
    before, after = loop - np.roll(loop, 1, axis=0), np.roll(loop, -1, axis=0) - loop
    straight = (before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]) & ((before * after).sum(axis=1) > 0)
    kept = loop[~straight]
    return kept if len(kept) else loop[:1]


def _simplify(loop: Points, tolerance: float) -> Points:
    """Ramer, Douglas and Peucker: the points without which the loop would move by more than the tolerance."""
    if len(loop) < 4:
        return loop
    far = int(((loop - loop[0]) ** 2).sum(axis=1).argmax())
    closed = np.concatenate([loop, loop[:1]])
    kept = np.zeros(len(closed), bool)
    kept[[0, far]] = True
    stack = [(0, far), (far, len(loop))]
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
    return loop[kept[:-1]]


def _count(loops: list[Points]) -> int:
    """How many points the joined line will have."""
    return sum(map(len, loops)) + 2 * (len(loops) - 1)


def _largest(loops: list[Points], areas: NDArray[np.int64], most_points: int) -> tuple[list[Points], NDArray[np.int64]]:
    order = np.argsort(-np.abs(areas), kind="stable").tolist()
    kept = 1
    while kept < len(order) and _count([loops[place] for place in order[: kept + 1]]) <= most_points:
        kept += 1
    return [loops[place] for place in order[:kept]], areas[order[:kept]]


def _joined(loops: list[Points], areas: NDArray[np.int64]) -> Points:
    """One line along all loops.

    Each is joined where it is nearest to those that are joined already; the nearest pair of all comes first, so that no
    bridge crosses a third loop.
    """
    if len(loops) == 1:
        return loops[0]
    start = int(np.argmax(areas))
    rest = [place for place in range(len(loops)) if place != start]
    owner = np.repeat(rest, [len(loops[place]) for place in rest])
    index = np.concatenate([np.arange(len(loops[place])) for place in rest])
    points = np.concatenate([loops[place] for place in rest])
    best = np.full(len(points), np.inf)
    bridge = np.zeros((len(points), 2), np.int64)  # loop and point of it that is nearest
    children: dict[tuple[int, int], list[tuple[int, int]]] = {}
    newest = start
    while len(points):
        distance, nearest = _nearest(points, loops[newest])
        closer = distance < best
        best[closer] = distance[closer]
        bridge[closer] = np.stack([np.full(int(closer.sum()), newest), nearest[closer]], axis=1)
        place = int(best.argmin())
        newest, (anchor, point) = int(owner[place]), bridge[place]
        children.setdefault((int(anchor), int(point)), []).append((newest, int(index[place])))
        left = owner != newest
        owner, index, points, best, bridge = owner[left], index[left], points[left], best[left], bridge[left]
    return _walk(loops, children, start)


def _nearest(points: Points, loop: Points) -> tuple[NDArray[np.float64], Points]:
    """Of each point the squared distance to the nearest point of a loop, and the number of that."""
    distance = np.empty(len(points))
    nearest = np.empty(len(points), np.int64)
    step = max(1, _MOST_PAIRS // len(loop))
    for first in range(0, len(points), step):
        some = points[first : first + step]
        pairs = (some[:, None, 0] - loop[None, :, 0]) ** 2 + (some[:, None, 1] - loop[None, :, 1]) ** 2
        nearest[first : first + step] = pairs.argmin(axis=1)
        distance[first : first + step] = pairs.min(axis=1)
    return distance, nearest


def _walk(loops: list[Points], children: dict[tuple[int, int], list[tuple[int, int]]], start: int) -> Points:
    """Along a loop from a point to the same point, with each loop that hangs on a point of it walked in between."""
    line: list[Points] = []
    # What is still to do, last first: a point, or a loop from one of its points.
    stack: list[tuple[bool, int, int]] = [(True, start, 0)]
    while stack:
        is_loop, loop, point = stack.pop()
        if not is_loop:
            line.append(loops[loop][point])
            continue
        size = len(loops[loop])
        around = [(point + step) % size for step in range(size)]
        todo: list[tuple[bool, int, int]] = []
        for one in around:
            todo.append((False, loop, one))
            for child, entry in children.get((loop, one), ()):
                todo += [(True, child, entry), (False, loop, one)]
        if loop != start and size > 1:
            todo.append((False, loop, point))  # closed before the bridge goes back
        stack += reversed(todo)
    return np.array(line)
