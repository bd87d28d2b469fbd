"""The tables as the writer needs them: what a row is, and how rows become Arrow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa

from asam_datasets.tables._adversarial import AdversarialRow, adversarial_table
from asam_datasets.tables._evaluation import EvaluationRow, evaluation_table
from asam_datasets.tables._schema import ADVERSARIAL, EVALUATION, TRAIN, Column
from asam_datasets.tables._train import Row, to_table

Kind = Literal["train", "evaluation", "adversarial"]
"""Which table a build belongs to; also the name of the folder in `data/`."""

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
