"""Published datasets, read in place: the Hub client, what a README shows, and the rows of parts; verification."""

from __future__ import annotations

from asam_datasets.published._answers import FileInfo as FileInfo
from asam_datasets.published._answers import check_commit as check_commit
from asam_datasets.published._answers import check_number as check_number
from asam_datasets.published._answers import odd_answer as odd_answer
from asam_datasets.published._by_id import AT_ONCE as AT_ONCE
from asam_datasets.published._by_id import Found as Found
from asam_datasets.published._by_id import FoundRow as FoundRow
from asam_datasets.published._by_id import RowFinder as RowFinder
from asam_datasets.published._by_id import RowGroup as RowGroup
from asam_datasets.published._by_id import groups_of as groups_of
from asam_datasets.published._by_id import has_numbers as has_numbers
from asam_datasets.published._client import KIND as KIND
from asam_datasets.published._client import Commit as Commit
from asam_datasets.published._client import ConflictError as ConflictError
from asam_datasets.published._client import HubClient as HubClient
from asam_datasets.published._dataset import Dataset as Dataset
from asam_datasets.published._dataset import chosen_columns as chosen_columns
from asam_datasets.published._dataset import one_split as one_split
from asam_datasets.published._dataset import open_dataset as open_dataset
from asam_datasets.published._dataset import published_rows as published_rows
from asam_datasets.published._index import encode_index as encode_index
from asam_datasets.published._layout import INDEX_KEY as INDEX_KEY
from asam_datasets.published._layout import NOTHING as NOTHING
from asam_datasets.published._layout import PLACEHOLDER as PLACEHOLDER
from asam_datasets.published._layout import README as README
from asam_datasets.published._layout import ForeignReadmeError as ForeignReadmeError
from asam_datasets.published._layout import Pattern as Pattern
from asam_datasets.published._layout import build_folders as build_folders
from asam_datasets.published._layout import front_matter as front_matter
from asam_datasets.published._layout import is_index as is_index
from asam_datasets.published._layout import place_of as place_of
from asam_datasets.published._location import Location as Location
from asam_datasets.published._location import Published as Published
from asam_datasets.published._location import PublishedFolder as PublishedFolder
from asam_datasets.published._location import PublishedRepository as PublishedRepository
from asam_datasets.published._location import missing_parts as missing_parts
from asam_datasets.published._part import GET_AGAIN as GET_AGAIN
from asam_datasets.published._part import Footers as Footers
from asam_datasets.published._part import GroupReader as GroupReader
from asam_datasets.published._part import PartFile as PartFile
from asam_datasets.published._permission import check_permission as check_permission
from asam_datasets.published._permission import check_token as check_token
from asam_datasets.published._ranges import Span as Span
from asam_datasets.published._ranges import find_range as find_range
from asam_datasets.published._ranges import find_spans as find_spans
from asam_datasets.published._ranges import parse_range as parse_range
from asam_datasets.published._report import Report as Report
from asam_datasets.published._retry import status_of as status_of
from asam_datasets.published._rows import Row as Row
from asam_datasets.published._rows import checked_image as checked_image
from asam_datasets.published._rows import checked_masks as checked_masks
from asam_datasets.published._rows import empty_places as empty_places
from asam_datasets.published._rows import read_file_names as read_file_names
from asam_datasets.published._rows import read_rows as read_rows
from asam_datasets.published._rows import row_columns as row_columns
from asam_datasets.published._rows import row_values as row_values
from asam_datasets.published._rows import typed_row as typed_row
from asam_datasets.published._rows import wrong_numbers as wrong_numbers
from asam_datasets.published._rows_by_id import Rows as Rows
from asam_datasets.published._rows_by_id import check_at_once as check_at_once
from asam_datasets.published._rows_by_id import list_ids as list_ids
from asam_datasets.published._rows_by_id import rows as rows
from asam_datasets.published._sending import Sent as Sent
from asam_datasets.published._some import image_paths as image_paths
from asam_datasets.published._some import with_images as with_images
from asam_datasets.published._trees import list_files as list_files
from asam_datasets.published._verify import verify as verify
from asam_datasets.published._visible import Visible as Visible
from asam_datasets.published._visible import visible_builds as visible_builds

__all__ = [
    "AT_ONCE",
    "GET_AGAIN",
    "INDEX_KEY",
    "KIND",
    "NOTHING",
    "PLACEHOLDER",
    "README",
    "Commit",
    "ConflictError",
    "Dataset",
    "FileInfo",
    "Footers",
    "ForeignReadmeError",
    "Found",
    "FoundRow",
    "GroupReader",
    "HubClient",
    "Location",
    "PartFile",
    "Pattern",
    "Published",
    "PublishedFolder",
    "PublishedRepository",
    "Report",
    "Row",
    "RowFinder",
    "RowGroup",
    "Rows",
    "Sent",
    "Span",
    "Visible",
    "build_folders",
    "check_at_once",
    "check_commit",
    "check_number",
    "check_permission",
    "check_token",
    "checked_image",
    "checked_masks",
    "chosen_columns",
    "empty_places",
    "encode_index",
    "find_range",
    "find_spans",
    "front_matter",
    "groups_of",
    "has_numbers",
    "image_paths",
    "is_index",
    "list_files",
    "list_ids",
    "missing_parts",
    "odd_answer",
    "one_split",
    "open_dataset",
    "parse_range",
    "place_of",
    "published_rows",
    "read_file_names",
    "read_rows",
    "row_columns",
    "row_values",
    "rows",
    "status_of",
    "typed_row",
    "verify",
    "visible_builds",
    "with_images",
    "wrong_numbers",
]
