"""What people and machines get to see: results on stdout, talk and the progress bar on stderr."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TextIO

import msgspec
from tqdm import tqdm

from asam_datasets.cli._lines import columns_of, fit
from asam_datasets.errors import AsamDatasetsError, printable, spelled
from asam_datasets.progress import Listener

_ENOUGH = 60  # columns, for a bar with all its numbers


class Terminal:
    """Prints for one command. `as_json` prints its result as one JSON value instead of text.

    As a context it ends the progress bar, whatever happens.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._bar: tqdm[Any] | None = None
        self._lock = threading.RLock()  # what is done beside talks too
        self._unit: dict[str, Any] = {}

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def listener(self, *, counts_bytes: bool = False) -> Listener:
        """A listener that shows stages and a progress bar with images/s, or bytes/s, and time left."""
        self._unit = {"unit": "B", "unit_scale": True} if counts_bytes else {"unit": " images"}
        return Listener(self.talk, self._total, self._records)

    def result(self, result: object, lines: Sequence[str]) -> None:
        """Print what a verb did: its lines, or the result itself as JSON."""
        self._close()
        if self._as_json:
            print(_inert_json(msgspec.json.format(msgspec.json.encode(_encodable(result)), indent=2).decode()))
        else:
            print("\n".join(_fitted(lines, sys.stdout)))

    def talk(self, text: str) -> None:
        """Print a line beside the results."""
        self._say(text)

    def failure(self, error: AsamDatasetsError) -> None:
        """Print a known failure: a sentence, and what to do."""
        self._say(f"error: {error.sentence(_as_flag)}", 31)
        if error.marked_hint:
            self._say(f"hint: {error.marked_hint}", 36)

    def _say(self, text: str, color: int = 0) -> None:
        with self._lock:
            self._close()
            lines = _fitted([text], sys.stderr)
            if not lines:  # the head of a table that became a list
                return
            line = "\n".join(lines)
            if color:
                word, space, rest = line.partition(" ")
                line = _colored(word, color) + space + rest
            print(line, file=sys.stderr)

    def ask(self, question: str) -> bool | None:
        """Whether the answer of whoever sits here is yes; None when there is nobody to ask."""
        self._close()
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return None
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def _total(self, images: int | None) -> None:
        with self._lock:
            self._close()
            self._begin(images)

    def _begin(self, images: int | None) -> None:
        people = sys.stderr.isatty()
        shape = self._unit
        if (columns_of(sys.stderr) or _ENOUGH) < _ENOUGH:  # else tqdm cuts it
            short = "{percentage:3.0f}% {n_fmt}/{total_fmt}, {remaining} left" if images else "{n_fmt}, {rate_fmt}"
            shape = {**shape, "bar_format": short}
        self._bar = tqdm(total=images, file=sys.stderr, mininterval=0.2 if people else 10, leave=True, **shape)

    def _records(self, count: int) -> None:
        with self._lock:
            if self._bar is not None:
                self._bar.update(count)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _colored(word: str, color: int) -> str:
    """A word of ours in bold and a color, where somebody looks who has not refused colors (https://no-color.org)."""
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return word
    return f"\033[1;{color}m{word}\033[0m"


def _inert_json(text: str) -> str:
    """The same JSON, in which nothing moves a cursor or hides: JSON itself escapes no more than it must."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1].replace("\x7f", "\\u007f") for c in text)


def _encodable(result: Any) -> Any:
    """A result as builtin values, in which a name that is not UTF-8 has escapes for what is not."""
    if isinstance(result, str):
        return result.encode("utf-8", "backslashreplace").decode() if not result.isascii() else result
    if isinstance(result, Mapping):
        return {_encodable(name): _encodable(value) for name, value in result.items()}
    if isinstance(result, (list, tuple)):
        return [_encodable(value) for value in result]
    builtin = msgspec.to_builtins(result)
    return builtin if builtin is result or isinstance(builtin, (int, float)) else _encodable(builtin)


def _fitted(lines: Sequence[str], stream: TextIO) -> list[str]:
    """What is shown of lines, in lines that fit."""
    columns = columns_of(stream)
    found: list[str] = []
    for line in lines:
        if type(line) is str:
            found += fit(_shown(line), columns)
        else:  # laid out by what it is, which its text does not tell
            found += map(_shown, fit(line, columns))
    return found


def _shown(text: str) -> str:
    return printable(spelled(text, _as_flag))


def _as_flag(name: str, value: str) -> str:
    """An argument of the library as the command line spells it: `--on-bad-record skip`."""
    return f"--{name.replace('_', '-')}" + (f" {value}" if value else "")
