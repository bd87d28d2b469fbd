"""The tables as the writer needs them: what a row is, and how rows become Arrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from asam_datasets.adversarial import AdversarialRow, adversarial_table
from asam_datasets.builds._manifest import Kind
from asam_datasets.evaluation import EvaluationRow, evaluation_table
from asam_datasets.schema import ADVERSARIAL, EVALUATION, TRAIN, Column
from asam_datasets.tables import Row, to_table

AnyRow = Row | EvaluationRow | AdversarialRow


@dataclass(frozen=True)
class Table:
    """One of the tables: its columns, the type of a rendered row, and what makes an Arrow table of some rows."""

    columns: Mapping[str, Column]
    row: type[AnyRow]
    to_arrow: Callable[[Sequence[Any]], pa.Table]


TABLES: Mapping[Kind, Table] = {
    "train": Table(TRAIN, Row, to_table),
    "evaluation": Table(EVALUATION, EvaluationRow, evaluation_table),
    "adversarial": Table(ADVERSARIAL, AdversarialRow, adversarial_table),
}
