"""What lies in and around the folder that somebody named, for the words of an error."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path, PurePosixPath

from asam_datasets.machine import leads_out

_ARCHIVES = (".zip", ".rar", ".tar", ".tgz", ".gz", ".7z", ".xz", ".bz2")
"""Endings of what has to be unpacked first."""

_NAMES_SHOWN = 8
_FILES_COUNTED = 100_000


def is_archive(name: str) -> bool:
    """Whether a file has to be unpacked, by its name; `.json.gz` and the like too."""
    return name.lower().endswith(_ARCHIVES)


def archives_near(root: Path, name: str) -> str:
    """Advice, when archives lie where a file of the set is expected; empty where there are none.

    Args:
        root: folder of the set.
        name: path of the file below it, which may have fields.
    """
    for folder in PurePosixPath(name).parents:
        place = root / folder
        if place.is_dir():
            return _unpack(_archives(place), place)
    return ""


def unpack_first(root: Path) -> str:
    """Advice, when archives lie in a folder; empty where there are none."""
    return _unpack(_archives(root), root)


def what_is_in(root: Path) -> str:
    """The names in a folder, and of its folders how many files of which kind they hold.

    Raises:
        OSError: it cannot be read.
    """
    entries = sorted(root.iterdir(), key=lambda path: f"{path.name}/" if path.is_dir() else path.name)
    if not entries:
        return "an empty folder"
    more = f" and {len(entries) - _NAMES_SHOWN} more" if len(entries) > _NAMES_SHOWN else ""
    return f"{', '.join(map(_described, entries[:_NAMES_SHOWN]))}{more}"


def files_by_ending(folder: Path) -> str:
    """How many files of which kind lie below a folder, such as `3 .jpg, 2 .png`; `no files` where none do."""
    endings: Counter[str] = Counter()
    for _, _, files in os.walk(folder):
        endings.update(PurePosixPath(file).suffix or "without an ending" for file in files if not file.startswith("."))
        if endings.total() > _FILES_COUNTED:
            return f"over {_FILES_COUNTED:,} files"
    counted = ", ".join(f"{count:,} {ending}" for ending, count in endings.most_common(4))
    rest = sum(count for _, count in endings.most_common()[4:])
    return f"{counted or 'no files'}{f', {rest:,} others' if rest else ''}"


def _described(path: Path) -> str:
    return f"{path.name}/ ({files_by_ending(path)})" if path.is_dir() else path.name


def _archives(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_file() and is_archive(path.name))


def _unpack(archives: list[str], folder: Path) -> str:
    if not archives:
        return ""
    more = f" and {len(archives) - 3} more" if len(archives) > 3 else ""
    return f"Unpack {', '.join(archives[:3])}{more} in {folder} first: archives are not read."


def head_of(root: Path, name: str, size: int) -> bytes:
    """The first `size` bytes of a file of a set; none of what is no regular file, or lies outside of its folder."""
    path = root / name
    if not path.is_file() or leads_out(root, path):
        return b""
    with path.open("rb") as file:
        return file.read(size)
