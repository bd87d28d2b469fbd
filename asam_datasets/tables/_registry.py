"""The kinds of tables: what the columns of each are, and what a rendered row is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from asam_datasets.tables._adversarial import ADVERSARIAL, AdversarialRow
from asam_datasets.tables._evaluation import EVALUATION, EVALUATION_EXTRA, EvaluationRow
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


def columns_of(kind: Kind, extra: Collection[str] = ()) -> Mapping[str, Column]:
    """The columns of the parts of one build, in their order: those of its table, and the `extra` ones of its set."""
    columns = TABLES[kind].columns
    return {**columns, **{name: column for name, column in EVALUATION_EXTRA.items() if name in extra}}
