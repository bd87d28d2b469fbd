"""The one retry policy: how long to wait before another try, and what is said of it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from asam_datasets.errors import TargetError

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Pauses between attempts; after the last one the failure is told."""

WAITS_VARIABLE = "ASAM_DATASETS_WAITS"
"""Environment variable with other pauses: seconds with commas between, such as `1,2,4`."""

QUOTA_S = 600.0
"""Pause after a quota that is counted by the hour is used up, where nobody says how long."""

_LONG_S = 60.0


@dataclass(frozen=True)
class RetryPolicy:
    """When something is tried again.

    Args:
        waits_s: pauses between attempts, in seconds; after the last one the failure is told.
        log: gets a line whenever something is tried again.
        quota_s: pause, in seconds, after a quota of an hour is used up; six of them are the hour.
    """

    waits_s: Sequence[float]
    log: Callable[[str], None] = lambda text: None
    quota_s: float = QUOTA_S

    @classmethod
    def from_environment(cls, log: Callable[[str], None] = lambda text: None) -> RetryPolicy:
        """With the pauses of `ASAM_DATASETS_WAITS`, the longest of them for a quota; or the usual ones.

        Raises:
            TargetError: the variable holds something else than pauses.
        """
        text = os.environ.get(WAITS_VARIABLE, "")
        if not text.strip():
            return cls(WAITS_S, log)
        waits_s = _parse_waits(text)
        return cls(waits_s, log, max(waits_s))

    def first(self, count: int) -> RetryPolicy:
        """The same with no more than `count` pauses."""
        return RetryPolicy(self.waits_s[:count], self.log, self.quota_s)

    def pause(self, what: str, reason: str, attempt: int, *, at_least_s: float = 0.0) -> bool:
        """Say so and wait before another try; False, at once, when none is left.

        Args:
            what: was done: `reading the repository`.
            reason: why it did not succeed.
            attempt: number of tries before the one that failed.
            at_least_s: seconds that the other side asked for.
        """
        if attempt >= len(self.waits_s):
            return False
        wait = max(self.waits_s[attempt], at_least_s)
        until = ""
        if wait >= _LONG_S:
            until = f", at {datetime.now(timezone.utc) + timedelta(seconds=wait):%H:%M:%S} UTC"
        self.log(f"{what}: {reason}; trying again in {wait:g} s{until} ({attempt + 1} of {len(self.waits_s)})")
        time.sleep(wait)
        return True


def _parse_waits(text: str) -> tuple[float, ...]:
    try:
        waits = tuple(float(number) for number in text.split(","))
    except ValueError:
        waits = (math.nan,)
    if not all(0 <= wait < math.inf for wait in waits):
        raise TargetError(
            f"expected seconds with commas between, such as 1,2,4, found {text!r}",
            where=WAITS_VARIABLE,
            hint="Correct the environment variable, or unset it.",
        )
    return waits
