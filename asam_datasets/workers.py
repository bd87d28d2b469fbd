"""Processes that build parts, told to stop together and never left behind.

The parent owns the executor. Workers share two things with it: a counter of finished records, which only grows, and
an event that asks them to stop at the next record. A worker whose parent died ends itself, so a killed run does not
go on writing behind the back of the next one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from numbers import Integral
from typing import Any, TypeVar

from asam_datasets.errors import SourceError, option
from asam_datasets.machine import available_cores

Task = TypeVar("Task")
Result = TypeVar("Result")

OnProgress = Callable[[int], None]
"""Called with the number of records that were finished since the last call."""

_POLL_S = 0.2
_WATCH_S = 0.5
AHEAD = 2
"""Tasks handed out per worker: the next one is there when one ends, and no more are held in memory."""


class Stopped(Exception):
    """Another part failed, or the user stopped the run."""


class _Shared:
    """What a worker process shares with its parent; in the parent itself, plain stand-ins."""

    finished: Any = None
    stop: Any = None
    on_progress: OnProgress | None = None


_shared = _Shared()


def record_done() -> None:
    """Count one record, and stop here if that was asked for.

    Raises:
        Stopped: it was.
    """
    if _shared.finished is not None:
        with _shared.finished.get_lock():
            _shared.finished.value += 1
        if _shared.stop.is_set():
            raise Stopped
    elif _shared.on_progress is not None:
        _shared.on_progress(1)


class Workers:
    """Runs tasks in `count` processes, or right here when that is 1."""

    def __init__(self, count: int, on_progress: OnProgress) -> None:
        self.count = count
        self._on_progress = on_progress
        self._seen = 0
        self._executor: ProcessPoolExecutor | None = None
        if count > 1:
            context = multiprocessing.get_context("spawn")  # a forked child of a threaded parent may hang
            self._finished = context.Value("Q", 0)
            self._stop = context.Event()
            self._began = context.Event()
            shared = (self._finished, self._stop, self._began, os.getpid())
            self._executor = ProcessPoolExecutor(count, mp_context=context, initializer=_start, initargs=shared)

    def run(
        self, work: Callable[[Task], Result], tasks: Iterable[Task], *, ahead: int = AHEAD
    ) -> Iterator[tuple[int, Result]]:
        """Do the tasks and yield (position, result) as they end. Tasks are taken only as workers become free.

        Args:
            work: a function that can be pickled.
            tasks: what it is called with.
            ahead: tasks per worker that are at work, or done and not yet asked for.

        Raises:
            SourceError: a worker was killed, most likely for its memory; or none could begin.
            AsamDatasetsError: what a task raised; the others are stopped first.
        """
        if self._executor is None:
            _shared.on_progress = self._on_progress
            for position, task in enumerate(tasks):
                yield position, work(task)
            return
        pending: dict[Future[Result], int] = {}
        numbered = enumerate(tasks)
        exhausted = False
        try:
            while pending or not exhausted:
                while not exhausted and len(pending) < ahead * self.count:
                    following = next(numbered, None)
                    if following is None:
                        exhausted = True
                        break
                    pending[self._executor.submit(work, following[1])] = following[0]
                done, _ = wait(pending, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                self._report()
                for future in done:
                    yield pending.pop(future), future.result()
        except BrokenProcessPool as error:
            if not self._began.is_set():
                raise SourceError(
                    f"expected {self.count} worker processes, found that they ended before they began",
                    hint="A process reads the script that it belongs to before it begins: yours has to be a file, and "
                    'to call this below `if __name__ == "__main__":`. If it does, the machine ran out of memory. '
                    f"With 1 as {option('workers')} there are no processes.",
                ) from None
            raise SourceError(
                f"expected {self.count} worker processes, found that one was killed",
                hint=f"Most likely the machine ran out of memory: run again with fewer {option('workers')}.",
            ) from error
        except BaseException:
            self._stop.set()
            raise

    def close(self) -> None:
        """End the processes; those at work stop at their next record."""
        if self._executor is not None:
            self._stop.set()
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def _report(self) -> None:
        finished = self._finished.value
        if finished > self._seen:
            self._on_progress(finished - self._seen)
            self._seen = finished


@contextmanager
def open_workers(count: int | None, on_progress: OnProgress) -> Iterator[Workers]:
    """`Workers` that are gone afterwards, whatever happens; None for one for each core.

    Raises:
        SourceError: `count` is no number of processes.
    """
    count = available_cores() if count is None else count
    given: object = count
    if not isinstance(given, Integral) or count < 1:
        raise SourceError(f"expected {option('workers')} of at least 1, found {count!r}")
    workers = Workers(int(count), on_progress)
    try:
        yield workers
    finally:
        workers.close()


def ordered(results: Iterable[tuple[int, Result]]) -> Sequence[Result]:
    """Collect what `Workers.run` yields in the order of the tasks."""
    return [result for _, result in sorted(results, key=lambda pair: pair[0])]


def end_with(parent: int) -> None:
    """Have this process end soon after its parent, however that one ends."""
    name = f"end with {parent}"
    if not any(thread.name == name for thread in threading.enumerate()):
        threading.Thread(target=_watch, args=(parent,), name=name, daemon=True).start()


def _start(finished: Any, stop: Any, began: Any, parent: int) -> None:
    _shared.finished = finished
    _shared.stop = stop
    began.set()
    # Ctrl-C reaches the whole group; the parent decides, the workers finish their record and stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(parent)


def _watch(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(_WATCH_S)
    os._exit(1)
