"""Which failures of the Hub may pass, what is said of them, and how long it asks to wait."""

from __future__ import annotations

import re

from asam_datasets.errors import AsamDatasetsError

_MOST_WINDOW_S = 301.0
_MOST_S = 3600.0
_RATE_LIMIT = re.compile(r'"\w+"\s*;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d{1,6})(?!\d)')
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_XET = re.compile(
    r"Data processing error: (?:File reconstruction error: )?(?:CAS service error|CAS Client Error|Client error) ?: "
    r"|(?:(?:Previous task|Task) error: )+(?:Network error|Rate limited|Server error|Timeout): "
)
"""How the RuntimeErrors begin by which Xet tells that its server did not answer: up to 1.4 all of them ("Data ..."),
since 1.5 those of tasks in the background; the others are ConnectionErrors and TimeoutErrors. Its other RuntimeErrors,
of a disk or of damaged data, do not pass. Tried with 1.1.10, 1.2.0, 1.4.3 and 1.8.0 against a server that is not there.
"""


def may_pass(error: Exception) -> bool:
    """Whether the same call may succeed a little later."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    if isinstance(error, (OfflineModeIsEnabled, AsamDatasetsError)):
        return False
    if isinstance(error, LocalEntryNotFoundError):  # how a download ends that nobody answered
        return not isinstance(error.__cause__, OfflineModeIsEnabled)
    status = status_of(error)
    return status in _TRANSIENT if status is not None else is_network(error)


def cause_of(error: Exception) -> Exception:
    """What really went wrong, where the client library only says of which file: `Error while uploading ...`."""
    cause = error.__cause__
    if type(error) is not RuntimeError or not isinstance(cause, Exception):
        return error
    known = isinstance(cause, AsamDatasetsError) or status_of(cause) is not None or is_network(cause)
    return cause if known else error


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


def retry_after_s(error: Exception, quota_s: float) -> float:
    """Seconds that the Hub asked for; 0 when it did not.

    It says so by `Retry-After`, or by `RateLimit: "api";r=0;t=SECONDS`: no request is left in a window of 300 s that
    ends then. A commit that is refused as too many is one of the quota of an hour.

    Args:
        error: how the attempt failed.
        quota_s: what to wait for that quota, where the Hub does not say.
    """
    response = getattr(error, "response", None)
    headers = getattr(response, "headers", {})
    is_commit = "/commit/" in str(getattr(getattr(response, "request", None), "url", ""))
    asked = headers.get("Retry-After", "").strip()
    limit = _RATE_LIMIT.search(headers.get("RateLimit", "")) if status_of(error) == 429 else None
    if asked.isdecimal():
        wait = float(asked)
    elif limit:
        wait = float(limit[1]) + 1  # whole seconds of theirs
    else:  # nothing, or a date
        wait = quota_s if is_commit and status_of(error) == 429 else 0.0
    return min(wait, _MOST_S if is_commit else _MOST_WINDOW_S)
