"""Caption files as ASAM writes them, and lists of image ids."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from asam_datasets.errors import CaptionsError, SourceError


class CaptionLine(msgspec.Struct, frozen=True):
    """One line of `sa_000000-blip2-caption.json`: `{"img": "sa_1.jpg", "prompt": "a photo of ..."}`."""

    img: str
    prompt: str


_DECODER = msgspec.json.Decoder(CaptionLine)
_ONE_ID = "One number a line, such as 226381."


def read_captions(paths: Iterable[Path]) -> dict[str, str]:
    """Read caption files: JSON Lines, one caption per picture, any order, any line ending, with or without BOM.

    Returns:
        Captions by file name of the picture.

    Raises:
        CaptionsError: a file is missing, a line is not a caption, or a picture has two different ones; `where` names
            file and line.
    """
    captions: dict[str, str] = {}
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CaptionsError(
                f"expected a caption file, found: {error.strerror}", where=str(path), hint="Check the path."
            ) from error
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
            if not line.strip():
                continue
            where = f"{path}: line {number}"
            try:
                caption = _DECODER.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise CaptionsError(
                    f'expected {{"img": "sa_N.jpg", "prompt": "..."}}, found {line[:60]!r} ({error})',
                    where=where,
                    hint="The file holds one JSON object a line; a torn last line can be deleted.",
                ) from None
            known = captions.setdefault(caption.img, caption.prompt)
            if known != caption.prompt:
                raise CaptionsError(
                    f"expected one caption for {caption.img}, found {known!r} and {caption.prompt!r}",
                    where=where,
                    hint="Remove one of the two.",
                )
    return captions


def caption_id(name: str) -> int:
    """The image id in a picture's file name (`sa_7.jpg` gives 7); -1 for names that are not SA-1B's."""
    match = re.fullmatch(r"sa_(0|[1-9][0-9]{0,17})\.jpg", name)
    return int(match[1]) if match else -1


def read_ids(path: Path) -> frozenset[int]:
    """Read `sa_images_ids.txt`: image ids, one a line.

    Raises:
        SourceError: the file is missing or empty, or a line is not an id.
    """
    try:
        lines: Sequence[str] = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise SourceError(f"expected a list of image ids, found: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise SourceError("expected a text of image ids, found other bytes", where=str(path), hint=_ONE_ID) from error
    ids = set()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise SourceError(
                f"expected an image id, found {text[:40]!r}", where=f"{path}: line {number}", hint=_ONE_ID
            )
        ids.add(int(text))
    if not ids:
        raise SourceError("expected image ids, found an empty file", where=str(path), hint=_ONE_ID)
    return frozenset(ids)
