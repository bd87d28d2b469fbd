"""What stands in words beside the panels of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def facts_of(shown: int | None, masks: int, shape: tuple[int, int], worst_iou: float | None) -> str:
    """The numbers of a row: how many of its masks are shown, None where none could be; (height, width); and what
    adversarial samples have."""
    noun = "mask" if masks == 1 else "masks"
    facts = [] if shown is None else [f"{masks:,} {noun}" if shown == masks else f"{shown:,} of {masks:,} {noun}"]
    facts.append(f"{shape[0]} x {shape[1]} (height x width)")
    if worst_iou is not None:
        facts.append(f"worst IoU {worst_iou:.3g}")
    return " · ".join(facts)


def categories_of(names: Iterable[str | None]) -> str:
    """Categories, with the count of those that come more than once."""
    counts = Counter(name for name in names if name)
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items())
