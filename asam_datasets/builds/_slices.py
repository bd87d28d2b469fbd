"""Archives straight to tables, without parts on disk: what the builder in `builders/` and other programs call.

Records and tables come from the same two functions as the published parts, so both hold the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from asam_datasets.builds._plan import count_parts, part_ranges
from asam_datasets.masks import PngEncoder
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import EvaluationRef, EvaluationSource
from asam_datasets.sources.sa1b import (
    RawRecord,
    RecordRef,
    Source,
    StreamSource,
    find_archives,
    open_source,
    read_record,
)
from asam_datasets.tables import Row, evaluation_table, render, render_evaluation, row_groups, to_table


@dataclass(frozen=True)
class Slice:
    """Some records of an archive, for one process to read; `refs` is None for a stream, which is one slice."""

    source: Source
    refs: tuple[RecordRef, ...] | None


def archive_slices(locations: Sequence[str]) -> list[Slice]:
    """Cut archives into slices that processes can share: those that the published parts would have.

    Args:
        locations: folders, tars and URLs; a folder of tars stands for each of them.

    Raises:
        SourceError, RecordError: as `asam_datasets.sources`.
    """
    slices = []
    for location in (found for given in locations for found in find_archives(given)):
        source = open_source(location)
        if isinstance(source, StreamSource):
            slices.append(Slice(source, None))
            continue
        index = source.index(BadRecords())
        refs = index.records
        for rows in part_ranges(len(refs), count_parts(len(refs), index.size_bytes)):
            slices.append(Slice(source, refs[rows.start : rows.stop]))
    return slices


def slice_tables(
    part: Slice, captions: Mapping[str, str], columns: Collection[str] | None = None
) -> Iterator[pa.Table]:
    """Read a slice as tables of at most 32 MiB.

    Args:
        part: one of `archive_slices`.
        captions: caption by file name.
        columns: names of the columns that are wanted; all by default. What is not wanted is not rendered.

    Raises:
        SourceError, RecordError: as `asam_datasets.sources`.
    """
    for group in row_groups(_rows(part, captions, columns)):
        table = to_table(group)
        yield table if columns is None else table.select([name for name in table.column_names if name in columns])


@dataclass(frozen=True)
class EvaluationSlice:
    """Some images of an evaluation set, for one process to read."""

    source: EvaluationSource
    refs: tuple[EvaluationRef, ...]


def evaluation_slices(source: EvaluationSource) -> list[EvaluationSlice]:
    """Cut an evaluation set into slices that processes can share, by its images with and without objects.

    Raises:
        SourceError, RecordError: as `asam_datasets.sources.evaluation`.
    """
    refs = source.index(BadRecords())
    parts = count_parts(len(refs), sum(ref.size_bytes for ref in refs))
    return [EvaluationSlice(source, refs[rows.start : rows.stop]) for rows in part_ranges(len(refs), parts)]


def evaluation_slice_tables(part: EvaluationSlice) -> Iterator[pa.Table]:
    """Read a slice as tables of at most 32 MiB; images without any object are left out.

    Raises:
        SourceError, RecordError: as `asam_datasets.sources.evaluation`.
    """
    encoder = PngEncoder()
    records = (part.source.read(ref).record for ref in part.refs)
    rows = (render_evaluation(record, encoder) for record in records if record is not None)
    for group in row_groups(rows):
        yield evaluation_table(group)


def _rows(part: Slice, captions: Mapping[str, str], columns: Collection[str] | None) -> Iterator[Row]:
    encoder = PngEncoder()
    for raw in _raw_records(part):
        yield render(read_record(raw, captions.get(f"sa_{raw.image_id}.jpg")), encoder, columns=columns)


def _raw_records(part: Slice) -> Iterator[RawRecord]:
    if isinstance(part.source, StreamSource):
        yield from part.source.records(BadRecords())
        return
    try:
        for ref in part.refs or ():
            yield part.source.read(ref)
    finally:
        part.source.close()
