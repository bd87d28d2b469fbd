"""How long work is followed: what a function says while it runs, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Listener(Protocol):
    """Who follows a run: `on_stage` gets a sentence, `on_total` the number of images to do (None when that is not
    known), `on_records` how many were finished since the last call."""

    @property
    def on_stage(self) -> Callable[[str], None]: ...

    @property
    def on_total(self) -> Callable[[int | None], None]: ...

    @property
    def on_records(self) -> Callable[[int], None]: ...


@dataclass(frozen=True)
class Silent:
    """A listener that says nothing."""

    on_stage: Callable[[str], None] = lambda text: None
    on_total: Callable[[int | None], None] = lambda rows: None
    on_records: Callable[[int], None] = lambda count: None
