"""The rows of a sheet: which are asked for, where they lie, and what is read of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rlemasklib import RLEMask

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.published import (
    GET_AGAIN,
    Dataset,
    GroupReader,
    PartFile,
    Row,
    checked_masks,
    read_rows,
)
from asam_datasets.tables import TABLES, Config

MAX_ROWS = 200
"""Most rows of one sheet."""

HINT = GET_AGAIN
_SHOWN = ("image", "conditioning_image", "caption", "annotations.segmentation", "annotations.category")
"""What is read of the columns that a config shows; `masks` is not among them, the annotations say the same."""
_FACT = "worst_iou"
"""What is read whatever the config shows, where the table has it."""


@dataclass(frozen=True)
class Span:
    """Rows `start` to before `stop` of a row group; `first` is the number of the first of them in the config."""

    build: Build
    part: PartFile
    group: int
    start: int
    stop: int
    first: int


@dataclass(frozen=True)
class Record:
    """One row, checked, with its masks; `build` is the name of its archive or set."""

    build: str
    row: Row
    masks: list[RLEMask]


def parse_rows(text: str) -> tuple[int, int | None]:
    """Read `0:12`, `4:`, `:4` or one number: (start, stop), where a stop of None is the end.

    Raises:
        SourceError: it is none of these.
    """
    match = re.fullmatch(r"([0-9]{0,12})(:?)([0-9]{0,12})", text)
    if match and match[2]:
        start, stop = int(match[1] or 0), int(match[3]) if match[3] else None
        if stop is None or start < stop:
            return start, stop
    elif match and match[1]:
        return int(match[1]), int(match[1]) + 1
    raise SourceError(
        f"expected a range such as 0:12, or one number, found {text!r}",
        where=option("rows"),
        hint="0:12 shows the first twelve rows; they are counted from 0.",
    )


def find_rows(dataset: Dataset, config: Config[Build], rows: str) -> tuple[range, int, list[Span]]:
    """The numbers of the rows asked for, how many rows the config has, and where they lie. As with slices, a stop
    beyond the end is the end.

    Raises:
        SourceError: no such range, no row in it, or more than `MAX_ROWS`.
    """
    start, stop = parse_rows(rows)
    total = sum(build.rows for build in config.builds)
    chosen = range(start, total if stop is None else min(stop, total))
    if not chosen:
        raise SourceError(
            f"expected rows of the {total:,} that the config {config.name} has, found {rows}",
            where=option("rows"),
            hint=f"They are counted from 0: the last one is {total - 1}."
            if total
            else f"Give another {option('config')}.",
        )
    if len(chosen) > MAX_ROWS:
        raise SourceError(
            f"expected at most {MAX_ROWS} rows for one sheet, found {len(chosen):,}",
            where=option("rows"),
            hint=f"Give a shorter range, such as {start}:{start + MAX_ROWS}.",
        )
    return chosen, total, list(_spans(dataset, config, chosen))


def _spans(dataset: Dataset, config: Config[Build], chosen: range) -> Iterator[Span]:
    first = 0
    for build in config.builds:
        for part in dataset.parts(build):
            for group, count in enumerate(part.row_groups):
                start, stop = max(chosen.start - first, 0), min(chosen.stop - first, count)
                if start < stop:
                    yield Span(build, part, group, start, stop, first + start)
                first += count


def read_records(
    dataset: Dataset, config: Config[Build], spans: Sequence[Span], log: Callable[[str], None]
) -> Iterator[Record]:
    """The rows, in order. One row group (at most 32 MiB) is held at a time.

    Raises:
        SourceError: a part is damaged or has other columns.
        RecordError: a row is not what its table says.
        HubError: the Hub refused, or was not reached.
    """
    reader = GroupReader(dataset.published.location, log)
    for span in spans:
        left_out = () if span.build.images else ("image",)
        shown = [name for name in _SHOWN if name.split(".")[0] in config.columns and name not in left_out]
        columns = [*shown, _FACT] if _FACT in TABLES[span.build.kind].columns else shown
        for row in read_rows(reader, span.part, span.group, columns, span.start, span.stop, first=span.first):
            yield Record(span.build.name, row, checked_masks(row))
