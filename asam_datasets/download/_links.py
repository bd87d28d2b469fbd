"""Meta's list of links, `segment_anything_links.txt`: a line per archive, `file_name<TAB>cdn_link`, below a header."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from asam_datasets.errors import SourceError, option
from asam_datasets.machine import AnyPath, path_of
from asam_datasets.sources.sa1b import ARCHIVE_NAME

LINKS_PAGE = "https://ai.meta.com/datasets/segment-anything-downloads/"
"""Where Meta gives out lists of links, to whoever accepts SA-1B's license. The links of a list expire."""

_RANGE = re.compile(r"(?P<stem>.*?)(?P<first>[0-9]+)-(?P<again>.*?)(?P<last>[0-9]+)")
_MAX_BYTES = 64 * 2**20
_MAX_RANGE = 100_000


class Link(NamedTuple):
    """One line of the list. `url` is a secret: whoever has it may download."""

    file_name: str
    url: str

    @property
    def name(self) -> str:
        """What the archive is called: `sa_000000`."""
        return self.file_name.removesuffix(".tar")


def read_links(path: AnyPath) -> list[Link]:
    """Read a list of links, in its order; a header, empty lines and a line that is there twice do no harm.

    Raises:
        SourceError: the file is missing or no such list; a name cannot be the name of a file here, or has two links.
    """
    path = path_of(path)
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(
                f"expected a list of links, found {path.stat().st_size:,} bytes", where=str(path), hint=_hint()
            )
        lines = path.read_text("utf-8-sig", "replace").splitlines()
    except OSError as error:
        raise SourceError(
            f"expected a list of links, found: {error.strerror}", where=str(path), hint=_hint()
        ) from error
    links: dict[str, Link] = {}
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or (number == 1 and words == ["file_name", "cdn_link"]):
            continue
        link = _link(words, f"{path}: line {number}")
        if links.setdefault(link.file_name, link) != link:
            raise SourceError(
                f"expected one link for each file, found two for {link.file_name}",
                where=f"{path}: line {number}",
                hint="Remove the older one.",
            )
    if not links:
        raise SourceError("expected links, found none", where=str(path), hint=_hint())
    return list(links.values())


def choose_links(links: Sequence[Link], archives: Iterable[str], where: str) -> list[Link]:
    """Those of some links that are asked for, each once, in the order of asking; all of them if nothing is.

    Args:
        archives: names (`sa_000007`, with or without `.tar`) and ranges of them with both ends (`sa_000000-000019`).
        where: the list, for messages.

    Raises:
        SourceError: a name is not in the list, or a range is none.
    """
    known = {link.name: link for link in links}
    chosen: dict[str, Link] = {}
    wanted = list(archives)
    for text in wanted:
        for name in [text.removesuffix(".tar")] if text.removesuffix(".tar") in known else _range(text):
            if name not in known:
                raise SourceError(
                    f"expected one of the {len(known):,} files of the list, such as {links[0].name}, found {name!r}",
                    where=where,
                    hint=f"Give names or ranges that it has: {option('archives', 'sa_000000-000019')}",
                )
            chosen[name] = known[name]
    return list(chosen.values()) if wanted else list(links)


def _link(words: Sequence[str], where: str) -> Link:
    if len(words) != 2 or urlsplit(words[1]).scheme not in ("http", "https") or not urlsplit(words[1]).hostname:
        raise SourceError("expected a file name, a tab and a link, found something else", where=where, hint=_hint())
    if not ARCHIVE_NAME.fullmatch(words[0]):
        raise SourceError(
            f"expected the name of a file, such as sa_000000.tar, found {words[0][:100]!r}", where=where, hint=_hint()
        )
    return Link(*words)


def _range(text: str) -> list[str]:
    """The names from one to another, both included; the text itself where it is no range."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return [text.removesuffix(".tar")]
    stem, first, last = match["stem"], int(match["first"]), int(match["last"])
    if match["again"] not in ("", stem) or last < first or last - first > _MAX_RANGE:
        raise SourceError(
            f"expected a range from a smaller to a larger number, found {text!r}",
            where=option("archives"),
            hint=f"Give both ends: {option('archives', 'sa_000000-000019')}",
        )
    return [f"{stem}{number:0{len(match['first'])}}" for number in range(first, last + 1)]


def _hint() -> str:
    return f"Get the list of links at {LINKS_PAGE} (segment_anything_links.txt)."
