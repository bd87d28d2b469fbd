"""The stages by the machines of a plan: captions where they have machines of their own, archives, the release."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from asam_datasets.errors import SourceError
from asam_datasets.progress import Listener
from asam_datasets.scale._datatrove import executor
from asam_datasets.scale._plan import ScalePlan
from asam_datasets.scale._release import prepare
from asam_datasets.scale._run import RELEASED, RunFolder
from asam_datasets.scale._steps import Running, Step

_WATCH_S = 1.0


@dataclass(frozen=True)
class Scaled:
    """What was started; `done` tells whether it is finished, or goes on by itself as jobs of a scheduler."""

    run: str
    name: str
    archives: int
    done: bool
    target: str
    seconds: float


def scale(plan: ScalePlan, listener: Listener | None = None) -> Scaled:
    """Do a plan by its machines. Stopped or killed, the same call goes on where it was.

    With Slurm it returns when the jobs are submitted; the last of them makes the release. Elsewhere it returns when
    all is done.

    Raises:
        AsamDatasetsError: see `asam_datasets.errors`; what is finished is kept.
    """
    listener, started = listener or Listener(), time.monotonic()
    run = prepare(plan, listener)
    listener.on_stage(f"Doing {len(run.archives):,} archives as {run.name}; logs are in {plan.run}/logs")
    last = _stages(plan, run)
    if plan.machines.kind == "local":
        with _watched(run):
            last.run()
    else:
        last.run()
    done = run.has(RELEASED)
    if plan.machines.kind != "slurm" and not done:
        raise SourceError(
            "expected all tasks to be done, found some that failed",
            where=plan.run,
            hint="Look at the logs there, then run the same command again: only what is missing is done.",
        )
    return Scaled(plan.run, run.name, len(run.archives), done, plan.repo_id, time.monotonic() - started)


@contextmanager
def _watched(run: RunFolder) -> Iterator[None]:
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


def _is_killed(content: bytes) -> bool:
    try:
        return msgspec.json.decode(content, type=Running).is_killed
    except msgspec.MsgspecError:
        return False


def _stages(plan: ScalePlan, run: RunFolder) -> Any:
    """The executor of the last stage, which depends on those before it."""
    before: Any = None
    tasks = len(run.archives)
    if plan.caption is not None and plan.caption.machines is not None:
        logs = f"{plan.run}/logs/captions"
        before = executor(plan.caption.machines, Step("captions", plan), tasks, logs, "asam-captions", before)
    before = executor(
        plan.machines, Step("archives", plan), tasks, f"{plan.run}/logs/archives", "asam-archives", before
    )
    one = msgspec.structs.replace(plan.machines, workers=1)
    return executor(one, Step("release", plan), 1, f"{plan.run}/logs/release", "asam-release", before)
