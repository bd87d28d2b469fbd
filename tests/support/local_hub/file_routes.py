"""The route that serves files: whole, by range, or their headers alone."""

from __future__ import annotations

import re

from .accounts import require_content
from .model import Commit, FileEntry
from .repo_routes import find
from .routing import Call, Reply, Route, route

RANGE = re.compile(r"bytes=(?:(\d+)-(\d*)|-(\d+))")


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """The first byte and the end of a `Range`, None when there is nothing there."""
    match = RANGE.fullmatch(wanted)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
    return (start, end) if start < end else None


def _headers(commit: Commit, entry: FileEntry) -> dict[str, str]:
    headers = {
        "X-Repo-Commit": commit.sha,
        "ETag": f'"{entry.oid}"',
        "Accept-Ranges": "bytes",
        "Content-Type": "application/octet-stream",
    }
    if entry.lfs:
        headers["X-Linked-Size"] = str(entry.size)
        headers["X-Linked-ETag"] = f'"{entry.oid}"'
    return headers


def resolve(call: Call) -> Reply:
    """Every download of every client."""
    with call.state.lock:
        repository = find(call)
        commit = repository.resolve(call.params["rev"])
        entry = repository.entry(commit, call.params["path"])
        require_content(call.user, repository)
    headers = _headers(commit, entry)
    wanted = (call.log.range or "").replace(" ", "")
    status, (start, end) = 200, (0, entry.size)
    if wanted.startswith("bytes="):
        span = _span(wanted, entry.size)
        if span is None:
            return Reply(416, headers={**headers, "Content-Range": f"bytes */{entry.size}"})
        status, (start, end) = 206, span
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    reply = Reply(status, headers=headers, start=start, length=end - start)
    if call.log.method == "GET":
        reply.file = repository.objects.path(entry)
    return reply


ROUTES: list[Route] = [route("GET", "/datasets/{ns}/{name}/resolve/{rev}/{path}", resolve, locked=False)]
