"""From a raw path to a handler.

The clients quote a revision such as `refs/pr/1` into one segment and a path into one or several; only the
raw path still shows which slashes belong to the address. So the patterns match it before decoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from starlette.requests import Request as HttpRequest

from .accounts import User
from .model import HubError, Request

if TYPE_CHECKING:
    from .state import State

_SLASH = "(?:/|%2[Ff])"
_PIECES = {
    # The clients leave `refs/pr/1` and `refs/convert/parquet` unquoted in some addresses.
    "rev": rf"refs{_SLASH}(?:pr|convert){_SLASH}[^/]+?(?=/|$)|[^/]+",
    "path": r".+",
    "num": r"[0-9]+",
}


@dataclass
class Reply:
    """An answer: bytes, or `length` bytes of a file on disk; for HEAD the length without the file."""

    status: int = 200
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    file: Path | None = None
    start: int = 0
    length: int = 0


def json_reply(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer in JSON."""
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


@dataclass
class Call:
    """A request on its way to its handler."""

    state: State
    log: Request
    http: HttpRequest
    params: dict[str, str]
    user: User | None = None
    body: bytes = b""

    @property
    def query(self) -> Mapping[str, str]:
        """The query; the last of repeated keys counts."""
        return self.log.query

    def flag(self, name: str) -> bool:
        """A query flag as the clients spell it: `1`, `true` or `True`."""
        return self.query.get(name, "").lower() in ("1", "true")

    def json(self) -> dict[str, Any]:
        """The body as a JSON object."""
        if not self.body:
            return {}
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise HubError(400, f"Invalid JSON body: {error}") from error
        if not isinstance(value, dict):
            raise HubError(400, "Invalid JSON body: an object was expected")
        return value

    def form(self) -> dict[str, list[str]]:
        """The body as JSON or as a form, whichever it is."""
        if "json" in self.http.headers.get("content-type", ""):
            return {
                key: [str(item) for item in (value if isinstance(value, list) else [value])]
                for key, value in self.json().items()
            }
        return parse_qs(self.body.decode())


Handler = Callable[[Call], Reply]
StreamHandler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True)
class Route:
    """One address. A handler runs in a worker thread, under the state's lock when it is `locked`; a
    `stream` one runs in the event loop and reads the body by itself."""

    method: str
    pattern: re.Pattern[str]
    handler: Handler | None = None
    stream: StreamHandler | None = None
    locked: bool = True


def _compile(address: str) -> re.Pattern[str]:
    def piece(match: re.Match[str]) -> str:
        name = match.group(1)
        return f"(?P<{name}>{_PIECES.get(name, '[^/]+')})"

    return re.compile(re.sub(r"\{(\w+)\}", piece, address.replace(".", r"\.")) + r"/?\Z")


def route(method: str, address: str, handler: Handler, locked: bool = True) -> Route:
    """A route whose handler is given the whole body."""
    return Route(method, _compile(address), handler=handler, locked=locked)


def stream_route(method: str, address: str, handler: StreamHandler) -> Route:
    """A route whose handler reads the body as it comes."""
    return Route(method, _compile(address), stream=handler)


def find_route(routes: list[Route], method: str, raw_path: str) -> tuple[Route, dict[str, str]]:
    """The route of a request and what its address holds, decoded."""
    method = "GET" if method == "HEAD" else method
    for candidate in routes:
        if candidate.method == method and (match := candidate.pattern.match(raw_path)):
            return candidate, {name: unquote(value) for name, value in match.groupdict().items()}
    raise HubError(404, f"The local Hub has no route {method} {raw_path}")
