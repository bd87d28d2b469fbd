"""Where datasets go: a folder or a repository on the Hub; the card; the release commit that makes a release visible."""

from __future__ import annotations

from asam_datasets.release._access import Access as Access
from asam_datasets.release._access import Destination as Destination
from asam_datasets.release._access import Gate as Gate
from asam_datasets.release._card import count_bytes as count_bytes
from asam_datasets.release._card import render_license as render_license
from asam_datasets.release._folder import FolderTarget as FolderTarget
from asam_datasets.release._pace import COMMIT_FILES as COMMIT_FILES
from asam_datasets.release._pace import HELD_BYTES as HELD_BYTES
from asam_datasets.release._pace import Footprint as Footprint
from asam_datasets.release._pace import Load as Load
from asam_datasets.release._pace import footprint as footprint
from asam_datasets.release._release import Changes as Changes
from asam_datasets.release._release import ReleaseMaker as ReleaseMaker
from asam_datasets.release._repository import RepositoryTarget as RepositoryTarget
from asam_datasets.release._target import Target as Target

__all__ = [
    "COMMIT_FILES",
    "HELD_BYTES",
    "Access",
    "Changes",
    "Destination",
    "FolderTarget",
    "Footprint",
    "Gate",
    "Load",
    "ReleaseMaker",
    "RepositoryTarget",
    "Target",
    "count_bytes",
    "footprint",
    "render_license",
]
