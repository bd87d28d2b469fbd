"""Processes of one machine that are killed: none is waited for in vain, none goes on beside the next run."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from asam_datasets.errors import SourceError
from asam_datasets.scale._datatrove import children
from asam_datasets.scale._run import RunFolder
from asam_datasets.workers import end_with

_WATCH_S = 0.2
_ENDS_IN_S = 15.0
"""So long a pool may take to end; one whose worker died with its lock in hand never does."""


class Running(msgspec.Struct, frozen=True):
    """Who is at a task: written when it begins, removed when it ends in whatever way but by a kill."""

    host: str
    pid: int


class _Lost(BaseException):
    """A process was killed; not to be caught by anybody on the way."""


@contextmanager
def at_work(run: RunFolder, task: str) -> Iterator[None]:
    """Say that this process is at a task."""
    path = f"running/{task}"
    run.write(path, msgspec.json.encode(Running(socket.gethostname(), os.getpid())))
    try:
        yield
    finally:
        run.remove(path)


@contextmanager
def watched(run: RunFolder) -> Iterator[None]:
    """Stop when a process of this one's pool is killed, which would wait for its result for ever; in the main thread.

    Raises:
        SourceError: one was.
    """
    for path in run.running():  # of a run that was killed
        run.remove(path)
    ended, lost = threading.Event(), list[int]()

    def on_signal(*_: Any) -> None:
        if not ended.is_set():
            raise _Lost

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # A signal, since only that reaches a main thread that waits for a lock; and one that no shell has switched off.
    before = signal.signal(signal.SIGUSR2, on_signal)
    thread = threading.Thread(target=_watch, args=(lost, ended, lambda: _error(run, lost)), daemon=True)
    thread.start()
    try:
        with _ending_forks():
            yield
    except _Lost:
        raise _error(run, lost) from None
    finally:
        ended.set()
        thread.join()
        signal.signal(signal.SIGUSR2, before)


def _watch(lost: list[int], ended: threading.Event, error: Callable[[], SourceError]) -> None:
    seen: dict[int, Any] = {}
    while not lost:
        if ended.wait(_WATCH_S):
            return
        seen.update((child.pid, child) for child in children())
        lost += [pid for pid, child in seen.items() if child.exitcode == -signal.SIGKILL]
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR2)
    if not ended.wait(_ENDS_IN_S):
        said = error()
        print(f"{said}\n{said.hint}", file=sys.stderr, flush=True)
        os._exit(1)  # those that are left end with this process


def _error(run: RunFolder, lost: list[int]) -> SourceError:
    tasks = [path.rpartition("/")[2] for path, content in run.running().items() if _pid(content) in lost]
    return SourceError(
        f"expected the worker of {tasks[0] if tasks else 'a task'} to end by itself, found that it was killed",
        where=run.path,
        hint="Most likely the machine ran out of memory: run the same command again, with fewer workers.",
    )


def _pid(content: bytes) -> int | None:
    try:
        return msgspec.json.decode(content, type=Running).pid
    except msgspec.MsgspecError:
        return None


_forking: set[int] = set()
"""The process whose forks are to end with it, while there is one."""

_registered: list[bool] = []


@contextmanager
def _ending_forks() -> Iterator[None]:
    """Have processes that are forked meanwhile end with this one. `datatrove` forks a manager of its pool, which asks
    nobody whether its parent is still there."""
    if not _registered:
        os.register_at_fork(after_in_child=_forked)
        _registered.append(True)
    _forking.add(os.getpid())
    try:
        yield
    finally:
        _forking.clear()


def _forked() -> None:
    for parent in _forking:
        end_with(parent)
    _forking.clear()
