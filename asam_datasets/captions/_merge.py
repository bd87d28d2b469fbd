"""The caption files of several processes to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from asam_datasets.captions._file import CaptionFile, Header, differences, in_order, read_header
from asam_datasets.errors import CaptionsError, option
from asam_datasets.machine import AnyPath, only_writer, path_of, paths_of, write_atomically, write_errors
from asam_datasets.sources import encode_captions, read_captions


@dataclass(frozen=True)
class Merged:
    """What `merge` wrote."""

    out: str
    shards: int
    images: int


def merge(files: AnyPath | Sequence[AnyPath], out: AnyPath) -> Merged:
    """Join the caption files of all shards of an archive: the file that one process would have written.

    Args:
        files: the files of `caption` with `shard` 1/n to n/n, in any order.
        out: the caption file; its header says what the shards' headers say.

    Raises:
        CaptionsError: a shard is missing, not complete, twice there, or made with other settings; an image is in two
            shards; or `out` holds something else. Nothing is written.
        TargetError: the disk is full.
    """
    files, out = paths_of(files), path_of(out)
    headers = [_header(path) for path in files]
    if not headers:
        raise CaptionsError("expected the caption files of shards, found none")
    first = msgspec.structs.replace(headers[0], shard=(1, 1))
    for path, header in zip(files, headers, strict=True):
        other = differences(first, msgspec.structs.replace(header, shard=(1, 1)))
        if other:
            raise CaptionsError(
                f"expected the settings of {files[0].name}, found {'; '.join(other)}",
                where=str(path),
                hint="Caption this shard again with the same settings.",
            )
    _require_all_shards(files, [header.shard for header in headers])
    captions: dict[str, str] = {}
    for path in files:
        mine = read_captions([path])
        twice = captions.keys() & mine.keys()
        if twice:
            raise CaptionsError(f"expected {min(twice)} in one shard, found it in two", where=str(path))
        captions |= mine
    content = encode_captions(in_order(captions))
    target = CaptionFile(out)
    if out.exists() and out.read_bytes() != content:
        raise CaptionsError(
            "expected no file there, or the one that this would write, found another",
            where=str(out),
            hint=f"Give another {option('out')}, or move it away.",
        )
    with only_writer(out), write_errors(out):
        write_atomically(target.header_path, msgspec.json.format(msgspec.json.encode(first), indent=1) + b"\n")
        write_atomically(out, content)
    return Merged(out=str(out), shards=len(files), images=len(captions))


def _header(path: Path) -> Header:
    file = CaptionFile(path)
    header = read_header(file.header_path)
    if header is None or file.partial.exists() or not path.is_file():
        found = "one that is not complete" if header is not None else f"no {file.header_path.name} beside it"
        raise CaptionsError(
            f"expected a complete caption file of `asam-datasets caption --shard`, found {found}",
            where=str(path),
            hint="Run the shard again until it is done, then merge.",
        )
    return header


def _require_all_shards(files: Sequence[Path], shards: Sequence[tuple[int, int]]) -> None:
    counts = sorted({count for _, count in shards})
    numbers = sorted(number for number, _ in shards)
    if len(counts) != 1 or numbers != list(range(1, counts[0] + 1)):
        found = ", ".join(f"{number}/{count}" for number, count in sorted(shards))
        raise CaptionsError(
            f"expected each shard once, 1/{counts[-1]} to {counts[-1]}/{counts[-1]}, found {found}",
            where=str(files[0].parent),
        )
