"""Image files of anybody's making: the one place where they are opened.

1. Only `FORMATS` are opened. Pillow knows many more, and starts programs for some: Ghostscript for an EPS.
2. An image has at most `MAX_PIXELS` pixels: the header says how many, before one is decoded. A JPEG has at most
   `MAX_SCANS` scans, and no file more pieces than `MAX_READS`: a decoder goes over all pixels for each scan.
3. Whatever Pillow raises on bytes that are not what they promise, when it opens or decodes them, is one `RecordError`.
4. Odd metadata is passed over in silence, whatever Pillow thinks of it.

Nothing is rotated: masks refer to the pixels as they are stored, whatever EXIF says; `orientation` tells what it says.
Shapes are (height, width). Safe in threads.
"""

from __future__ import annotations

import io
import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, UnidentifiedImageError

from asam_datasets.errors import AsamDatasetsError, RecordError
from asam_datasets.masks import MAX_PIXELS

__all__ = ["FORMATS", "MAX_READS", "MAX_SCANS", "check_whole", "decoding", "image_shape", "open_image", "orientation"]

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
"""Pillow's names of the formats that are opened."""

MAX_SCANS = 100
"""Most scans of a JPEG. Progressive ones have about ten."""

MAX_READS = 2**19
"""Most reads of one file: its segments, chunks and tags are read one by one."""

_SPELLED = {"WEBP": "WebP", "MPO": "JPEG"}
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip
_SCAN, _START, _END = b"\xff\xda", b"\xff\xd8\xff", b"\xff\xd9"  # markers in a JPEG
_SCAN_CODE, _END_CODE = 0xDA, 0xD9
# What may stand between two scans, each with a length: tables, a restart interval, lines, comments, data of programs.
_BETWEEN = frozenset([0xC4, 0xCC, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)])
_IS_MARKER = np.ones(256, np.bool_)  # by the byte after 0xff
_IS_MARKER[[0x00, 0xFF, *range(0xD0, 0xD8)]] = False  # a pixel's 0xff, a filling, a restart
_BLOCK_BYTES = 2**22
_LAST_CHUNK = b"IEND\xaeB`\x82"  # of a PNG
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NOTES = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # chunks of a PNG that may tell an orientation
_ORIENTATION = 0x0112  # tag of EXIF
_SPARE_BYTES = 56  # some writers leave a few bytes behind the last chunk


def open_image(
    data: bytes, where: str, *, formats: tuple[str, ...] = FORMATS, expected: str = "", hint: str = ""
) -> Image.Image:
    """Look at the header of an encoded image; no pixel is decoded yet. What decodes one belongs into `decoding`.

    Args:
        data: the file.
        where: its place, for messages.
        formats: of `FORMATS`, those that are taken.
        expected: what messages call them; their names by default.
        hint: what to do about it, for messages.

    Raises:
        RecordError: none of these, damaged in its header, or more than `MAX_PIXELS`.
    """
    try:
        with _QUIET:
            image = Image.open(_Counted(data), formats=formats)
    except Image.DecompressionBombError as error:
        raise RecordError(f"expected at most {MAX_PIXELS} pixels, found: {error}", where=where, hint=hint) from None
    except _DAMAGE as error:
        # Pillow shows the object that it read from, whose address says nothing.
        reason = "" if isinstance(error, UnidentifiedImageError) else f" ({_reason(error)})"
        found = f"{len(data)} bytes that start with {bytes(data[:8])!r}{reason}"
        raise RecordError(f"expected {expected or _names(formats)}, found {found}", where=where, hint=hint) from None
    width, height = image.size
    if height * width > MAX_PIXELS:
        problem = f"expected at most {MAX_PIXELS} pixels, found {height} × {width}"
        raise RecordError(problem, where=where, hint=hint)
    scans = _count_scans(data) if image.format in ("JPEG", "MPO") else 0
    if scans > MAX_SCANS:
        raise RecordError(f"expected at most {MAX_SCANS} scans, found {scans}", where=where, hint=hint)
    return image


