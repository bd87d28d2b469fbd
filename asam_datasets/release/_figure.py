"""The statistics of a dataset as a figure: SVG, written by hand, the same bytes for the same numbers.

There is one for light pages and one for dark ones. Each has a ground of its own, so both can be read on either; what
is drawn are rectangles, lines and text with attributes, which every viewer and every filter of pages knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from asam_datasets.builds import MEASURES, Statistics
from asam_datasets.errors import printable

# Pixels.
_WIDTH, _PANEL, _GAP, _MARGIN = 900, 208, 20, 20
_TITLE, _TEXT, _LETTER = 14, 11, 6.2
_ABOVE, _BELOW = 44, 26  # of a plot in its panel: room for its title, and for the labels of its bins
_FEWEST_BINS = 6
_NAMES = 150  # width of the names of categories
_CATEGORIES, _CATEGORY_LETTERS = 8, 22


@dataclass(frozen=True)
class Theme:
    """Colors for one kind of page."""

    name: str
    ground: str
    edge: str
    ink: str
    muted: str
    bar: str


THEMES = (
    Theme("light", "#ffffff", "#d0d7de", "#1f2328", "#59636e", "#3b7dd8"),
    Theme("dark", "#11151c", "#343b46", "#e6edf3", "#9aa4b0", "#5f9df0"),
)
_ORDER = ("masks", "share", "iou", "side")


def draw_figure(counted: Statistics, theme: Theme) -> bytes:
    """Draw the histograms that have something, and the most frequent categories: two panels beside each other.

    Args:
        counted: of all builds that the figure is about.
        theme: the page that it is for.
    """
    measures = [name for name in _ORDER if counted.total(name)]
    panels = len(measures) + bool(counted.categories)
    lines = -(-panels // 2)
    height = 2 * _MARGIN + lines * _PANEL + (lines - 1) * _GAP
    pen = _Pen(theme)
    pen.rectangle(0.5, 0.5, _WIDTH - 1, height - 1, theme.ground, edge=theme.edge, radius=6)
    for number in range(panels):
        width = (_WIDTH - 2 * _MARGIN - _GAP) / 2
        x = _MARGIN + (number % 2) * (width + _GAP)
        y = _MARGIN + (number // 2) * (_PANEL + _GAP)
        if number < len(measures):
            _draw_histogram(pen, counted, measures[number], x, y, width)
        else:
            _draw_categories(pen, counted, x, y, width)
    return pen.svg(_WIDTH, height, describe(counted))


def describe(counted: Statistics) -> str:
    """The figure in a sentence, for those who do not see it."""
    masks, share, iou, side = (counted.median_bin(name) for name in _ORDER)
    texts = [
        f"the median image has {masks} masks" if masks else "",
        f"a longer side of {side} pixels" if side else "",
        f"the median mask covers {_unbroken(share)} of its image" if share else "",
        f"the median predicted IoU is {iou}" if iou else "",
    ]
    text = ", ".join(filter(None, texts))
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _unbroken(share: str) -> str:
    return share.replace(" %", "\u00a0%")


class _Pen:
    """Collects the elements of an SVG."""

    def __init__(self, theme: Theme) -> None:
        self.theme = theme
        self._elements: list[str] = []

    def rectangle(
        self, x: float, y: float, width: float, height: float, fill: str, *, edge: str = "", radius: int = 0
    ) -> None:
        more = (f' stroke="{edge}"' if edge else "") + (f' rx="{radius}"' if radius else "")
        numbers = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
        self._elements.append(f'<rect {numbers} fill="{fill}"{more}/>')

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        ends = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
        self._elements.append(f'<line {ends} stroke="{self.theme.edge}"/>')

    def text(self, x: float, y: float, text: str, *, anchor: str = "start", title: bool = False) -> None:
        size, weight = (_TITLE, ' font-weight="600"') if title else (_TEXT, "")
        fill = self.theme.ink if title else self.theme.muted
        place = f'x="{_n(x)}" y="{_n(y)}" font-size="{size}"{weight} fill="{fill}" text-anchor="{anchor}"'
        self._elements.append(f"<text {place}>{escape(printable(text))}</text>")

    def svg(self, width: int, height: int, label: str) -> bytes:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'role="img" font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif">'
        )
        return "\n".join([head, f"<title>{escape(label)}</title>", *self._elements, "</svg>", ""]).encode()


def _draw_histogram(pen: _Pen, counted: Statistics, name: str, x: float, y: float, width: float) -> None:
    measure, bins = MEASURES[name], counted.bins(name)
    total = sum(bins)
    first, last = _shown(bins)
    step, bottom, tall = width / (last - first), y + _PANEL - _BELOW, _PANEL - _ABOVE - _BELOW
    pen.text(x, y + _TITLE, measure.title, title=True)
    pen.text(x, y + _TITLE + 16, f"{total:,} {measure.of}, highest bar {max(bins) / total:.0%}")
    for place, number in enumerate(range(first, last)):
        share = bins[number] / max(bins)
        if bins[number]:  # a bin that has something is seen
            bar = max(1.0, share * tall)
            pen.rectangle(x + place * step + 1, bottom - bar, max(1.0, step - 2), bar, pen.theme.bar)
    pen.line(x, bottom + 0.5, x + width, bottom + 0.5)
    _draw_labels(pen, measure.short[first:last], x, bottom, step)


def _draw_labels(pen: _Pen, labels: Sequence[str], x: float, bottom: float, step: float) -> None:
    """Where bins begin; as many of the labels as have room."""
    widest = max(len(label) for label in labels) * _LETTER + 8
    every = max(1, -(-int(widest) // max(1, int(step))))
    for place in range(0, len(labels), every):
        pen.line(x + place * step + 0.5, bottom, x + place * step + 0.5, bottom + 4)
        pen.text(x + place * step, bottom + 17, labels[place], anchor="middle")


def _draw_categories(pen: _Pen, counted: Statistics, x: float, y: float, width: float) -> None:
    ranked = sorted(counted.categories.items(), key=lambda item: (-item[1], item[0]))
    shown = ranked[:_CATEGORIES]
    more = len(ranked) - len(shown) + counted.others[0]
    pen.text(x, y + _TITLE, "Most frequent categories", title=True)
    pen.text(x, y + _TITLE + 16, f"masks of each; {more:,} more categories" if more else "masks of each")
    room, step = width - _NAMES - 60, (_PANEL - _ABOVE) / _CATEGORIES
    for place, (name, count) in enumerate(shown):
        top = y + _ABOVE + place * step
        text = name if len(name) <= _CATEGORY_LETTERS else f"{name[: _CATEGORY_LETTERS - 1]}…"
        pen.text(x + _NAMES - 8, top + step / 2 + 4, text, anchor="end")
        bar = max(1.0, room * count / shown[0][1])
        pen.rectangle(x + _NAMES, top + 3, bar, step - 6, pen.theme.bar)
        pen.text(x + _NAMES + bar + 6, top + step / 2 + 4, f"{count:,}")


def _shown(bins: Sequence[int]) -> tuple[int, int]:
    """The bins from the first to the last that has something, and a few beside where those are few."""
    filled = [number for number, count in enumerate(bins) if count]
    first, last = filled[0], filled[-1] + 1
    while last - first < min(_FEWEST_BINS, len(bins)):
        if first > 0:
            first -= 1
        if last < len(bins) and last - first < _FEWEST_BINS:
            last += 1
    return first, last


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
