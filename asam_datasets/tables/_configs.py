"""The configs of a dataset."""

from __future__ import annotations

from collections.abc import Sequence

from asam_datasets.tables._schema import ADVERSARIAL_NAME, VIEWS

ALL_SETS = "evaluation"
"""The config that has every evaluation set, one split for each."""


def config_names(archives: bool, others: Sequence[str]) -> list[str]:
    """Names of the configs of a dataset with archives or without, and with these other builds."""
    views = [view.name for view in VIEWS] if archives else []
    together = [ALL_SETS] if any(name != ADVERSARIAL_NAME for name in others) else []
    return [*views, *sorted(others), *together]
