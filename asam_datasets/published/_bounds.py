"""What every request to the Hub is bound by: silence, slowness, bytes, pages and time; and where the token goes.

`huggingface_hub` 2 waits for ever for most answers, reads bodies and lists of pages without end, and sends the token to
whatever host a page names as the next one. Its client is one for the whole process, made by a factory that anybody may
set. So the bounds are two hooks on that client, a public interface of httpx (which 1.x speaks) and of httpx2 (2.x),
added to what the factory of before makes; they do nothing unless a call of ours is under way. Tried with 1.0.0 and
2.4.0. Uploads by Xet do not pass here: Xet has bounds of its own.
"""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from asam_datasets.errors import HubError

SILENCE_S = 60.0
"""So long nothing need come, in seconds: then the attempt has failed."""

COMMIT_S = 300.0
"""So long a commit may take, in seconds: the Hub says nothing meanwhile, and a thousand files take it a minute."""

CALL_S = 600.0
"""So long a call may take, in seconds, and longer only by what arrives at `SLOWEST_BYTES_S` or faster."""

SLOWEST_BYTES_S = 10_000.0
"""Bytes a second that an answer has to come with on average, once it has taken `SILENCE_S`."""

ANSWER_BYTES = 64 * 2**20
"""The longest answer, decompressed: the list of 100,000 files, the most that the Hub takes, is a sixth of it."""

SMALL_BYTES = 10 * 2**20
"""The longest small file: what is larger, the Hub does not keep in git itself."""

PAGES = 2000
"""The longest list of pages: one of a thousand files each, or of fifty commits."""

TELL_S = 20.0
"""After so many seconds, and after twice as many and so on, a call says that it still waits."""

_STREAM = "SyncByteStream"
"""How httpx and its fork call the base of a body."""

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_HINT = "Check the network, then run the same command again: it goes on where it stopped."
_ODD = "This is not how the Hub answers: is a proxy in between, or another server in HF_ENDPOINT?"


class SilenceError(TimeoutError):
    """Nothing came for `SILENCE_S`."""


class SlowAnswerError(TimeoutError):
    """An answer came slower than `SLOWEST_BYTES_S`."""


@dataclass
class _Call:
    """One attempt of one call of ours, and what has been asked and answered in it."""

    what: str
    log: Callable[[str], None]
    endpoint: str
    most_bytes: int
    limit_s: float
    started: float = field(default_factory=time.monotonic)
    told: int = 0
    silent_s: float = 0.0
    asked: float | None = None
    pauses: bool = False
    received: int = 0
    pages: Counter[str] = field(default_factory=Counter)

    def check_time(self) -> None:
        """Raise `HubError` when the call has taken all its time."""
        if time.monotonic() - self.started > self.limit_s + self.received / SLOWEST_BYTES_S:
            raise HubError(
                f"expected an answer within {self.limit_s:g} s ({self.what}), found none that ends",
                where=self.endpoint,
                hint=_HINT,
            )


_current: ContextVar[_Call | None] = ContextVar("asam_datasets_call", default=None)
_active: list[_Call] = []  # of all threads
_sockets: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()
_watcher: threading.Thread | None = None
_factory_is_set = False


@contextmanager
def bounded(
    what: str,
    endpoint: str,
    log: Callable[[str], None],
    *,
    most_bytes: int | None = None,
    limit_s: float | None = None,
) -> Iterator[None]:
    """Bound what the client library asks of the Hub inside, in this thread and in those that it starts.

    Args:
        what: is being done, for the line that tells of waiting: `reading the repository`.
        endpoint: the Hub's address; the token goes there and nowhere else.
        log: gets a line when it takes a while.
        most_bytes: of one answer; `ANSWER_BYTES` by default.
        limit_s: seconds that the whole may take; `CALL_S` by default.

    Raises:
        SilenceError, SlowAnswerError: inside; another try may help.
        HubError: inside; too many bytes or pages, or too long.
    """
    _guard_client()
    call = _Call(what, log, endpoint, most_bytes or ANSWER_BYTES, CALL_S if limit_s is None else limit_s)
    token = _current.set(call)
    with _lock:
        _active.append(call)
    _watch()
    try:
        yield
    finally:
        _current.reset(token)
        with _lock:
            _active[:] = [one for one in _active if one is not call]


