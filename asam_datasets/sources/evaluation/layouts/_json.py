"""Annotation files in JSON for many images: what all layouts with such files share.

They are read once per process, decoded into typed structs, and say where their images are.

One file may hold all annotations of a set, and each worker asks for one image at a time. So a process keeps the last
few files it parsed, for as long as they do not change on disk. What is one image's own stays undecoded (`Raw`, a
slice of the file) until that image is asked for: one bad segmentation is then a bad record and not a bad file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.machine import leads_out, read_file
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._nearby import archives_near, head_of
from asam_datasets.sources.evaluation._patterns import Budget, check_pattern, fill, find, fixed_folder, on_disk, shown
from asam_datasets.sources.evaluation._records import LINK_HINT, EvaluationRef, Folder, without_ending
from asam_datasets.sources.evaluation.layouts._base import BaseLayout, Described, Policy

if TYPE_CHECKING:
    from typing_extensions import Self

FROM_JSON = frozenset({"file_name", "coco_folder", "coco_name"})
"""Fields of an image's path that an annotation file fills."""

MAX_JSON_BYTES = 2**32
"""Largest annotation file that is read; LVIS v1 has about 1 GB for its training set."""

_HEAD_BYTES = 2**20
_NAMES_TRIED = 200
# What the formats call the names of images; other things have a `name` too, but no file of theirs is there.
_TEXT = rb'("(?:[^"\\]|\\.)+")'
_NAME = re.compile(rb'"(?:file_?name|name|coco_url)"\s*:\s*' + _TEXT + rb'|"file_names"\s*:\s*\[\s*' + _TEXT)

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


Files = Annotated[tuple[AnnotationFile, ...], Meta(min_length=1)]


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

    files: Files
    packagings: tuple[Files, ...] = ()
    lone_images: Policy = "reject"

    def images(self, folder: Folder, json: str, bad: BadRecords) -> Iterator[Listed]:
        """The images of one annotation file, in its order; what is wrong with the file's content is reported.

        Raises:
            SourceError: the file cannot be used.
        """
        raise NotImplementedError

    def index(self, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """The images of each annotation file that is there. Where none of them is on disk, there are none: the folder
        is another one.

        Raises:
            RecordError: under the policy `raise`: an image that is not there, or whose name leaves the folder.
            SourceError: a file cannot be used.
        """
        refs, lone = [], []
        for file in self.files:
            for json, fields in sorted(find(folder.root, file.json)):
                for image in self.images(folder, json, bad):
                    try:
                        found = _locate(folder, file.images, fields, image)
                    except RecordError as error:
                        folder.reject_error(bad, error, image.member)
                        continue
                    if found is None:
                        lone.append((image.member, [fill(one, {**fields, **image.fields}) for one in file.images]))
                        continue
                    identity = without_ending(found[0]) if image.image_id is None else image.image_id
                    refs.append(EvaluationRef(*found, identity, (json,), image.key))
        if self.lone_images == "reject" and refs:
            unpack: dict[PurePosixPath, str] = {}
            counted = f"{len(refs):,} of {len(refs) + len(lone):,} images that the annotations name are there."
            for member, places in lone:
                problem = f"expected the image {' or '.join(places)}, found none"
                inside = PurePosixPath(places[0]).parent
                if inside not in unpack:
                    unpack[inside] = archives_near(folder.root, places[0])
                hint = f"{counted} Is the set unpacked whole? {SKIP} leaves such images out."
                folder.reject(bad, problem, member, unpack[inside] or hint)
        yield from refs

    def places(self) -> list[tuple[str, tuple[str, ...]]]:
        """Annotation files, and where the images of each may be."""
        return [(file.json, file.images) for file in self.files]

    def ways(self) -> list[Self]:
        """See `BaseLayout`."""
        return [msgspec.structs.replace(self, files=each, packagings=()) for each in (self.files, *self.packagings)]

    def fits(self, root: Path, budget: Budget | None = None) -> bool:
        """Whether one of the images that an annotation file names first is there."""
        return any(
            _has_image(root, file.images, name, fields)
            for file in self.files
            for name, fields in find(root, file.json, budget)
        )

    def why_nothing(self, root: Path) -> str:
        """The annotation files that were found, and that no image of theirs was."""
        return "; ".join(
            f"{name}, which names no image that is there, such as {' or '.join(map(shown, file.images))}"
            for file in self.files
            for name, _ in sorted(find(root, file.json))[:2]
        )


class JSONStruct(msgspec.Struct, frozen=True, gc=False):
    """Base of what is decoded; fields that nobody needs are passed over."""


class Category(JSONStruct, frozen=True, gc=False):
    """A class of objects, as COCO's JSON and YouTube-VIS' list them."""

    id: int
    name: str


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


def _has_image(root: Path, patterns: Sequence[str], json: str, fields: Mapping[str, str]) -> bool:
    """Whether an image of an annotation file is there, by the names at the file's beginning; where it has none there,
    whether the folder of the images is."""
    head = head_of(root, json, _HEAD_BYTES)
    tried = 0
    for found in _NAME.finditer(head):
        try:
            name = str(msgspec.json.decode(found[1] or found[2]))
        except msgspec.DecodeError:
            continue
        url = urlsplit(name).path.rpartition("/")
        named = {"file_name": name, "coco_folder": url[0].rpartition("/")[2], "coco_name": url[2]}
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            continue
        if any(on_disk(root, fill(pattern, {**fields, **named})) for pattern in patterns):
            return True
        tried += 1
        if tried == _NAMES_TRIED:
            return False
    return not tried and any((root / fixed_folder(fill(pattern, fields))).is_dir() for pattern in patterns)


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
        name = on_disk(folder.root, PurePosixPath(fill(pattern, {**fields, **image.fields})).as_posix())
        size = None if name is None else folder.size_bytes(name)
        if name is not None and size is not None:
            return name, size
    return None


# Images are read by name, so the files of a set that has several are asked for in turn; large ones come alone or in
# twos.
@lru_cache(maxsize=8)
def _parsed(path: Path, size: int, changed_ns: int, where: str, parse: Callable[[bytes, str], Any]) -> Any:
    return parse(read_file(path, limit_bytes=MAX_JSON_BYTES), where)
