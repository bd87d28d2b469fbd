"""Maps out of HDF5 files of anybody's making: read by a child process, whose death is one sentence.

The HDF5 library believes what a file says of itself: a mutated size ends the process with a signal, and a chunk of a
few bytes may unpack to gigabytes. So the file's bytes go to a child of little memory (`_hdf5_child.py`), and numbers
come back. One child serves all files of a process, and ends with it. Safe in threads, which take turns.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from asam_datasets.errors import RecordError
from asam_datasets.sources._polygons import check_shape
from asam_datasets.sources.evaluation import _hdf5_child

MAX_FILE_BYTES = 2**28
"""Largest file that is read: a map of 8192 × 8192 in 32 bits, not compressed at all."""

_MEMORY_BYTES = 2**30
_SECONDS = 60.0
_QUIET_LIBRARIES = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}


def read_map(data: bytes, key: str, shape: tuple[int, int], where: str) -> NDArray[np.integer[Any]]:
    """The integers under a key of an HDF5 file, as they are stored.

    Args:
        data: the file.
        key: name of the map.
        shape: (height, width) that it has to have, in pixels.
        where: the file's place, for messages.

    Raises:
        RecordError: it is no HDF5 file, has no such map or one of another shape, is damaged, or takes too much memory
            or time.
    """
    with _LOCK:
        child = _running()
        try:
            return _ask(child, data, key, shape, where)
        except RecordError:
            raise
        except (OSError, EOFError, ValueError) as error:
            found = f"one that ends the library ({_end(child)})"
            raise RecordError(f"expected a readable HDF5 file, found {found}", where=where) from error
        except BaseException:  # half of an answer may be left
            _end(child)
            raise


def _ask(
    child: subprocess.Popen[bytes], data: bytes, key: str, shape: tuple[int, int], where: str
) -> NDArray[np.integer[Any]]:
    """One request. Raises EOFError or OSError when the child dies of it."""
    if child.stdin is None or child.stdout is None:
        raise EOFError
    timer = threading.Timer(_SECONDS, child.kill)
    timer.start()
    try:
        child.stdin.write(json.dumps({"size": len(data), "key": key, "shape": shape}).encode() + b"\n")
        child.stdin.write(data)
        child.stdin.flush()
        answer = json.loads(child.stdout.readline() or b"null")
        if answer is None:
            raise EOFError
        if "problem" in answer:
            raise RecordError(answer["problem"], where=where)
        check_shape(tuple(answer.get("shape", shape)), shape, where)
        values = np.empty(shape, np.dtype(answer["dtype"]))
        if values.nbytes != answer["size"] or values.dtype.kind not in "iu":
            raise EOFError
        _read_into(child.stdout, values.data.cast("B"))
        return values
    finally:
        timer.cancel()


def _read_into(file: IO[bytes], content: memoryview) -> None:
    while len(content):
        read = file.readinto(content)  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        content = content[read:]


_LOCK = threading.RLock()
_children: dict[int, subprocess.Popen[bytes]] = {}  # by the process that started it: a fork shares no child


def _running() -> subprocess.Popen[bytes]:
    child = _children.get(os.getpid())
    if child is not None and child.poll() is not None:
        _end(child)
        child = None
    if child is None:
        command = [sys.executable, os.path.abspath(_hdf5_child.__file__), str(_MEMORY_BYTES)]
        child = _children[os.getpid()] = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **_QUIET_LIBRARIES},
        )
    return child


def _end(child: subprocess.Popen[bytes]) -> str:
    """End a child, and say how it went."""
    try:
        code = child.wait(1.0)
    except subprocess.TimeoutExpired:
        code = None
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        try:
            if pipe is not None:
                pipe.close()
        except OSError:  # what was not sent to it any more
            pass
    _children.pop(os.getpid(), None)
    if code is None:
        return "it was stopped"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


@atexit.register
def _end_last() -> None:
    child = _children.get(os.getpid())
    if child is not None:
        child.kill()
        _end(child)


def _forget() -> None:
    """In a forked process: the lock may be held by a thread that is not there."""
    global _LOCK
    _LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
