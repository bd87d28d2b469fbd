"""Processes of one machine that are killed: none is waited for in vain, none goes on beside the next run."""

from __future__ import annotations

import _thread
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from asam_datasets.errors import SourceError
from asam_datasets.scale._run import RunFolder
from asam_datasets.workers import end_with

_WATCH_S = 1.0


class Running(msgspec.Struct, frozen=True):
    """Who is at a task: written when it begins, removed when it ends in whatever way but by a kill."""

    host: str
    pid: int

    @property
    def is_killed(self) -> bool:
        """Whether it was a process of this machine, and is gone."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return False


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
    """Stop when a worker of this machine is killed: a pool of processes would wait for it for ever.

    Raises:
        SourceError: one was.
    """
    for path in run.running():  # of a run that was killed
        run.remove(path)
    lost: list[str] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_WATCH_S):
            killed = [path for path, content in run.running().items() if _is_killed(content)]
            if killed:
                lost.extend(killed)
                _thread.interrupt_main()
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        with _ending_forks():
            yield
    except KeyboardInterrupt:
        if not lost:
            raise
        raise SourceError(
            f"expected the worker of {lost[0].rpartition('/')[2]} to end by itself, found that it was killed",
            where=run.path,
            hint="Most likely the machine ran out of memory: run the same command again, with fewer workers.",
        ) from None
    finally:
        ended.set()
        thread.join()


_forking: set[int] = set()
"""The process whose forks are to end with it, while there is one."""


@contextmanager
def _ending_forks() -> Iterator[None]:
    """Have processes that are forked meanwhile end with this one. `datatrove` forks a manager of its pool, which asks
    nobody whether its parent is still there."""
    if not _registered and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)
        _registered.append(True)
    _forking.add(os.getpid())
    try:
        yield
    finally:
        _forking.clear()


_registered: list[bool] = []


def _forked() -> None:
    for parent in _forking:
        end_with(parent)
    _forking.clear()


def _is_killed(content: bytes) -> bool:
    try:
        return msgspec.json.decode(content, type=Running).is_killed
    except msgspec.MsgspecError:
        return False
