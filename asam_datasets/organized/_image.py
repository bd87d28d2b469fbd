"""One image of the organised folder: its four entries, each there as a whole or not at all.

    sa_1/  sa_1.png  sa_1.json  sa_1.jpg

They are made in a work folder on the same file system and renamed in this order, so an image whose JPEG is there is
there completely, whatever was killed when. What lies there already is compared and never replaced.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.errors import TargetError, option
from asam_datasets.masks import PngEncoder
from asam_datasets.organized._masks import MaskRange
from asam_datasets.sources.sa1b import RawRecord, Record

_ENDINGS = (".png", ".json", ".jpg")  # the order of renaming
_KEPT = f"Give another {option('out')}, or move this away; nothing that was there has been changed."


@dataclass(frozen=True)
class Place:
    """Where the images of one archive go.

    `trusted` says that all images in `folder` were put there by an unfinished run with the same input and settings,
    so that those which are there need not be compared. Where nothing was there, there is nothing to trust.
    """

    folder: Path
    work: Path
    masks: MaskRange
    trusted: bool

    def has(self, image_id: int) -> bool:
        """Whether an image is there and need not be looked at."""
        if not self.trusted:
            return False
        stem = self.folder / f"sa_{image_id}"
        return all(stem.with_suffix(ending).is_file() for ending in _ENDINGS) and (
            self.masks.stop == 0 or stem.is_dir()
        )


def write_image(raw: RawRecord, record: Record, place: Place, encoder: PngEncoder) -> None:
    """Write one record as ASAM's programs read it.

    Args:
        raw: the two originals, which are written as they are.
        record: the same, checked; masks and map are rendered from its runs.
        place: where.
        encoder: this process's.

    Raises:
        TargetError: something else lies there under one of the names.
        OSError: the disk is full, or the like; no part of an entry is left behind.
    """
    stem = place.folder / f"sa_{raw.image_id}"
    work = place.work / f"{stem.name}.{os.getpid()}"
    shape = (record.image.height, record.image.width)
    try:
        if place.masks.stop != 0:
            numbers = place.masks.numbers(len(record.masks))
            masks = {f"segmentation_{n}.png": encoder.mask(record.masks[n], bit_depth=8) for n in numbers}
            _place_folder(stem, masks, work)
        contents = (encoder.conditioning(record.masks, shape), raw.json, raw.jpeg)
        for ending, content in zip(_ENDINGS, contents, strict=True):
            place_file(stem.with_suffix(ending), content, work)
    finally:
        if work.is_dir():
            shutil.rmtree(work, ignore_errors=True)
        else:
            work.unlink(missing_ok=True)


def place_file(path: Path, content: bytes, work: Path) -> None:
    """Write a file as a whole or not at all: as `work` first, then renamed. One that is there is compared.

    Raises:
        TargetError: something else lies there.
        OSError: the disk is full, or the like.
    """
    if os.path.lexists(path):
        _require_same(path, content)
        return
    _write(os.fspath(work), content)
    os.replace(work, path)


def _place_folder(path: Path, contents: Mapping[str, bytes], work: Path) -> None:
    if not os.path.lexists(path):
        work.mkdir()
        top = os.fspath(work)
        for name, content in contents.items():
            _write(f"{top}/{name}", content)
        os.rename(work, path)
        return
    found = sorted(os.listdir(path)) if path.is_dir() else None
    if found is None or set(found) != contents.keys():
        raise TargetError(
            f"expected a folder of these {len(contents)} masks, found "
            + ("a file" if found is None else f"{len(found)} files"),
            where=str(path),
            hint=f"Was it made with other {option('masks')}, or of another archive? " + _KEPT,
        )
    for name, content in contents.items():
        _require_same(path / name, content)


def _require_same(path: Path, content: bytes) -> None:
    try:
        same = path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        same = False
    if not same:
        raise TargetError(
            "expected nothing there, or the bytes that this would write, found something else",
            where=str(path),
            hint=_KEPT,
        )


def _write(path: str, content: bytes) -> None:
    """Write a new file. `os` rather than `open`: there are a hundred of them an image."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(file, rest) :]
        finally:
            os.close(file)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error
