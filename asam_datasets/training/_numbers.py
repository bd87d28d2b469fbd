"""Numbers of options: which ones are taken."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from asam_datasets.errors import StreamError


def is_whole(number: object) -> bool:
    """Whether it is a whole number, NumPy's included."""
    return isinstance(number, Integral)


def is_real(number: object) -> bool:
    """Whether it is a number that can be compared, NumPy's included."""
    return isinstance(number, Real)


def check_share(where: str, value: Any) -> None:
    """Check a number of 0 … 1.

    Raises:
        StreamError: it is none.
    """
    if not is_real(value) or not 0 <= value <= 1:
        raise StreamError(f"expected 0 to 1, found {value!r:.80}", where=where)
