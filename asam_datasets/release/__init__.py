"""Where datasets go: a folder or a repository on the Hub; the card; the release commit that makes a release visible."""

from __future__ import annotations

from asam_datasets.release._access import Access as Access
from asam_datasets.release._access import Destination as Destination
from asam_datasets.release._access import Gate as Gate
from asam_datasets.release._assets import SHEET_ROWS as SHEET_ROWS
from asam_datasets.release._assets import Counted as Counted
from asam_datasets.release._assets import Sheet as Sheet
from asam_datasets.release._assets import first_shown as first_shown
from asam_datasets.release._assets import wanted_sheets as wanted_sheets
from asam_datasets.release._card import Showing as Showing
from asam_datasets.release._card import find_changes as find_changes
from asam_datasets.release._card import render_card as render_card
from asam_datasets.release._card_text import column_bytes as column_bytes
from asam_datasets.release._card_text import count_bytes as count_bytes
from asam_datasets.release._card_text import missing_fields as missing_fields
from asam_datasets.release._folder import FolderTarget as FolderTarget
from asam_datasets.release._license import LICENSE as LICENSE
from asam_datasets.release._license import render_license as render_license
from asam_datasets.release._owner import MARK as MARK
from asam_datasets.release._owner import CardChange as CardChange
from asam_datasets.release._owner import Words as Words
from asam_datasets.release._owner import title_of as title_of
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
    "LICENSE",
    "MARK",
    "SHEET_ROWS",
    "Access",
    "CardChange",
    "Changes",
    "Counted",
    "Destination",
    "FolderTarget",
    "Footprint",
    "Gate",
    "Load",
    "ReleaseMaker",
    "RepositoryTarget",
    "Sheet",
    "Showing",
    "Target",
    "Words",
    "column_bytes",
    "count_bytes",
    "find_changes",
    "first_shown",
    "footprint",
    "missing_fields",
    "render_card",
    "render_license",
    "title_of",
    "wanted_sheets",
]
