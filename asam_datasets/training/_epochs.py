"""Which epoch an iteration gives: what a `Stream` and a `Mixture` have in common."""

from __future__ import annotations

from typing import Any, Generic, NoReturn, Protocol, TypeVar

import torch

from asam_datasets.errors import StreamError
from asam_datasets.training._numbers import is_whole

_MOST_WORKERS = 4096


class _OfEpoch(Protocol):
    @property
    def epoch(self) -> int: ...


P = TypeVar("P", bound=_OfEpoch)


class Epochs(Generic[P]):
    """The chosen epoch, the place that was loaded for the next iteration (`_resume`), and where the last one is."""

    def __init__(self) -> None:
        super().__init__()
        # Shared, because workers that stay alive over epochs would not see a plain number change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]
        self._epoch_chosen = False
        self._resume: P | None = None
        self._place: P | None = None
        # The last epoch that each worker began after what was loaded: it counts once. Shared, because the workers of
        # the epochs to come are made of the stream as the main process has it.
        self._begun = torch.full((_MOST_WORKERS,), -1, dtype=torch.int64).share_memory_()  # type: ignore[no-untyped-call]

    @property
    def epoch(self) -> int:
        """The epoch that the next iteration gives, or the one that is under way."""
        place = self._resume or self._place
        return place.epoch if place else int(self._epoch)

    def __getitem__(self, index: Any) -> NoReturn:
        raise StreamError(
            f"expected a loop over the stream, found the index {index!r:.80}",
            where="stream",
            hint="A stream has an order, not numbers: `for record in stream`. `asam_datasets.published.rows` gives the "
            "records of some image ids.",
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the iterations to come: another order. Call it before each epoch, as for a
        `DistributedSampler`; a state that was loaded for this epoch stays.

        Raises:
            StreamError: it is no number from 0.
        """
        check_epoch(epoch)
        self._epoch.fill_(int(epoch))
        self._epoch_chosen = True
        if self._resume is not None and self._resume.epoch != epoch:
            self._resume = None
        if self._place is not None and self._place.epoch != epoch:
            self._place = None


def check_epoch(epoch: Any) -> None:
    """Check the number of an epoch.

    Raises:
        StreamError: it is no number from 0.
    """
    if not is_whole(epoch) or epoch < 0:
        raise StreamError(f"expected an epoch of 0 or more, found {epoch!r}", where="set_epoch")
