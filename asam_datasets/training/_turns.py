"""Whose turn it is in a mixture: streams by weights that are exact over any thousand records.

Of a thousand turns a stream of weight `w` has `q`, the whole number below `1000 w`, at the same places of every
thousand, spread evenly; some turns are left over, the same places in every thousand as well. Those go, each time, to
the stream that lacks most, but to none twice within as many left-over turns as a thousand has. So any thousand turns,
wherever they begin, have `q` or `q + 1` of the stream, and over the whole sequence it comes to its weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

ROUND = 1000
"""Turns after which the places are the same again."""


class Turns:
    """The sequence of streams for some weights; item `n` is whose turn `n` is.

    Args:
        weights: positive, of any sum.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        shares = [Fraction(weight) for weight in weights]
        quotas = [ROUND * share / sum(shares) for share in shares]
        whole = [int(quota) for quota in quotas]
        self._over = [quota - count for quota, count in zip(quotas, whole, strict=True)]
        self._open = ROUND - sum(whole)
        self._places = _spread([*whole, self._open])
        self._opened: list[int] = np.cumsum(np.array(self._places) == len(weights)).tolist()
        self._given: list[int] = []  # the left-over turns so far
        self._counts = [0] * len(weights)

    def __getitem__(self, turn: int) -> int:
        around, place = divmod(turn, ROUND)
        found = self._places[place]
        if found < len(self._over):
            return found
        number = around * self._open + self._opened[place] - 1
        while len(self._given) <= number:
            self._give()
        return self._given[number]

    def _give(self) -> None:
        number = len(self._given)
        before = self._given[max(0, number - self._open + 1) :] if self._open > 1 else []
        free = [stream for stream, over in enumerate(self._over) if over and stream not in before]
        lacks = {stream: (number + 1) * self._over[stream] / self._open - self._counts[stream] for stream in free}
        chosen = max(free, key=lambda stream: (lacks[stream], -stream))
        self._given.append(chosen)
        self._counts[chosen] += 1


def _spread(counts: Sequence[int]) -> list[int]:
    """Each number as often as `counts` says, spread evenly: in each place the one that lacks most."""
    wanted, total = np.array(counts, np.int64), sum(counts)
    given = np.zeros(len(counts), np.int64)
    places = []
    for place in range(total):
        chosen = int(np.argmax((place + 1) * wanted - given * total))
        given[chosen] += 1
        places.append(chosen)
    return places
