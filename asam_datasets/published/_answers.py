"""Answers of the Hub, taken in no other shape than they have: another server may speak in its name.

commit      40 hexadecimal digits (64 where git uses sha256)
path        relative, without `..`, empty names, backslashes and control characters
file        a size from 0 to 2^63 - 1, a git blob id, and for a large one a sha256
name        text
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha1, sha256
from pathlib import Path
from types import TracebackType
from typing import Any

from asam_datasets.errors import HubError
from asam_datasets.machine import file_sha256
from asam_datasets.published._sending import Sent

MOST_FILES = 1_000_000
"""Files of a listing: ten times as many as the Hub takes."""

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"hf_\w+")
_SHAPE = (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, AssertionError)
_HINT = "This is not how the Hub answers: is a proxy or a login page in between, or another server in HF_ENDPOINT?"


@dataclass(frozen=True)
class FileInfo:
    """A file of a dataset. `sha256` is None for small files on the Hub, which have a git blob id instead."""

    size: int
    sha256: str | None
    blob_id: str | None = None

    def holds(self, content: bytes | Path | Sent) -> bool:
        """Whether the file has exactly this content, or that of a local file, or of what was sent."""
        if isinstance(content, Sent):
            return content == (self.size, self.sha256)
        if isinstance(content, Path) and self.sha256 is not None:
            return self.size == content.stat().st_size and self.sha256 == file_sha256(content)
        content = content.read_bytes() if isinstance(content, Path) else content
        if self.size != len(content):
            return False
        if self.sha256 is not None:
            return self.sha256 == sha256(content).hexdigest()
        return self.blob_id == blob_id(content)


def blob_id(content: bytes) -> str:
    """Git's id of a file with this content."""
    return sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def odd_answer(what: str, found: object, where: str) -> HubError:
    """The error for an answer that is none of the Hub's.

    Args:
        what: should have been there: `a commit`.
        found: was there instead.
        where: the address that was asked.
    """
    return HubError(f"expected {what} from the Hub, found {without_tokens(_short(found))}", where=where, hint=_HINT)


def without_tokens(text: str) -> str:
    """A server's words, at most a line of them, without what looks like a token: it was sent one, and may repeat it."""
    line = text.partition("\n")[0]
    return _TOKEN.sub("hf_...", line if len(line) <= 300 else f"{line[:300]} ...")


def check_commit(value: object, where: str) -> str:
    """The id of a commit.

    Raises:
        HubError: it is none.
    """
    if not isinstance(value, str) or not _COMMIT.fullmatch(value):
        raise odd_answer("a commit", value, where)
    return value


def check_text(value: object, what: str, where: str) -> str:
    """A name or another text.

    Raises:
        HubError: it is none.
    """
    if not isinstance(value, str) or not value:
        raise odd_answer(what, value, where)
    return value


def check_number(value: object, what: str, where: str) -> int:
    """A count, from 0 to 2^63 - 1.

    Raises:
        HubError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise odd_answer(what, value, where)
    return value


def check_files(entries: Iterable[Any], where: str) -> dict[str, FileInfo]:
    """The files of a listing by path; its folders are left out. Raises as `check_tree`."""
    return check_tree(entries, where)[0]


def check_tree(entries: Iterable[Any], where: str) -> tuple[dict[str, FileInfo], dict[str, str]]:
    """The files of a listing, and git's ids of its folders, by path.

    Raises:
        HubError: it is no listing, or has too many entries, or paths that lead out of the repository.
    """
    files: dict[str, FileInfo] = {}
    folders: dict[str, str] = {}
    for number, entry in enumerate(entries):
        if number >= MOST_FILES:
            raise odd_answer(f"a listing of at most {MOST_FILES:,} entries", "a longer one", where)
        path = getattr(entry, "path", None)
        if not isinstance(path, str) or not _is_inside(path):
            raise odd_answer("paths of files", path, where)
        if not hasattr(entry, "blob_id"):
            folders[path] = str(getattr(entry, "tree_id", ""))
            continue
        size, large = check_number(entry.size, f"the size of {path}", where), entry.lfs
        check_text(entry.blob_id, f"the id of {path}", where)
        if large is not None and not (isinstance(large.sha256, str) and _SHA256.fullmatch(large.sha256)):
            raise odd_answer(f"the sha256 of {path}", large.sha256, where)
        files[path] = FileInfo(size, large.sha256 if large is not None else None, entry.blob_id)
    return files, folders


def is_odd(error: BaseException) -> bool:
    """Whether the client library stumbled over an answer, rather than somebody else over something else: it raises what
    Python does then, out of its own code."""
    is_short = type(error) is OSError and error.errno is None  # a download of another size than was announced
    if not is_short and (not isinstance(error, _SHAPE) or isinstance(error, OSError)):
        return False
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "huggingface_hub":
            return True
        trace = trace.tb_next
    return False


def _is_inside(path: str) -> bool:
    return path.isprintable() and "\\" not in path and not {"", ".", ".."} & set(path.split("/"))


def _short(found: object) -> str:
    if isinstance(found, Exception):
        text = f"another ({type(found).__name__}: {str(found).partition(chr(10))[0]}"[:80] + ")"
    else:
        text = repr(found) if isinstance(found, (str, int, float, type(None))) else f"a {type(found).__name__}"
    return text if len(text) <= 90 else f"{text[:80]} ..."
