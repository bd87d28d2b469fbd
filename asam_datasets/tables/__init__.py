"""The tables: schema, configs, and for each kind the row and what makes an Arrow table of rows."""

from __future__ import annotations

from asam_datasets.tables._adversarial import ADVERSARIAL as ADVERSARIAL
from asam_datasets.tables._adversarial import render_adversarial as render_adversarial
from asam_datasets.tables._columns import MAX_ROW_GROUP_BYTES as MAX_ROW_GROUP_BYTES
from asam_datasets.tables._columns import row_bytes as row_bytes
from asam_datasets.tables._columns import row_groups as row_groups
from asam_datasets.tables._columns import to_table as to_table
from asam_datasets.tables._configs import ADVERSARIAL_NAME as ADVERSARIAL_NAME
from asam_datasets.tables._configs import ALL_SETS as ALL_SETS
from asam_datasets.tables._configs import VIEWS as VIEWS
from asam_datasets.tables._configs import Config as Config
from asam_datasets.tables._configs import configs_of as configs_of
from asam_datasets.tables._evaluation import EVALUATION as EVALUATION
from asam_datasets.tables._evaluation import EVALUATION_EXTRA as EVALUATION_EXTRA
from asam_datasets.tables._evaluation import EvaluationRow as EvaluationRow
from asam_datasets.tables._evaluation import render_evaluation as render_evaluation
from asam_datasets.tables._registry import TABLES as TABLES
from asam_datasets.tables._registry import AnyRow as AnyRow
from asam_datasets.tables._registry import Kind as Kind
from asam_datasets.tables._registry import columns_of as columns_of
from asam_datasets.tables._train import TRAIN as TRAIN
from asam_datasets.tables._train import render as render
from asam_datasets.tables._types import Column as Column
from asam_datasets.tables._types import Scalar as Scalar
from asam_datasets.tables._types import arrow_schema as arrow_schema
from asam_datasets.tables._types import features_json as features_json
from asam_datasets.tables._types import image_columns as image_columns

__all__ = [
    "ADVERSARIAL",
    "ADVERSARIAL_NAME",
    "ALL_SETS",
    "EVALUATION",
    "EVALUATION_EXTRA",
    "MAX_ROW_GROUP_BYTES",
    "TABLES",
    "TRAIN",
    "VIEWS",
    "AnyRow",
    "Column",
    "Config",
    "EvaluationRow",
    "Kind",
    "Scalar",
    "arrow_schema",
    "columns_of",
    "configs_of",
    "features_json",
    "image_columns",
    "render",
    "render_adversarial",
    "render_evaluation",
    "row_bytes",
    "row_groups",
    "to_table",
]
