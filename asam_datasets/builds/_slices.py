"""Sources straight to tables, without parts on disk: what the builders in `builders/` and other programs call.

Rows and tables come from the same recipes and functions as the published parts, so both hold the same rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from asam_datasets.builds._archive import ArchiveRecipe
from asam_datasets.builds._evaluation import EvaluationRecipe
from asam_datasets.builds._plan import count_parts, part_ranges
from asam_datasets.builds._recipe import Options, Recipe, Ref
from asam_datasets.masks import PngEncoder
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import EvaluationSource
from asam_datasets.sources.sa1b import open_archives
from asam_datasets.tables import AnyRow, columns_of, row_groups, to_table


@dataclass(frozen=True)
class Slice:
    """Some records of a source, for one process to read; `refs` is None for a stream, which is one slice."""

    recipe: Recipe
    refs: tuple[Ref, ...] | None
    options: Options


def archive_slices(locations: Sequence[str], captions: Mapping[str, str] | None = None) -> list[Slice]:
    """Cut archives into slices that processes can share: those that the published parts would have.

    Args:
        locations: folders, tars and URLs; a folder of tars stands for each of them.
        captions: caption by file name.

    Raises:
        SourceError, RecordError: as `asam_datasets.sources.sa1b`.
    """
    recipes = [ArchiveRecipe(source) for source in open_archives(locations)]
    return [one for recipe in recipes for one in _slices(recipe, Options(captions or {}))]


def evaluation_slices(source: EvaluationSource) -> list[Slice]:
    """Cut an evaluation set into slices that processes can share, by its images with and without objects.

    Raises:
        SourceError, RecordError: as `asam_datasets.sources.evaluation`.
    """
    return _slices(EvaluationRecipe(source), Options())


def slice_tables(slice_: Slice, columns: Collection[str] | None = None) -> Iterator[pa.Table]:
    """Read a slice as tables of at most 32 MiB; images of evaluation sets without any object are left out.

    Args:
        slice_: one of `archive_slices` or `evaluation_slices`.
        columns: names of the columns that are wanted; all by default. What is not wanted is not rendered.

    Raises:
        SourceError, RecordError: as the sources.
    """
    table = columns_of(slice_.recipe.kind, slice_.recipe.extra)
    for group in row_groups(_rows(slice_, columns)):
        made = to_table(table, group)
        yield made if columns is None else made.select([name for name in made.column_names if name in columns])


def _slices(recipe: Recipe, options: Options) -> list[Slice]:
    refs = recipe.index(options, BadRecords()).refs
    if refs is None:
        return [Slice(recipe, None, options)]
    ranges = part_ranges(len(refs), count_parts(len(refs), recipe.size_bytes(refs)))
    return [Slice(recipe, refs[rows.start : rows.stop], Options()) for rows in ranges]


def _rows(slice_: Slice, columns: Collection[str] | None) -> Iterator[AnyRow]:
    encoder, recipe = PngEncoder(), slice_.recipe
    streamed = (one.ref for one in recipe.stream(slice_.options, BadRecords())) if slice_.refs is None else ()
    try:
        for ref in slice_.refs if slice_.refs is not None else streamed:
            row = recipe.read(ref, encoder, columns).row
            if row is not None:
                yield row
    finally:
        recipe.close()
