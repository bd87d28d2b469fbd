"""What worker processes do: check, compare, render and write.

Everything here is a plain function of a picklable task, so that one worker or many give the same files.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from asam_datasets.builds._digest import UNREADABLE, inputs_of
from asam_datasets.builds._manifest import FORMAT, Part
from asam_datasets.builds._recipe import Recipe, Ref
from asam_datasets.builds._statistics import VERSION
from asam_datasets.builds._writer import write_part
from asam_datasets.errors import RecordError, SourceError
from asam_datasets.machine import write_atomically
from asam_datasets.masks import PngEncoder
from asam_datasets.sources import Reject
from asam_datasets.tables import TABLES, AnyRow, Kind
from asam_datasets.workers import record_done

TAKEN = ".taken"
"""Ending of an empty file in place of a finished part that somebody has taken away."""


@dataclass(frozen=True)
class RefsTask:
    """Some refs of a recipe, and the file that they become: a part, or rows that wait.

    `positions` are those of the refs in the order of all rows; `skip` goes on past bad records.
    """

    recipe: Recipe
    refs: Sequence[Ref]
    positions: Sequence[int]
    path: Path
    skip: bool


@dataclass(frozen=True)
class Waiting:
    """A rendered row that waits in a file until the number of rows is known; rows are sorted by `position`."""

    position: int
    size_bytes: int
    inputs: bytes
    path: Path
    offset: int
    length: int


@dataclass(frozen=True)
class WaitingTask:
    """Waiting rows, and the part that they become."""

    rows: tuple[Waiting, ...]
    path: Path
    kind: Kind
    extra: tuple[str, ...] = ()


class Spooled(NamedTuple):
    """What became of some refs: rows that wait, how many images had no object, what was rejected, and the digest of
    each ref in order."""

    rows: list[Waiting]
    dropped: int
    rejects: list[Reject]
    digests: list[bytes]


class _Finished(msgspec.Struct, frozen=True):
    """The note beside a part in the work folder: what it is, and which software wrote it."""

    part: Part
    software: dict[str, str]


def check_refs(task: RefsTask) -> list[tuple[int, Reject]]:
    """Read every record without rendering it: position and reason of each that is bad."""
    encoder, rejects = PngEncoder(), []
    for position, ref in _opened(task):
        try:
            task.recipe.read(ref, encoder, ())
        except RecordError as error:
            rejects.append((position, task.recipe.reject(ref, error)))
    return rejects


def digest_refs(task: RefsTask) -> list[bytes]:
    """The digest of each ref; what cannot be read has none that a build could have. Nothing is rendered."""
    return [_digest(task.recipe, ref) for _, ref in _opened(task)]


def _digest(recipe: Recipe, ref: Ref) -> bytes:
    try:
        return recipe.digest(ref)
    except (RecordError, SourceError):  # building it says so
        return UNREADABLE


def build_part(task: RefsTask) -> Part:
    """Render and write a part, unless the work folder holds it finished from the same input by the same software.

    Raises:
        RecordError: a record is bad; no file is left behind.
    """
    finished = _read_note(task.path)
    if finished is not None and finished.rows == len(task.refs) and finished.inputs == inputs_of(digest_refs(task)):
        for _ in task.refs:
            record_done()
        return finished
    inputs: list[bytes] = []

    def rows() -> Iterator[AnyRow]:
        encoder = PngEncoder()
        for _, ref in _opened(task):
            rendered = task.recipe.read(ref, encoder)
            if rendered.row is None:
                raise TypeError(f"{task.recipe.label}: a recipe that drops no image dropped one")
            inputs.append(rendered.digest)
            yield rendered.row
            record_done()

    part = write_part(task.path, rows(), inputs=inputs, kind=task.recipe.kind, extra=task.recipe.extra)
    note = _Finished(part, _software())
    write_atomically(task.path.with_suffix(".json"), msgspec.json.encode(note))
    return part


def spool_refs(task: RefsTask) -> Spooled:
    """Render records into a file, in which their rows wait.

    Raises:
        RecordError: a record is bad, and the policy is `raise`.
    """
    encoder, recipe = PngEncoder(), task.recipe
    waiting, rejects, digests = list[Waiting](), list[Reject](), list[bytes]()
    dropped = 0
    with open(task.path, "wb") as file:
        for position, ref in _opened(task):
            try:
                rendered = recipe.read(ref, encoder)
            except RecordError as error:
                if not task.skip:
                    raise
                rejects.append(recipe.reject(ref, error))
                digests.append(_digest(recipe, ref))
                record_done()
                continue
            digests.append(rendered.digest)
            if rendered.row is None:
                dropped += 1
            else:
                content = msgspec.msgpack.encode(rendered.row)
                place = (task.path, file.tell(), len(content))
                waiting.append(Waiting(position, rendered.size_bytes, rendered.digest, *place))
                file.write(content)
            record_done()
    return Spooled(waiting, dropped, rejects, digests)


def write_waiting(task: WaitingTask) -> Part:
    """Write a part out of rows that wait in files."""
    decoder = msgspec.msgpack.Decoder(TABLES[task.kind].row)

    def rows() -> Iterator[AnyRow]:
        for waiting in task.rows:
            with open(waiting.path, "rb") as file:
                file.seek(waiting.offset)
                yield decoder.decode(file.read(waiting.length))

    inputs = [waiting.inputs for waiting in task.rows]
    return write_part(task.path, rows(), inputs=inputs, kind=task.kind, extra=task.extra)


def _opened(task: RefsTask) -> Iterator[tuple[int, Ref]]:
    """Position and ref of a task, with what the recipe holds open closed at the end."""
    try:
        yield from zip(task.positions, task.refs, strict=True)
    finally:
        task.recipe.close()


def _read_note(path: Path) -> Part | None:
    """The finished part at `path`, if it is whole and written by the software that runs now."""
    try:
        finished = msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=_Finished)
        whole = path.with_suffix(TAKEN).exists() or path.stat().st_size == finished.part.size_bytes
    except (OSError, msgspec.DecodeError):
        return None
    return finished.part if whole and finished.software == _software() else None


def _software() -> dict[str, str]:
    """What the bytes of a part, and what is noted of it, depend on besides its input."""
    names = ("pyarrow", "zlib-ng", "rlemasklib")
    return {
        "format": str(FORMAT),
        "statistics": str(VERSION),
        **{name: importlib.metadata.version(name) for name in names},
    }
