"""What the local Hub keeps and what it refuses: the words that every other module uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, TypedDict

from .git import git_tree_oids

OperationKind = Literal["file", "lfsFile", "deletedFile", "deletedFolder"]
Gated = Literal["auto", "manual", False]


class Settings(TypedDict):
    """A repository's visibility, spelled as the settings route spells it."""

    private: bool
    gated: Gated


class HubError(Exception):
    """A refusal: the status and the headers from which `huggingface_hub` picks its exception."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers: dict[str, str] = {"X-Error-Message": message.replace("\n", " "), **(headers or {})}
        if code is not None:
            self.headers["X-Error-Code"] = code


@dataclass(frozen=True)
class FileEntry:
    """One file of a tree.

    `oid` is what the client compares its own file with: the sha256 for an LFS or Xet file, the git blob
    sha1 for a regular one. `git_oid` is what `blob_id` shows: for an LFS file that of its pointer.
    """

    size: int
    oid: str
    lfs: bool
    git_oid: str
    pointer_size: int = 0

    @property
    def sha256(self) -> str | None:
        """The sha256, which the Hub knows of LFS and Xet files only."""
        return self.oid if self.lfs else None


Tree = Mapping[str, FileEntry]


@dataclass(frozen=True)
class Commit:
    """One commit: its whole tree, so that any revision is read without replaying the ones before it."""

    sha: str
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    operations: tuple[tuple[str, str], ...]
    tree: Tree = field(repr=False)

    @cached_property
    def folders(self) -> dict[str, str]:
        """The oids of its folders."""
        return git_tree_oids({path: entry.git_oid for path, entry in self.tree.items()})


@dataclass
class PullRequest:
    """A pull request, or a plain discussion when it has no `ref`."""

    num: int
    title: str
    description: str
    author: str
    status: Literal["draft", "open", "closed", "merged"]
    date: str
    base: str = "main"
    base_sha: str = ""
    is_pull_request: bool = True
    merge_sha: str | None = None

    @property
    def ref(self) -> str:
        """Where its commits go."""
        return f"refs/pr/{self.num}"


@dataclass
class Request:
    """One request as the server saw it.

    `status` is what the client was told and stays None when the connection was dropped; `performed` is
    what the server itself came to, also when the answer was lost on the way.
    """

    started: int
    method: str
    path: str
    query: dict[str, str]
    user: str | None = None
    status: int | None = None
    performed: int | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    range: str | None = None
    title: str | None = None
    operations: list[tuple[str, str]] = field(default_factory=list)
    fault: str | None = None

    @property
    def kind(self) -> str:
        """What the Hub counts it as: `api`, `resolvers`, or `other` (uploads, pages), which it does not limit."""
        if self.path.startswith("/api/"):
            return "api"
        return "resolvers" if "/resolve/" in self.path else "other"

    def __str__(self) -> str:
        query = "?" + "&".join(f"{key}={value}" for key, value in self.query.items()) if self.query else ""
        line = f"{self.started} {self.method} {self.path}{query} {self.status}"
        more = {"in": self.bytes_in, "out": self.bytes_out, "range": self.range, "fault": self.fault}
        return line + "".join(f" {name}={value}" for name, value in more.items() if value)
