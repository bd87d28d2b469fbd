"""Rows of a config by their numbers: which are asked for, and where they lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.published._dataset import Dataset
from asam_datasets.published._part import PartFile
from asam_datasets.tables import Config


@dataclass(frozen=True)
class Span:
    """Rows `start` to before `stop` of a row group; `first` is the number of the first of them in the config."""

    build: Build
    part: PartFile
    group: int
    start: int
    stop: int
    first: int


def parse_range(given: str | int) -> tuple[int, int | None]:
    """Read `0:12`, `4:`, `:4` or one number: (start, stop), where a stop of None is the end.

    Raises:
        SourceError: it is none of these.
    """
    text = str(given) if isinstance(given, (str, Integral)) else ""
    match = re.fullmatch(r"([0-9]{0,12})(:?)([0-9]{0,12})", text)
    if match and match[2]:
        start, stop = int(match[1] or 0), int(match[3]) if match[3] else None
        if stop is None or start < stop:
            return start, stop
    elif match and match[1]:
        return int(match[1]), int(match[1]) + 1
    raise SourceError(
        f"expected a range such as 0:12, or one number, found {given!r:.80}",
        where=option("rows"),
        hint="0:12 are the first twelve rows; they are counted from 0.",
    )


def find_range(config: Config[Build], given: str | int) -> tuple[range, int]:
    """The numbers of the rows asked for, and how many rows the config has. As with slices, a stop beyond the end is
    the end.

    Raises:
        SourceError: no such range, or no row in it.
    """
    start, stop = parse_range(given)
    total = sum(build.rows for build in config.builds)
    chosen = range(start, total if stop is None else min(stop, total))
    if not chosen:
        raise SourceError(
            f"expected rows of the {total:,} that the config {config.name} has, found {given}",
            where=option("rows"),
            hint=f"They are counted from 0: the last one is {total - 1}."
            if total
            else f"Give another {option('config')}.",
        )
    return chosen, total


def find_spans(dataset: Dataset, config: Config[Build], chosen: range) -> Iterator[Span]:
    """Where some rows of a config lie, in their order: one span for each row group that has some of them."""
    first = 0
    for build in config.builds:
        for part in dataset.parts(build):
            for group, count in enumerate(part.row_groups):
                start, stop = max(chosen.start - first, 0), min(chosen.stop - first, count)
                if start < stop:
                    yield Span(build, part, group, start, stop, first + start)
                first += count
