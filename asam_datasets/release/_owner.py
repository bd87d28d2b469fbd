"""The README belongs to its owner: a publish writes one block of it, and the keys of the YAML that are its business.

    ---
    pretty_name: anything        the owner's; written once, when there is none
    configs: ...                 ours, written anew
    ---

    # Title                      the owner's, as all text outside of the block
    <!-- asam-datasets:begin ... -->
    ...                          ours, written anew
    <!-- asam-datasets:end -->

What is the owner's keeps its bytes, but for the line ends and the mark that some editors write. A README without the
block gets it at its end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_BEGIN = "<!-- asam-datasets:begin - every publish writes this block anew; the text around it is yours and stays -->"
_END = "<!-- asam-datasets:end -->"
_BLOCK = re.compile(r"<!-- asam-datasets:begin\b.*?-->.*?<!-- asam-datasets:end -->", re.DOTALL)
_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_KEY = re.compile(r"([A-Za-z_][\w-]*)[ \t]*:(?:[ \t\r\n]|\Z)")


def compose(
    title: str,
    block: str,
    ours: Mapping[str, Any],
    first: Mapping[str, Any],
    gone: frozenset[str],
    existing: str | None,
) -> str:
    """The README with our part of it written anew.

    Args:
        title: the heading of a new README.
        block: the text of our block.
        ours: the keys of the YAML that are ours, and their values.
        first: keys that a README gets once, when it has no block of ours yet and does not have them.
        gone: keys of ours that this release does not have.
        existing: the README as it is now; None when there is none.
    """
    block = f"{_BEGIN}\n{block.strip()}\n{_END}"
    if existing is None:
        return f"---\n{_dump({**first, **ours})}---\n\n# {title}\n\n{block}\n"
    existing = existing.removeprefix("\ufeff").replace("\r\n", "\n")
    match = _FRONT.match(existing)
    front, body = (match[1], existing[match.end() :]) if match else ("", existing)
    is_ours = _BLOCK.search(body) is not None
    front = _replace_keys(front, ours, {} if is_ours else first, gone)
    if not _is_right(front, ours):  # written on one line, say, or no YAML at all: our keys cannot go between its lines
        front = _dump({**first, **ours})
    if is_ours:
        body = _BLOCK.sub(lambda found: block, body, count=1)
    else:
        body = f"{body.rstrip()}\n\n{block}\n" if body.strip() else f"\n# {title}\n\n{block}\n"
    return f"---\n{front}---\n{body}"


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
