"""Archives to builds: the plan of parts, the writer, the digest, the workers."""

from __future__ import annotations

from asam_datasets.builds._build import Built as Built
from asam_datasets.builds._build import Known as Known
from asam_datasets.builds._build import Options as Options
from asam_datasets.builds._build import build_archive as build_archive
from asam_datasets.builds._build import find_unchanged as find_unchanged
from asam_datasets.builds._manifest import BUILD_FILE as BUILD_FILE
from asam_datasets.builds._manifest import DATA as DATA
from asam_datasets.builds._manifest import Build as Build
from asam_datasets.builds._manifest import Part as Part
from asam_datasets.builds._manifest import decode_build as decode_build
from asam_datasets.builds._manifest import encode_build as encode_build
from asam_datasets.builds._manifest import file_sha256 as file_sha256
from asam_datasets.builds._manifest import make_build as make_build
from asam_datasets.builds._manifest import split_folder as split_folder
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
    "BUILD_FILE",
    "DATA",
    "Build",
    "Built",
    "Known",
    "Options",
    "Part",
    "Survey",
    "Workers",
    "build_archive",
    "check_together",
    "count_parts",
    "decode_build",
    "encode_build",
    "file_sha256",
    "find_unchanged",
    "make_build",
    "missing_ids",
    "open_workers",
    "part_ranges",
    "record_done",
    "split_folder",
    "survey",
    "write_atomically",
]
