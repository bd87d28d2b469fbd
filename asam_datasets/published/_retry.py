"""The one retry policy: how long to wait before another try, which failures may pass, and what is said of them."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asam_datasets.errors import AsamDatasetsError, TargetError

WAITS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Pauses between attempts; after the last one the failure is told."""

WAITS_VARIABLE = "ASAM_DATASETS_WAITS"
"""Environment variable with other pauses: seconds with commas between, such as `1,2,4`."""

_MAX_RETRY_AFTER_S = 300.0
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_XET = re.compile(
    r"Data processing error: (?:File reconstruction error: )?(?:CAS service error|CAS Client Error|Client error) ?: "
    r"|(?:(?:Previous task|Task) error: )+(?:Network error|Rate limited|Server error|Timeout): "
)
"""How the RuntimeErrors begin by which Xet tells that its server did not answer: up to 1.4 all of them ("Data ..."),
since 1.5 those of tasks in the background; the others are ConnectionErrors and TimeoutErrors. Its other RuntimeErrors,
of a disk or of damaged data, do not pass. Tried with 1.1.10, 1.2.0, 1.4.3 and 1.8.0 against a server that is not there.
"""


@dataclass(frozen=True)
class RetryPolicy:
    """When something is tried again.

    Args:
        waits_s: pauses between attempts, in seconds; after the last one the failure is told.
        log: gets a line whenever something is tried again.
    """

    waits_s: Sequence[float]
    log: Callable[[str], None] = lambda text: None

    @classmethod
    def from_environment(cls, log: Callable[[str], None] = lambda text: None) -> RetryPolicy:
        """With the pauses of `ASAM_DATASETS_WAITS`, or the usual ones.

        Raises:
            TargetError: the variable holds something else than pauses.
        """
        text = os.environ.get(WAITS_VARIABLE, "")
        return cls(_parse_waits(text) if text.strip() else WAITS_S, log)

    def first(self, count: int) -> RetryPolicy:
        """The same with no more than `count` pauses."""
        return RetryPolicy(self.waits_s[:count], self.log)

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
        self.log(f"{what}: {reason}; trying again in {wait:g} s ({attempt + 1} of {len(self.waits_s)})")
        time.sleep(wait)
        return True


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, (OfflineModeIsEnabled, AsamDatasetsError)):
        return False
    if isinstance(error, LocalEntryNotFoundError):  # how a download ends that nobody answered
        return not isinstance(error.__cause__, OfflineModeIsEnabled)
    status = status_of(error)
    return status in _TRANSIENT if status is not None else is_network(error)


def is_network(error: Exception) -> bool:
    """Whether the network failed. requests, httpx and its fork name their bases alike; Xet raises plain RuntimeErrors
    that begin in its own way."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"HTTPError", "RequestException", "TransportError", "ConnectionError", "TimeoutError"}:
        return True
    return type(error) is RuntimeError and _XET.match(str(error)) is not None


def status_of(error: Exception) -> int | None:
    """The status that the Hub answered with; None when there was no answer."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return int(status) if status is not None else None


def reason(error: Exception) -> str:
    """Why another try is needed, in few words."""
    status = status_of(error)
    return f"the Hub answered {status}" if status is not None else f"no answer ({type(error).__name__})"


def retry_after_s(error: Exception) -> float:
    """Seconds that the Hub asked for, 300 at most; 0 when it did not."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return min(float(headers.get("Retry-After", 0)), _MAX_RETRY_AFTER_S)
    except ValueError:  # a date
        return 0.0


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
