"""A stage as `datatrove` runs it: a step that does the task of its rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from asam_datasets.progress import Listener
from asam_datasets.scale._datatrove import PipelineStep, parent_of_pool, say
from asam_datasets.scale._plan import ScalePlan
from asam_datasets.scale._release import release
from asam_datasets.scale._run import RELEASED, RunFolder
from asam_datasets.scale._task import caption_archive, do_archive
from asam_datasets.scale._watch import at_work
from asam_datasets.workers import end_with

Stage = Literal["captions", "archives", "release"]


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
        parent = parent_of_pool()
        if parent is not None:
            end_with(parent)  # a task of a run that was killed does not go on behind the back of the next one
        listener, run = Listener(on_stage=say), RunFolder(self.plan.run)
        with at_work(run, f"{self.stage}-{rank:05}"):
            if self.stage == "release":
                run.write(RELEASED, msgspec.json.encode(release(self.plan, listener)))
                return
            work: Callable[..., None] = do_archive if self.stage == "archives" else caption_archive
            work(self.plan, rank, listener)
