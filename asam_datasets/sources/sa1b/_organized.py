"""ASAM's organised folder as a source: which archives and captions are in it, and whether what was decoded is right.

    sam-1b/sa_000000/sa_1.jpg, sa_1.json, sa_1/segmentation_0.png ..., sa_1.png
    sam-1b/sa_000000-blip2-caption.json, sa_000000-controlnet-train.json

Records come from the images and their JSON alone, through `FolderSource`. Masks and maps are made from the JSON
again when they are published; `check_organized` tells whether those in the folder are the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.images import decoding, open_image
from asam_datasets.machine import leads_out, read_file
from asam_datasets.masks import PngEncoder
from asam_datasets.sources._lists import CAPTION_LIST, CONTROLNET_LIST
from asam_datasets.sources.sa1b._folder import LINK_HINT, FolderSource
from asam_datasets.sources.sa1b._json import Record, read_record
from asam_datasets.sources.sa1b._records import MAX_MEMBER_BYTES, RecordRef

_ARCHIVE = re.compile(r"sa_[0-9]{6}")
_IMAGE = re.compile(r"sa_[0-9]+\.jpg")


class Disagreement(NamedTuple):
    """A decoded file of an organised folder that is not what the JSON says; `member` is relative to the archive."""

    archive: str
    member: str
    problem: str


def organized_archives(folder: Path) -> list[Path]:
    """The archives of an organised folder, sorted: folders with a caption or ControlNet list beside them, and folders
    named like an archive (`sa_000000`) with images in them. None when the folder is not an organised one."""
    if _has_images(folder):  # an archive itself, in which the masks of image 226381 lie in a folder of that name
        return []
    return sorted(
        entry
        for entry in entries_of(folder)
        if not entry.name.startswith(".")
        and entry.is_dir()
        and (_lists_of(entry) or (_ARCHIVE.fullmatch(entry.name) and _has_images(entry)))
    )


def find_captions(location: str | Path) -> list[Path]:
    """The caption files that belong to an organised folder, or to one archive of it, and lie where ASAM puts them.

    Both lists of an archive are returned where both are there: `read_captions` reads either, and says when they
    differ. Nothing is found for tars and URLs.

    Raises:
        SourceError: the folder cannot be read, or a list is a link out of it.
    """
    folder = Path(os.path.expanduser(location))
    if "://" in str(location) or not folder.is_dir():
        return []
    archives = organized_archives(folder) or [Path(folder.resolve())]
    return [path for archive in archives for path in _lists_of(archive)]


def check_organized(source: FolderSource, refs: Iterable[RecordRef]) -> Iterator[Disagreement]:
    """Compare the masks and conditioning images that lie in an organised folder with the JSON beside them.

    What is not there at all (`organize` with masks "none") is no disagreement. One record is held at a time.

    Args:
        source: the folder of one archive.
        refs: its records, as `source.index` gives them; some of them, to look at a sample.

    Raises:
        SourceError, RecordError: as `source.read` and `read_record`.
    """
    encoder = PngEncoder()
    for ref in refs:
        record = read_record(source.read(ref), None)
        beside = source.path / ref.image.name
        for member, problem in _disagreements(record, beside.with_suffix(""), encoder):
            name = Path(ref.image.name).parent / member
            yield Disagreement(source.label, name.as_posix(), problem)


def _disagreements(record: Record, stem: Path, encoder: PngEncoder) -> Iterator[tuple[str, str]]:
    """(path relative to the image, problem) of one record; `stem` is the image's path without its ending."""
    if stem.is_dir():
        expected = {f"segmentation_{number}.png": mask for number, mask in enumerate(record.masks)}
        found = {path.name for path in stem.iterdir()}
        if found != expected.keys():
            yield stem.name, f"expected {len(expected)} masks, found {_difference(set(expected), found)}"
        for name, mask in expected.items():
            if name in found:
                problem = _compare_mask(_content(stem / name), mask, encoder)
                if problem:
                    yield f"{stem.name}/{name}", problem
    image = stem.with_suffix(".png")
    if image.is_file():
        content = _content(image)
        shape = (record.image.height, record.image.width)
        painted = encoder.conditioning(record.masks, shape)
        problem = "" if content == painted else _compare_pixels(content, _pixels(painted), "the annotations' map")
        if problem:
            yield image.name, problem


def _compare_mask(content: bytes, mask: RLEMask, encoder: PngEncoder) -> str:
    ours = encoder.mask(mask, bit_depth=8)
    return "" if content == ours else _compare_pixels(content, _pixels(ours), "0 and 255 as the segmentation says")


def _compare_pixels(content: bytes, expected: NDArray[np.uint8], what: str) -> str:
    try:
        found = _pixels(content)
    except RecordError as error:
        return error.problem
    if found.shape != expected.shape:
        return f"expected {_shape(expected)}, found {_shape(found)}"
    wrong = int(np.count_nonzero((found != expected).reshape(*found.shape[:2], -1).any(axis=2)))
    return f"expected {what}, found {wrong} other pixels of {found.shape[0] * found.shape[1]}" if wrong else ""


def _pixels(content: bytes) -> NDArray[np.uint8]:
    image = open_image(content, "", formats=("PNG", "JPEG"))
    with decoding(""):
        return np.asarray(image)


def _shape(pixels: NDArray[np.uint8]) -> str:
    channels = f" with {pixels.shape[2]} channels" if pixels.ndim == 3 else ""
    return f"{pixels.shape[0]} × {pixels.shape[1]} (height × width){channels}"


def _difference(expected: set[str], found: set[str]) -> str:
    lost, more = sorted(expected - found), sorted(found - expected)
    said = [
        f"{len(names)} {what} (such as {names[0]})" for names, what in ((lost, "missing"), (more, "other")) if names
    ]
    return " and ".join(said)


def _lists_of(archive: Path) -> list[Path]:
    paths = [archive.with_name(archive.name + ending) for ending in (CAPTION_LIST, CONTROLNET_LIST)]
    return [Path(own_path(archive.parent, path)) for path in paths if path.is_file()]


def entries_of(folder: Path) -> list[Path]:
    """What lies in a folder.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise SourceError(f"expected a readable folder, found: {error.strerror}", where=str(folder)) from error


def own_path(folder: Path, path: Path) -> str:
    """A path in a folder that somebody gave.

    Raises:
        SourceError: it is a link out of the folder: what is elsewhere was not given, and must not be published.
    """
    if leads_out(folder, path):
        raise SourceError("expected files of the folder, found a link out of it", where=str(path), hint=LINK_HINT)
    return str(path)


def _content(path: Path) -> bytes:
    """The bytes of a mask or a map; none of what is no file."""
    try:
        return read_file(path, limit_bytes=MAX_MEMBER_BYTES)
    except OSError:
        return b""


def _has_images(folder: Path) -> bool:
    return any(_IMAGE.fullmatch(entry.name) for entry in entries_of(folder))
