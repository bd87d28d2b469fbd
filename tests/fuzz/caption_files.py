"""Caption files: judged by a reader of lines and objects on top of Python's own `json`."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from asam_datasets.errors import CaptionsError
from asam_datasets.sources import BadRecords, parse_captions
from fuzz import mutate
from fuzz.target import Target, refused

KEYS = {"img", "target", "source", "prompt", "caption", "file_name", "image", "text"}
_HALF = re.compile("[\ud800-\udc7f]")
TEXTS = ("a photo of a dog", "zwei Fische 🐟", "", "a\nb", 'say "x"', "\u2028", "\x85", "x" * 300)


def try_one(rng: random.Random) -> bool:
    """One file, under both policies."""
    content = _content(rng)
    skipping = BadRecords("skip")
    loose = parse_captions(content, "captions.json", skipping)
    _confirm(content, loose, len(skipping.rejects))
    try:
        strict = parse_captions(content, "captions.json", BadRecords())
    except CaptionsError as error:
        assert skipping.rejects, "refused under one policy and nothing rejected under the other"
        return refused(error)
    assert not skipping.rejects
    assert strict == loose
    return True


def _content(rng: random.Random) -> bytes:
    names = [f"sa_{number}.jpg" for number in range(rng.randint(0, 6))]
    if rng.random() < 0.3:
        table: Any = {name: rng.choice(TEXTS) for name in names}
        content = mutate.json_text(rng, table)
    else:
        form = rng.randrange(4)
        lines = [_line(form, name, rng.choice(TEXTS)) for name in names]
        if rng.random() < 0.2:
            array = json.dumps(lines).encode()
            return mutate.json_text(rng, lines) if rng.random() < 0.5 else mutate.blob(rng, array)
        texts = [mutate.json_text(rng, line) if rng.random() < 0.3 else json.dumps(line).encode() for line in lines]
        content = rng.choice((b"\n", b"\r\n", b"\r", b"\n\n")).join(texts)
    content = rng.choice((b"", b"", b"", b"\xef\xbb\xbf", b" ", b"\n")) + content
    return mutate.blob(rng, content) if rng.random() < 0.3 else content


def _line(form: int, name: str, text: str) -> dict[str, str]:
    if form == 2:
        stem = name.removesuffix(".jpg")
        return {"source": f"sa_000000/{stem}.png", "target": f"sa_000000/{name}", "prompt": text}
    if form == 3:
        return {"file_name": name, "text": text}
    return {"img": name, ("prompt", "caption")[form]: text}


def _confirm(content: bytes, captions: dict[str, str], rejects: int) -> None:
    content = content.removeprefix(b"\xef\xbb\xbf")
    entries = _entries(content)
    good = [entry for entry in entries if entry is not None]
    expected: dict[str, str] = {}
    different = 0
    for name, text in good:
        different += expected.setdefault(name, text) != text
    assert captions == expected, "other captions"
    assert rejects == entries.count(None) + different, "another number of rejects"


def _entries(content: bytes) -> list[tuple[str, str] | None]:
    """Name and caption of each entry; None for what is none."""
    whole = _json(content)
    if isinstance(whole, Pairs) and _is_table(whole):
        return [(name, text) if isinstance(text, str) else None for name, text in whole]
    if isinstance(whole, list) and not isinstance(whole, Pairs) and _is_whole(whole):
        return [_entry(entry) for entry in whole]
    return [_entry(_json(line)) for line in content.splitlines() if line.strip()]


def _is_whole(whole: list[Any]) -> bool:
    """Whether all text of an array is UTF-8, and all numbers are some."""
    try:
        return _is_text(json.dumps(whole, ensure_ascii=False, allow_nan=False))
    except ValueError:
        return False


def _is_table(whole: Pairs) -> bool:
    """Whether an object has names of images and captions, and is not a line of the other forms."""
    names = {name for name, _ in whole}
    try:
        texts = json.dumps([text for _, text in whole], ensure_ascii=False, allow_nan=False)
    except ValueError:  # a number that no float holds
        return False
    return not names & KEYS and all(map(_is_text, (*names, texts)))


def _entry(line: Any) -> tuple[str, str] | None:
    if not isinstance(line, Pairs) or _HALF.search(json.dumps(line, ensure_ascii=False)):
        return None  # half a surrogate is refused wherever it is spelled; bytes that are no UTF-8, where they matter
    for name, text in line:  # each, where a name comes twice
        is_empty = text is None and name in ("prompt", "caption", "text")
        is_ours = name in KEYS - {"source"}
        if is_ours and not is_empty and not (isinstance(text, str) and _is_text(text)):
            return None
    line = dict(line)
    parts = [part for part in line.get("target", "").split("/") if part not in ("", ".")]
    name = line.get("img") or (parts[-1] if parts else "") or line.get("file_name") or line.get("image")
    texts = [line[field] for field in ("prompt", "caption", "text") if line.get(field) is not None]
    return (name, texts[0]) if name and texts and len(set(texts)) == 1 else None


def _is_text(text: str) -> bool:
    """Whether it was UTF-8, and is: half a surrogate is no text."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


class Pairs(list[tuple[str, Any]]):
    """An object of JSON as it stands there, names that come twice included."""


def _json(content: bytes) -> Any:
    """A value, or None: without what Python's reader takes and JSON does not have.

    Fields that nobody needs may hold anything between their quotes: what is no UTF-8 is told later, where it matters.
    """
    try:
        text = content.decode("utf-8", "surrogateescape")
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


TARGET = Target("captions", try_one, share=150_000, short=1_000)
