"""Names of exported images: one flat folder, whatever paths the dataset has.

ASAM's loaders look for `imgs/*.jpg` and pair by the name without its ending, and what it writes is named by what comes
before the first dot. So sub-folders cannot stay, and no two names may be one there. A dataset may hold any name: `../`,
control characters, names of 400 letters, two names that are one on a disk that ignores case.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

_MAX_BYTES = 200  # file systems take 255; the rest is for a number, and for the ending of another kind
_MAX_ENDING_BYTES = 16
_RESERVED = frozenset('/\\:*?"<>|')


def flat_names(paths: Sequence[str]) -> list[str]:
    """A safe name for each path, the same for the same list: its last part where no other is the same up to the
    first dot, else the whole path with `__` for the slashes and `_` for the dots, and a number where that is taken as
    well."""
    names = [_safe(_parts(path)[-1]) for path in paths]
    counts = Counter(_key(name) for name in names)
    taken = {key for key, count in counts.items() if count == 1}
    for index, path in enumerate(paths):
        if counts[_key(names[index])] == 1:
            continue
        whole = PurePosixPath(_safe("__".join(_parts(path))))
        stem, number = whole.stem.replace(".", "_"), 1
        name = f"{stem}{whole.suffix}"
        while _key(name) in taken:
            number += 1
            name = f"{stem}-{number}{whole.suffix}"
        taken.add(_key(name))
        names[index] = name
    return names


def mask_name(image: str) -> str:
    """Name of the mask of an image: another ending."""
    return f"{PurePosixPath(image).stem}.png"


def _parts(path: str) -> list[str]:
    return [part for part in path.replace("\\", "/").split("/") if part not in ("", ".", "..")] or ["_"]


def _safe(name: str) -> str:
    """A name that is one file in one folder on any system, and not a hidden one."""
    text = "".join("_" if c in _RESERVED or not c.isprintable() else c for c in name).rstrip(". ")
    if not text or text[0] in ". ":
        text = f"_{text}"
    path = PurePosixPath(text)
    ending = path.suffix if len(path.suffix.encode()) <= _MAX_ENDING_BYTES else ""
    stem = text.removesuffix(ending) if ending else text
    room = _MAX_BYTES - len(ending.encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + ending


def _key(name: str) -> str:
    """What two names may not share: on some disks case and composition of letters make no difference."""
    return unicodedata.normalize("NFKC", name.partition(".")[0]).casefold()
