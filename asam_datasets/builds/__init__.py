"""Archives to builds: the plan of parts, the writer, the digest, the workers."""

from __future__ import annotations

from asam_datasets.builds._adversarial import ADVERSARIAL_NAME as ADVERSARIAL_NAME
from asam_datasets.builds._adversarial import Original as Original
from asam_datasets.builds._adversarial import build_adversarial as build_adversarial
from asam_datasets.builds._adversarial import find_originals as find_originals
from asam_datasets.builds._adversarial import find_unchanged_adversarial as find_unchanged_adversarial
from asam_datasets.builds._build import build_archive as build_archive
from asam_datasets.builds._build import find_unchanged as find_unchanged
from asam_datasets.builds._evaluation import build_evaluation as build_evaluation
from asam_datasets.builds._evaluation import evaluation_rights as evaluation_rights
from asam_datasets.builds._evaluation import find_unchanged_evaluation as find_unchanged_evaluation
from asam_datasets.builds._kinds import TABLES as TABLES
from asam_datasets.builds._manifest import BUILD_FILE as BUILD_FILE
from asam_datasets.builds._manifest import DATA as DATA
from asam_datasets.builds._manifest import Build as Build
from asam_datasets.builds._manifest import Kind as Kind
from asam_datasets.builds._manifest import Part as Part
from asam_datasets.builds._manifest import decode_build as decode_build
from asam_datasets.builds._manifest import encode_build as encode_build
from asam_datasets.builds._manifest import file_sha256 as file_sha256
from asam_datasets.builds._manifest import parts_digest as parts_digest
from asam_datasets.builds._manifest import split_folder as split_folder
from asam_datasets.builds._options import Built as Built
from asam_datasets.builds._options import Candidate as Candidate
from asam_datasets.builds._options import Options as Options
from asam_datasets.builds._plan import count_parts as count_parts
from asam_datasets.builds._plan import part_ranges as part_ranges
from asam_datasets.builds._survey import Survey as Survey
from asam_datasets.builds._survey import check_together as check_together
from asam_datasets.builds._survey import missing_ids as missing_ids
from asam_datasets.builds._survey import survey as survey
from asam_datasets.builds._workers import Workers as Workers
from asam_datasets.builds._workers import open_workers as open_workers
from asam_datasets.builds._workers import record_done as record_done
from asam_datasets.builds._writer import write_atomically as write_atomically

__all__ = [
    "ADVERSARIAL_NAME",
    "BUILD_FILE",
    "DATA",
    "TABLES",
    "Build",
    "Built",
    "Candidate",
    "Kind",
    "Options",
    "Original",
    "Part",
    "Survey",
    "Workers",
    "build_adversarial",
    "build_archive",
    "build_evaluation",
    "check_together",
    "count_parts",
    "decode_build",
    "encode_build",
    "evaluation_rights",
    "file_sha256",
    "find_originals",
    "find_unchanged",
    "find_unchanged_adversarial",
    "find_unchanged_evaluation",
    "missing_ids",
    "open_workers",
    "part_ranges",
    "parts_digest",
    "record_done",
    "split_folder",
    "survey",
    "write_atomically",
]
