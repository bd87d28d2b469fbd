"""One publisher at a time for each target, on one machine. Between machines the Hub's `parent_commit` decides."""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asam_datasets.errors import TargetError


@contextmanager
def only_publisher(url: str) -> Iterator[None]:
    """Hold the lock of a target; the operating system lets go of it when the process dies, however it dies.

    Args:
        url: what the target is known by.

    Raises:
        TargetError: another process holds it; the message says which.
    """
    from filelock import FileLock, Timeout

    holder = _folder() / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}.holder"
    lock = FileLock(holder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        process = holder.read_text() if holder.is_file() else "that is unknown"
        raise TargetError(
            f"expected to be the only publisher, found process {process} at work",
            where=url,
            hint="Wait until it is done, or stop it; then run the same command again.",
        ) from None
    try:
        holder.write_text(f"{os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _folder() -> Path:
    """A folder of this user alone: in a shared one, anybody could hold a lock whose name can be guessed.

    Raises:
        TargetError: somebody else has made it.
    """
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir(), f"asam_datasets-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and (folder.is_symlink() or folder.stat().st_uid != user):
        raise TargetError(
            "expected a folder of this user for locks, found somebody else's",
            where=str(folder),
            hint="Remove it, or set TMPDIR to a folder of your own.",
        )
    return folder
