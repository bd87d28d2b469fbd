"""An archive as a zip on disk: the same members as in a tar, read in any order.

A zip has its directory at the end, and what that says of a member is a claim: sizes are bounded before anything is
read, and what grows more than images and JSON do is refused. Encrypted members, links, and other compression than
deflate are rejected.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b._own import index_own, read_own
from asam_datasets.sources.sa1b._records import (
    MAX_MEMBER_BYTES,
    Index,
    Member,
    RawRecord,
    RecordRef,
    is_material,
    pair_members,
)
from asam_datasets.sources.sa1b._tar import file_state

MAGIC = b"PK\x03\x04"
EMPTY = b"PK\x05\x06"

_MAX_DIRECTORY_BYTES = 2**25  # `zipfile` makes objects of all of it, twenty times as large; 300,000 members have 2**24
_SPARE_BYTES = 2**20
_GREW = 100  # times: JPEG does not shrink, JSON does so by less than ten
_ENCRYPTED = 0x1 | 0x40
_BROKEN = (
    zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, RuntimeError, NotImplementedError, OverflowError,
    LookupError, MemoryError,
)  # fmt: skip
_HINT = "Give the path of an archive: a folder, a .tar or a .zip. A zip that was cut has lost its directory."


class ZipSource:
    """Reads records from a zip on disk, in any order."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.label = str(path)
        self.is_own = False
        self._open: tuple[BinaryIO, zipfile.ZipFile] | None = None
        self._indexed: tuple[int, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """What travels to workers: not what is open, which holds the whole directory."""
        return {**self.__dict__, "_open": None}

    def index(self, bad: BadRecords) -> Index:
        """Find the records in the directory; of SA-1B's no member is read. Raises what `pair_members` and `index_own`
        raise, and SourceError for what is no zip."""
        self.close()
        try:
            self._indexed = file_state(self._opened()[0])
            found = pair_members(self.label, self._members(bad), bad, lambda some: index_own(self, some, bad))
        finally:
            self.close()
        self.is_own = found.records[0].own is not None
        return found

    def read(self, ref: RecordRef) -> RawRecord:
        """Read one record's two members.

        Raises:
            RecordError: one of them is damaged.
            SourceError: the zip is gone, or is another one than when it was indexed.
        """
        if ref.own is not None:
            return read_own(self, ref, ref.own)
        return RawRecord.of(self.name, self.label, ref, self.content)

    def close(self) -> None:
        """Close the zip; the next read opens it again."""
        if self._open is not None:
            self._open[1].close()
            self._open[0].close()
            self._open = None

    def state(self, member: Member) -> tuple[object, ...]:
        """What changes when the content of a member does."""
        return self._indexed

    def content(self, member: Member, *, limit_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """The bytes of a member; `offset` of a zip's is that of its header.

        Raises:
            RecordError: it is damaged, or too large.
            SourceError: the zip is gone, or is another one than when it was indexed.
        """
        where = f"{self.label}: {member.name}"
        if member.size_bytes > limit_bytes:
            raise RecordError(f"expected at most {limit_bytes} bytes, found {member.size_bytes}", where=where)
        file, opened = self._opened()
        info = next((one for one in _infos(opened, member.name) if one.header_offset == member.offset), None)
        if info is None or info.file_size != member.size_bytes or (self._indexed and file_state(file) != self._indexed):
            raise SourceError(
                f"expected {member.size_bytes} bytes of {member.name}, found another zip",
                where=self.label,
                hint="The zip changed while it was read: run it again when nothing writes there any more.",
            )
        try:
            with opened.open(info) as stream:
                content = stream.read(member.size_bytes + 1)
        except _BROKEN as error:
            raise RecordError(f"expected a whole member, found: {_reason(error)}", where=where) from None
        if len(content) != member.size_bytes:
            raise RecordError(f"expected {member.size_bytes} bytes, found {len(content)}", where=where)
        return content

    def _opened(self) -> tuple[BinaryIO, zipfile.ZipFile]:
        if self._open is None:
            try:
                file = open(self.path, "rb")  # noqa: SIM115 (closed by `close`)
            except OSError as error:
                raise SourceError(f"expected a readable zip, found: {error.strerror}", where=self.label) from error
            try:
                self._open = file, _open_zip(file)
            except _BROKEN as error:
                file.close()
                problem = f"expected a zip, found a file that is none: {_reason(error)}"
                raise SourceError(problem, where=self.label, hint=_HINT) from None
        return self._open

    def _members(self, bad: BadRecords) -> Iterator[Member]:
        """What may be read, in the order of the directory; what may be of use and cannot be read is rejected."""
        file, opened = self._opened()
        infos = opened.infolist()
        if sum(info.compress_size for info in infos) > file.seek(0, 2):
            raise SourceError(
                "expected members beside each other, found some that lie in one another",
                where=self.label,
                hint="No program packs like that: look at where this zip comes from.",
            )
        for info in infos:
            if not info.filename or info.is_dir():  # `is_dir` looks at the last letter
                continue
            problem = _problem(info) if is_material(info.filename) else ""
            if not problem:
                yield Member(info.filename, info.file_size, info.header_offset)
                continue
            bad.reject(
                RecordError(problem, where=f"{self.label}: {info.filename}"), archive=self.label, member=info.filename
            )


def is_zip(start: bytes) -> bool:
    """Whether a file begins as a zip does, whatever its name says."""
    return start.startswith((MAGIC, EMPTY))


def _infos(opened: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    """The members of a name. The last one is found at once, others by looking through all."""
    last = opened.NameToInfo.get(name)
    return [] if last is None else [last, *(one for one in opened.filelist if one.filename == name and one is not last)]


def _open_zip(file: BinaryIO) -> zipfile.ZipFile:
    """Open a zip whose directory is not too large to be held."""
    end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # as `ZipFile` will find it
    if not end:
        raise zipfile.BadZipFile("no directory at its end")
    if end[5] > _MAX_DIRECTORY_BYTES:
        raise zipfile.BadZipFile(f"a directory of {end[5]} bytes, and {_MAX_DIRECTORY_BYTES} at most are held")
    return zipfile.ZipFile(file)


def _problem(info: zipfile.ZipInfo) -> str:
    """Why a member is not read; nothing where it is."""
    if info.flag_bits & _ENCRYPTED:
        return "expected a member that anybody can read, found an encrypted one"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "expected a regular file, found a symbolic link"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"expected a member that is stored or deflated, found compression {info.compress_type}"
    if info.file_size > _SPARE_BYTES + _GREW * info.compress_size:
        return f"{info.compress_size} bytes of it would grow to {info.file_size}, as no images do"
    return ""


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
