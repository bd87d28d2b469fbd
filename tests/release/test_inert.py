"""What a catalog or a manifest of a stranger says is shown on card and license file, and is nothing but text there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from asam_datasets.builds import Build, Part, decode_build, encode_build
from asam_datasets.builds._manifest import EvaluationInfo
from asam_datasets.errors import TargetError
from asam_datasets.release._card import Showing, render_card
from asam_datasets.release._inert import code, titled, web_link, words
from asam_datasets.release._license import is_our_license, render_license
from asam_datasets.release._owner import Words
from asam_datasets.rights import Rights

EVIL = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](https://evil.example/pixel.png)",
    "[click](javascript:alert(1))",
    "a | b | c",
    "`` ` `` <b>code</b> ``",
    "one\n\n# Heading\n\n- list\n\n<!-- asam-datasets:end -->\n",
    "one\r\n---\nconfigs: []\n---\n",
    "\x1b]0;title\x07\x9b2J\u202egnp",
    "&lt;script&gt; &#60;b&#62;",
    "*bold* **bold** \\<b>",
    "<https://evil.example>",
    "[x]: javascript:alert(1)",
]
LINKS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "java\nscript:alert(1)",
    " https://x",
    "file:///etc/passwd",
    "//evil.example",
    "https://",
    "http://[::1",
    "",
]


def tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text):
        yield token
        yield from token.children or ()


def kinds(text: str) -> list[tuple[str, object]]:
    """What a page is made of, and where it leads; not the texts."""
    return [
        (token.type, token.attrs.get("href") or token.attrs.get("src"))
        for token in tokens(text)
        if token.type not in ("text", "text_special", "code_inline", "inline")
    ]


def build(text: str, link: str) -> Build:
    info = EvaluationInfo(text, link, text, "test", text, text, "default", text)
    part = Part("part-000.parquet", 1, [1], 9, "0" * 64, "", 1, 0, {"image": 5}, missing={text: 3})
    return Build(
        2,
        "evaluation",
        "evil",
        "0" * 16,
        0,
        True,
        Rights(text, link, "yes"),
        [part],
        evaluation=info,
        run="r000000000000",
    )


def pages(text: str, link: str) -> tuple[str, str]:
    """Card and license file of a dataset of that set and an archive of its license."""
    one = build(text, link)
    archive = Build(2, "train", "sa_000000", "1" * 16, 0, True, one.rights, one.parts, run="r000000000000")
    showing = Showing(frozenset({one.path, archive.path}), frozenset(), "data/index-0123456789abcdef.json.gz")
    card = render_card([one, archive], showing, location="x/y", words=Words("T"))
    card = re.sub(r"(?m)^    block: .*$", "    block: x", card)  # its digest is of the text
    return card, render_license([one.holding, archive.holding])


@pytest.mark.parametrize("text", EVIL)
def test_words(text: str) -> None:
    """The pages are made of the same things as with a plain word."""
    for found, plain in zip(pages(text, "https://a.example/b"), pages("plain", "https://a.example/b"), strict=True):
        front, body = found.split("---\n", 2)[1:] if found.startswith("---") else ("", found)
        assert kinds(body) == kinds(plain.split("---\n", 2)[2] if front else plain)
        assert front == (plain.split("---\n", 2)[1] if front else "")
        assert all(c.isprintable() or c in "\n\xa0" for c in found)  # of ours: numbers stay with their units
        assert front or is_our_license(found.encode())
        assert found.count("asam-datasets:end -->") == plain.count("asam-datasets:end -->")
    again = pages(text, "https://a.example/b")[0]
    assert yaml.safe_load(again.split("---\n")[1])["configs"]


@pytest.mark.parametrize("link", LINKS)
def test_links(link: str) -> None:
    assert web_link(link) == ""
    assert titled("a title", link) == "a title"
    for page in pages("plain", link):
        assert not [
            where for _, where in kinds(page) if where and not str(where).startswith(("https://", "LICENSE.md"))
        ]


def test_what_is_shown() -> None:
    assert titled("UHRSD-TE", "https://a.example/x_(y)?q=1#z") == "[UHRSD-TE](https://a.example/x_%28y%29?q=1#z)"
    assert web_link("https://a.example/a b\n<c>|`ä") == "https://a.example/a%20b%0A%3Cc%3E%7C%60%C3%A4"
    assert words("CC BY 4.0, \n see | it") == "CC BY 4.0, see \\| it"
    assert code("train 2017") == "`train 2017`"
    assert code("a`b|c<!--") == "a\\`b\\|c&lt;!--"
    shown = "".join(token.content for token in tokens(words("a*b_c[d]<e>&amp;`f`")) if token.type.startswith("text"))
    assert shown == "a*b_c[d]<e>&amp;`f`", "a reader sees what was said"


@pytest.mark.parametrize("split", ['test")\n```\n<b>', "a b", "", "te-st", "x" * 65])
def test_a_split_that_is_none(split: str) -> None:
    content = encode_build(build("plain", "")).replace(b'"split": "test"', b'"split": ' + json.dumps(split).encode())
    with pytest.raises(TargetError, match="found: the split"):
        decode_build(content, "here")
