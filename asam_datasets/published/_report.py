"""What a verification found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Finding(NamedTuple):
    """One thing that is not as it should be: where, and what was expected and found there."""

    where: str
    problem: str


class Report(NamedTuple):
    """The result of a verification.

    `notes` are about what is no fault of the dataset, such as folders that an unfinished publish left behind.
    `records` and `masks` count what was looked at one by one; 0 unless `deep`.
    """

    target: str
    revision: str | None
    deep: bool
    builds: int
    parts: int
    rows: int
    size_bytes: int
    records: int
    masks: int
    findings: Sequence[Finding]
    notes: Sequence[str]
    seconds: float

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.findings
