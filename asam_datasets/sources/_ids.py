"""Lists of image ids: one a line, or one JSON list. An image may be told by the name of its file, `sa_226381.jpg`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from asam_datasets.errors import SourceError, option
from asam_datasets.machine import AnyPath, path_of, read_file

_MAX_FILE_BYTES = 2**28  # the ids of all of SA-1B, by names of files
_MOST_LETTERS = 2**12
_LIMIT = 2**63
_NUMBER = re.compile(r"(?:(?:.*/)?sa_)?([0-9]{1,40})(?:(?<=[0-9])\.(?:jpe?g|png|json))?", re.ASCII | re.DOTALL)
_LINE_END = re.compile(r"\r\n|\r|\n")
_SHOWN = 40
_HINT = "One image a line, or a JSON list: its id, such as 226381, or the name of its file, sa_226381.jpg."

Entry = tuple[str, object]
"""The place of an id, for messages, and what stands there."""


class ListedIds(NamedTuple):
    """Image ids in the order of the list, each once, and how many times one came again."""

    ids: list[int] | list[str]
    repeated: int


def read_ids(given: AnyPath | int | Iterable[object]) -> frozenset[int]:
    """Image ids that are numbers: of `sa_images_ids.txt`, in any form, or of a list.

    Raises:
        SourceError: the file is missing or empty, or something in it is not an id.
    """
    return frozenset(number_ids(given_entries(given)).ids)  # type: ignore[arg-type]


def given_entries(given: AnyPath | int | Iterable[object]) -> Iterator[Entry]:
    """The ids that somebody gives: some, one, or the path of a list. A text is a path if a file is called so, and else
    an id.

    Raises:
        SourceError: as `read_entries` and `entries_of`.
    """
    if isinstance(given, os.PathLike) or (isinstance(given, str) and os.path.exists(path_of(given)) and given):
        return read_entries(path_of(given))
    return entries_of([given] if isinstance(given, str) or hasattr(given, "__index__") else given)


def read_entries(path: Path) -> Iterator[Entry]:
    """Read a list of ids, as they stand there; blank lines, and lines that begin with `#`, are passed over.

    Raises:
        SourceError: the file is missing, empty, or no such list.
    """
    try:
        text = read_file(path, limit_bytes=_MAX_FILE_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise SourceError(
            f"expected a list of image ids, found: {error.strerror}", where=str(path), hint="Check the path."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError("expected a text of image ids, found other bytes", where=str(path), hint=_HINT) from error
    found = _in_json(text, path) if text.lstrip()[:1] == "[" else _in_lines(text, path)
    first = next(found, None)
    if first is None:
        raise SourceError("expected image ids, found an empty file", where=str(path), hint=_HINT)
    yield first
    yield from found


def entries_of(ids: Iterable[object]) -> Iterator[Entry]:
    """The ids of a program.

    Raises:
        SourceError: there is none, or it is one text.
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Iterable):
        raise SourceError(f"expected a list of image ids, found {ids!r:.{_SHOWN}}", where=option("ids"), hint=_HINT)
    count = 0
    for count, one in enumerate(ids, start=1):
        yield f"ids[{count - 1}]", one
    if not count:
        raise SourceError("expected image ids, found none", where=option("ids"), hint=_HINT)


def number_ids(entries: Iterable[Entry]) -> ListedIds:
    """Ids that are numbers, as the tables of archives and of adversarial samples have them.

    Raises:
        SourceError: something is no number of 0 or more and below 2^63, and no name of a file of such an image.
    """
    return _once((_number(one, where) for where, one in entries))


def text_ids(entries: Iterable[Entry]) -> ListedIds:
    """Ids that are texts, as evaluation sets have them.

    Raises:
        SourceError: something is neither a text nor a number, or no id is so long.
    """
    return _once((_text(one, where) for where, one in entries))


def _once(ids: Iterable[int] | Iterable[str]) -> ListedIds:
    found: dict[int | str, None] = {}
    count = 0
    for one in ids:
        found[one] = None
        count += 1
    return ListedIds(list(found), count - len(found))  # type: ignore[arg-type]


def _in_lines(text: str, path: Path) -> Iterator[Entry]:
    for number, line in enumerate(_LINE_END.split(text), start=1):
        one = line.strip()
        if one and one[0] != "#":
            yield f"{path}: line {number}", one


def _in_json(text: str, path: Path) -> Iterator[Entry]:
    try:
        found = msgspec.json.decode(text, type=list[int | str])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise SourceError(f"expected a JSON list of image ids, found: {error}", where=str(path), hint=_HINT) from None
    for number, one in enumerate(found):
        yield f"{path}: $[{number}]", one


def _number(one: object, where: str) -> int:
    match = _NUMBER.fullmatch(one) if isinstance(one, str) else None
    number = int(match[1]) if match else one
    if not isinstance(number, int) and hasattr(number, "__index__"):
        number = int(number)  # of NumPy
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < _LIMIT:
        limit = " below 2^63" if isinstance(number, int) and number >= _LIMIT else ""
        raise SourceError(f"expected an image id{limit}, found {str(one)[:_SHOWN]!r}", where=where, hint=_HINT)
    return number


def _text(one: object, where: str) -> str:
    if isinstance(one, bool) or not (isinstance(one, str) or hasattr(one, "__index__")):
        raise SourceError(f"expected an image id, found {str(one)[:_SHOWN]!r}", where=where, hint=_HINT)
    text = str(one)
    if not 0 < len(text) <= _MOST_LETTERS or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise SourceError(f"expected an image id, found {text[:_SHOWN]!r}", where=where, hint=_HINT)
    return text
