"""The policy for bad input, and what it rejected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

from asam_datasets.errors import AsamDatasetsError, SourceError, option

OnBadRecord = Literal["raise", "skip"]


class Reject(NamedTuple):
    """One line of `rejects.jsonl`."""

    archive: str
    member: str
    reason: str


@dataclass
class BadRecords:
    """The policy for bad input: `raise` stops at the first, `skip` counts and remembers."""

    policy: OnBadRecord = "raise"
    rejects: list[Reject] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.policy not in get_args(OnBadRecord):  # a word for `raise` that nobody knows would skip
            raise SourceError(f"expected raise or skip, found {self.policy!r}", where=option("on_bad_record"))

    def reject(self, error: AsamDatasetsError, *, archive: str, member: str) -> None:
        """Raise `error`, or remember it as a reject."""
        if self.policy == "raise":
            raise error
        self.rejects.append(Reject(archive, member, str(error)))
