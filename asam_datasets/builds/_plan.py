"""How an archive is cut into parts: by its records and their bytes alone, never by workers or machine."""

from __future__ import annotations

import itertools

from asam_datasets.errors import SourceError, option

MAX_PART_BYTES = 512 * 2**20
"""Largest part; beyond it an archive is cut finer."""

_AIM_BYTES = 352 * 2**20  # of members; an archive of 11 GB becomes 32 parts, and masks have room to grow
_AT_LEAST = 16  # parts of an archive that has the rows for it: so many ranks × workers divide evenly
_ROWS_EACH = 8  # ... which is at least this many rows a part


def count_parts(rows: int, size_bytes: int) -> int:
    """Number of parts, a power of two.

    Args:
        rows: records of the archive, at least 1.
        size_bytes: bytes of their members.
    """
    parts = 1
    while parts < rows and (size_bytes > parts * _AIM_BYTES or (parts < _AT_LEAST and rows >= 2 * parts * _ROWS_EACH)):
        parts *= 2
    return parts


def choose_parts(rows: int, size_bytes: int, wanted: int | None, label: str) -> int:
    """`wanted` parts if a person said so, else `count_parts`.

    Raises:
        SourceError: more parts than rows are wanted.
    """
    if wanted is not None and wanted > rows:
        raise SourceError(
            f"expected at most as many parts as records ({rows}), found {option('parts', str(wanted))}",
            where=label,
            hint=f"Leave {option('parts')} out to let the archive's size decide.",
        )
    return wanted or count_parts(rows, size_bytes)


def part_ranges(rows: int, parts: int) -> list[range]:
    """Consecutive ranges of rows, equal up to one row."""
    edges = [rows * index // parts for index in range(parts + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]


def part_file(index: int, word: str) -> str:
    """File name of a part; `word` is that of its split."""
    return f"{word}-{index:03d}.parquet"
