"""The tasks that worker processes do: check, compare, render and write parts.

Everything here is a plain function of a picklable task, so that one worker or many give the same files.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from asam_datasets.builds._manifest import FORMAT, Part, part_inputs, record_inputs
from asam_datasets.builds._plan import MAX_PART_BYTES, part_file, part_ranges
from asam_datasets.builds._writer import write_part
from asam_datasets.errors import RecordError
from asam_datasets.machine import write_atomically
from asam_datasets.masks import PngEncoder
from asam_datasets.sources import Reject
from asam_datasets.sources.sa1b import IndexedSource, RawRecord, RecordRef, read_record
from asam_datasets.tables import TABLES, AnyRow, Kind, Row, render
from asam_datasets.workers import Workers, ordered, record_done


@dataclass(frozen=True)
class PartTask:
    """Some records of a source that can be read in any order, and the file that they become."""

    source: IndexedSource
    refs: tuple[RecordRef, ...]
    captions: tuple[str | None, ...]
    path: Path
    images: bool = True


@dataclass(frozen=True)
class ChunkTask:
    """Some records that came out of a stream, and the file in which their rows wait."""

    records: tuple[RawRecord, ...]
    captions: tuple[str | None, ...]
    path: Path
    skip: bool
    images: bool = True


@dataclass(frozen=True)
class Waiting:
    """A rendered row that waits in a file until the number of records is known; rows are sorted by `position`."""

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


class Finished(msgspec.Struct, frozen=True):
    """The note beside a part in the work folder: what it is, and which software wrote it."""

    part: Part
    software: dict[str, str]


def check_part(task: PartTask) -> list[tuple[int, Reject]]:
    """Check every record without rendering it: position and reason of each that is bad."""
    rejects = []
    for position, (raw, caption) in enumerate(_raw_records(task)):
        try:
            read_record(raw, caption)
        except RecordError as error:
            rejects.append((position, _reject(raw, error)))
    return rejects


def compare_part(task: PartTask) -> str:
    """The digest of what would go into the part; nothing is rendered."""
    records = _raw_records(task)
    return part_inputs(record_inputs(raw, caption, images=task.images) for raw, caption in records)


def build_part(task: PartTask) -> Part:
    """Render and write a part, unless the work folder holds it finished from the same input by the same software.

    Raises:
        RecordError: a record is bad; no file is left behind.
    """
    finished = _read_note(task.path)
    if finished is not None and finished.rows == len(task.refs) and finished.inputs == compare_part(task):
        for _ in task.refs:
            record_done()
        return finished
    inputs: list[bytes] = []

    def rows() -> Iterator[Row]:
        encoder = PngEncoder()
        for raw, caption in _raw_records(task):
            inputs.append(record_inputs(raw, caption, images=task.images))
            yield render(read_record(raw, caption), encoder, images=task.images)
            record_done()

    part = write_part(task.path, rows(), inputs=inputs)
    _write_note(task.path, part)
    return part


def render_chunk(task: ChunkTask) -> tuple[list[Waiting], list[Reject]]:
    """Render records of a stream into a file of rows.

    Raises:
        RecordError: a record is bad, and the policy is `raise`.
    """
    encoder = PngEncoder()
    waiting: list[Waiting] = []
    rejects: list[Reject] = []
    with open(task.path, "wb") as file:
        for raw, caption in zip(task.records, task.captions, strict=True):
            try:
                row = render(read_record(raw, caption), encoder, images=task.images)
            except RecordError as error:
                if not task.skip:
                    raise
                rejects.append(_reject(raw, error))
                continue
            content = msgspec.msgpack.encode(row)
            waiting.append(
                Waiting(
                    raw.image_id,
                    len(raw.jpeg) + len(raw.json),
                    record_inputs(raw, caption, images=task.images),
                    task.path,
                    file.tell(),
                    len(content),
                )
            )
            file.write(content)
            record_done()
    return waiting, rejects


def write_waiting(task: WaitingTask) -> Part:
    """Write a part out of rows that wait in files."""
    decoder = msgspec.msgpack.Decoder(TABLES[task.kind].row)

    def rows() -> Iterator[AnyRow]:
        for waiting in task.rows:
            with open(waiting.path, "rb") as file:
                file.seek(waiting.offset)
                yield decoder.decode(file.read(waiting.length))

    return write_part(task.path, rows(), inputs=[waiting.inputs for waiting in task.rows], kind=task.kind)


def write_rows(
    waiting: Sequence[Waiting], count: int, folder: Path, workers: Workers, *, kind: Kind, fixed: bool
) -> list[Part]:
    """Write waiting rows, in their order, into `count` parts, or twice as many while one is too large.

    Args:
        waiting: the rows.
        count: number of parts.
        folder: receives the parts.
        workers: who does it.
        kind: the table that the rows belong to.
        fixed: whether `count` was asked for and stays.
    """
    while True:
        ranges = part_ranges(len(waiting), count)
        tasks = [
            WaitingTask(tuple(waiting[r.start : r.stop]), folder / part_file(index), kind)
            for index, r in enumerate(ranges)
        ]
        parts = list(ordered(workers.run(write_waiting, tasks)))
        if fixed or count >= len(waiting) or max(part.size_bytes for part in parts) <= MAX_PART_BYTES:
            return parts
        count = min(2 * count, len(waiting))


def _reject(raw: RawRecord, error: RecordError) -> Reject:
    member = raw.image if error.where.startswith(f"{raw.label}: {raw.image}") else raw.annotations
    return Reject(raw.label, member, str(error))


def _raw_records(task: PartTask) -> Iterator[tuple[RawRecord, str | None]]:
    try:
        for ref, caption in zip(task.refs, task.captions, strict=True):
            yield task.source.read(ref), caption
    finally:
        task.source.close()


def _note_path(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_note(path: Path) -> Part | None:
    """The finished part at `path`, if it is whole and written by the software that runs now."""
    try:
        finished = msgspec.json.decode(_note_path(path).read_bytes(), type=Finished)
        whole = path.stat().st_size == finished.part.size_bytes
    except (OSError, msgspec.DecodeError):
        return None
    return finished.part if whole and finished.software == _software() else None


def _write_note(path: Path, part: Part) -> None:
    write_atomically(_note_path(path), msgspec.json.encode(Finished(part, _software())))


def _software() -> dict[str, str]:
    """What the bytes of a part depend on besides its input."""
    names = ("pyarrow", "zlib-ng", "rlemasklib")
    return {"format": str(FORMAT), **{name: importlib.metadata.version(name) for name in names}}
