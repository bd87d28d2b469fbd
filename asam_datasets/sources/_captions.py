"""Caption files in.

A caption file is one of these, in UTF-8, with or without a byte-order mark, with any line ending:

- JSON Lines `{"img": "sa_1.jpg", "prompt": "..."}` as ASAM writes them; the text may be called `caption` as well;
- JSON Lines `{"source": ..., "target": "sa_000000/sa_1.jpg", "prompt": "..."}`, ASAM's ControlNet list;
- JSON Lines `{"file_name": "cat.png", "text": "..."}`, the `metadata.jsonl` of image folders of `datasets`;
- one JSON array of any of these objects;
- one JSON object, `{"sa_1.jpg": "...", ...}`;
- CSV or TSV with a head (the file's name ends so): a column with a name of these for the image, and one for the text.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from asam_datasets.errors import CaptionsError, option
from asam_datasets.machine import read_file
from asam_datasets.sources._bad import BadRecords

MAX_FILE_BYTES = 2**27
"""Largest caption file that is read: over a million captions of a hundred bytes."""

_BOM = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_SHOWN = 5
_LINE_HINT = (
    "The file holds one JSON object a line, or is one JSON array or object as a whole; a torn last line can be deleted."
)


class _Line(msgspec.Struct, frozen=True):
    """A line of any of the forms; which fields it has is checked by `_read_line`."""

    img: str = ""
    target: str = ""
    file_name: str = ""
    image: str = ""
    prompt: str | None = None
    caption: str | None = None
    text: str | None = None


_LINES = msgspec.json.Decoder(_Line)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_NAMES = ("img", "file_name", "image", "filename")  # columns of a table; `target` is a path of ControlNet's list
_TEXTS = ("prompt", "text", "caption")
_KEYS = frozenset(("img", "target", "source", "prompt", "caption", "file_name", "image", "text"))
_CSV = {".csv": ",", ".tsv": "\t"}
_CSV_HINT = (
    "A CSV of captions has a line of column names: one of img, file_name, image or filename, and one of text, caption "
    "or prompt. Other files are JSON."
)


def read_captions(paths: Iterable[Path], bad: BadRecords | None = None) -> dict[str, str]:
    """Read caption files, in any of the forms of this module and any order.

    Args:
        paths: the files.
        bad: policy for lines that are no captions and for images with two different ones, `raise` by default.
            Under `skip` each is a reject, and the first caption of an image stands.

    Returns:
        Captions by file name of the image.

    Raises:
        CaptionsError: a file is missing; or, under the policy `raise`, a line is not a caption, or an image has two
            different ones. `where` names file and line.
    """
    bad = bad or BadRecords()
    captions: dict[str, str] = {}
    for path in paths:
        try:
            content = read_file(path, limit_bytes=MAX_FILE_BYTES)
        except OSError as error:
            hint = "Give it as several files." if error.errno == errno.EFBIG else "Check the path."
            raise CaptionsError(
                f"expected a caption file, found: {error.strerror}", where=str(path), hint=hint
            ) from error
        parse_captions(content, str(path), bad, captions)
    return captions


def parse_captions(
    content: bytes, label: str, bad: BadRecords, captions: dict[str, str] | None = None
) -> dict[str, str]:
    """Read the content of one caption file; see `read_captions`.

    Args:
        content: of the file.
        label: its path, for messages.
        bad: policy.
        captions: of other files, to which these are added.
    """
    captions = {} if captions is None else captions
    for where, name, text in _entries(label, content.removeprefix(_BOM), bad):
        known = captions.setdefault(name, text)
        if known != text:
            different = CaptionsError(
                f"expected one caption for {name}, found {known!r} and {text!r}",
                where=where,
                hint="Remove one of the two.",
            )
            bad.reject(different, archive=label, member=name)
    return captions


@dataclass(frozen=True)
class CaptionReport:
    """How captions and images fit together.

    `used` captions belong to an image, those of the images `unknown` (names) to none; the images `missing`
    (image ids, sorted) have none.
    """

    used: int
    unknown: Sequence[str]
    missing: Sequence[int]

    def sentences(self) -> list[str]:
        """What people should know: nothing when all fits."""
        said = []
        if self.unknown:
            said.append(f"{len(self.unknown):,} captions of images that are in no archive: {_some(self.unknown)}")
        if self.missing:
            names = [f"sa_{number}.jpg" for number in self.missing[:_SHOWN]]
            said.append(f"{len(self.missing):,} images without a caption: {_some(names, len(self.missing))}")
        return said

    def require_all(self) -> None:
        """Insist that every image has a caption.

        Raises:
            CaptionsError: one has none.
        """
        if self.missing:
            names = [f"sa_{number}.jpg" for number in self.missing[:_SHOWN]]
            raise CaptionsError(
                f"expected a caption for every image, found {len(self.missing)} images without one: "
                f"{_some(names, len(self.missing))}",
                where=option("require_captions"),
                hint=f"Caption them (`asam-datasets caption`), or leave {option('require_captions')} out.",
            )


def caption_report(captions: Mapping[str, str], ids: Collection[int]) -> CaptionReport:
    """Compare captions by file name with the image ids of all archives together."""
    known = ids if isinstance(ids, (set, frozenset)) else frozenset(ids)
    unknown = [name for name in captions if caption_id(name) not in known]
    missing = sorted(number for number in known if f"sa_{number}.jpg" not in captions)
    return CaptionReport(len(captions) - len(unknown), unknown, missing)


def caption_id(name: str) -> int:
    """The image id in an image's file name (`sa_7.jpg` gives 7); -1 for names that are not SA-1B's."""
    match = re.fullmatch(r"sa_(0|[1-9][0-9]{0,17})\.jpg", name)
    return int(match[1]) if match else -1


def _entries(path: str, content: bytes, bad: BadRecords) -> Iterator[tuple[str, str, str]]:
    """(place, name of the image, caption) of each entry of a file."""
    delimiter = _CSV.get(PurePosixPath(path).suffix.lower())
    if delimiter is not None:
        yield from _csv_entries(path, content, delimiter, bad)
        return
    table = _as_object(content)
    if table is not None:
        for name, text in table:
            where = f"{path}: $[{json.dumps(name)}]"
            if isinstance(text, str):
                yield where, name, text
            else:
                other = CaptionsError(f"expected a text, found {json.dumps(text)[:60]}", where=where)
                bad.reject(other, archive=path, member=name)
        return
    for place, line in _objects(content):
        where = f"{path}: {place}"
        try:
            yield where, *_read_line(line, where)
        except CaptionsError as error:
            bad.reject(error, archive=path, member=place)


def _objects(content: bytes) -> Iterator[tuple[str, bytes | msgspec.Raw]]:
    """The objects of an array, or of the lines of a file, each with its place."""
    if content.lstrip().startswith(b"["):
        try:
            msgspec.json.decode(content, type=list[Any])  # the whole of it, and not only where its entries end
            yield from ((f"$[{number}]", entry) for number, entry in enumerate(_ARRAY.decode(content)))
            return
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass  # what is no array is told line by line
    yield from ((f"line {number}", line) for number, line in enumerate(_lines(content), start=1) if line.strip())


def _csv_entries(path: str, content: bytes, delimiter: str, bad: BadRecords) -> Iterator[tuple[str, str, str]]:
    """As `_entries`, of a table with a head.

    Raises:
        CaptionsError: it has no such columns, is no UTF-8, or no table.
    """
    try:
        rows = csv.reader(io.StringIO(content.decode("utf-8"), newline=""), delimiter=delimiter, strict=True)
        head = [name.strip().lower() for name in next(rows, [])]
        names, texts = ([head.index(one) for one in known if one in head] for known in (_NAMES, _TEXTS))
        if not names or not texts:
            problem = f"expected columns for the image and its caption, found {', '.join(head)[:200] or 'no head'}"
            raise CaptionsError(problem, where=f"{path}: line 1", hint=_CSV_HINT)
        for row in rows:
            if not row:
                continue
            where = f"{path}: line {rows.line_num}"
            if len(row) == len(head) and row[names[0]]:
                yield where, row[names[0]], row[texts[0]]
                continue
            problem = f"expected {len(head)} columns and the name of an image, found {len(row)}: {row[:4]!r}"
            bad.reject(
                CaptionsError(problem, where=where, hint=_CSV_HINT), archive=path, member=f"line {rows.line_num}"
            )
    except (UnicodeDecodeError, csv.Error) as error:
        raise CaptionsError(f"expected a table in UTF-8, found: {error}", where=path, hint=_CSV_HINT) from None


def _lines(content: bytes) -> Iterator[bytes]:
    """The lines of a file, one at a time: a hundred megabytes of line ends must not become as many objects."""
    start = 0
    for end in _LINE_END.finditer(content):
        yield content[start : end.start()]
        start = end.end()
    if start < len(content):
        yield content[start:]


def _as_object(content: bytes) -> list[tuple[str, Any]] | None:
    """The entries of a file that is one JSON object of names, in order and with repetitions; None for JSON Lines."""
    if not content.lstrip().startswith(b"{"):
        return None
    try:
        table = msgspec.json.decode(content, type=dict[str, Any])
        if table.keys() & _KEYS:
            return None
        entries: list[tuple[str, Any]] = json.loads(content, object_pairs_hook=list)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return entries


def _read_line(line: bytes | msgspec.Raw, where: str) -> tuple[str, str]:
    found: object = ""
    try:
        entry = _LINES.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = error
    else:
        name = entry.img or PurePosixPath(entry.target).name or entry.file_name or entry.image
        texts = [text for text in (entry.prompt, entry.caption, entry.text) if text is not None]
        text = texts[0] if texts else None
        if not name:
            found = "no field `img` or `file_name`"
        elif text is None:
            found = "no field `prompt`, `caption` or `text`"
        elif any(other != text for other in texts):
            found = "another text in `caption` than in `prompt`" if entry.prompt is not None else "two texts"
        else:
            return name, text
    if b"\0" in bytes(line):
        raise CaptionsError("expected a file of captions, found bytes that are no text", where=where, hint=_LINE_HINT)
    raise CaptionsError(
        f'expected {{"img": "sa_N.jpg", "prompt": "..."}}, found {bytes(line)[:60]!r} ({found})',
        where=where,
        hint=_LINE_HINT,
    )


def _some(names: Sequence[str], count: int | None = None) -> str:
    count = count or len(names)
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {count - _SHOWN} more" if count > _SHOWN else shown
