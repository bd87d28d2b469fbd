"""A small web server for archives: ranges, and everything that a content network may do to a download."""

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit


class Asked(NamedTuple):
    """One request: the path, and its `Range` and `If-Range`."""

    path: str
    range: str | None
    condition: str | None


@dataclass
class Conduct:
    """How the server behaves; a test may change it at any time.

    Args:
        ranges: whether it knows ranges at all.
        conditions: whether it looks at `If-Range`.
        etag: what it says of a file beside its date-less content; None for no ETag.
        cut_after: bytes after which a body ends with the connection, in the next `cuts` answers.
        hold_after: bytes after which a body waits until nobody listens any more; `is_holding` is set then.
        claims: the size that it says every file has.
        chunked: bodies come without a size.
        refusals: statuses and headers of the next answers.
    """

    ranges: bool = True
    conditions: bool = True
    etag: bool = True
    cut_after: int = 0
    cuts: int = 0
    hold_after: int = 0
    claims: int | None = None
    chunked: bool = False
    refusals: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    is_holding: threading.Event = field(default_factory=threading.Event)
    asked: list[Asked] = field(default_factory=list)
    sent_bytes: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    requests: list[str]
    conduct: Conduct

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path, conduct = urlsplit(self.path).path, self.conduct
        self.requests.append(path)
        conduct.asked.append(Asked(path, self.headers.get("Range"), self.headers.get("If-Range")))
        file = self.folder / path.removeprefix("/flaky").lstrip("/")
        if conduct.refusals or not file.is_file():
            status, headers = conduct.refusals.pop(0) if conduct.refusals else (404, {})
            self._begin(status, {**headers, "Content-Length": "0"})
            return
        content = file.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "") if conduct.ranges else "")
        if conduct.conditions and self.headers.get("If-Range", etag) != etag:
            wanted = None
        start = int(wanted[1]) if wanted else 0
        piece = content[start : int(wanted[2]) + 1 if wanted and wanted[2] else None]
        total = len(content) if conduct.claims is None else conduct.claims
        headers = {"Accept-Ranges": "bytes"} if conduct.ranges else {}
        headers |= {"ETag": etag} if conduct.etag else {}
        headers |= {"Transfer-Encoding": "chunked"} if conduct.chunked else {}
        if wanted and start >= total:
            self._begin(416, {**headers, "Content-Range": f"bytes */{total}", "Content-Length": "0"})
            return
        if not conduct.chunked:
            headers["Content-Length"] = str(len(piece) if conduct.claims is None else total - start)
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{start + len(piece) - 1}/{total}"
        self._begin(206 if wanted else 200, headers)
        if body:
            self._send(path, piece)

    def _begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, path: str, piece: bytes) -> None:
        conduct, whole = self.conduct, piece
        if path.startswith("/flaky") and len(self.requests) % 2:
            piece = piece[: len(piece) // 2]
        if conduct.cuts:
            conduct.cuts -= 1
            piece = piece[: conduct.cut_after]
        if conduct.hold_after:
            piece = piece[: conduct.hold_after]
        conduct.sent_bytes += len(piece)
        if conduct.chunked:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) + (b"0\r\n\r\n" if piece == whole else b""))
        else:
            self.wfile.write(piece)
        if conduct.hold_after:
            conduct.is_holding.set()
            self.connection.settimeout(60)
            self.connection.recv(1)  # ends when the client is gone
        if len(piece) < len(whole) or conduct.claims is not None:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test looks at what was asked."""


@contextmanager
def serve(folder: Path, conduct: Conduct | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; below `/flaky/` every second answer stops halfway. Yields the address and the paths asked for."""
    requests: list[str] = []
    handler = type("Handler", (_Handler,), {"folder": folder, "requests": requests, "conduct": conduct or Conduct()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            server.shutdown()
            thread.join()
