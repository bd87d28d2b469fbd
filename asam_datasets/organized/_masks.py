"""Which masks of an image are decoded: all, none, or a range, for people short of disk."""

from __future__ import annotations

import re
from dataclasses import dataclass

from asam_datasets.errors import TargetError, option


@dataclass(frozen=True)
class MaskRange:
    """Annotations `start` to before `stop` (None: to the last) become `segmentation_<number>.png`.

    The empty range `(0, 0)` makes no folder at all.
    """

    start: int = 0
    stop: int | None = None

    @classmethod
    def from_text(cls, text: str) -> MaskRange:
        """Read `all`, `none`, `0:4`, `:4` or `4:`.

        Raises:
            TargetError: it is none of these.
        """
        if text in ("all", "none"):
            return cls() if text == "all" else cls(0, 0)
        match = re.fullmatch(r"([0-9]{0,6}):([0-9]{0,6})", text) if isinstance(text, str) else None
        start, stop = (int(match[1] or 0), int(match[2]) if match[2] else None) if match else (0, 0)
        if stop is not None and stop <= start:
            raise TargetError(
                f"expected `all`, `none` or a range such as 0:4, found {text!r}",
                where=option("masks"),
                hint="0:4 takes the first four masks of each image.",
            )
        return cls(start, stop)

    def to_text(self) -> str:
        """The text that `from_text` reads."""
        if self.stop == 0:
            return "none"
        return f"{self.start}:{'' if self.stop is None else self.stop}" if self != MaskRange() else "all"

    def numbers(self, annotations: int) -> range:
        """The numbers of the annotations that are decoded, of so many."""
        return range(annotations)[self.start : self.stop]
