"""What can be said of the images and masks of a build without reading it: histograms of fixed bins, and categories.

Bins never depend on the data and counts are whole numbers, so those of parts, builds and datasets add up exactly, in
any order, and a build that goes takes with it exactly what it brought.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

VERSION = 1
"""Raised when something else is counted; finished parts that a killed run left are then made again."""

_MOST_CATEGORIES = 300  # of a build; of more, the most frequent
_CATEGORY_LETTERS = 100
_SHARE_PARTS = 100_000  # areas are counted in these parts of the image, so that whole numbers decide
_MOST = 2**63
_NONE = (0, 0)


@dataclass(frozen=True)
class Measure:
    """One histogram: bin `i` holds values from `edges[i - 1]` to below `edges[i]`; the first and the last are open.

    `labels` are the bins for people, `short` those of them that fit below a plot.
    """

    title: str
    of: str
    edges: tuple[float, ...]
    labels: tuple[str, ...]
    short: tuple[str, ...]


def _counts(edges: Sequence[int]) -> tuple[str, ...]:
    pairs = itertools.pairwise(edges)
    inner = [f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}" for low, high in pairs]
    return ("0" if edges[0] == 1 else f"< {edges[0]:,}", *inner, f"≥ {edges[-1]:,}")


def _share(parts: int) -> str:
    return f"{parts * 100 / _SHARE_PARTS:g} %"


_MASKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_SHARES = tuple(step * 10**power for power in range(5) for step in (1, 2, 5))
_IOUS = tuple(range(85, 101))
_SIDES = (128, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 6144, 8192)

MEASURES: Mapping[str, Measure] = {
    "masks": Measure("Masks per image", "images", _MASKS, _counts(_MASKS), ("0", *(f"{one:g}" for one in _MASKS))),
    "share": Measure(
        "Area of a mask, as a share of its image",
        "masks",
        _SHARES,
        (
            f"< {_share(1)}",
            *(f"{_share(a)} – {_share(b)}" for a, b in itertools.pairwise(_SHARES)),
            "≥ 50 %",
        ),
        ("0 %", *map(_share, _SHARES)),
    ),
    "iou": Measure(
        "Predicted IoU",
        "masks",
        tuple(number / 100 for number in _IOUS),
        ("< 0.85", *(f"{one / 100:.2f}–{(one + 1) / 100:.2f}" for one in _IOUS[:-1]), "≥ 1.00"),
        ("< .85", *(f"{one / 100:.2f}".lstrip("0") for one in _IOUS)),
    ),
    "side": Measure(
        "Longer side of the image, pixels",
        "images",
        _SIDES,
        _counts(_SIDES),
        ("0", *(f"{one:g}" for one in _SIDES)),
    ),
    "shape": Measure("Shape of the image", "images", (1, 2), *[("landscape", "portrait", "square")] * 2),
}
"""The histograms, by their names in manifests."""


class Statistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Counts by the name of a measure and the number of a bin; empty bins are left out. `categories` counts masks by
    category, of the most frequent; `others` are the number of further categories, and of their masks.

    A mask without an area, a predicted IoU or a category is not in that histogram.
    """

    histograms: dict[str, dict[int, int]] = {}
    categories: dict[str, int] = {}
    others: tuple[int, int] = _NONE

    def total(self, measure: str) -> int:
        """How many images or masks a histogram holds."""
        return sum(self.histograms.get(measure, {}).values())

    def bins(self, measure: str) -> list[int]:
        """The counts of all bins of a histogram."""
        counts = self.histograms.get(measure, {})
        return [counts.get(number, 0) for number in range(len(MEASURES[measure].labels))]

    def median_bin(self, measure: str) -> str:
        """The label of the bin that holds the median, the lower one of an even number; empty without any."""
        left = (self.total(measure) + 1) // 2
        for number, count in enumerate(self.bins(measure)):
            left -= count
            if count and left <= 0:
                return MEASURES[measure].labels[number]
        return ""


def count_rows(rows: Iterable[Any]) -> Statistics:
    """Count rows: rendered ones of any table, or published ones that were read back."""
    found: dict[str, Counter[int]] = {name: Counter() for name in MEASURES}
    categories: Counter[str] = Counter()
    for row in rows:
        pixels = row.width * row.height
        _add(found, "masks", len(row.annotations))
        _add(found, "side", max(row.width, row.height))
        _add(found, "shape", 2 if row.width == row.height else int(row.width < row.height))
        for one in row.annotations:
            area, iou, category = (getattr(one, name, None) for name in ("area", "predicted_iou", "category"))
            if isinstance(area, int) and pixels:
                _add(found, "share", area * _SHARE_PARTS // pixels)
            if isinstance(iou, (int, float)) and math.isfinite(iou):
                _add(found, "iou", iou)
            if isinstance(category, str) and category:
                categories[category[:_CATEGORY_LETTERS]] += 1
    return Statistics(
        {name: dict(sorted(counts.items())) for name, counts in found.items() if counts}, dict(categories)
    )


def add_up(some: Iterable[Statistics]) -> Statistics:
    """The sum; the same in any order."""
    found: dict[str, Counter[int]] = {}
    categories: Counter[str] = Counter()
    names = masks = 0
    for one in some:
        for name, counts in one.histograms.items():
            found.setdefault(name, Counter()).update(counts)
        categories.update(one.categories)
        names, masks = names + one.others[0], masks + one.others[1]
    histograms = {name: dict(sorted(found[name].items())) for name in sorted(found)}
    return Statistics(histograms, dict(sorted(categories.items())), (names, masks) if names else _NONE)


def shorten(whole: Statistics) -> Statistics:
    """As a manifest has it: of many categories the most frequent, and how many others there are."""
    ranked = sorted(whole.categories.items(), key=lambda item: (-item[1], item[0]))
    kept, rest = ranked[:_MOST_CATEGORIES], ranked[_MOST_CATEGORIES:]
    others = (whole.others[0] + len(rest), whole.others[1] + sum(count for _, count in rest))
    return Statistics(whole.histograms, dict(kept), others if others[0] else _NONE)


def wrong_statistics(one: Statistics, rows: int, annotations: int) -> str:
    """What is wrong with statistics of anybody's making, of so many rows and annotations; empty when nothing is."""
    for name, counts in one.histograms.items():
        measure = MEASURES.get(name)
        if measure is None:
            return f"statistics of {name[:40]!r}"
        most = rows if measure.of == "images" else annotations
        bins = len(measure.labels)
        if not all(0 <= number < bins and 0 < count < _MOST for number, count in counts.items()):
            return f"statistics of {name} in bins that are none"
        if sum(counts.values()) > most:
            return f"statistics of {sum(counts.values())} {measure.of} where there are {most}"
    total = sum(one.categories.values()) + one.others[1]
    if min((*one.categories.values(), *one.others), default=0) < 0 or total > annotations:
        return f"categories of {total} masks where there are {annotations}"
    if len(one.categories) > _MOST_CATEGORIES or max(map(len, one.categories), default=0) > _CATEGORY_LETTERS:
        return "categories that are too many, or too long"
    return ""


def _add(found: Mapping[str, Counter[int]], name: str, value: float) -> None:
    found[name][bisect_right(MEASURES[name].edges, value)] += 1
