"""The stages by the machines of a plan: captions where they have machines of their own, archives, the release."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec

from asam_datasets.errors import SourceError, TargetError
from asam_datasets.progress import Listener
from asam_datasets.scale._datatrove import executor, in_queue, submit, undone
from asam_datasets.scale._plan import ScalePlan
from asam_datasets.scale._release import prepare
from asam_datasets.scale._run import RELEASED, RunFolder
from asam_datasets.scale._steps import Step
from asam_datasets.scale._watch import watched

_SHOWN = 5


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
        TargetError: there is no Slurm here, or jobs of this run are still in its queue.
        AsamDatasetsError: see `asam_datasets.errors`; what is finished is kept.
    """
    listener, started = listener or Listener(), time.monotonic()
    run = prepare(plan, listener)
    stages = _stages(plan, run)
    listener.on_stage(f"Doing {len(run.archives):,} archives as {run.name}; logs are in {plan.run}/logs")
    if plan.machines.kind == "slurm":
        _submit(run, stages)
    elif plan.machines.kind == "local":
        with watched(run):
            do_stages(run, stages)
    else:
        do_stages(run, stages)
    done = run.has(RELEASED)
    return Scaled(plan.run, run.name, len(run.archives), done, plan.repo_id, time.monotonic() - started)


def _stages(plan: ScalePlan, run: RunFolder) -> list[Any]:
    """An executor for each stage."""
    tasks, logs, made = len(run.archives), f"{plan.run}/logs", []
    if plan.caption is not None and plan.caption.machines is not None:
        machines = plan.caption.machines
        made.append(executor(machines, Step("captions", plan), tasks, f"{logs}/captions", "asam-captions"))
    made.append(executor(plan.machines, Step("archives", plan), tasks, f"{logs}/archives", "asam-archives"))
    one = msgspec.structs.replace(plan.release or plan.machines, workers=1)
    return [*made, executor(one, Step("release", plan), 1, f"{logs}/release", "asam-release")]


def _submit(run: RunFolder, stages: list[Any]) -> None:
    """Hand the stages to Slurm.

    Raises:
        TargetError: what was submitted before is still at it: the tasks of two submissions would take each other's.
    """
    busy = in_queue(run.jobs())
    if busy:
        raise TargetError(
            f"expected no job of this run in the queue, found {', '.join(busy)}",
            where=run.path,
            hint=f"Wait until they are done, or end them: scancel {' '.join(busy)}. Then run the same command again.",
        )
    submit(stages, run.write_jobs)


def do_stages(run: RunFolder, stages: list[Any]) -> None:
    """Do one stage after the other. (`datatrove` would wait for ever for a stage with a task that failed.)

    Raises:
        SourceError: tasks failed.
    """
    for stage in stages:
        stage.run()
        failed = undone(stage)
        if failed:
            shown = ", ".join(run.archives[rank] for rank in failed[:_SHOWN])
            more = f" and {len(failed) - _SHOWN:,} more" if len(failed) > _SHOWN else ""
            raise SourceError(
                f"expected all tasks to be done, found {len(failed):,} that failed: {shown}{more}",
                where=str(stage.logging_dir.path),
                hint="Look at the logs there, then run the same command again: only what is missing is done.",
            )
    run.look_again()
