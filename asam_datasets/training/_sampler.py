"""The order of a stream for map-style datasets, such as what stock `datasets` loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch.utils.data

from asam_datasets.training._stream import Stream


class StreamSampler(torch.utils.data.Sampler[int]):
    """The numbers of the records of a rank in the order in which a stream, iterated without workers, gives them.

    For `load_dataset(dataset, config)` with all its rows in their order. A loader's workers do not matter: the sampler
    is iterated by the process that has it. With a filter the numbers are still those of the whole dataset.

    Args:
        stream: of the same dataset and config; nothing of it is fetched.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self._stream = stream

    def __len__(self) -> int:
        return len(self._stream)

    def __iter__(self) -> Iterator[int]:
        return self._stream.indices_from(self._stream.next_place())

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the iterations to come, as for a `Stream`.

        Raises:
            StreamError: it is no number from 0.
        """
        self._stream.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Where it is, as for a `Stream`; `gather_state` takes it too."""
        return self._stream.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken, or with what `gather_state` made.

        Raises:
            StreamError: it is the state of another stream.
        """
        self._stream.load_state_dict(state)
