"""The rows of a sheet: which are asked for, where they lie, and what is read of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rlemasklib import RLEMask

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.published import (
    GET_AGAIN,
    Dataset,
    GroupReader,
    Row,
    Span,
    checked_masks,
    find_range,
    find_spans,
    read_rows,
)
from asam_datasets.tables import Config

MAX_ROWS = 200
"""Most rows of one sheet or page."""

HINT = GET_AGAIN
_ALWAYS = frozenset({"image_id", "worst_iou"})
"""What is read whatever the config shows, where the table has it."""
ON_A_SHEET = ("image", "conditioning_image", "caption", "annotations.segmentation", "annotations.category", "worst_iou")
"""What a sheet reads of the columns that a config shows; `masks` is not among them, the annotations say the same."""
ON_A_PAGE = ("image", "conditioning_image", "caption", "annotations", "image_id", "worst_iou")
"""The same of a page, which has all numbers of the annotations."""


@dataclass(frozen=True)
class Record:
    """One row, checked, with its masks; `number` counts the rows of the config, `build` is its archive or set."""

    number: int
    build: Build
    row: Row
    masks: list[RLEMask]


def find_rows(dataset: Dataset, config: Config[Build], rows: str | int) -> tuple[range, int, list[Span]]:
    """The numbers of the rows asked for, how many rows the config has, and where they lie. As with slices, a stop
    beyond the end is the end.

    Raises:
        SourceError: no such range, no row in it, or more than `MAX_ROWS`.
    """
    chosen, total = find_range(config, rows)
    if len(chosen) > MAX_ROWS:
        raise SourceError(
            f"expected at most {MAX_ROWS} rows for one sheet, found {len(chosen):,}",
            where=option("rows"),
            hint=f"Give a shorter range, such as {chosen.start}:{chosen.start + MAX_ROWS}.",
        )
    return chosen, total, list(find_spans(dataset, config, chosen))


def read_records(
    dataset: Dataset,
    config: Config[Build],
    spans: Sequence[Span],
    log: Callable[[str], None],
    *,
    columns: Sequence[str] = ON_A_SHEET,
) -> Iterator[Record]:
    """The rows, in order. One row group (at most 32 MiB) is held at a time.

    What a set was published without is not looked for: its rows have no image, whatever their part holds.

    Args:
        dataset: that has them.
        config: of those that it has.
        spans: where the rows lie.
        log: gets what is worth telling.
        columns: `ON_A_SHEET` or `ON_A_PAGE`; of them those are read that the config shows, and its facts in any case.

    Raises:
        SourceError: a part is damaged or has other columns.
        RecordError: a row is not what its table says.
        HubError: the Hub refused, or was not reached.
    """
    reader = GroupReader(dataset.published.location, log)
    for span in spans:
        left_out = () if span.build.images else ("image",)
        shown = {name for name in config.columns if name not in left_out} | (_ALWAYS & span.build.columns.keys())
        wanted = [name for name in columns if name.split(".")[0] in shown]
        rows = read_rows(reader, span.part, span.group, wanted, span.start, span.stop, first=span.first)
        for number, row in enumerate(rows, span.first):
            yield Record(number, span.build, row, checked_masks(row))
