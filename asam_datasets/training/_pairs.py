"""Adversarial samples and their originals: which row of which row group belongs to which."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from asam_datasets.published import Location
from asam_datasets.training._fetch import Group, Partners, read_columns

_KEYS = ("archive", "image_id")


def pair_rows(
    groups: Sequence[Group],
    rows: Sequence[NDArray[np.int64]] | None,
    originals: Sequence[Group],
    columns: Sequence[str],
    location: Location,
    log: Callable[[str], None],
) -> tuple[tuple[NDArray[np.int64], ...], Partners]:
    """Find the original of each sample, by archive and image id.

    Args:
        groups: the row groups of the samples.
        rows: those of their rows that are wanted; None for all.
        originals: the row groups with the originals.
        columns: what of the originals is fetched.
        location: where the parts are.
        log: gets a line when something is tried again, and one on samples without an original.

    Returns:
        The wanted rows that have an original, and where those are.

    Raises:
        SourceError: a part is damaged, gone, or without these columns.
        HubError: the Hub refused, or was not reached.
    """
    where: dict[tuple[str, int], tuple[int, int]] = {}
    for number, table in enumerate(read_columns(originals, _KEYS, location, log)):
        keys = zip(*(table.column(name).to_pylist() for name in _KEYS), strict=True)
        where.update((key, (number, row)) for row, key in enumerate(keys))
    numbers, their_rows, kept = [], [], []
    alone = 0
    for number, table in enumerate(read_columns(groups, _KEYS, location, log)):
        keys = zip(*(table.column(name).to_pylist() for name in _KEYS), strict=True)
        found = np.array([where.get(key, (-1, -1)) for key in keys], np.int64).reshape(-1, 2)
        mine = np.arange(len(found), dtype=np.int64) if rows is None else rows[number]
        numbers.append(found[:, 0])
        their_rows.append(found[:, 1])
        kept.append(mine[found[mine, 0] >= 0])
        alone += len(mine) - len(kept[-1])
    if alone:
        log(f"{alone} samples are left out: their originals are not in the dataset")
    return tuple(kept), Partners(originals, columns, numbers, their_rows)
