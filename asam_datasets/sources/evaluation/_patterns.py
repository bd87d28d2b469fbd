"""Paths with fields: `{path**}{name}_seg.png` finds files, and says where the file that belongs to one lies.

`{field}` stands for one part of a path or a piece of one, `{field**}` for any number of folders with their slashes. A
field that comes twice stands for the same text both times. Large and small letters count, but not in the ending of a
file: `.jpg` finds `.JPG`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from asam_datasets.errors import SourceError

_FIELD = re.compile(r"\{([a-z_]+)(\*\*)?\}")
# Files that systems leave behind, such as `.DS_Store` and `._image.jpg`, are no images.
_ONE, _FOLDERS = r"[^/]+", r"(?:[^/]+/)*"


_ENDING = re.compile(r"\.[A-Za-z0-9]+$")


@dataclass
class Budget:
    """How many entries of folders may still be looked at: a search for a hint must not walk over a whole disk."""

    left: int


class Match(NamedTuple):
    """A file found by a pattern: its path below the root, and what the fields stand for."""

    name: str
    fields: Mapping[str, str]


def check_pattern(pattern: str) -> frozenset[str]:
    """The fields of a pattern.

    Raises:
        ValueError: it is empty, absolute, leaves its root, or has braces that are no field.
    """
    path = PurePosixPath(pattern)
    if not pattern or path.is_absolute() or ".." in path.parts or "\\" in pattern:
        raise ValueError(f"expected a path below the folder of the set, with slashes, found {pattern!r}")
    if any(brace in _FIELD.sub("", pattern) for brace in "{}"):
        raise ValueError(f"expected fields such as {{name}} or {{path**}}, found {pattern!r}")
    return frozenset(match[1] for match in _FIELD.finditer(pattern))


def fill(pattern: str, fields: Mapping[str, str]) -> str:
    """The path that a pattern gives for these fields; fields that are not among them stay as they are."""
    return _FIELD.sub(lambda match: fields.get(match[1], match[0]), pattern)


def match(pattern: str, name: str) -> dict[str, str] | None:
    """What the fields stand for in `name`; None when it does not match."""
    found = _compiled(pattern).fullmatch(name)
    return found.groupdict() if found else None


def find(root: Path, pattern: str, budget: Budget | None = None) -> Iterator[Match]:
    """The files below `root` that match, in no particular order; hidden ones and links to folders are passed over.

    Args:
        budget: ends the search when it is used up.

    Raises:
        SourceError: a folder on the way cannot be read.
    """
    fixed = fixed_folder(pattern)
    depth = None if "**}" in pattern else pattern.count("/") - (fixed.count("/") + 1 if fixed else 0)
    top = root / fixed
    for folder, folders, files in os.walk(top, onerror=_unreadable):
        below = Path(folder).relative_to(root).as_posix()
        level = len(Path(folder).relative_to(top).parts)
        if budget is not None:
            budget.left -= 1 + len(folders) + len(files)
            if budget.left < 0:
                return
        if depth is not None and level >= depth:
            folders.clear()
        if depth is not None and level != depth:
            continue
        for file in files:
            if file.startswith("."):
                continue
            name = file if below == "." else f"{below}/{file}"
            fields = match(pattern, name)
            if fields is not None:
                yield Match(name, fields)


def fixed_folder(pattern: str) -> str:
    """The folders of a pattern in front of its first field; empty for none."""
    return _FIELD.split(pattern, maxsplit=1)[0].rpartition("/")[0]


def on_disk(root: Path, name: str) -> str | None:
    """The file of that name, or else of that name with the ending in other letters; None without one."""
    stem, dot, ending = name.rpartition(".")
    others = [f"{stem}.{ending.lower()}", f"{stem}.{ending.upper()}"] if dot and "/" not in ending else []
    for candidate in (name, *others):
        try:
            if (root / candidate).is_file():
                return candidate
        except (OSError, ValueError):  # a name that is too long, or has a NUL in it, names no file
            return None
    return None


def shown(pattern: str) -> str:
    """A pattern as a person reads it: `images/<path>/<name>.jpg`."""
    return _FIELD.sub(lambda match: f"<{match[1]}>{'/' if match[2] else ''}", pattern)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    seen: set[str] = set()
    parts = []
    position = 0
    for field in _FIELD.finditer(pattern):
        parts.append(re.escape(pattern[position : field.start()]))
        name, many = field[1], field[2]
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_FOLDERS if many else _ONE})")
        seen.add(name)
        position = field.end()
    ending = _ENDING.search(pattern, position)
    last = len(pattern) if ending is None else ending.start()
    parts.append(re.escape(pattern[position:last]))
    parts.append(f"(?i:{re.escape(pattern[last:])})")
    return re.compile("".join(parts), re.DOTALL)


def _unreadable(error: OSError) -> None:
    """What is not there has no files; what is there and cannot be read would be left out without a word."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise SourceError(
            f"expected a readable folder, found: {error.strerror}",
            where=str(error.filename),
            hint="Look at its permissions: what lies in it belongs to the set.",
        ) from error
