"""Where datasets go: a folder or a repository on the Hub; the card; the release commit that makes a release visible."""

from __future__ import annotations

from asam_datasets.hub._access import Access as Access
from asam_datasets.hub._access import Destination as Destination
from asam_datasets.hub._access import Gate as Gate
from asam_datasets.hub._card import ALL_SETS as ALL_SETS
from asam_datasets.hub._card import PLACEHOLDER as PLACEHOLDER
from asam_datasets.hub._card import README as README
from asam_datasets.hub._card import config_names as config_names
from asam_datasets.hub._card import count_bytes as count_bytes
from asam_datasets.hub._card import front_matter as front_matter
from asam_datasets.hub._card import render_license as render_license
from asam_datasets.hub._card import visible_folders as visible_folders
from asam_datasets.hub._client import FileInfo as FileInfo
from asam_datasets.hub._client import HubClient as HubClient
from asam_datasets.hub._local import FolderTarget as FolderTarget
from asam_datasets.hub._published import Location as Location
from asam_datasets.hub._published import Published as Published
from asam_datasets.hub._published import PublishedFolder as PublishedFolder
from asam_datasets.hub._published import PublishedRepository as PublishedRepository
from asam_datasets.hub._published import open_location as open_location
from asam_datasets.hub._published import open_published as open_published
from asam_datasets.hub._published import visible_builds as visible_builds
from asam_datasets.hub._release import Changes as Changes
from asam_datasets.hub._release import Release as Release
from asam_datasets.hub._release import ReleaseMaker as ReleaseMaker
from asam_datasets.hub._remote import RepositoryTarget as RepositoryTarget

__all__ = [
    "ALL_SETS",
    "PLACEHOLDER",
    "README",
    "Access",
    "Changes",
    "Destination",
    "FileInfo",
    "FolderTarget",
    "Gate",
    "HubClient",
    "Location",
    "Published",
    "PublishedFolder",
    "PublishedRepository",
    "Release",
    "ReleaseMaker",
    "RepositoryTarget",
    "config_names",
    "count_bytes",
    "front_matter",
    "open_location",
    "open_published",
    "render_license",
    "visible_builds",
    "visible_folders",
]
