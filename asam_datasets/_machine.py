"""The machine below: a full disk is one sentence, one place has one writer, and there are so many cores."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asam_datasets.errors import AsamDatasetsError, TargetError


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def write_errors(where: Path) -> Iterator[None]:
    """Turn what the system says about a write (full disk, missing permission) into one sentence.

    Raises:
        TargetError: in place of an `OSError` that is not one of ours.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, AsamDatasetsError):
            raise
        raise TargetError(
            f"expected to be able to write, found: {error.strerror or error}",
            where=str(error.filename or where),
            hint="Make room or give permission, then run the same command again: what is finished is kept.",
        ) from error


@contextmanager
def only_writer(where: Path) -> Iterator[None]:
    """Hold the lock of a file or folder on this machine; a killed holder's lock is free.

    Raises:
        TargetError: another process holds it; the message says which.
    """
    from filelock import FileLock, Timeout

    key = hashlib.sha256(os.fsencode(where.resolve())).hexdigest()[:16]
    user = os.getuid() if hasattr(os, "getuid") else 0
    holder = Path(tempfile.gettempdir(), f"asam_datasets-{user}-{key}.pid")
    lock = FileLock(holder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = holder.read_text() if holder.is_file() else "unknown"
        raise TargetError(
            f"expected to be the only writer, found process {pid} at work",
            where=str(where),
            hint="Wait until it is done, or stop it; then run the same command again.",
        ) from None
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
