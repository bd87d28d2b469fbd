"""What of the masks is drawn; stated by the caller once and checked at once."""

from __future__ import annotations

from dataclasses import dataclass

from asam_datasets.errors import TargetError, option

MANY_MASKS = 40
"""Up to so many masks of a row have boxes where nothing else was asked for: more of them hide what they show."""


@dataclass(frozen=True)
class PreviewOptions:
    """How rows are shown.

    Args:
        max_masks: most masks of a row, the largest of them; None shows all.
        boxes: whether masks have boxes; None gives them to rows that show at most `MANY_MASKS`. On a page it is how
            the switch stands at first.
    """

    max_masks: int | None = None
    boxes: bool | None = None

    def __post_init__(self) -> None:
        if self.max_masks is not None and self.max_masks < 1:
            raise TargetError(
                f"expected at least 1, found {self.max_masks}", where=option("max_masks"), hint="None shows all masks."
            )

    def shows_boxes(self, masks: int) -> bool:
        """Whether a row that shows so many masks has boxes."""
        return masks <= MANY_MASKS if self.boxes is None else self.boxes
