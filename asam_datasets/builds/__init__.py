"""Archives to builds: the plan of parts, the writer, the digest, the workers."""

from __future__ import annotations

from asam_datasets.builds._adversarial import Original as Original
from asam_datasets.builds._adversarial import build_adversarial as build_adversarial
from asam_datasets.builds._adversarial import find_originals as find_originals
from asam_datasets.builds._adversarial import find_unchanged_adversarial as find_unchanged_adversarial
from asam_datasets.builds._build import build_archive as build_archive
from asam_datasets.builds._build import find_unchanged as find_unchanged
from asam_datasets.builds._evaluation import build_evaluation as build_evaluation
from asam_datasets.builds._evaluation import evaluation_rights as evaluation_rights
from asam_datasets.builds._evaluation import find_unchanged_evaluation as find_unchanged_evaluation
from asam_datasets.builds._manifest import BUILD_FILE as BUILD_FILE
from asam_datasets.builds._manifest import DATA as DATA
from asam_datasets.builds._manifest import Build as Build
from asam_datasets.builds._manifest import Part as Part
from asam_datasets.builds._manifest import decode_build as decode_build
from asam_datasets.builds._manifest import encode_build as encode_build
from asam_datasets.builds._manifest import parts_digest as parts_digest
from asam_datasets.builds._manifest import split_folder as split_folder
from asam_datasets.builds._options import Built as Built
from asam_datasets.builds._options import Candidate as Candidate
from asam_datasets.builds._options import Options as Options
from asam_datasets.builds._plan import count_parts as count_parts
from asam_datasets.builds._plan import part_ranges as part_ranges
from asam_datasets.builds._slices import EvaluationSlice as EvaluationSlice
from asam_datasets.builds._slices import Slice as Slice
from asam_datasets.builds._slices import archive_slices as archive_slices
from asam_datasets.builds._slices import evaluation_slice_tables as evaluation_slice_tables
from asam_datasets.builds._slices import evaluation_slices as evaluation_slices
from asam_datasets.builds._slices import slice_tables as slice_tables
from asam_datasets.builds._survey import Survey as Survey
from asam_datasets.builds._survey import check_together as check_together
from asam_datasets.builds._survey import missing_ids as missing_ids
from asam_datasets.builds._survey import survey as survey

__all__ = [
    "BUILD_FILE",
    "DATA",
    "Build",
    "Built",
    "Candidate",
    "EvaluationSlice",
    "Options",
    "Original",
    "Part",
    "Slice",
    "Survey",
    "archive_slices",
    "build_adversarial",
    "build_archive",
    "build_evaluation",
    "check_together",
    "count_parts",
    "decode_build",
    "encode_build",
    "evaluation_rights",
    "evaluation_slice_tables",
    "evaluation_slices",
    "find_originals",
    "find_unchanged",
    "find_unchanged_adversarial",
    "find_unchanged_evaluation",
    "missing_ids",
    "part_ranges",
    "parts_digest",
    "slice_tables",
    "split_folder",
    "survey",
]
