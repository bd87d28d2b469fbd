"""What a path or URL stands for: archives, and the source that reads one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from asam_datasets.errors import SourceError, option
from asam_datasets.sources.sa1b._folder import FolderSource
from asam_datasets.sources.sa1b._organized import entries_of, organized_archives, own_path
from asam_datasets.sources.sa1b._records import is_material
from asam_datasets.sources.sa1b._stream import StreamSource, is_compressed, without_secrets
from asam_datasets.sources.sa1b._tar import TarSource
from asam_datasets.sources.sa1b._zip import ZipSource, is_zip

IndexedSource = FolderSource | TarSource | ZipSource
"""A source whose records can be read in any order, by several processes."""

Source = FolderSource | TarSource | ZipSource | StreamSource

_TAR = r"\.(tar|tar\.gz|tgz|zip)$"
_FOR_ANNOTATIONS = ("annotations", "annotation", "labels")
_ENDING = r"\.(tar|tar\.gz|tgz|zip|json)$"

ARCHIVE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
"""What can name an archive, and so a folder of the dataset."""


def open_archives(locations: Iterable[str | Path]) -> list[Source]:
    """Open all archives that some locations stand for; `NAME=PATH` gives an archive another name than its path has.

    Raises:
        SourceError: as `find_archives` and `open_source`; or two archives have one name, or a folder of several got
            one.
    """
    sources: dict[str, Source] = {}
    for location in locations:
        name, place = split_name(location)
        found = find_archives(place)
        if name is not None and len(found) > 1:
            raise SourceError(
                f"expected one archive to call {name}, found {len(found)} (such as {found[0]})",
                where=place,
                hint="Leave the name out, or give the archives one by one.",
            )
        for source in (open_source(one, name) for one in found):
            other = sources.setdefault(source.name, source)
            if other is not source:
                raise SourceError(
                    f"expected archives of different names, found {source.name} as {other.label} and {source.label}",
                    where=option("train"),
                    hint=f"Give each archive once. Its name is the last part of its path, unless you give another: "
                    f"{option('train', 'NAME=PATH')}",
                )
    return list(sources.values())


def split_name(location: str | Path) -> tuple[str | None, str]:
    """The name and the path of `NAME=PATH`; no name for a location that is only a path, or lies there as it is."""
    text = str(location)
    name, sign, place = text.partition("=")
    if not sign or not place or not ARCHIVE_NAME.fullmatch(name) or Path(text).exists():
        return None, text
    return name, place


def find_archives(location: str | Path) -> list[str]:
    """The archives that a location stands for: itself, the tars and zips in a folder of them, or the archives of an
    organised folder (`sam-1b/sa_000000/`, `sam-1b/sa_000001/`, ...).

    A location is what somebody gives, so a `~` that no shell has seen is the folder of the user. What is found is taken
    by its name: a folder of anybody's making may hold one that is called so.

    Raises:
        SourceError: a folder that holds two of these kinds, which could mean either, cannot be read, or has a link out
            of it for an archive.
    """
    text = os.path.expanduser(str(location))
    folder = Path(text)
    if "://" in text or not folder.is_dir():
        return [text]
    names = sorted(entry.name for entry in entries_of(folder))
    tars = [name for name in names if re.search(_TAR, name)]
    if any(is_material(name) or (folder / name).is_dir() for name in names):
        # Beside images a zip is a copy of them, or something else; a tar there was always taken for an archive.
        tars = [name for name in tars if not name.endswith(".zip")]
    images = any(name.startswith("sa_") and name.endswith(".jpg") for name in names)
    if tars and images:
        raise SourceError(
            f"expected a folder of pairs or a folder of tars, found both (such as {tars[0]})",
            where=text,
            hint="Give the tars one by one, or move them elsewhere.",
        )
    organized = organized_archives(folder)
    if tars and organized:
        raise SourceError(
            f"expected a folder of tars or an organised folder, found both ({tars[0]} and {organized[0].name})",
            where=text,
            hint="Give the archives one by one, or move them elsewhere.",
        )
    return [own_path(folder, path) for path in organized or [folder / name for name in tars]] or [text]


def open_source(location: str | Path, name: str | None = None) -> Source:
    """Find out what a path or URL is: a folder, a tar, a zip, a COCO JSON of images near it, or a stream (a URL, or
    gzip whatever the name says).

    The archive's name is the last part of the path without `.tar`, `.tar.gz`, `.tgz`, `.zip` or `.json`: `sa_000000`,
    if none is given.

    Raises:
        SourceError: nothing is there, or the name cannot name a folder of the dataset.
    """
    text = str(location)
    is_url = "://" in text
    tail = PurePosixPath(urlsplit(text).path).name if is_url else Path(text).resolve().name
    name = name or re.sub(_ENDING, "", tail)
    if not ARCHIVE_NAME.fullmatch(name):
        raise SourceError(
            f"expected a name of letters, digits, dots, dashes and underscores, found {name!r}",
            where=without_secrets(text),
            hint="A path of Windows? Give it as this system has it, with slashes."
            if "\\" in text
            else "The archive's name becomes a folder of the dataset; give another: sa_000000=PATH.",
        )
    if is_url:
        return StreamSource(text, name)
    path = Path(text)
    if path.is_dir():
        beside = path.resolve().with_name(f"{path.resolve().name}.json")
        return _of_json(beside, name) if beside.is_file() and _lacks_json(path) else FolderSource(path, name)
    if not path.is_file():
        raise SourceError(
            "expected an archive (a folder, a .tar, a .zip, a COCO .json or a URL), found nothing there",
            where=text,
            hint="Check the path.",
        )
    if text.lower().endswith(".json"):
        return _of_json(path, name)
    try:
        with open(path, "rb") as file:
            start = file.read(4)
        if is_zip(start):
            return ZipSource(path, name)
        return StreamSource(text, name) if is_compressed(start, text) else TarSource(path, name)
    except OSError as error:
        raise SourceError(f"expected a readable file, found: {error.strerror}", where=text) from error


def _of_json(json: Path, name: str) -> FolderSource:
    """The images of a COCO JSON: those below its folder; those below the folder around it where its own is one for
    annotations, as COCO lies."""
    folder = json.resolve().parent
    if folder.name.lower() in _FOR_ANNOTATIONS and not _has_images(folder):
        folder = folder.parent
    return FolderSource(folder, name, json.resolve().relative_to(folder).as_posix())


def _has_images(folder: Path) -> bool:
    """Whether there is an image below a folder; it is walked through until the first one."""
    walk = (name for _, _, names in os.walk(folder) for name in names)
    return any(is_material(name) and not name.lower().endswith(".json") for name in walk)


def _lacks_json(folder: Path) -> bool:
    """Whether no annotation file lies in a folder of images, so that one beside it counts."""
    return not any(name.endswith(".json") for _, _, names in os.walk(folder) for name in names)
