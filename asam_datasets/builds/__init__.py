"""Archives to builds: the plan of parts, the writer, the digest, the workers."""

from __future__ import annotations

from asam_datasets.builds._adversarial import AdversarialRecipe as AdversarialRecipe
from asam_datasets.builds._adversarial import find_originals as find_originals
from asam_datasets.builds._archive import ArchiveRecipe as ArchiveRecipe
from asam_datasets.builds._build import build as build
from asam_datasets.builds._build import find_unchanged as find_unchanged
from asam_datasets.builds._build import look_over as look_over
from asam_datasets.builds._build import without_bad as without_bad
from asam_datasets.builds._evaluation import EvaluationRecipe as EvaluationRecipe
from asam_datasets.builds._manifest import BUILD_FILE as BUILD_FILE
from asam_datasets.builds._manifest import DATA as DATA
from asam_datasets.builds._manifest import PART as PART
from asam_datasets.builds._manifest import VALIDATION as VALIDATION
from asam_datasets.builds._manifest import Build as Build
from asam_datasets.builds._manifest import Part as Part
from asam_datasets.builds._manifest import decode_build as decode_build
from asam_datasets.builds._manifest import encode_build as encode_build
from asam_datasets.builds._manifest import in_run as in_run
from asam_datasets.builds._manifest import is_run as is_run
from asam_datasets.builds._manifest import new_run as new_run
from asam_datasets.builds._manifest import parts_digest as parts_digest
from asam_datasets.builds._manifest import same_content as same_content
from asam_datasets.builds._manifest import split_folder as split_folder
from asam_datasets.builds._manifest import wrong_build as wrong_build
from asam_datasets.builds._plan import choose_parts as choose_parts
from asam_datasets.builds._plan import count_parts as count_parts
from asam_datasets.builds._plan import part_ranges as part_ranges
from asam_datasets.builds._recipe import Built as Built
from asam_datasets.builds._recipe import Candidate as Candidate
from asam_datasets.builds._recipe import Options as Options
from asam_datasets.builds._recipe import Survey as Survey
from asam_datasets.builds._recipe import only as only
from asam_datasets.builds._recipe import with_captions as with_captions
from asam_datasets.builds._recipe import with_images as with_images
from asam_datasets.builds._recipe import with_rights as with_rights
from asam_datasets.builds._slices import Slice as Slice
from asam_datasets.builds._slices import archive_slices as archive_slices
from asam_datasets.builds._slices import evaluation_slices as evaluation_slices
from asam_datasets.builds._slices import slice_tables as slice_tables
from asam_datasets.builds._split import Validation as Validation
from asam_datasets.builds._split import count_held_out as count_held_out
from asam_datasets.builds._split import read_validation as read_validation
from asam_datasets.builds._statistics import MEASURES as MEASURES
from asam_datasets.builds._statistics import Measure as Measure
from asam_datasets.builds._statistics import Statistics as Statistics
from asam_datasets.builds._statistics import add_up as add_up
from asam_datasets.builds._statistics import count_rows as count_rows
from asam_datasets.builds._together import check_together as check_together
from asam_datasets.builds._together import missing_ids as missing_ids

__all__ = [
    "BUILD_FILE",
    "DATA",
    "MEASURES",
    "PART",
    "VALIDATION",
    "AdversarialRecipe",
    "ArchiveRecipe",
    "Build",
    "Built",
    "Candidate",
    "EvaluationRecipe",
    "Measure",
    "Options",
    "Part",
    "Slice",
    "Statistics",
    "Survey",
    "Validation",
    "add_up",
    "archive_slices",
    "build",
    "check_together",
    "choose_parts",
    "count_held_out",
    "count_parts",
    "count_rows",
    "decode_build",
    "encode_build",
    "evaluation_slices",
    "find_originals",
    "find_unchanged",
    "in_run",
    "is_run",
    "look_over",
    "missing_ids",
    "new_run",
    "only",
    "part_ranges",
    "parts_digest",
    "read_validation",
    "same_content",
    "slice_tables",
    "split_folder",
    "with_captions",
    "with_images",
    "with_rights",
    "without_bad",
    "wrong_build",
]
