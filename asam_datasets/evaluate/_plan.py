"""What is evaluated: the configs of a dataset, the rows of each, and which of them a process does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.published import Dataset, Span, find_range, find_spans
from asam_datasets.tables import ALL_SETS, Config

_NEEDED = ("image", "annotations")


@dataclass(frozen=True)
class EvaluatedSet:
    """A config, and the rows of it that are evaluated, by their numbers; `total` is how many it has."""

    config: Config[Build]
    rows: range
    total: int
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Piece:
    """Some rows of a row group that one process reads together, by their numbers in the config, in order."""

    config: str
    span: Span
    rows: tuple[int, ...]


def choose_sets(
    dataset: Dataset, names: Sequence[str], rows: str, log: Callable[[str], None]
) -> tuple[EvaluatedSet, ...]:
    """The sets that are evaluated, in the order of their names as given, or of the dataset.

    Args:
        dataset: opened.
        names: of configs, `evaluation` for all sets; without any, all sets that were published with their images, and
            the default config of a dataset without sets.
        rows: of each of them.
        log: is told what is left out.

    Raises:
        SourceError: no such config or rows, or a config without images or without annotations.
    """
    chosen: dict[str, Config[Build]] = {}
    for name in names:
        config = dataset.config(name)
        for one in _sets_of(dataset) if name == ALL_SETS else [config]:
            chosen[one.name] = one
    if not names:
        sets = _sets_of(dataset)
        for one in sets:
            if all(build.images for build in one.builds):
                chosen[one.name] = one
            else:
                log(f"{one.name} is left out: it was published without its images")
        if not sets:
            config = dataset.config()
            chosen[config.name] = config
    for config in chosen.values():
        _check(dataset, config)
    if not chosen:
        raise SourceError(
            "expected sets with their images, found none",
            where=dataset.published.url,
            hint=f"Publish them with their images, or name another {option('config')}.",
        )
    found = []
    for config in chosen.values():
        numbers, total = find_range(config, rows)
        found.append(EvaluatedSet(config, numbers, total, tuple(find_spans(dataset, config, numbers))))
    return tuple(found)


def _sets_of(dataset: Dataset) -> list[Config[Build]]:
    names = sorted(build.name for build in dataset.builds if build.kind == "evaluation")
    return [dataset.config(name) for name in names]


def _check(dataset: Dataset, config: Config[Build]) -> None:
    missing = [name for name in _NEEDED if name not in config.columns]
    if not missing and not all(build.images for build in config.builds):
        missing = ["image"]
    if missing:
        raise SourceError(
            f"expected a config with images and annotations, found {config.name} without {' and '.join(missing)}",
            where=dataset.published.url,
            hint=f"Name another {option('config')}.",
        )


def revision_of(dataset: Dataset) -> str:
    """Which state of a dataset it is: the commit on the Hub, or of a folder a digest of all that it shows."""
    commit = dataset.published.location.commit
    paths = sorted(f"{build.kind}/{build.folder}" for build in dataset.builds)
    return commit or hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]


def remaining(sets: Sequence[EvaluatedSet], done: Collection[tuple[str, int]]) -> list[Piece]:
    """What is left to do, by row groups."""
    pieces = []
    for one in sets:
        for span in one.spans:
            numbers = range(span.first, span.first + span.stop - span.start)
            rows = tuple(row for row in numbers if (one.config.name, row) not in done)
            if rows:
                pieces.append(Piece(one.config.name, span, rows))
    return pieces


def share(pieces: Sequence[Piece], number: int, of: int) -> Iterator[Piece]:
    """The pieces of one of `of` processes: one stretch of all rows laid end to end."""
    total = sum(len(piece.rows) for piece in pieces)
    first, last = number * total // of, (number + 1) * total // of
    before = 0
    for piece in pieces:
        rows = piece.rows[max(0, first - before) : max(0, last - before)]
        before += len(piece.rows)
        if rows:
            yield Piece(piece.config, piece.span, rows)
