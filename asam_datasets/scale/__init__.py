"""Many archives by many machines: a task for each archive, and one last task that makes them visible together.

    prepare ──► tasks: get the archive → captions → build → send each part and drop it → a note ──► release

The machines are `datatrove`'s business: one machine, a Slurm partition, a Ray cluster, or Jobs of Hugging Face. What
the tasks share is a folder that all of them see. A task that died, or ran twice, changes nothing: what is sent is named
by its content, and its note says the same again.
"""

from __future__ import annotations

from asam_datasets.scale._plan import CaptionStage as CaptionStage
from asam_datasets.scale._plan import Machines as Machines
from asam_datasets.scale._plan import ScalePlan as ScalePlan
from asam_datasets.scale._plan import read_plan as read_plan
from asam_datasets.scale._release import Released as Released
from asam_datasets.scale._release import prepare as prepare
from asam_datasets.scale._release import release as release
from asam_datasets.scale._scale import Scaled as Scaled
from asam_datasets.scale._scale import scale as scale
from asam_datasets.scale._task import caption_archive as caption_archive
from asam_datasets.scale._task import do_archive as do_archive

__all__ = [
    "CaptionStage",
    "Machines",
    "Released",
    "ScalePlan",
    "Scaled",
    "caption_archive",
    "do_archive",
    "prepare",
    "read_plan",
    "release",
    "scale",
]