@contextmanager
def pausing() -> Iterator[None]:
    """A pause before another try: it counts as nobody's time, and has been told of already."""
    call, started = _current.get(), time.monotonic()
    if call is not None:
        call.pauses = True
    try:
        yield
    finally:
        if call is not None:
            call.pauses = False
            call.started += time.monotonic() - started


def _guard_client() -> None:
    """Put the hooks on the client of this moment, and on those that follow when it is closed after a failure."""
    global _factory_is_set
    import huggingface_hub
    from huggingface_hub.utils import _http, get_session  # type: ignore[attr-defined]

    if not _factory_is_set:
        with _lock:
            before: Callable[[], Any] | None = getattr(_http, "_GLOBAL_CLIENT_FACTORY", None)
            if not _factory_is_set and before is not None:
                huggingface_hub.set_client_factory(lambda: _with_hooks(before()))
            _factory_is_set = True
    _with_hooks(get_session())  # somebody else may have set a factory since


def _with_hooks(client: Any) -> Any:
    hooks = client.event_hooks
    if _on_request not in hooks["request"]:
        client.event_hooks = {
            "request": [*hooks["request"], _on_request],
            "response": [*hooks["response"], _on_response],
        }
    return client


def _on_request(request: Any) -> None:
    """Before each request, also after a redirect."""
    if not _active:
        return
    silence = COMMIT_S if "/commit/" in request.url.path and request.method == "POST" else SILENCE_S
    asked = request.extensions.get("timeout") or {}
    bounds = {name: min(asked.get(name) or silence, silence) for name in ("connect", "read", "write", "pool")}
    request.extensions = {**request.extensions, "timeout": bounds, "trace": _trace}
    _keep_token(request)
    call = _current.get()
    if call is None:
        return
    now = time.monotonic()
    if call.asked is not None:  # the client library tries again by itself
        call.silent_s += now - call.asked
        if call.silent_s >= SILENCE_S:
            raise SilenceError(f"nothing for {call.silent_s:.0f} s")
    call.asked = now
    call.check_time()
    if request.method == "GET":
        call.pages[request.url.path] += 1
        if call.pages[request.url.path] > PAGES:
            raise HubError(f"expected at most {PAGES} pages, found more", where=_place(request.url), hint=_ODD)


def _keep_token(request: Any) -> None:
    """Take our token out of a request to another host than the Hub of our calls."""
    from huggingface_hub import get_token

    if "authorization" not in request.headers:
        return
    origin = _origin(str(request.url))
    with _lock:
        endpoints = {_origin(call.endpoint) for call in _active}
    current = _current.get()
    if origin in endpoints:
        return
    if current is not None or request.headers["authorization"] == f"Bearer {get_token()}":
        del request.headers["authorization"]


def _on_response(response: Any) -> None:
    """After the head of each answer, before its body."""
    if not _active:
        return
    call, request = _current.get(), response.request
    most = ANSWER_BYTES
    if call is not None:
        most, call.asked, call.silent_s = call.most_bytes, None, 0.0
    wanted = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if wanted and response.status_code in (200, 206):
        most = _check_range(response, int(wanted[1]), int(wanted[2]))
    elif request.method != "HEAD" or most < ANSWER_BYTES:
        for name in ("content-length", "x-linked-size"):
            size = response.headers.get(name, "")
            if size.isdecimal() and (len(size) > 19 or int(size) > most):
                raise _too_long(most, request.url)
    encoding = response.headers.get("content-encoding", "").lower()
    if encoding not in ("", "identity", "gzip", "deflate"):
        raise HubError(f"expected an answer as it is or by gzip, found {encoding!r}", where=_place(request.url))
    bounded_kind = _bounded_kind(next(kind for kind in type(response.stream).__mro__ if kind.__name__ == _STREAM))
    response.stream = bounded_kind(response.stream, call, most, encoding, request.url)
    if response.status_code == 429 and call is not None:
        # The client library would sleep on it without a word, or not at all.
        from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

        response.read()
        hf_raise_for_status(response)


