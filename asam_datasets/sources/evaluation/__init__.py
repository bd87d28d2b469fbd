"""Evaluation sets: a catalog of what is known of each, and readers that turn any of them into one table.

An entry says how a set lies on disk; `layouts/` has one module per such layout. Masks go from the source to runs
without an array per object. A set of the user's own is an entry in a TOML file.
"""

from __future__ import annotations

from asam_datasets.sources.evaluation._catalog import load_catalog as load_catalog
from asam_datasets.sources.evaluation._entry import Entry as Entry
from asam_datasets.sources.evaluation._entry import Protocol as Protocol
from asam_datasets.sources.evaluation._own import begin_entry as begin_entry
from asam_datasets.sources.evaluation._records import EvaluationAnnotation as EvaluationAnnotation
from asam_datasets.sources.evaluation._records import EvaluationRecord as EvaluationRecord
from asam_datasets.sources.evaluation._records import EvaluationRef as EvaluationRef
from asam_datasets.sources.evaluation._source import EvaluationSource as EvaluationSource
from asam_datasets.sources.evaluation._source import find_entry as find_entry
from asam_datasets.sources.evaluation._source import open_evaluation as open_evaluation
from asam_datasets.sources.evaluation._source import parse_evaluation as parse_evaluation
from asam_datasets.sources.evaluation._toml import entry_toml as entry_toml
from asam_datasets.sources.evaluation._tree import describe_tree as describe_tree

__all__ = [
    "Entry",
    "EvaluationAnnotation",
    "EvaluationRecord",
    "EvaluationRef",
    "EvaluationSource",
    "Protocol",
    "begin_entry",
    "describe_tree",
    "entry_toml",
    "find_entry",
    "load_catalog",
    "open_evaluation",
    "parse_evaluation",
]
