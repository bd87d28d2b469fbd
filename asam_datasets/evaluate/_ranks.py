"""The processes of one evaluation: this one alone, or those that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch.distributed as dist

_Value = TypeVar("_Value")
_PATIENCE = timedelta(days=7)
"""How long a rank that is done waits for the others."""


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this one is."""

    rank: int
    world_size: int
    group: Any = None

    def gather(self, value: _Value) -> list[_Value]:
        """The values of all ranks, in each of them. It waits for all."""
        if self.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.world_size
        dist.all_gather_object(values, value, group=self.group)
        return values


@contextmanager
def open_ranks() -> Iterator[Ranks]:
    """The ranks, by torchrun's environment; a process group that is there already is used, and stays."""
    ours = not dist.is_initialized() and int(os.environ.get("WORLD_SIZE", 1)) > 1 and "RANK" in os.environ
    if ours:
        dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        if not dist.is_initialized():
            yield Ranks(0, 1)
            return
        # Only small objects go around; over gloo they need no GPU.
        group = None if ours else dist.new_group(backend="gloo", timeout=_PATIENCE)
        yield Ranks(dist.get_rank(), dist.get_world_size(), group)
    finally:
        if ours:
            dist.destroy_process_group()