def _check_range(response: Any, first: int, last: int) -> int:
    """The bytes that a part of a file has, which has to be the one that was asked for."""
    given = response.headers.get("content-range", "")
    if response.status_code == 200 or not given.replace(" ", "").startswith(f"bytes{first}-"):
        raise HubError(
            f"expected bytes {first} to {last}, found {given or 'the whole file'}",
            where=_place(response.request.url),
            hint=_ODD,
        )
    return last - first + 1


@cache
def _bounded_kind(base: Any) -> Any:
    """The class of bodies that keep to the bounds, on top of the client's own. What is compressed is counted as it
    unfolds."""

    class Bounded(base):  # type: ignore[misc]
        def __init__(self, stream: Any, call: _Call | None, most: int, encoding: str, url: Any) -> None:
            self._stream, self._call, self._most, self._url = stream, call, most, url
            self._started = time.monotonic()
            self._inflate = zlib.decompressobj(47) if encoding in ("gzip", "deflate") else None

        def __iter__(self) -> Iterator[bytes]:
            received = unfolded = 0
            for piece in self._stream:
                received += len(piece)
                unfolded += len(piece) if self._inflate is None else _unfolded_bytes(self._inflate, piece, self._most)
                if unfolded > self._most:
                    raise _too_long(self._most, self._url)
                if self._call is not None:
                    self._call.received += len(piece)
                    self._call.check_time()
                taken = time.monotonic() - self._started
                if taken > SILENCE_S + received / SLOWEST_BYTES_S:
                    raise SlowAnswerError(f"{received} bytes in {taken:.0f} s")
                yield piece

        def close(self) -> None:
            self._stream.close()

    return Bounded


def _unfolded_bytes(inflate: Any, piece: bytes, most: int) -> int:
    """How many bytes a piece stands for, as far as it takes to see that they are too many."""
    count = 0
    with suppress(zlib.error):  # the client says it better
        while piece and count <= most:
            count += len(inflate.decompress(piece, 2**20))
            piece = inflate.unconsumed_tail
    return count


def _too_long(most: int, url: Any) -> HubError:
    return HubError(f"expected at most {most:,} bytes, found more", where=_place(url), hint=_ODD)


def _place(url: Any) -> str:
    """An address without its query, which may be signed."""
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}{url.path}"


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def _trace(event: str, info: dict[str, Any]) -> None:
    """Note every socket that is opened for a call of ours."""
    if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
        opened = info["return_value"].get_extra_info("socket")
        if opened is not None:
            _sockets.add(opened)


def _watch() -> None:
    """See to it that a thread looks at the calls that are under way. A fork has none."""
    global _watcher
    if _watcher is None or not _watcher.is_alive():
        with _lock:
            if _watcher is None or not _watcher.is_alive():
                _watcher = threading.Thread(target=_look_at_calls, name="asam_datasets-hub", daemon=True)
                _watcher.start()


def _look_at_calls() -> None:
    """Tell of each call that takes long; end those whose answer has no end within its head, where no hook is asked."""
    idle = 0
    while idle < 100:
        time.sleep(min(TELL_S, SILENCE_S) / 8)
        with _lock:
            calls = list(_active)
        idle = 0 if calls else idle + 1
        for call in calls:
            if call.pauses:
                continue
            waited = time.monotonic() - call.started
            if waited >= TELL_S * 2**call.told:
                call.told += 1
                call.log(f"{call.what}: still waiting, for {waited:.0f} s now")
            if waited > call.limit_s + SILENCE_S + call.received / SLOWEST_BYTES_S:
                for one in list(_sockets):
                    with suppress(OSError):
                        one.shutdown(2)


def _begin_in_fork() -> None:
    """A child of a fork has none of the calls, the threads and the connections; and locks may be held for ever."""
    global _lock
    _lock = threading.Lock()
    _active.clear()
    _sockets.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_fork)
