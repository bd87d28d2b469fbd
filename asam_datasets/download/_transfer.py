"""One file from its link to the disk: `.part` until it is whole, resumed by ranges, and never mixed of two versions.

Beside `NAME.part` lies `NAME.part.json`: what the server said of the file that the bytes are of (its size, and its
ETag or date). A range is asked for on condition that it is still that file (`If-Range`); a server that sends the whole
file instead, or says another size, is believed, and the file begins anew.

`urllib` and no other client: it is there everywhere, takes proxies from the environment, and a file of 11 GB needs
nothing that it lacks.
"""

from __future__ import annotations

import email.utils
import http.client
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from asam_datasets import __version__
from asam_datasets.download._links import LINKS_PAGE, Link
from asam_datasets.errors import SourceError, TargetError
from asam_datasets.machine import write_atomically, write_errors
from asam_datasets.retry import RetryPolicy
from asam_datasets.sources.sa1b import without_secrets

_BLOCK_BYTES = 2**20
_MB = 10**6
_SILENCE_S = 60.0
_MAX_AFTER_S = 300.0
_EXPIRED = (401, 403, 410)
_TRANSIENT = (408, 429, 500, 502, 503, 504)
_TOTAL = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")


class ExpiredError(SourceError):
    """The link is not valid any more, and most likely no other one of its list is."""

    usual_hint = (
        f"Get a new list of links at {LINKS_PAGE} and give that; what has arrived is kept, and goes on from there."
    )


class _Version(msgspec.Struct, frozen=True):
    """What the server said of a file: its size, and what tells it from another one of the same name."""

    size: int | None = None
    validator: str | None = None


class _Failed(Exception):
    """The connection did not give what it promised; the words say what it did."""

    may_pass = True
    after_s = 0.0


