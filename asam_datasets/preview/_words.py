"""What stands in words beside the panels of a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def facts_of(masks: int | None, shape: tuple[int, int], worst_iou: float | None) -> str:
    """The numbers of a row: how many masks, if any are shown, (height, width), and what adversarial samples have."""
    facts = [] if masks is None else [f"{masks:,} {'mask' if masks == 1 else 'masks'}"]
    facts.append(f"{shape[0]} x {shape[1]} (height x width)")
    if worst_iou is not None:
        facts.append(f"worst IoU {worst_iou:.3g}")
    return " · ".join(facts)


def categories_of(names: Iterable[str | None]) -> str:
    """The categories of the masks of a row, each with how many there are of it."""
    counts = Counter(name for name in names if name)
    return ", ".join(name if count == 1 else f"{count} x {name}" for name, count in counts.items())