@contextmanager
def decoding(where: str, *, expected: str = "a readable image", hint: str = "") -> Iterator[None]:
    """Around whatever decodes pixels of an opened image: `load`, `convert`, `resize`, `draft`, `np.asarray`.

    Args:
        where, hint: as for `open_image`.
        expected: what the message calls it.

    Raises:
        RecordError: the image is damaged. Errors of this package go through as they are.
    """
    try:
        with _QUIET:
            yield
    except AsamDatasetsError:
        raise
    except _DAMAGE as error:
        problem = f"expected {expected}, found one that fails with: {_reason(error)}"
        raise RecordError(problem, where=where, hint=hint) from None


def image_shape(
    data: bytes, where: str, *, formats: tuple[str, ...] = FORMATS, expected: str = "", hint: str = ""
) -> tuple[int, int]:
    """(height, width) of an encoded image that is there as a whole; no pixel is decoded.

    Args:
        data, where, formats, expected, hint: as for `open_image`.

    Raises:
        RecordError: as `open_image` and `check_whole`.
    """
    with open_image(data, where, formats=formats, expected=expected, hint=hint) as image:
        check_whole(data, image.format, where, hint=hint)
        return image.height, image.width


def check_whole(data: bytes, kind: str, where: str, *, spare_bytes: int = _SPARE_BYTES, hint: str = "") -> None:
    """Refuse a JPEG or PNG that is cut, as far as its end tells. Pillow opens no cut WebP; TIFF and BMP do not tell.

    Of a JPEG the markers are walked through as well: other bytes in their place, a few hundred of them, are found (each
    256th byte of noise would be a marker, which pixels have none of). Less may pass: a decoder makes an image of
    anything, and says nothing.

    Args:
        data: the file.
        kind: its format as Pillow names it: `image.format`. That of a JPEG with further images behind it is `MPO`.
        where, hint: as for `open_image`.
        spare_bytes: how many bytes a PNG may have behind its last chunk.

    Raises:
        RecordError: it is cut.
    """
    if kind in ("JPEG", "MPO"):
        # A whole JPEG ends with an end-of-image marker, and no scan begins after the last one. (The marker of an
        # embedded preview comes before the scan of the image itself, so a cut image with a preview is found as well.)
        # Of an MPO it is enough that the first image is whole: the scan after the marker may be that of the next.
        end = data.rfind(_END)
        scan = data.find(_SCAN, end) if end >= 0 else -1
        whole = end >= 0 and (scan < 0 or (kind == "MPO" and data.find(_START, end, scan) >= 0))
        missing = "end-of-image marker"
    elif kind == "PNG":
        whole = data.find(_LAST_CHUNK, max(0, len(data) - len(_LAST_CHUNK) - spare_bytes)) >= 0
        missing = "IEND chunk at its end"
    else:
        return
    if not whole:
        cut = f"one that is cut after {len(data)} bytes (no {missing})"
        raise RecordError(f"expected a whole {_SPELLED.get(kind, kind)}, found {cut}", where=where, hint=hint)
    damage = _stray_marker(data) if kind != "PNG" else ""
    if damage:
        raise RecordError(f"expected a whole JPEG, found one that is damaged: {damage}", where=where, hint=hint)


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Place and code of everything in a JPEG that looks like a marker, also in what programs put into its head."""
    for start in range(0, len(data), _BLOCK_BYTES):
        block = np.frombuffer(data, np.uint8, min(_BLOCK_BYTES + 1, len(data) - start), start)
        places = np.flatnonzero(block[:-1] == 0xFF)
        codes = block[1:][places]
        found = _IS_MARKER[codes]
        yield from zip((places[found] + start).tolist(), codes[found].tolist(), strict=True)


def _count_scans(data: bytes) -> int:
    """How many scans a JPEG has, with those of previews in it."""
    total = 0
    for start in range(0, len(data), _BLOCK_BYTES):
        block = np.frombuffer(data, np.uint8, min(_BLOCK_BYTES + 1, len(data) - start), start)
        total += int(np.count_nonzero(block[1:][block[:-1] == 0xFF] == _SCAN_CODE))
    return total


def _stray_marker(data: bytes) -> str:
    """The first thing among the pixels of a JPEG that decoders skip, and no encoder writes; empty without any."""
    following, in_pixels = 2, False
    for place, code in _markers(data):
        if place < following:
            continue  # within the segment before
        if in_pixels and code == _END_CODE:
            return ""
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        following = place + 2 + length
        if in_pixels and not (
            (code == _SCAN_CODE and data[place + 4 : place + 5] == bytes([max(0, length - 6) // 2 % 256]))
            or (code in _BETWEEN and data[following : following + 1] == b"\xff")
        ):
            return f"byte {place} of {len(data)} is the marker {code:#04x}, among its pixels"
        in_pixels |= code == _SCAN_CODE
    return ""


class _Counted(io.BytesIO):
    """Bytes that are read piece by piece, not without end."""

    _reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise ValueError(f"more than {MAX_READS} pieces")
        return super().read(size)


def orientation(data: bytes) -> int:
    """How metadata want an encoded image to be turned when it is shown: 1 to 8, as EXIF counts; 1 is not at all.

    It is what `datasets` does to the image, and to no mask: a record of another orientation than 1 does not fit there.
    (Pillow turns TIFF by itself, images and masks alike, and tells 1.) No pixel is decoded; 1 for what cannot be read.
    """
    try:
        with _QUIET, Image.open(_Counted(data), formats=FORMATS) as image:
            if image.format == "PNG":
                image = Image.open(_Counted(_notes_first(data)), formats=("PNG",))
            # Of the base class: that of a PNG decodes all pixels to see what comes after them.
            found = 1 if image.format == "TIFF" else Image.Image.getexif(image).get(_ORIENTATION)
    except _DAMAGE:
        return 1
    return found if isinstance(found, int) and 2 <= found <= 8 else 1


def _notes_first(png: bytes) -> bytes:
    """A PNG up to its first pixel, with all that is said of it in front, also what comes at the end of the file."""
    chunks, notes, place = list[bytes](), list[bytes](), len(_SIGNATURE)
    while place + 12 <= len(png):
        kind, end = png[place + 4 : place + 8], place + 12 + int.from_bytes(png[place : place + 4], "big")
        (notes if kind in _NOTES else chunks).append(png[place:end] if kind != b"IDAT" else b"")
        place = end
    return b"".join([_SIGNATURE, *chunks[:1], *notes, b"\0\0\0\0IDAT"])


def _names(formats: tuple[str, ...]) -> str:
    """`a JPEG, PNG or TIFF`."""
    *others, last = (_SPELLED.get(one, one) for one in formats)
    return f"a {', '.join(others)} or {last}" if others else f"a {last}"


def _reason(error: BaseException) -> str:
    said = str(error).partition("\n")[0]
    tells = isinstance(error, (OSError, SyntaxError, ValueError)) and any(map(str.isalpha, said))
    return said if tells else f"{type(error).__name__} {said}".rstrip()


class _Quiet:
    """Pillow's warnings are silent while any thread is inside.

    `catch_warnings` alone is not made for threads: each puts back the filters that it found, and those may be what
    another had for a while. So the first one in and the last one out do it for all.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._caught = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._caught = warnings.catch_warnings()
                self._caught.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._caught.__exit__(None, None, None)

    def forget(self) -> None:
        """In a forked process: its threads are gone, and with them whoever held the lock."""
        with_filters, self._lock = self._inside, threading.Lock()
        self._inside = 0
        if with_filters:
            self._caught.__exit__(None, None, None)


_QUIET = _Quiet()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_QUIET.forget)
