"""Annotation files in JSON: read once per process, decoded into typed structs, and where their images are.

One file may hold all annotations of a set, and each worker asks for one image at a time. So a process keeps the last
few files it parsed, for as long as they do not change on disk. What is one image's own stays undecoded (`Raw`, a
slice of the file) until that image is asked for: one bad segmentation is then a bad record and not a bad file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.sources.evaluation._patterns import fill
from asam_datasets.sources.evaluation._records import Folder

MAX_JSON_BYTES = 2**32
"""Largest annotation file that is read; LVIS v1 has about 1 GB for its training set."""

T = TypeVar("T")
Parsed = TypeVar("Parsed")


class JSONStruct(msgspec.Struct, frozen=True, gc=False):
    """Base of what is decoded; fields that nobody needs are passed over."""


def load(folder: Folder, name: str, parse: Callable[[bytes, str], Parsed]) -> Parsed:
    """Parse a file of the set, or take what was parsed before and has not changed since.

    Args:
        parse: module-level function of the bytes and of the place for messages; raises `SourceError`.

    Raises:
        SourceError: the file is gone, cannot be read, or is not what `parse` expects.
    """
    path = folder.root / name
    where = folder.place(name)
    try:
        state = path.stat()
        if state.st_size > MAX_JSON_BYTES:
            raise SourceError(f"expected at most {MAX_JSON_BYTES} bytes, found {state.st_size}", where=where)
        parsed: Parsed = _parsed(path, state.st_size, state.st_mtime_ns, where, parse)
    except OSError as error:
        raise SourceError(f"expected a readable file, found: {error.strerror}", where=where) from error
    return parsed


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw, where: str, expected: str) -> T:
    """Decode JSON with types.

    Raises:
        SourceError: it does not parse or has other types; `where` ends in the place, such as `$.images[3].id`.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem, _, place = str(error).partition(" - at ")
        problem = problem.replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
        if not problem.startswith("expected"):
            problem = f"expected {expected}, found: {problem}"
        raise SourceError(problem, where=f"{where}: {place.strip('`') or '$'}") from None


def locate(folder: Folder, patterns: Sequence[str], fields: Mapping[str, str], member: str) -> tuple[str, int] | None:
    """The first pattern that names a file: its path below the set's folder, and its size in bytes. None without one.

    Args:
        fields: what the JSON says of the path.
        member: the place of the image in the JSON, for messages.

    Raises:
        RecordError: a field is absolute or leaves the folder (`../`).
    """
    for value in fields.values():
        path = PurePosixPath(value)
        if not value or path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value:
            raise RecordError(
                f"expected a path inside the set's folder, found {value!r}",
                where=folder.place(member),
                hint=f"Look at where this file comes from; {SKIP} leaves such images out.",
            )
    for pattern in patterns:
        name = PurePosixPath(fill(pattern, fields)).as_posix()
        size = folder.size_bytes(name)
        if size is not None:
            return name, size
    return None


def missing(patterns: Sequence[str], fields: Mapping[str, str]) -> str:
    """What to say when `locate` finds none."""
    return f"expected the image {' or '.join(fill(pattern, fields) for pattern in patterns)}, found none"


def encoded(values: Sequence[Any]) -> Iterator[bytes]:
    """Values as bytes that are the same for the same values."""
    yield msgspec.json.encode(values)


# Images are read by name, so the files of a set in parts are asked for in turn; the large ones come alone or in twos.
@lru_cache(maxsize=8)
def _parsed(path: Path, size: int, changed_ns: int, where: str, parse: Callable[[bytes, str], Any]) -> Any:
    return parse(path.read_bytes(), where)
