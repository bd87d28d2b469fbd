"""The sheet: blocks of one row each, in lines; a block has a title, its panels side by side, and its caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from asam_datasets.preview._text import clean, font, line_height, shorten, wrap

# The sizes of text, and distances, in pixels.
_HEADING, _LABEL, _NAME, _FACTS, _CAPTION = 26, 16, 18, 15, 17
_MARGIN, _BETWEEN_PANELS, _BETWEEN_BLOCKS, _BETWEEN_LINES = 28, 8, 32, 30
_NARROW = 640  # a block narrower than this has its facts below its name
_CAPTION_LINES = 3

_PAGE, _CELL, _INK, _MUTED, _RULE = (255, 255, 255), (240, 242, 245), (31, 35, 40), (101, 109, 118), (216, 222, 228)

_PAGES = ((4, 1200, 1), (12, 2400, 2), (48, 2800, 3), (200, 2800, 5))
"""Up to how many blocks, the width of a sheet in pixels, and how many blocks of three panels lie beside each other. The
longest sheet has 40 lines and stays below 16383 pixels, the most that WebP takes."""


@dataclass(frozen=True)
class Block:
    """What is shown of one row: panels are uint8 (height, width, 3), or the words that stand where there is none.
    `name` is that of the archive or set; a caption that is muted stands for one that is not there."""

    name: str
    file_name: str
    facts: str
    panels: Sequence[NDArray[np.uint8] | str]
    caption: str
    is_muted: bool


@dataclass(frozen=True)
class Grid:
    """How blocks lie: so many beside each other, each with so many square cells of `side` pixels."""

    across: int
    panels: int
    side: int

    @property
    def block(self) -> int:
        """Width of a block in pixels."""
        return self.panels * self.side + (self.panels - 1) * _BETWEEN_PANELS

    @property
    def width(self) -> int:
        """Width of the sheet in pixels."""
        return 2 * _MARGIN + self.across * self.block + (self.across - 1) * _BETWEEN_BLOCKS

    def left(self, place: int, panel: int = 0) -> int:
        """Left edge of a panel of a block."""
        return _MARGIN + place * (self.block + _BETWEEN_BLOCKS) + panel * (self.side + _BETWEEN_PANELS)


def make_grid(blocks: int, panels: int) -> Grid:
    """The grid for so many blocks with 1, 2 or 3 panels."""
    _, width, closer = next(page for page in _PAGES if blocks <= page[0])
    across = {1: 3, 2: 2, 3: 1}[panels] * closer
    gaps = (across - 1) * _BETWEEN_BLOCKS + across * (panels - 1) * _BETWEEN_PANELS
    return Grid(min(across, blocks), panels, (width - gaps) // (across * panels))


def draw_sheet(heading: str, labels: Sequence[str], blocks: Sequence[Block], grid: Grid) -> Image.Image:
    """Draw a sheet; `labels` name the panels. An empty heading takes no room."""
    titles = wrap(clean(heading), _HEADING, grid.width - 2 * _MARGIN, 2)
    head = _MARGIN + len(titles) * line_height(_HEADING) + 8 + line_height(_LABEL) + 6
    lines = [_Line(blocks[first : first + grid.across], grid) for first in range(0, len(blocks), grid.across)]
    height = head + sum(line.height for line in lines) + (len(lines) - 1) * _BETWEEN_LINES + _MARGIN
    sheet = Image.new("RGB", (grid.width, height), _PAGE)
    pen = ImageDraw.Draw(sheet)
    y = _MARGIN
    for title in titles:
        pen.text((_MARGIN, y), title, _INK, font(_HEADING))
        y += line_height(_HEADING)
    for place in range(grid.across):
        for number, label in enumerate(labels):
            text = shorten(label, _LABEL, grid.side)
            pen.text((grid.left(place, number), y + 8), text, _MUTED, font(_LABEL))
    y = head
    for line in lines:
        pen.line((_MARGIN, y, grid.width - _MARGIN - 1, y), _RULE)
        line.draw(sheet, pen, y)
        y += line.height + _BETWEEN_LINES
    return sheet


class _Line:
    """Blocks beside each other; they share the height of the tallest panel and of the longest caption."""

    def __init__(self, blocks: Sequence[Block], grid: Grid) -> None:
        self._blocks, self._grid = blocks, grid
        self._captions = [wrap(clean(block.caption), _CAPTION, grid.block, _CAPTION_LINES) for block in blocks]
        self._is_narrow = grid.block < _NARROW
        self._title = 10 + line_height(_NAME) + (line_height(_FACTS) if self._is_narrow else 0) + 6
        heights = [len(panel) for block in blocks for panel in block.panels if not isinstance(panel, str)]
        self._cell = max(heights, default=min(grid.side, 2 * line_height(_LABEL)))
        text = max(len(caption) for caption in self._captions) * line_height(_CAPTION)
        self.height = self._title + self._cell + (8 + text if text else 0)

    def draw(self, sheet: Image.Image, pen: ImageDraw.ImageDraw, y: int) -> None:
        """Draw the blocks from row `y` of the sheet on."""
        for place, (block, caption) in enumerate(zip(self._blocks, self._captions, strict=True)):
            self._draw_title(pen, block, self._grid.left(place), y + 10)
            for number, panel in enumerate(block.panels):
                self._draw_panel(sheet, pen, panel, x=self._grid.left(place, number), y=y + self._title)
            for number, text in enumerate(caption):
                below = y + self._title + self._cell + 8 + number * line_height(_CAPTION)
                pen.text((self._grid.left(place), below), text, _MUTED if block.is_muted else _INK, font(_CAPTION))

    def _draw_title(self, pen: ImageDraw.ImageDraw, block: Block, x: int, y: int) -> None:
        width = self._grid.block
        facts = shorten(clean(block.facts), _FACTS, width)
        if self._is_narrow:
            room, place, anchor = width, (x, y + line_height(_NAME)), "la"
        else:
            room, place, anchor = width - int(font(_FACTS).getlength(facts)) - 24, (x + width - 1, y + 3), "ra"
        name = shorten(f"{clean(block.name)} · ", _NAME, room) if block.name else ""
        rest = shorten(clean(block.file_name), _NAME, room - font(_NAME).getlength(name), keep_end=True)
        pen.text((x, y), name + rest, _INK, font(_NAME))
        pen.text(place, facts, _MUTED, font(_FACTS), anchor=anchor)

    def _draw_panel(
        self, sheet: Image.Image, pen: ImageDraw.ImageDraw, panel: NDArray[np.uint8] | str, *, x: int, y: int
    ) -> None:
        side = self._grid.side
        pen.rectangle((x, y, x + side - 1, y + self._cell - 1), _CELL)
        if isinstance(panel, str):
            middle = x + side // 2, y + self._cell // 2
            pen.text(middle, shorten(panel, _LABEL, side), _MUTED, font(_LABEL), anchor="mm")
            return
        height, width = panel.shape[:2]
        sheet.paste(Image.fromarray(panel), (x + (side - width) // 2, y + (self._cell - height) // 2))
