"""Text on a sheet: one font, which Pillow brings along, and lines that fit their place.

The font has little more than ASCII: accents are left out, and letters of other scripts are drawn as boxes.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import cast

from PIL import ImageFont

from asam_datasets.errors import printable

_MOST = 2000  # letters of a text that are looked at; no cell has room for more
_ELLIPSIS = "…"


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font at a size in pixels."""
    # The basic layout is the same on all machines; the other one depends on a library that may be there.
    scalable = cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))  # another kind without FreeType alone
    return scalable.font_variant(layout_engine=ImageFont.Layout.BASIC)


def line_height(size: int) -> int:
    """From one line to the next, in pixels."""
    return round(1.3 * size)


def clean(text: str) -> str:
    """A text in one line that can be drawn: without accents, and without anything that is not seen."""
    letters = unicodedata.normalize("NFKD", text[:_MOST]).replace("×", "x")
    return printable(" ".join("".join(c for c in letters if not unicodedata.combining(c)).split()))


def shorten(text: str, size: int, width: float, *, keep_end: bool = False) -> str:
    """A line no wider than so many pixels, with … for what is left out: the end, or with `keep_end` the beginning."""
    if font(size).getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:  # how many letters fit
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font(size).getlength(_cut(text, middle, keep_end)) <= width else (low, middle - 1)
    return _cut(text, low, keep_end)


def wrap(text: str, size: int, width: float, lines: int) -> list[str]:
    """A text in at most so many lines of at most so many pixels; the last ends with … when there is more."""
    words = text.split()
    found: list[str] = []
    while words:
        if len(found) + 1 == lines:
            return [*found, shorten(" ".join(words), size, width)]
        count = 1
        while count < len(words) and font(size).getlength(" ".join(words[: count + 1])) <= width:
            count += 1
        if count == 1 and font(size).getlength(words[0]) > width:
            # A word too long for any line is broken.
            head = shorten(words[0], size, width).removesuffix(_ELLIPSIS) or words[0][:1]
            found.append(head)
            words[0] = words[0][len(head) :]
            words = words if words[0] else words[1:]
            continue
        found.append(" ".join(words[:count]))
        words = words[count:]
    return found


def _cut(text: str, count: int, keep_end: bool) -> str:
    if keep_end:
        return _ELLIPSIS + text[len(text) - count :]
    return text[:count].rstrip() + _ELLIPSIS
