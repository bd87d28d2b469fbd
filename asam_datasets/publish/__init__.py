"""Publishing: look at everything, build, upload, make it visible in one step, load it back.

Until that step nothing that a reader sees has changed.
"""

from __future__ import annotations

from asam_datasets.publish._load_back import load_back as load_back
from asam_datasets.publish._options import PublishOptions as PublishOptions
from asam_datasets.publish._plan import Loss as Loss
from asam_datasets.publish._plan import Plan as Plan
from asam_datasets.publish._plan import PlannedBuild as PlannedBuild
from asam_datasets.publish._run import Summary as Summary
from asam_datasets.publish._run import plan as plan
from asam_datasets.publish._run import publish as publish

__all__ = [
    "Loss",
    "Plan",
    "PlannedBuild",
    "PublishOptions",
    "Summary",
    "load_back",
    "plan",
    "publish",
]
