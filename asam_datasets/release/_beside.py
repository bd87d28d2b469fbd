"""Work that goes on beside other work: one thread, in order, in batches, and bounded."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Beside(Generic[Item]):
    """Hands items to a function in a thread of its own, all that wait at once.

    `put` and `drain` belong to one thread, the function runs in the other; what it raises is raised by the next of
    them. The thread ends with the process, in the middle of an item if need be.

    Args:
        work: gets the items that wait, in order.
        is_worth_it: whether so many waiting items are worth a call; whatever waits is when it is drained.
        may_wait: whether so many may wait, besides those at work; `put` waits until so.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], None],
        is_worth_it: Callable[[Sequence[Item]], bool],
        may_wait: Callable[[Sequence[Item]], bool],
    ) -> None:
        self._work = work
        self._is_worth_it = is_worth_it
        self._may_wait = may_wait
        self._waiting: list[Item] = []
        self._is_busy = False
        self._is_draining = False
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, item: Item) -> None:
        """Give an item; waits while too many do.

        Raises:
            BaseException: what the work raised.
        """
        with self._changed:
            self._raise()
            self._waiting.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, daemon=True)
                self._thread.start()
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error is not None or self._may_wait(self._waiting))
            self._raise()

    def drain(self) -> None:
        """Wait until all is done, and end the thread; the next `put` begins anew.

        Raises:
            BaseException: what the work raised.
        """
        self._end(lambda: not self._waiting)
        self._raise()

    def stop(self) -> None:
        """End the thread once what it is at is done; what waits is forgotten. Not waited for when a user stops."""
        with self._changed:
            self._waiting.clear()
        interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
        if not interrupted:
            self._end(lambda: True)
        self._error = None

    def _end(self, may: Callable[[], bool]) -> None:
        if self._thread is None:
            return
        with self._changed:
            self._is_draining = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._error is not None or (may() and not self._is_busy))
            self._changed.notify_all()
        self._thread.join()
        self._thread, self._is_draining = None, False

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._is_draining or (bool(self._waiting) and self._is_worth_it(self._waiting))
                )
                if not self._waiting:
                    return
                items, self._waiting, self._is_busy = self._waiting, [], True
                self._changed.notify_all()
            error: BaseException | None = None
            try:
                self._work(items)
            except BaseException as found:  # noqa: BLE001 (the edge of a thread: raised by `put` or `drain`)
                error = found
            with self._changed:
                self._is_busy, self._error = False, error
                self._changed.notify_all()
            if error is not None:
                return
