"""A stage as `datatrove` runs it: a step that does the task of its rank."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import msgspec

from asam_datasets.progress import Listener
from asam_datasets.scale._datatrove import PipelineStep, is_child, say
from asam_datasets.scale._plan import ScalePlan
from asam_datasets.scale._release import release
from asam_datasets.scale._run import RELEASED, RunFolder
from asam_datasets.scale._task import caption_archive, do_archive

Stage = Literal["captions", "archives", "release"]

_WATCH_S = 0.5


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


class Step(PipelineStep):  # type: ignore[misc]
    """Does one task; goes to the machines as a pickle.

    Args:
        stage: which function is called.
        plan: what is to be done.
    """

    type = "asam_datasets"

    def __init__(self, stage: Stage, plan: ScalePlan) -> None:
        self.name = stage
        self.stage = stage
        self.plan = plan
        super().__init__()

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> None:
        """The task of a rank.

        Raises:
            AsamDatasetsError: it failed; `datatrove` notes that it is not done.
        """
        if is_child():
            _end_with_parent()
        listener = Listener(on_stage=say)
        with _at_work(self.plan, f"{self.stage}-{rank:05}"):
            if self.stage == "release":
                done = release(self.plan, listener)
                RunFolder(self.plan.run).write(RELEASED, msgspec.json.encode(done))
                return
            work: Callable[..., None] = do_archive if self.stage == "archives" else caption_archive
            work(self.plan, rank, listener)


@contextmanager
def _at_work(plan: ScalePlan, task: str) -> Iterator[None]:
    run = RunFolder(plan.run)
    path = f"running/{task}"
    run.write(path, msgspec.json.encode(Running(socket.gethostname(), os.getpid())))
    try:
        yield
    finally:
        run.remove(path)


def _end_with_parent() -> None:
    """A task of a run that was killed does not go on behind the back of the next one."""

    def watch(parent: int) -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_S)
        os._exit(1)

    threading.Thread(target=watch, args=(os.getppid(),), daemon=True).start()
