"""Rows that wait in files until it is known how many there are: empty and bad images fall out first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from asam_datasets.builds._manifest import Part
from asam_datasets.builds._options import Options
from asam_datasets.builds._parts import Waiting, write_rows
from asam_datasets.builds._plan import choose_parts
from asam_datasets.errors import SourceError
from asam_datasets.sources import BadRecords, Reject
from asam_datasets.tables import AnyRow, Kind
from asam_datasets.workers import Workers, record_done

Rendered = tuple[AnyRow, int, bytes] | Reject | None
"""A row with the bytes of its image and the digest of its input; a reject; or None for an image without objects."""


class Spooled(NamedTuple):
    """What one task put into its file."""

    rows: list[Waiting]
    dropped: int
    rejects: list[Reject]


def spool_rows(rows: Iterable[Rendered], path: Path, first: int) -> Spooled:
    """Write rows into a file, where they wait; `first` is the position of the first one in the whole."""
    spooled = Spooled([], 0, [])
    dropped = 0
    with open(path, "wb") as file:
        for position, one in enumerate(rows, first):
            record_done()
            if one is None:
                dropped += 1
            elif isinstance(one, Reject):
                spooled.rejects.append(one)
            else:
                row, size_bytes, inputs = one
                content = msgspec.msgpack.encode(row)
                spooled.rows.append(Waiting(position, size_bytes, inputs, path, file.tell(), len(content)))
                file.write(content)
    return spooled._replace(dropped=dropped)


def write_rendered(
    rendered: Sequence[Spooled],
    options: Options,
    folder: Path,
    bad: BadRecords,
    workers: Workers,
    kind: Kind,
    label: str,
) -> tuple[list[Part], int]:
    """Write the parts of waiting rows: the parts, and how many images had no object.

    Raises:
        SourceError: no row is left.
    """
    waiting = [row for one in rendered for row in one.rows]
    dropped = sum(one.dropped for one in rendered)
    rejects = [reject for one in rendered for reject in one.rejects]
    bad.rejects += rejects
    if not waiting:
        raise SourceError(
            f"expected images with objects, found {dropped} without any and {len(rejects)} that were rejected",
            where=label,
        )
    count = choose_parts(len(waiting), sum(row.size_bytes for row in waiting), options.parts, label)
    return write_rows(waiting, count, folder, workers, kind=kind, fixed=options.parts is not None), dropped
