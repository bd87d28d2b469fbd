"""Where datasets go: a folder or a repository on the Hub; the card; the flip that makes a release visible."""

from __future__ import annotations

from asam_datasets.hub._card import count_bytes as count_bytes
from asam_datasets.hub._local import FolderTarget as FolderTarget
from asam_datasets.hub._release import Changes as Changes
from asam_datasets.hub._release import Release as Release
from asam_datasets.hub._release import make_release as make_release
from asam_datasets.hub._remote import RepositoryTarget as RepositoryTarget
from asam_datasets.hub._remote import default_cache as default_cache

__all__ = [
    "Changes",
    "FolderTarget",
    "Release",
    "RepositoryTarget",
    "count_bytes",
    "default_cache",
    "make_release",
]
