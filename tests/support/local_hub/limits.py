"""The Hub's own limits, enforced when a test asks for it: what a generous server hides.

Figures of the Hub's documentation, 2026-08: requests in a window of 300 s by plan, counted apart for the API and for
resolvers; commits in an hour, files in a commit, in a folder and in a repository.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .model import HubError, Request

Plan = Literal["anonymous", "free", "pro", "team"]


class Quota(NamedTuple):
    """Requests in one window."""

    api: int
    resolvers: int


QUOTAS: Mapping[Plan, Quota] = {
    "anonymous": Quota(500, 3_000),
    "free": Quota(1_000, 5_000),
    "pro": Quota(2_500, 12_000),
    "team": Quota(3_000, 20_000),
}
WINDOW_S = 300.0
HOUR_S = 3600.0


@dataclass
class _Window:
    """What one client has asked for since the window was opened."""

    start: float
    count: int = 0


@dataclass
class Limits:
    """What is enforced; `Limits()` is the real Hub with free accounts.

    Args:
        plan: of everybody with a token.
        quotas: requests in a window by plan.
        window_s: its length, in seconds.
        commits_per_hour: of one repository; beyond it a commit is refused with 429.
        hour_s: how long that hour takes here, in seconds: the clock of commits alone can be sped up, since requests
            come faster than over a real network as it is.
        files_per_commit, files_per_folder, files_per_repository: what a commit is refused for.
    """

    plan: Plan = "free"
    quotas: Mapping[Plan, Quota] = field(default_factory=lambda: QUOTAS)
    window_s: float = WINDOW_S
    commits_per_hour: int = 128
    hour_s: float = HOUR_S
    files_per_commit: int = 1_000
    files_per_folder: int = 10_000
    files_per_repository: int = 100_000
    refused: Counter[str] = field(default_factory=Counter, compare=False)
    _windows: dict[tuple[str, str], _Window] = field(default_factory=dict, compare=False, repr=False)
    _commits: dict[str, deque[float]] = field(default_factory=dict, compare=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def forget(self) -> None:
        """Open all windows anew, as for clients that come much later."""
        with self._lock:
            self._windows.clear()

    def check_request(self, request: Request, user: str | None) -> None:
        """Count a request, and refuse it with 429 when its window is used up."""
        resource = request.kind
        if resource not in ("api", "resolvers"):
            return
        plan = self.plan if user is not None else "anonymous"
        quota = getattr(self.quotas[plan], resource)
        now = time.monotonic()
        with self._lock:
            window = self._windows.setdefault((user or "", resource), _Window(now))
            if now - window.start >= self.window_s:
                window.start, window.count = now, 0
            window.count += 1
            if window.count <= quota:
                return
            self.refused[resource] += 1
            left = max(1, math.ceil(window.start + self.window_s - now))
        raise HubError(
            429,
            f"You have reached your '{resource}' rate limit",
            headers={
                "RateLimit": f'"{resource}";r=0;t={left}',
                "RateLimit-Policy": f'"fixed window";"{resource}";q={quota};w={self.window_s:.0f}',
            },
        )

    def check_commit(self, repo_id: str, count: int) -> None:
        """Refuse a commit of too many files, and one more than the hour allows. The quota has no header of its own."""
        if count > self.files_per_commit:
            self.refused["files per commit"] += 1
            raise HubError(413, f"A commit of {count} files is too large: {self.files_per_commit} at most")
        now = time.monotonic()
        with self._lock:
            made = self._commits.setdefault(repo_id, deque())
            while made and now - made[0] >= self.hour_s:
                made.popleft()
            if len(made) >= self.commits_per_hour:
                self.refused["commits"] += 1
                raise HubError(
                    429,
                    f"You have exceeded the rate limit for repository commits ({self.commits_per_hour} per hour). "
                    "You can retry this action in about 1 hour.",
                )
            made.append(now)

    def check_tree(self, paths: Iterable[str]) -> None:
        """Refuse a tree with too many files, in all or in one folder."""
        folders: Counter[str] = Counter()
        entries: set[str] = set()
        files = 0
        for path in paths:
            files += 1
            entry = path
            while entry and entry not in entries:
                entries.add(entry)
                entry = entry.rpartition("/")[0]
                folders[entry] += 1
        folder, most = max(folders.items(), key=lambda one: one[1], default=("", 0))
        if files > self.files_per_repository or most > self.files_per_folder:
            self.refused["files"] += 1
            raise HubError(413, f"{files} files, and {most} entries in {folder or 'the root'}: too many")
