"""A small web server for archives: ranges, and a path whose connections break in the middle."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder; below `/flaky/` every second answer stops halfway. Yields the address and the paths asked for."""
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            path = urlsplit(self.path).path
            requests.append(path)
            file = folder / path.removeprefix("/flaky").lstrip("/")
            if not file.is_file():
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = file.read_bytes()
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            start = int(wanted[1]) if wanted else 0
            piece = content[start : int(wanted[2]) + 1 if wanted and wanted[2] else None]
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Length", str(len(piece)))
            self.send_header("Accept-Ranges", "bytes")
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{start + len(piece) - 1}/{len(content)}")
            self.end_headers()
            if not body:
                return
            if path.startswith("/flaky") and len(requests) % 2:
                self.wfile.write(piece[: len(piece) // 2])
                self.close_connection = True
            else:
                self.wfile.write(piece)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test looks at `requests`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            server.shutdown()
            thread.join()