class _Refused(_Failed):
    """The server answered with a status that is no success; `after_s` are the seconds that it asked for, if it did."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"the server answered {status}")
        self.status = status
        self.may_pass = status in _TRANSIENT
        self.after_s = min(_after_s(headers.get("Retry-After", "")), _MAX_AFTER_S)


@dataclass
class Transfer:
    """The download of one file.

    Args:
        link: file name and address.
        path: where the file is to be, once it is whole.
        policy: when something is tried again.
        log: gets a line when a transfer begins or goes on.
        on_bytes: gets how many bytes arrived since the last call.
        is_stopped: asked between blocks; a transfer that is stopped keeps what arrived.
    """

    link: Link
    path: Path
    policy: RetryPolicy
    log: Callable[[str], None]
    on_bytes: Callable[[int], None]
    is_stopped: Callable[[], bool]

    @property
    def part(self) -> Path:
        """The file while it is not whole."""
        return self.path.with_name(f"{self.path.name}.part")

    @property
    def note(self) -> Path:
        """What the server said of the file that `part` is of."""
        return self.path.with_name(f"{self.path.name}.part.json")

    def fetch(self) -> bool:
        """Fetch what is missing of `part`; False when it was stopped before the end.

        Raises:
            ExpiredError: the server refuses the link.
            SourceError: it has no such file, or did not give all of it after the last try.
            TargetError: the disk is full, or may not be written.
        """
        attempt, best = 0, self._have()
        while True:
            try:
                return self._fetch_once()
            except _Failed as error:
                if self.is_stopped():
                    return False
                if self._have() > best:  # a connection that breaks every gigabyte gets there
                    attempt, best = 0, self._have()
                what = f"downloading {self.link.file_name}"
                if not error.may_pass or not self.policy.pause(what, str(error), attempt, at_least_s=error.after_s):
                    raise self._explain(error) from None
                attempt += 1

    def finish(self) -> int:
        """Give the whole and checked file its name; its size."""
        with write_errors(self.path.parent):
            size = self.part.stat().st_size
            with open(self.part, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.part, self.path)
            self.note.unlink(missing_ok=True)
        return size

    def discard(self) -> None:
        """Remove what arrived: it is not what it should be."""
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _known(self) -> _Version:
        try:
            return msgspec.json.decode(self.note.read_bytes(), type=_Version)
        except (OSError, msgspec.MsgspecError):
            return _Version()

    def _fetch_once(self) -> bool:
        known = self._known()
        have = self._have() if known.size is not None or known.validator is not None else 0
        if known.size is not None and have == known.size:
            return True  # it was killed between the last byte and the name
        response = self._open(have if known.size is None or have < known.size else 0, known)
        if response is None:
            return True
        with response:
            start, now = _answered(response)
            if start and (start != have or not _same(now, known)):
                # Another file than that whose bytes are here, of a server that looks at no condition.
                self.discard()
                raise _Failed("another file is there now")
            self._begin(start, now)
            self._require_room(now.size, start)
            self._tell(now.size, start)
            return self._receive(response, start, now.size)

    def _open(self, have: int, known: _Version) -> Any:
        """The answer of the server; None when it says that nothing is missing."""
        headers = {"User-Agent": f"asam_datasets/{__version__}", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if known.validator:
                headers["If-Range"] = known.validator
        try:
            return urllib.request.urlopen(urllib.request.Request(self.link.url, headers=headers), timeout=_SILENCE_S)
        except urllib.error.HTTPError as error:
            with error:
                if error.code != 416:
                    raise _Refused(error.code, dict(error.headers)) from None
                total = _TOTAL.fullmatch(error.headers.get("Content-Range", ""))
            if total and int(total[2]) == have and known.size is None:
                return None
            self.discard()
            raise _Failed("another file is there now") from None
        except (OSError, http.client.HTTPException) as error:
            raise _Failed(_network(error)) from None

    def _begin(self, start: int, now: _Version) -> None:
        """Have `part` hold the bytes before `start` and no others, and note of which file they are."""
        with write_errors(self.path.parent):
            if not start:
                self.part.unlink(missing_ok=True)
                write_atomically(self.note, msgspec.json.encode(now))

    def _receive(self, response: Any, start: int, size: int | None) -> bool:
        position = start
        with write_errors(self.part), open(self.part, "ab") as file:
            while True:
                try:
                    block = response.read1(_BLOCK_BYTES)
                except http.client.IncompleteRead as error:
                    block = error.partial
                    if not block:
                        raise _Failed(f"the connection ended after {position:,} bytes") from None
                except (OSError, http.client.HTTPException) as error:
                    raise _Failed(_network(error)) from None
                if not block:
                    break
                file.write(block)
                position += len(block)
                self.on_bytes(len(block))
                if self.is_stopped():
                    return False
        if size is not None and position != size:
            raise _Failed(f"the connection ended after {position:,} of {size:,} bytes")
        return True

    def _tell(self, size: int | None, have: int) -> None:
        of = "of unknown size" if size is None else f"{size / _MB:,.1f} MB"
        self.log(f"{self.link.file_name}: {of}" + (f", going on after {have / _MB:,.1f} MB" if have else ""))

    def _require_room(self, size: int | None, have: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if size is not None and size - have > free:
            raise TargetError(
                f"expected {size - have:,} bytes of free disk for {self.link.file_name}, found {free:,}",
                where=str(self.path.parent),
                hint="Make room, then run the same command again: what has arrived is kept.",
            )

    def _explain(self, error: _Failed) -> SourceError:
        where = f"{self.link.file_name}: {without_secrets(self.link.url)}"
        if not isinstance(error, _Refused):
            return SourceError(
                f"expected the whole file, found that {error}",
                where=where,
                hint="Check the network, then run the same command again: it goes on where it stopped.",
            )
        if error.status in _EXPIRED:
            return ExpiredError(
                f"expected a link that is valid, found that it has expired or is refused (status {error.status})",
                where=where,
            )
        later = "Run the same command again later."
        return SourceError(
            f"expected the file, found that {error}",
            where=where,
            hint=later if error.may_pass else f"Get a new list of links at {LINKS_PAGE}.",
        )


def _answered(response: Any) -> tuple[int, _Version]:
    """Where the bytes of an answer begin, and of which file they are."""
    etag = response.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")
    if response.status == 206:
        found = _TOTAL.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or found[1] is None:
            raise _Failed("it gave a range without saying which")
        return int(found[1]), _Version(int(found[2]), validator)
    length = response.headers.get("Content-Length", "")
    return 0, _Version(int(length) if length.isdigit() else None, validator)


def _same(now: _Version, known: _Version) -> bool:
    if known.size is not None and now.size != known.size:
        return False
    return now.validator is None or known.validator is None or now.validator == known.validator


def _network(error: Exception) -> str:
    """What a network did, in few words; messages of the client may hold the address and stay out."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"nothing came for {_SILENCE_S:g} s"
    said = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return f"the connection failed ({said})"


def _after_s(text: str) -> float:
    """Seconds of a `Retry-After`, which may be a date; 0 where it is neither."""
    try:
        return max(
            0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time() if "," in text else float(text)
        )
    except ValueError:
        return 0.0
