"""The README belongs to its owner: a publish writes two blocks of it, and the keys of the YAML that are its business.

    ---
    pretty_name: anything        the owner's; written once, when there is none
    configs: ...                 ours, written anew
    asam_datasets: ...           ours: where the index is, and what we wrote last
    ---

    # Title                      the owner's, as all text outside of the blocks
    <!-- asam-datasets:about-begin ... -->
    ...                          what a run was told to say about the dataset; stays until another one is told
    <!-- asam-datasets:about-end -->
    <!-- asam-datasets:begin ... -->
    ...                          ours, written anew
    <!-- asam-datasets:end -->

What is the owner's keeps its bytes, but for the line ends and the mark that some editors write. A README without the
block gets it at its end. Digests of what we wrote last tell what somebody has changed since: then title and text of
the owner stay unless a run says something new of them, and nothing goes that the plan has not told.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import yaml

from asam_datasets.published import INDEX_KEY, front_matter

MARK = "<!-- asam-datasets:"
"""How our blocks begin and end; no text of a run may hold it."""

_BEGIN = "<!-- asam-datasets:begin - every publish writes this block anew; the text around it is yours and stays -->"
_END = "<!-- asam-datasets:end -->"
_BLOCK = re.compile(r"<!-- asam-datasets:begin\b.*?-->(.*?)<!-- asam-datasets:end -->", re.DOTALL)
_ABOUT_BEGIN = "<!-- asam-datasets:about-begin - stays until a publish is told another text about the dataset -->"
_ABOUT_END = "<!-- asam-datasets:about-end -->"
_ABOUT = re.compile(r"<!-- asam-datasets:about-begin\b.*?-->(.*?)<!-- asam-datasets:about-end -->", re.DOTALL)
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:(?:[ \t\r\n]|\Z)")
_HEADING = re.compile(r"^#[ \t]+(.*?)[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^(?:```|~~~)", re.MULTILINE)

_WROTE = "wrote"
_FIRST_TITLE = "ASAM Datasets"  # what we called every dataset before we noted what we wrote


@dataclass(frozen=True)
class Words:
    """What a run says on the card: None for what it says nothing about. `default` is the title of a card without any.

    `about` is Markdown.
    """

    default: str
    title: str | None = None
    about: str | None = None


@dataclass(frozen=True)
class CardChange:
    """What a publish does to the words of a card.

    `replaced` is what an earlier publish wrote; `kept` what somebody has written since, which stays though the run
    says again what an earlier one said; `lost` what somebody has written and goes.
    """

    what: str
    before: str
    after: str
    state: Literal["replaced", "kept", "lost"]


class _Card(NamedTuple):
    """A README in its pieces; `wrote` are the digests of what we wrote last, by what it was."""

    front: str
    body: str
    values: Mapping[str, Any]
    wrote: Mapping[str, str]

    @property
    def heading(self) -> re.Match[str] | None:
        """The line of the title: above our blocks, and in no block of code."""
        ends = [found.start() for found in (one.search(self.body) for one in (_BLOCK, _ABOUT, _FENCE)) if found]
        return _HEADING.search(self.body, 0, min(ends, default=len(self.body)))

    def inside(self, block: re.Pattern[str]) -> str | None:
        """The text inside a block; None without the block."""
        found = block.search(self.body)
        return found[1].strip() if found else None

    @property
    def title(self) -> str:
        """The text of the heading; empty without one."""
        return self.heading[1] if self.heading else ""


class _Settled(NamedTuple):
    text: str
    wrote: str | None
    state: Literal["", "replaced", "kept", "lost"]


def compose(
    words: Words,
    block: str,
    ours: Mapping[str, Any],
    first: Mapping[str, Any],
    gone: frozenset[str],
    existing: str | None,
) -> str:
    """The README with our part of it written anew.

    Args:
        words: what this run says of the dataset.
        block: the text of our block.
        ours: the keys of the YAML that are ours, and their values.
        first: keys that a README gets once, when it has no block of ours yet and does not have them.
        gone: keys of ours that this release does not have.
        existing: the README as it is now; None when there is none.
    """
    block = block.strip()
    card = _read(existing)
    title, about = _title(card, words), _about(card, words)
    is_ours = card.inside(_BLOCK) is not None
    wrote = {"title": title.wrote, "about": about.wrote, "block": _digest(block), "keys": _keys_digest(ours)}
    noted = {name: digest for name, digest in wrote.items() if digest is not None}
    ours = {**ours, INDEX_KEY: {**ours.get(INDEX_KEY, {}), _WROTE: noted}}
    if not is_ours:
        first = {"pretty_name": title.text or words.default, **first}
    elif title.state in ("replaced", "lost") and _is_noted(card.values.get("pretty_name"), card.wrote.get("title")):
        ours = {"pretty_name": title.text, **ours}
    front = _replace_keys(card.front, ours, {} if is_ours else first, gone)
    if not _is_right(front, ours):  # written on one line, say, or no YAML at all: our keys cannot go between its lines
        front = _dump({**first, **ours})
    body = _with_about(_with_title(card, title.text or ("" if card.body.strip() else words.default)), about.text)
    written = f"{_BEGIN}\n{block}\n{_END}"
    body = _BLOCK.sub(lambda _: written, body, count=1) if is_ours else f"{body.rstrip()}\n\n{written}\n"
    return f"---\n{front}---\n{body}"


def card_changes(words: Words, expected: Mapping[str, Any], existing: str | None) -> list[CardChange]:
    """What `compose` does to words that are there.

    Args:
        words: what this run says of the dataset.
        expected: keys of the YAML that we would have written for what is visible, as far as people understand them.
        existing: the README as it is now.
    """
    card = _read(existing)
    changes = []
    for what, there, settled in (
        ("title", card.title, _title(card, words)),
        ("about", card.inside(_ABOUT) or "", _about(card, words)),
    ):
        if settled.state:
            said = words.title if what == "title" else words.about
            changes.append(CardChange(what, there, (said or "").strip(), settled.state))
    block, wrote = card.inside(_BLOCK), card.wrote.get("block")
    if block is not None and wrote is not None and _digest(block) != wrote:
        changes.append(CardChange("text inside our block", "edited by hand", "written anew", "lost"))
    if "keys" in card.wrote and _keys_digest(_ours_of(card)) != card.wrote["keys"]:
        edited = [name for name, value in expected.items() if card.values.get(name) != value]
        changes += [
            CardChange(f"{name} in the YAML", _short(card.values.get(name)), _short(expected[name]), "lost")
            for name in edited
        ] or [CardChange("keys of ours in the YAML", "edited by hand", "written anew", "lost")]
    return changes


def title_of(readme: str) -> str:
    """The title of a card; empty without one."""
    return _read(readme).title


def _read(existing: str | None) -> _Card:
    text = (existing or "").removeprefix("\ufeff").replace("\r\n", "\n")
    match = _FRONT.match(text)
    front, body = (match[1], text[match.end() :]) if match else ("", text)
    try:
        values = front_matter(f"---\n{front}\n---\n")
    except yaml.YAMLError:
        values = {}
    values = values if isinstance(values, dict) else {}
    noted = values.get(INDEX_KEY)
    wrote = noted.get(_WROTE) if isinstance(noted, dict) else None
    if not isinstance(wrote, dict):
        wrote = {"title": _digest(_FIRST_TITLE)} if _BLOCK.search(body) else {}
    return _Card(front, body, values, {str(name): str(digest) for name, digest in wrote.items()})


def _title(card: _Card, words: Words) -> _Settled:
    default = words.default if not card.body.strip() else None
    return _settle(words.title or default, card.title, card.wrote.get("title"))


def _about(card: _Card, words: Words) -> _Settled:
    return _settle(words.about, card.inside(_ABOUT) or "", card.wrote.get("about"))


def _settle(said: str | None, there: str, wrote: str | None) -> _Settled:
    """What stands there then: of three, what this run says, what is there, and what an earlier one wrote."""
    said = None if said is None else said.strip()
    if said is None or said == there:
        return _Settled(there, wrote if said is None else _digest(said), "")
    if wrote == _digest(said):
        return _Settled(there, wrote, "kept")  # said again, and changed by somebody in between
    state: Literal["", "replaced", "lost"] = "" if not there else "replaced" if wrote == _digest(there) else "lost"
    return _Settled(said, _digest(said), state)


def _with_title(card: _Card, title: str) -> str:
    """The body under a title; the line of another one is replaced."""
    heading = card.heading
    if heading is not None:
        return (
            card.body if heading[1] == title else f"{card.body[: heading.start()]}# {title}{card.body[heading.end() :]}"
        )
    return f"\n# {title}\n{card.body}" if title else card.body


def _with_about(body: str, about: str) -> str:
    """The body with the block about the dataset: where it is, or else in front of ours, or at the end."""
    if _ABOUT.search(body):
        found = _ABOUT.search(body)
        if found and found[1].strip() == about:
            return body
        written = f"{_ABOUT_BEGIN}\n{about}\n{_ABOUT_END}"
        return _ABOUT.sub(lambda _: written, body, count=1)
    if not about:
        return body
    written = f"{_ABOUT_BEGIN}\n{about}\n{_ABOUT_END}"
    block = _BLOCK.search(body)
    if block is None:
        return f"{body.rstrip()}\n\n{written}\n"
    return f"{body[: block.start()]}{written}\n\n{body[block.start() :]}"


def _is_noted(value: object, digest: str | None) -> bool:
    return value is None or (isinstance(value, str) and _digest(value) == digest)


def _ours_of(card: _Card) -> dict[str, Any]:
    """Those of the keys that are there which we wrote; which those are is noted with the digest."""
    names = card.wrote["keys"].partition(" ")[2].split()
    return {name: card.values[name] for name in names if name in card.values}


def _keys_digest(ours: Mapping[str, Any]) -> str:
    """A digest of values, whatever lines they are written in, and the names of their keys."""
    values = {name: value for name, value in ours.items() if name != INDEX_KEY}
    text = json.dumps(values, sort_keys=True, default=str)
    return " ".join([_digest(text), *sorted(values)])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _short(value: object) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _replace_keys(front: str, ours: Mapping[str, Any], first: Mapping[str, Any], gone: frozenset[str]) -> str:
    """The YAML with our keys where they were, or at the end; the lines of all other keys as they are."""
    chunks: list[tuple[str, list[str]]] = []
    for line in front.splitlines(keepends=True):
        key = _KEY.match(line)
        if key or not chunks:
            chunks.append((key[1] if key else "", []))
        chunks[-1][1].append(line)
    written, seen = list[str](), set[str]()
    for name, lines in chunks:
        if name in ours and name not in seen:
            written.append(_dump({name: ours[name]}))
        elif name not in ours and name not in gone:
            written.append("".join(lines))
        seen.add(name)
    added = {name: value for name, value in {**first, **ours}.items() if name not in seen}
    return "".join([*written, _dump(added) if added else ""])


def _is_right(front: str, ours: Mapping[str, Any]) -> bool:
    """Whether readers will find our keys."""
    try:
        values = yaml.safe_load(front)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return isinstance(values, dict) and all(values.get(name) == value for name, value in ours.items())


def _dump(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=1000)
