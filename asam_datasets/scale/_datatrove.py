"""The one place that imports `datatrove`, of the extra `scale`: folders anywhere, and executors by name."""

from __future__ import annotations

import getpass
import importlib
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from asam_datasets.errors import SourceError, TargetError
from asam_datasets.scale._plan import Machines

try:
    from datatrove.pipeline.base import PipelineStep as PipelineStep
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"expected the packages for clusters, found no {error.name}: pip install 'asam_datasets[scale]'",
        name=error.name,
    ) from None

_EXECUTORS = {
    "local": ("local", "LocalPipelineExecutor"),
    "slurm": ("slurm", "SlurmPipelineExecutor"),
    "ray": ("ray", "RayPipelineExecutor"),
    "jobs": ("jobs", "JobsPipelineExecutor"),
}


def say(text: str) -> None:
    """Into the log of the task."""
    from datatrove.utils.logging import logger

    logger.info("{}", text)


def parent_of_pool() -> int | None:
    """The process that has this one in a pool of `datatrove`; None for a process of its own."""
    import multiprocess

    parent = multiprocess.parent_process()
    return None if parent is None else int(parent.pid)


def children() -> list[Any]:
    """The processes of a pool of `datatrove` that this one has now."""
    import multiprocess

    return list(multiprocess.active_children())


def data_folder(path: str) -> Any:
    """A folder wherever `fsspec` reaches."""
    from datatrove.io import get_datafolder

    return get_datafolder(path)


def executor(machines: Machines, step: Any, tasks: int, logs: str, name: str) -> Any:
    """An executor of `datatrove` that does tasks.

    Args:
        machines: which, and with what options.
        step: called as `step(data, rank, world_size)`; goes to the machines as a pickle.
        tasks: how many.
        logs: folder for its logs and for the marks of tasks that are done.
        name: of the job.

    Raises:
        TargetError: the executor knows no such option, or wants another one.
        ModuleNotFoundError: a package of that executor is missing.
    """
    module, cls = _EXECUTORS[machines.kind]
    make = getattr(importlib.import_module(f"datatrove.executor.{module}"), cls)
    given: dict[str, Any] = {"tasks": tasks, "workers": machines.workers, "logging_dir": logs}
    if machines.kind == "local":
        # Children of this very process end with it, those of a fork server would not notice.
        given |= {"start_method": "spawn", "workers": min(machines.workers, tasks)}
    elif machines.kind != "ray":
        given["job_name"] = name
    given |= machines.options
    if machines.kind == "slurm":
        # Each task looks whether what it needs is there. With `afterok` one that was cancelled would end all that comes
        # after it, also when it was requeued and done; what still asks for that (sums of statistics) goes then.
        given = {"qos": "", "run_on_dependency_fail": True, **given}
        given["sbatch_args"] = {"kill-on-invalid-dep": "yes", **(given.get("sbatch_args") or {})}
    try:
        return make([step], **given)
    except TypeError as error:
        said = str(error).rpartition("__init__() ")[2]
        raise TargetError(
            f"expected options of {cls}, found: {said}",
            where=f"machines.options of kind {machines.kind!r}",
            hint="See the docstring of that class in `datatrove`, and examples/scale/.",
        ) from error


def undone(stage: Any) -> list[int]:
    """The tasks of a stage that are not done, as its folder says now."""
    stage.logging_dir.fs.invalidate_cache()
    return [int(rank) for rank in stage.get_incomplete_ranks(skip_completed=True)]


def submit(stages: Sequence[Any], note: Callable[[Sequence[str]], None]) -> None:
    """Hand stages to Slurm, each after the one before.

    Args:
        stages: executors for it.
        note: gets the ids of the jobs, also of some when the next one is refused.

    Raises:
        TargetError: there is no Slurm here, or it refuses a job.
    """
    before: Any = None
    for stage in stages:
        stage.depends, before = before, stage
    try:
        before.run()
    except FileNotFoundError as error:
        if error.filename != "sbatch":
            raise
        raise TargetError(
            "expected the commands of Slurm, found no sbatch", hint="Run this where jobs are submitted."
        ) from None
    except subprocess.CalledProcessError as error:
        refused = next(stage.job_name for stage in stages if stage.job_id is None)
        raise TargetError(
            f"expected Slurm to take the job {refused}, found that sbatch failed with {error.returncode}",
            hint="It says why above. Jobs that it took before go on.",
        ) from None
    finally:
        note([str(stage.job_id) for stage in stages if stage.job_id not in (None, -1)])


def in_queue(jobs: Sequence[str]) -> list[str]:
    """Those of some jobs of Slurm that wait or run.

    Raises:
        SourceError: Slurm does not say.
    """
    if not jobs:
        return []
    try:
        asked = subprocess.run(
            ["squeue", "-h", "-u", getpass.getuser(), "-o", "%F"], stdout=subprocess.PIPE, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise SourceError(
            f"expected squeue to say what is in the queue, found: {error}",
            hint="Run this on a login node of the cluster.",
        ) from None
    return [job for job in jobs if job in set(asked.stdout.split())]
