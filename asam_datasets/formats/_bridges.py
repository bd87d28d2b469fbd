"""Cuts that join the loops of a mask to one line, each gone there and back.

Drawn, a bridge paints as many pixels as lie on the way, so it starts and ends at the nearest pixels of two loops, with
distances as a king walks. It goes straight or diagonally, with one bend at most: readers that put points of their own
into a line (ultralytics does) then paint the same pixels on both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]
"""x and y of pixels: int64 (points, 2)."""
Places = NDArray[np.int64]
"""Numbers of points of a loop."""

_MOST_PAIRS = 2**22  # distances that are computed at once
_MOST_PIXELS = 2**13  # of all loops, between which the nearest are sought; of more, between corners


class End(NamedTuple):
    """A point of a loop, both by number."""

    loop: int
    point: int


class Bridge(NamedTuple):
    """From a point of a loop that is joined to a point of the next one, by way of a bend if there is one."""

    near: End
    far: End
    bend: tuple[int, int] | None


def bridges(loops: Sequence[Points], corners: Sequence[Places], start: int) -> list[Bridge]:
    """What joins all loops, beginning with one.

    Each is joined where it is nearest to those that are joined already; the nearest pair of all comes first, so that no
    bridge crosses a third loop.
    """
    if sum(map(len, loops)) <= _MOST_PIXELS:
        corners = [np.arange(len(loop)) for loop in loops]
    rest = [place for place in range(len(loops)) if place != start]
    if not rest:
        return []
    owner = np.repeat(rest, [len(corners[place]) for place in rest])
    index = np.concatenate([corners[place] for place in rest])
    points = np.concatenate([loops[place][corners[place]] for place in rest])
    best = np.full(len(points), np.iinfo(np.int64).max)
    ends = np.zeros((len(points), 2), np.int64)  # loop and point of it that is nearest
    found = []
    newest = start
    while len(points):
        distance, nearest = _nearest(points, loops[newest][corners[newest]])
        closer = distance < best
        best[closer] = distance[closer]
        ends[closer, 0], ends[closer, 1] = newest, corners[newest][nearest[closer]]
        place = int(best.argmin())
        near, far = End(*ends[place].tolist()), End(int(owner[place]), int(index[place]))
        found.append(Bridge(near, far, _bend(loops[near.loop][near.point], points[place])))
        newest = far.loop
        left = owner != newest
        owner, index, points, best, ends = owner[left], index[left], points[left], best[left], ends[left]
    return found


def points_of(ways: Sequence[Bridge]) -> int:
    """How many points bridges add to the line."""
    return sum(2 if way.bend is None else 4 for way in ways)


def joined(loops: Sequence[Points], kept: Sequence[Places], ways: Sequence[Bridge], start: int) -> Points:
    """The line along the points of loops that are kept, from a loop to the same point, with each loop that hangs on a
    point of it walked in between.

    Args:
        kept: by loop, ascending; the ends of bridges are among them.
    """
    children: dict[End, list[Bridge]] = {}
    for way in ways:
        children.setdefault(way.near, []).append(way)
    line: list[Sequence[int]] = []
    # What is still to do, last first: a point, or a loop from one of its points.
    stack: list[tuple[int, ...] | End] = [End(start, int(kept[start][0]))]
    while stack:
        step = stack.pop()
        if not isinstance(step, End):
            line.append(step)
            continue
        loop, places = loops[step.loop], kept[step.loop]
        around = np.roll(places, -int(np.searchsorted(places, step.point))).tolist()
        todo: list[tuple[int, ...] | End] = []
        for one in around:
            here = tuple(loop[one].tolist())
            todo.append(here)
            for way in children.get(End(step.loop, one), ()):
                bend = [] if way.bend is None else [way.bend]
                todo += [*bend, way.far, *bend, here]
        if line and len(around) > 1:
            todo.append(tuple(loop[step.point].tolist()))  # closed before the bridge goes back
        stack += reversed(todo)
    return np.array(line)


def _bend(start: Points, end: Points) -> tuple[int, int] | None:
    """Where a way that goes diagonally first goes on straight."""
    x, y = (end - start).tolist()
    both = min(abs(x), abs(y))
    if both in (0, max(abs(x), abs(y))):
        return None
    left, top = start.tolist()
    return left + (both if x > 0 else -both), top + (both if y > 0 else -both)


def _nearest(points: Points, others: Points) -> tuple[NDArray[np.int64], Points]:
    """Of each point the distance to the nearest of the others, and the number of that."""
    distance = np.empty(len(points), np.int64)
    nearest = np.empty(len(points), np.int64)
    kind = np.int16 if max(points.max(), others.max()) < 2**15 else np.int64  # four times as fast
    (x, y), (other_x, other_y) = points.T.astype(kind), others.T.astype(kind)
    step = max(1, _MOST_PAIRS // len(others))
    for first in range(0, len(points), step):
        some = slice(first, first + step)
        pairs = np.abs(x[some, None] - other_x)
        np.maximum(pairs, np.abs(y[some, None] - other_y), out=pairs)
        nearest[some] = pairs.argmin(axis=1)
        distance[some] = pairs.min(axis=1)
    return distance, nearest
