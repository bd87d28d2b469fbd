"""Colors for masks: far from each other and from black, the same everywhere and for ever.

Color `i` is the point of a lattice in RGB that lies farthest from black and from colors `0` to `i - 1`. Distances
are integers (red, green and blue weighted 2 : 4 : 3, a common stand-in for perceived difference), so no rounding of
any machine decides a tie; ties go to the smaller index. Any two of the first 255 are 60 or more apart
(the root of that measure; black and white are 765).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_LEVELS = np.arange(0, 256, 17, dtype=np.int64)  # 0, 17, ..., 255
_WEIGHTS = np.array([2, 4, 3], np.int64)
DISTINCT = 1023
"""How many colors there are before they repeat."""


def colors(count: int) -> NDArray[np.uint8]:
    """The colors of masks `0` to `count - 1`: uint8 (count, 3), RGB; they repeat after `DISTINCT`."""
    table: NDArray[np.uint8] = _table()[np.arange(count) % DISTINCT]
    return table


@lru_cache(maxsize=1)
def _table() -> NDArray[np.uint8]:
    lattice = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3)
    nearest = ((lattice * lattice) * _WEIGHTS).sum(axis=1)  # to black, which is lattice[0]
    chosen = np.empty(DISTINCT, np.int64)
    for index in range(DISTINCT):
        chosen[index] = best = int(nearest.argmax())
        step = lattice - lattice[best]
        np.minimum(nearest, (step * step * _WEIGHTS).sum(axis=1), out=nearest)
    return lattice[chosen].astype(np.uint8)
