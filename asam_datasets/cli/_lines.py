"""Lines that fit the terminal on which they are read: broken between words, tables as lists where they are too wide.

What goes into a file or another program stays one line each.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

_KEPT = re.compile(r"`[^`]+`|\d[\d.,]* (?:[kMGTP]?B|s|%|seconds|images/s)\b")
"""What is not broken: what to type, and numbers with their units."""
_LABEL = re.compile(r" *\S+(?: \S+)? {2,}")
_SPACE = "\0"  # in place of those that stay


class Verbatim(str):
    """A line to copy; the terminal breaks it, if it must, and copies it as one."""

    __slots__ = ()


class TableLine(str):
    """A line of a table that is `width` wide: where that does not fit, `narrow` stands for it."""

    width: int
    narrow: Sequence[str]

    def __new__(cls, text: str, width: int, narrow: Sequence[str]) -> TableLine:
        line = super().__new__(cls, text)
        line.width, line.narrow = width, narrow
        return line


class BarLine(str):
    """A label and a bar of a share of the most letters; of fewer where these do not fit."""

    label: str
    share: float
    most: int

    def __new__(cls, label: str, share: float, most: int) -> BarLine:
        line = super().__new__(cls, _with_bar(label, share, most))
        line.label, line.share, line.most = label, share, most
        return line


def table(lines: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells, all as many and the first one their heads, as lines with even columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    width = 2 + sum(widths) + 2 * (len(widths) - 1)
    found: list[str] = []
    for cells in lines:
        text = "  " + "  ".join(cell.ljust(room) for cell, room in zip(cells, widths, strict=True)).rstrip()
        pairs = [
            f"{head}: {cell}".replace(" ", _SPACE) for head, cell in zip(lines[0][1:], cells[1:], strict=True) if cell
        ]
        narrow = [f"  {cells[0]}", f"    {', '.join(pairs)}"] if found else []
        found.append(TableLine(text, width, narrow))
    return found


def columns_of(stream: TextIO) -> int | None:
    """How many letters a line of the terminal has; None where there is no terminal, or it does not know."""
    if not stream.isatty():
        return None
    try:
        return int(os.environ.get("COLUMNS", "")) or None
    except ValueError:
        pass
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except OSError:
        return None


def fit(line: str, columns: int | None) -> list[str]:
    """A line as those that a terminal shows it in."""
    if columns is None or isinstance(line, Verbatim):
        return [line]
    if isinstance(line, TableLine):
        return [line] if line.width <= columns else [short for one in line.narrow for short in _wrapped(one, columns)]
    if isinstance(line, BarLine):
        return [_with_bar(line.label, line.share, min(line.most, columns - len(line.label) - 2))]
    return list(_wrapped(line, columns))


def _wrapped(line: str, columns: int) -> Iterator[str]:
    """Between words; further lines stand below the text, or a little to the right where a label leaves no room."""
    if len(line) <= columns:
        yield line.replace(_SPACE, " ")
        return
    indent = len(line) - len(line.lstrip())
    label = _LABEL.match(line)
    hang = len(label[0]) if label and len(label[0]) <= columns // 2 else indent + 2 * (not line.startswith("    "))
    kept = _KEPT.sub(lambda found: found[0].replace(" ", _SPACE) if len(found[0]) <= columns - hang else found[0], line)
    words = (
        _pieces(piece, columns - hang)
        for word in kept.lstrip().split(" ")
        for piece in ([word] if len(word) <= columns - hang else word.split(_SPACE))
    )
    text = " ".join(words)
    for short in textwrap.wrap(
        text,
        columns,
        initial_indent=" " * indent,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    ):
        yield from short.replace(_SPACE, " ").split("\n")


def _pieces(word: str, room: int) -> str:
    """A path that does not fit, with spaces where it is broken: after slashes, and in a name that is too long itself
    after hyphens."""
    if len(word) <= room or "/" not in word:
        return word
    lines = [""]
    for piece in re.findall(r"[^/]*/|[^/]+", word):
        for short in [piece] if len(piece) <= room else re.findall(r"[^-]*-|[^-]+", piece):
            if lines[-1] and len(lines[-1]) + len(short) > room:
                lines.append("")
            lines[-1] += short
    return " ".join(lines)


def _with_bar(label: str, share: float, most: int) -> str:
    return f"{label}  {'█' * max(round(max(most, 0) * share), share > 0)}".rstrip()
