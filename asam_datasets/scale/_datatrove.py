"""The one place that imports `datatrove`, of the extra `scale`: folders anywhere, and executors by name."""

from __future__ import annotations

from typing import Any

from asam_datasets.scale._plan import Machines

try:
    from datatrove.pipeline.base import PipelineStep as PipelineStep
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"expected the packages for clusters, found no {error.name}: pip install 'asam_datasets[scale]'",
        name=error.name,
    ) from None


def say(text: str) -> None:
    """Into the log of the task."""
    from datatrove.utils.logging import logger

    logger.info("{}", text)


def is_child() -> bool:
    """Whether this is a process of a pool of `datatrove` on one machine."""
    import multiprocess

    return multiprocess.parent_process() is not None


def data_folder(path: str) -> Any:
    """A folder wherever `fsspec` reaches."""
    from datatrove.io import get_datafolder

    return get_datafolder(path)


def executor(machines: Machines, step: Any, tasks: int, logs: str, name: str, depends: Any) -> Any:
    """An executor of `datatrove` that does tasks.

    Args:
        machines: which, and with what options.
        step: called as `step(data, rank, world_size)`; goes to the machines as a pickle.
        tasks: how many.
        logs: folder for its logs and for the marks of tasks that are done.
        name: of the job.
        depends: the executor whose tasks come first; None for none.
    """
    options: dict[str, Any] = {"logging_dir": logs, "depends": depends, **machines.options}
    if machines.kind == "local":
        from datatrove.executor.local import LocalPipelineExecutor

        # Children of this very process end with it, those of a fork server would not notice.
        options = {"start_method": "spawn", **options}
        return LocalPipelineExecutor([step], tasks=tasks, workers=min(machines.workers, tasks), **options)
    if machines.kind == "slurm":
        from datatrove.executor.slurm import SlurmPipelineExecutor

        options = {"job_name": name, "qos": "", **options}
        return SlurmPipelineExecutor([step], tasks=tasks, workers=machines.workers, **options)
    if machines.kind == "ray":
        from datatrove.executor.ray import RayPipelineExecutor

        return RayPipelineExecutor([step], tasks=tasks, workers=machines.workers, **options)
    from datatrove.executor.jobs import JobsPipelineExecutor

    return JobsPipelineExecutor([step], tasks=tasks, workers=machines.workers, job_name=name, **options)
