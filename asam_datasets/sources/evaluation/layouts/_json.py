"""Annotation files in JSON for many images: what all layouts with such files share.

They are read once per process, decoded into typed structs, and say where their images are.

One file may hold all annotations of a set, and each worker asks for one image at a time. So a process keeps the last
few files it parsed, for as long as they do not change on disk. What is one image's own stays undecoded (`Raw`, a
slice of the file) until that image is asked for: one bad segmentation is then a bad record and not a bad file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.machine import leads_out, read_file
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._patterns import check_pattern, fill, find
from asam_datasets.sources.evaluation._records import LINK_HINT, EvaluationRef, Folder, without_ending
from asam_datasets.sources.evaluation.layouts._base import BaseLayout, Described, Policy

FROM_JSON = frozenset({"file_name", "coco_folder", "coco_name"})
"""Fields of an image's path that an annotation file fills."""

MAX_JSON_BYTES = 2**32
"""Largest annotation file that is read; LVIS v1 has about 1 GB for its training set."""

T = TypeVar("T")
Parsed = TypeVar("Parsed")


class AnnotationFile(Described, frozen=True, kw_only=True):
    """The JSON files that a pattern finds, and where their images lie: the first pattern that gives a file is taken.

    Fields in `images`: `{file_name}` as the JSON has it. Fields in `json` find the file, and may be used again.
    """

    json: str
    images: Annotated[tuple[str, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        known = check_pattern(self.json) | FROM_JSON
        for pattern in self.images:
            unknown = check_pattern(pattern) - known
            if unknown:
                raise ValueError(f"expected fields of `json` or {sorted(FROM_JSON)}, found {sorted(unknown)}")


class Listed(NamedTuple):
    """An image as an annotation file names it.

    Args:
        member: its place in the file, for messages.
        fields: what the file says of the image's path.
        image_id, key: as in `EvaluationRef`; without an id the image's path is taken for one.
    """

    member: str
    fields: Mapping[str, str]
    image_id: str | None
    key: str


class JSONLayout(BaseLayout, frozen=True, kw_only=True):
    """Base of the layouts in which one file has the masks of many images: what it says of each is all that they add.

    `lone_images` says what happens to an image of the file that is not on disk.
    """

    labels: ClassVar[tuple[str, str]] = ("annotations", "images")

    files: Annotated[tuple[AnnotationFile, ...], Meta(min_length=1)]
    lone_images: Policy = "reject"

    def images(self, folder: Folder, json: str, bad: BadRecords) -> Iterator[Listed]:
        """The images of one annotation file, in its order; what is wrong with the file's content is reported.

        Raises:
            SourceError: the file cannot be used.
        """
        raise NotImplementedError

    def index(self, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """The images of each annotation file that is there."""
        for file in self.files:
            for json, fields in sorted(find(folder.root, file.json)):
                for image in self.images(folder, json, bad):
                    try:
                        found = _locate(folder, file.images, fields, image)
                    except RecordError as error:
                        folder.reject_error(bad, error, image.member)
                        continue
                    if found is not None:
                        identity = without_ending(found[0]) if image.image_id is None else image.image_id
                        yield EvaluationRef(*found, identity, (json,), image.key)
                    elif self.lone_images == "reject":
                        places = " or ".join(fill(pattern, {**fields, **image.fields}) for pattern in file.images)
                        folder.reject(bad, f"expected the image {places}, found none", image.member)

    def places(self) -> list[tuple[str, tuple[str, ...]]]:
        """Annotation files, and where the images of each may be."""
        return [(file.json, file.images) for file in self.files]


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
        if leads_out(folder.root, path):
            raise SourceError("expected a file of the set, found a link out of its folder", where=where, hint=LINK_HINT)
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


def decode_own(decoder: msgspec.json.Decoder[T], data: msgspec.Raw, where: str, expected: str) -> T:
    """Decode what a file of many images says of one of them.

    Raises:
        RecordError: it has other types.
    """
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = str(error).replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
        raise RecordError(f"expected {expected}: {problem}", where=where) from None


def lost(folder: Folder, ref: EvaluationRef) -> RecordError:
    """The error for an image that its annotation file had when the set was indexed, and has no longer."""
    return RecordError(
        f"expected {ref.file_name} in this file as before, found that the file changed",
        where=folder.place(ref.masks[0]),
        hint="Run the same command again when nothing writes into the folder any more.",
    )


def _locate(
    folder: Folder, patterns: Sequence[str], fields: Mapping[str, str], image: Listed
) -> tuple[str, int] | None:
    """The first pattern that names a file: its path below the set's folder, and its size in bytes. None without one.

    Args:
        fields: what the path of the annotation file stands for.

    Raises:
        RecordError: a field of the JSON is absolute or leaves the folder (`../`).
    """
    for value in image.fields.values():
        path = PurePosixPath(value)
        if not value or path.is_absolute() or ".." in path.parts or "\\" in value or "\0" in value:
            raise RecordError(
                f"expected a path inside the set's folder, found {value!r}",
                where=folder.place(image.member),
                hint=f"Look at where this file comes from; {SKIP} leaves such images out.",
            )
    for pattern in patterns:
        name = PurePosixPath(fill(pattern, {**fields, **image.fields})).as_posix()
        size = folder.size_bytes(name)
        if size is not None:
            return name, size
    return None


# Images are read by name, so the files of a set that has several are asked for in turn; large ones come alone or in
# twos.
@lru_cache(maxsize=8)
def _parsed(path: Path, size: int, changed_ns: int, where: str, parse: Callable[[bytes, str], Any]) -> Any:
    return parse(read_file(path, limit_bytes=MAX_JSON_BYTES), where)
