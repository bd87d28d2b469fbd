"""The kinds of tables: what the columns of each are, and what a rendered row is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from asam_datasets.tables._adversarial import ADVERSARIAL, AdversarialRow
from asam_datasets.tables._evaluation import EVALUATION, EvaluationRow
from asam_datasets.tables._train import TRAIN, TrainRow
from asam_datasets.tables._types import Column

Kind = Literal["train", "evaluation", "adversarial"]
"""Which table a build belongs to; also the name of the folder in `data/`."""

AnyRow = TrainRow | EvaluationRow | AdversarialRow


@dataclass(frozen=True)
class Table:
    """One of the tables: its columns in their order, and the type of a rendered row."""

    columns: Mapping[str, Column]
    row: type[AnyRow]


TABLES: Mapping[Kind, Table] = {
    "train": Table(TRAIN, TrainRow),
    "evaluation": Table(EVALUATION, EvaluationRow),
    "adversarial": Table(ADVERSARIAL, AdversarialRow),
}
