"""How long work is followed: what a function says while it runs, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Listener:
    """Who follows a long verb; the defaults keep silent.

    Args:
        on_stage: gets a sentence: what begins now, or is tried again.
        on_total: gets the number of images to do; None when that is not known.
        on_records: gets how many were finished since the last call.
    """

    on_stage: Callable[[str], None] = lambda text: None
    on_total: Callable[[int | None], None] = lambda rows: None
    on_records: Callable[[int], None] = lambda count: None
