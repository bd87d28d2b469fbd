"""The rows of a sheet: which are asked for, where they lie, and what is read of them.

A repository may hold anything, so a row is checked before anything is made of it:

1. its height and width are 1 or more, and at most `MAX_PIXELS` together;
2. every segmentation is a mask of that size;
3. its columns have the types of the table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rlemasklib import RLEMask

from asam_datasets.builds import Build
from asam_datasets.errors import RecordError, SegmentationError, SourceError, option
from asam_datasets.masks import MAX_PIXELS, from_segmentation
from asam_datasets.published import Dataset, GroupReader, PartFile
from asam_datasets.tables import TABLES, Config

MAX_ROWS = 200
"""Most rows of one sheet."""

HINT = "Get the dataset again; `asam-datasets verify DATASET --deep` looks at every record."
_ALWAYS = ("file_name", "width", "height", "worst_iou")
_SHOWN = {
    "image": ("image.bytes",),
    "conditioning_image": ("conditioning_image.bytes",),
    "caption": ("caption",),
    "annotations": ("annotations.list.element.segmentation", "annotations.list.element.category"),
}
"""What is read of a column that a config shows; `masks` is not among them, the annotations say the same."""


class _Bytes(msgspec.Struct):
    content: bytes | None = msgspec.field(name="bytes", default=None)


class _Segmentation(msgspec.Struct):
    size: list[int]
    counts: str


class _Annotation(msgspec.Struct):
    segmentation: _Segmentation
    category: str | None = None


class _Row(msgspec.Struct):
    file_name: str
    width: int
    height: int
    image: _Bytes | None = None
    conditioning_image: _Bytes | None = None
    caption: str | None = None
    annotations: list[_Annotation] = []
    worst_iou: float | None = None


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
    """One row, checked; `where` is its place for messages, `shape` is (height, width)."""

    where: str
    name: str
    file_name: str
    shape: tuple[int, int]
    image: bytes | None
    conditioning: bytes | None
    caption: str | None
    masks: tuple[RLEMask, ...]
    categories: tuple[str, ...]
    worst_iou: float | None


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
        shown = [name for name in _SHOWN if name in config.columns and (name != "image" or span.build.images)]
        names = [*(name for name in _ALWAYS if name in TABLES[span.build.kind].columns), *shown]
        columns = [path for name in names for path in _SHOWN.get(name, (name,))]
        table = reader.read(span.part, span.group, columns)
        for index in range(span.start, span.stop):
            row = table.slice(index, 1).to_pylist()[0]
            number = span.first + index - span.start
            yield _check(row, span.build.name, f"{span.part.label}: row {number}: {row['file_name']}")


def _check(raw: Mapping[str, Any], name: str, where: str) -> Record:
    try:
        row = msgspec.convert(raw, _Row)
    except msgspec.ValidationError as error:
        raise RecordError(f"expected a row of a published dataset, found: {error}", where=where, hint=HINT) from None
    shape = (row.height, row.width)
    if min(shape) < 1 or row.height * row.width > MAX_PIXELS:
        raise RecordError(
            f"expected 1 to {MAX_PIXELS} pixels, found {row.height} × {row.width} (height × width)",
            where=where,
            hint=HINT,
        )
    masks = []
    for number, one in enumerate(row.annotations):
        try:
            segmentation = one.segmentation
            masks.append(from_segmentation({"size": segmentation.size, "counts": segmentation.counts}, shape=shape))
        except SegmentationError as error:
            place = f"{where}: annotations[{number}].segmentation.{error.where}"
            raise RecordError(error.problem, where=place, hint=HINT) from None
    return Record(
        where,
        name,
        row.file_name,
        shape,
        row.image.content if row.image else None,
        row.conditioning_image.content if row.conditioning_image else None,
        row.caption,
        tuple(masks),
        tuple(one.category for one in row.annotations if one.category),
        row.worst_iou,
    )
