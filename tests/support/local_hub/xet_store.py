"""Xet storage that `hf_xet` fills by itself, and our own reading of what it left there.

A Xet token whose CAS address is `local:///folder` makes `hf_xet` chunk, deduplicate and store into that
folder. It holds a lock on the folder for as long as its process lives, so every token gets a folder of its
own, a lane, seeded with what earlier lanes hold: then two clients never meet, deduplication still works,
and this server reads beside a living client. For that reason too the files are rebuilt here from shards
and xorbs rather than through `hf_xet`, and every rebuilt file must have the sha256 that it was stored under.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

SHARD_HEADER = 48
ROW = 48
HAS_VERIFICATION = 1 << 31
HAS_METADATA = 1 << 30
BOOKEND = b"\xff" * 32
STORED, LZ4, GROUPED_LZ4 = 0, 1, 2


@dataclass(frozen=True)
class Segment:
    """A run of chunks of one xorb."""

    xorb: str
    size: int
    first_chunk: int
    end_chunk: int


@dataclass(frozen=True)
class Recipe:
    """How a file is put together."""

    size: int
    segments: tuple[Segment, ...]


def _hex(digest: bytes) -> str:
    """Xet writes a hash as four little-endian words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", digest))


def read_shard(data: bytes) -> Iterator[tuple[str, Recipe]]:
    """The (sha256, recipe) of each file that a shard describes."""
    offset = SHARD_HEADER
    while data[offset : offset + 32] != BOOKEND:
        flags, count = struct.unpack_from("<II", data, offset + 32)
        offset += ROW
        segments = []
        for row in range(count):
            at = offset + row * ROW
            _, size, first, end = struct.unpack_from("<IIII", data, at + 32)
            segments.append(Segment(_hex(data[at : at + 32]), size, first, end))
        offset += count * ROW * (2 if flags & HAS_VERIFICATION else 1)
        if flags & HAS_METADATA:
            sha256 = _hex(data[offset : offset + 32])
            offset += ROW
            yield sha256, Recipe(sum(segment.size for segment in segments), tuple(segments))


def _expand(scheme: int, payload: bytes, size: int) -> bytes:
    if scheme == STORED:
        return payload
    if scheme not in (LZ4, GROUPED_LZ4):
        raise ValueError(f"a xorb chunk uses compression scheme {scheme}, which is not known here")
    flat: bytes = pa.decompress(payload, decompressed_size=size, codec="lz4", asbytes=True)
    if scheme == LZ4:
        return flat
    whole = bytearray(size)  # bytes 0, 4, 8, ... first, then 1, 5, 9, ..., and so on
    start = 0
    for lane in range(4):
        length = (size - lane + 3) // 4
        whole[lane::4] = flat[start : start + length]
        start += length
    return bytes(whole)


def read_chunks(xorb: Path, first: int, end: int) -> Iterator[bytes]:
    """Chunks `first` to `end` of a xorb; the chunks before are stepped over, not read."""
    with xorb.open("rb") as file:
        for index in range(end):
            header = file.read(8)
            packed = int.from_bytes(header[1:4], "little")
            if index < first:
                file.seek(packed, os.SEEK_CUR)
            else:
                yield _expand(header[4], file.read(packed), int.from_bytes(header[5:8], "little"))


def _link_files(source: Path, target: Path, recursive: bool = False) -> None:
    """Hard-link finished files; names that begin with a dot are still being written."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    for item in os.scandir(source):
        if item.name.startswith("."):
            continue
        if item.is_dir():
            if recursive:
                _link_files(Path(item.path), target / item.name, recursive)
        elif not (target / item.name).exists():
            os.link(item.path, target / item.name)


class XetStore:
    """The Xet files of one repository."""

    # What a new lane needs in order to find the chunks that are stored already.
    _SHARED = ("xorbs/xorbs", "shard-cache", "shard-session")

    def __init__(self, root: Path) -> None:
        self._pool = root / "pool"
        self._lanes = root / "lanes"
        self._read: set[Path] = set()
        self._recipes: dict[str, Recipe] = {}

    def open_lane(self) -> Path:
        """A fresh folder for one token."""
        self.collect()
        count = len(list(self._lanes.iterdir())) if self._lanes.is_dir() else 0
        lane = self._lanes / f"{count + 1:04}"
        lane.mkdir(parents=True)
        for part in self._SHARED:
            _link_files(self._pool / part, lane / "xet" / part, recursive=True)
        return lane

    def collect(self) -> None:
        """Take over what the clients have finished storing."""
        if not self._lanes.is_dir():
            return
        for lane in sorted(self._lanes.iterdir()):
            for part in self._SHARED:
                _link_files(lane / "xet" / part, self._pool / part, recursive=True)
            for shard in sorted((lane / "xet" / "xorbs" / "shards").glob("*.mdb")):
                if shard not in self._read and not shard.name.startswith("."):
                    self._recipes.update(read_shard(shard.read_bytes()))
                    self._read.add(shard)

    def size(self, sha256: str) -> int | None:
        """The size of a stored file, None when it never arrived whole."""
        if sha256 not in self._recipes:
            self.collect()
        recipe = self._recipes.get(sha256)
        if recipe is None or not all(self._xorb(segment.xorb).exists() for segment in recipe.segments):
            return None
        return recipe.size

    def rebuild(self, sha256: str, target: Path) -> None:
        """Write the file to `target`, whole or not at all."""
        if sha256 not in self._recipes:  # the repository is a copy of another
            self.collect()
        if sha256 not in self._recipes:  # of a repository that was copied
            self.collect()
        digest = hashlib.sha256()
        partial = target.with_name(f"{target.name}.partial")
        with partial.open("wb") as file:
            for segment in self._recipes[sha256].segments:
                for chunk in read_chunks(self._xorb(segment.xorb), segment.first_chunk, segment.end_chunk):
                    digest.update(chunk)
                    file.write(chunk)
        if digest.hexdigest() != sha256:
            raise ValueError(f"the Xet store gave {digest.hexdigest()} for {sha256}")
        partial.rename(target)

    def stored_bytes(self) -> int:
        """Bytes of chunks that clients have stored: it stands still when an upload was deduplicated."""
        self.collect()
        folder = self._pool / "xorbs" / "xorbs"
        if not folder.is_dir():
            return 0
        return sum(item.stat().st_size for item in folder.iterdir() if item.suffix != ".tagset")

    def delete(self) -> None:
        """Forget everything."""
        for folder in (self._pool, self._lanes):
            shutil.rmtree(folder, ignore_errors=True)
        self._recipes.clear()
        self._read.clear()

    def _xorb(self, name: str) -> Path:
        return self._pool / "xorbs" / "xorbs" / f"default.{name}"
