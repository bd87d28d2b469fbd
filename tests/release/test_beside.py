"""Work beside other work: in order, bounded, and never silent."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from asam_datasets.release._beside import Beside

LONG_S = 60.0


class Worker:
    """Notes what it gets, and waits until it may go on."""

    def __init__(self) -> None:
        self.got: list[list[int]] = []
        self.is_at_work = threading.Event()
        self.may_go_on = threading.Event()

    def __call__(self, items: Sequence[int]) -> None:
        self.got.append(list(items))
        self.is_at_work.set()
        assert self.may_go_on.wait(LONG_S)


def test_what_comes_meanwhile_is_one_batch_and_too_much_waits() -> None:
    worker = Worker()
    beside = Beside(worker, lambda waiting: True, lambda waiting: len(waiting) <= 2)
    beside.put(1)
    assert worker.is_at_work.wait(LONG_S)
    beside.put(2)
    beside.put(3)
    done = threading.Event()
    other = threading.Thread(target=lambda: (beside.put(4), done.set()), daemon=True)
    other.start()
    assert not done.wait(0.05)  # it would be there at once
    worker.may_go_on.set()
    assert done.wait(LONG_S)
    other.join()
    beside.drain()
    assert [one for some in worker.got for one in some] == [1, 2, 3, 4]
    assert worker.got[0] == [1]


def test_little_waits_for_more_until_it_is_drained() -> None:
    got: list[list[int]] = []
    beside = Beside(lambda items: got.append(list(items)), lambda waiting: len(waiting) >= 2, lambda waiting: True)
    beside.drain()
    for number in range(3):
        beside.put(number)
    beside.drain()
    assert [one for some in got for one in some] == [0, 1, 2]
    assert max(map(len, got)) >= 2
    beside.put(7)
    beside.drain()
    assert got[-1] == [7]
    assert threading.active_count() == 1 or not any(t.name.endswith("(_loop)") for t in threading.enumerate())


def test_what_it_raises_is_raised_where_it_is_waited_for() -> None:
    def fail(items: Sequence[int]) -> None:
        raise OSError("the disk is gone")

    beside = Beside(fail, lambda waiting: len(waiting) > 1, lambda waiting: not waiting or waiting == [1])
    beside.put(1)
    with pytest.raises(OSError, match="the disk is gone"):
        beside.put(2)
    beside.stop()
    beside = Beside(fail, lambda waiting: False, lambda waiting: True)
    beside.put(1)
    with pytest.raises(OSError, match="the disk is gone"):
        beside.drain()
    beside.stop()


def test_a_stop_waits_for_what_is_at_work_and_forgets_the_rest() -> None:
    worker = Worker()
    beside = Beside(worker, lambda waiting: True, lambda waiting: True)
    beside.put(1)
    assert worker.is_at_work.wait(LONG_S)
    beside.put(2)
    threading.Timer(0.05, worker.may_go_on.set).start()
    beside.stop()
    assert worker.got == [[1]]
    assert worker.may_go_on.is_set()
