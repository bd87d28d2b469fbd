"""Who may see a repository, and through which revision a publish goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Gate = Literal["auto", "manual"]


@dataclass(frozen=True)
class Access:
    """Who may see a repository: nobody else (`private`), readers who accepted the terms (`gated`), or everyone."""

    private: bool
    gated: Gate | None = None

    def __str__(self) -> str:
        if self.private:
            return "private: only you and your organisation"
        if self.gated:
            return f"public behind a gate ({self.gated}): everyone who accepts the terms"
        return "public: everyone"


@dataclass(frozen=True)
class Destination:
    """How a publish reaches the dataset: straight, on a branch, or through a pull request; and the tag it leaves."""

    revision: str | None = None
    create_pr: bool = False
    tag: str | None = None
