"""The Hub's pace: how much goes into a commit, and what a publish takes of the Hub. Figures: `docs/hub_limits.md`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

COMMITS_PER_HOUR = 128
FOLDER_ENTRIES = 10_000
REPOSITORY_FILES = 100_000

COMMIT_BYTES = 4 * 2**30
COMMIT_FILES = 250
"""Builds are collected until so many bytes or files wait: the Hub takes some hundred files in a commit."""

COMMIT_MOST_FILES = 500
"""A commit never has more."""

HELD_BYTES = 3 * COMMIT_BYTES
"""What the disk holds at most while builds are sent, besides three builds: one made, one waiting, one sent."""

SEND_BYTES = 64 * 2**20
"""What waits is sent when it has so many bytes: each time costs requests."""

_TB = 10**12
_PRIVATE = ((_TB // 10, "a free account"), (_TB, "PRO"))
_PUBLIC = ((10 * _TB, "PRO"), (12 * _TB, "Team"))


class Load(NamedTuple):
    """What one build adds to a repository: the bytes of its parts, and files; None while nobody knows."""

    size_bytes: int | None
    files: int | None


@dataclass(frozen=True)
class Footprint:
    """What a publish takes of the Hub, about; None where a stream was not read yet.

    Args:
        storage_bytes: of the repository after it: what is shown, and what the history keeps of what is shown now.
        files: of the repository after it.
        commits: of this run, at most.
        hours: that the Hub's quota of commits makes of them, at least.
        plan: the smallest plan of the Hub that holds so much, in words.
        notes: limits that are exceeded, in words.
    """

    storage_bytes: int | None
    files: int | None
    commits: int | None
    hours: int
    plan: str
    notes: Sequence[str] = ()


def is_commit(size_bytes: int, files: int) -> bool:
    """Whether so much is worth a commit."""
    return size_bytes >= COMMIT_BYTES or files >= COMMIT_FILES


def footprint(
    kept: Sequence[Load], gone_bytes: int, sent: Sequence[Load], *, changes: bool, private: bool
) -> Footprint:
    """Say what a publish takes.

    Args:
        kept: of builds that are there and stay.
        gone_bytes: of builds that are there and will not be shown; the history keeps them.
        sent: of builds that are sent.
        changes: whether there is anything to release.
        private: whether the repository is, in the end.
    """
    loads = [(load.size_bytes, load.files) for load in sent]
    known = [(size, files) for size, files in loads if size is not None and files is not None]
    if len(known) < len(loads):
        return Footprint(None, None, None, 0, "")
    storage = gone_bytes + sum(load.size_bytes or 0 for load in kept) + sum(size for size, _ in known)
    files = sum(load.files or 0 for load in kept) + sum(count for _, count in known)
    lists = 2 * len(known) // COMMIT_MOST_FILES  # of captions, where they are more than the release commit takes
    commits = _commits(known) + lists + (2 if changes else 0)
    hours = max(0, commits - 1) // COMMITS_PER_HOUR
    return Footprint(storage, files, commits, hours, plan_for(storage, private), _notes(files, len(kept) + len(known)))


def plan_for(storage_bytes: int, private: bool) -> str:
    """The smallest plan of the Hub that holds so much, in words."""
    for limit, name in _PRIVATE if private else _PUBLIC:
        if storage_bytes <= limit:
            return name
    seats = math.ceil((storage_bytes - (0 if private else _PUBLIC[-1][0])) / _TB)
    return f"Team with {seats} seat{'s' if seats > 1 else ''} or more" + (
        ", or storage that is paid by use" if private else ""
    )


def _commits(loads: Sequence[tuple[int, int]]) -> int:
    """How many commits builds make that are collected until one is worth it."""
    commits = waiting_bytes = waiting_files = 0
    for size, files in loads:
        waiting_bytes, waiting_files = waiting_bytes + size, waiting_files + files
        if is_commit(waiting_bytes, waiting_files):
            commits, waiting_bytes, waiting_files = commits + 1, 0, 0
    return commits + (1 if waiting_files else 0)


def _notes(files: int, builds: int) -> list[str]:
    notes = []
    if files > REPOSITORY_FILES:
        notes.append(f"{files:,} files are more than the {REPOSITORY_FILES:,} that the Hub takes in a repository")
    if builds > FOLDER_ENTRIES:
        notes.append(f"{builds:,} builds are more than the {FOLDER_ENTRIES:,} entries that the Hub takes in a folder")
    return notes
