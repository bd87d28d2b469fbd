"""Words of others on our pages: a catalog, a manifest and a license may hold anything, and a page shows what they say.

None of it is Markdown or HTML there, breaks a line, or leads anywhere but to a web page.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from asam_datasets.errors import printable

_ESCAPED = str.maketrans({**{c: f"\\{c}" for c in "\\`*[]|"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"})
_NAME = re.compile(r"[\w.:/+-]+( [\w.:/+-]+)*")
_KEPT = "%/:?#@&=+$,;~!'"  # of a URL; all else but letters, digits and -._ is written as %20


def words(text: str) -> str:
    """A text in one line, in which nothing is Markdown."""
    return printable(" ".join(text.split())).translate(_ESCAPED)


def code(text: str) -> str:
    """A name as code, and as plain words where it is no name: nothing can be escaped in code."""
    return f"`{text}`" if _NAME.fullmatch(text) else words(text)


def web_link(url: str) -> str:
    """The address of a web page as it may stand in a link; empty where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    is_page = url.casefold().startswith(("http://", "https://")) and bool(parts.netloc)
    return quote(url, safe=_KEPT) if is_page else ""


def titled(title: str, url: str) -> str:
    """A title, with a link where it has a web page."""
    link = web_link(url)
    return f"[{words(title)}]({link})" if link else words(title)
