"""Failures on order: what a test may make the network or the server do."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

from .model import Request


@dataclass
class Fault:
    """Goes wrong at the next `times` requests that match, after letting `skip` of them pass.

    - `drop`: the connection closes without an answer, and the request is not performed;
    - `lost_answer`: the request is performed, then the connection closes without an answer;
    - `cut`: the connection closes in the middle of an answer that has a body;
    - `status`: the answer is `status`, with `Retry-After` when `retry_after` is given and `RateLimit` when
      `rate_limit` is (seconds that the window still lasts), and the request is not performed;
      `body` and `headers` take the place of what it says;
    - `slow`: everything is as usual, `delay_s` later. The other kinds also wait for `delay_s`.

    `path` is a regular expression, searched for in the decoded path without its query; `method` is one
    method or `*`.
    """

    path: str = ""
    method: str = "*"
    kind: Literal["drop", "status", "slow", "lost_answer", "cut"] = "drop"
    times: int = 1
    status: int = 503
    retry_after: int | None = None
    rate_limit: int | None = field(default=None, kw_only=True)
    body: bytes | None = field(default=None, kw_only=True)
    headers: dict[str, str] = field(default_factory=dict, kw_only=True)
    delay_s: float = 0.0
    skip: int = 0
    fired: list[Request] = field(default_factory=list, compare=False, repr=False)
    _seen: int = field(default=0, compare=False, repr=False)

    @property
    def spent(self) -> bool:
        """Whether it has happened as often as it was to."""
        return len(self.fired) >= self.times

    def _strikes(self, request: Request) -> bool:
        if self.spent or self.method not in ("*", request.method) or not re.search(self.path, request.path):
            return False
        self._seen += 1
        if self._seen <= self.skip:
            return False
        self.fired.append(request)
        return True


class FaultPlan:
    """The faults that were ordered, in order; one request meets one of them at most."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._lock = threading.Lock()

    def strike(self, request: Request) -> Fault | None:
        """The fault that this request meets."""
        with self._lock:
            for fault in self.faults:
                if fault._strikes(request):
                    request.fault = fault.kind
                    return fault
        return None
