"""An archive as a tar: a file that is read in any order, or a stream that is read once.

`tarfile` ends quietly at a damaged header and at the end of a file that was cut between two members. Here both are
errors: a tar is complete when its end-of-archive block was seen.
"""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from asam_datasets.errors import SKIP, AsamDatasetsError, RecordError, SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b._own import index_own, read_own
from asam_datasets.sources.sa1b._records import (
    MAX_MEMBER_BYTES,
    Index,
    Member,
    RawRecord,
    RecordRef,
    member_id,
    pair_members,
)

if TYPE_CHECKING:
    from typing_extensions import Self

_STREAM_BYTES = 2**20
_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_MAX_TAR_BYTES = 2**44
_MAX_EXTENSION_BYTES = 2**20  # of a header that holds a long name or pax records; `tarfile` reads it whole
_MAX_PAX_RECORDS = 1024
_LONG_NUMBER = re.compile(rb"[0-9]{20}")
_RECORD = re.compile(rb"([0-9]{1,7}) ")
_EXTENSIONS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE, b"X")


class TarSource:
    """Reads records from an uncompressed tar on disk, in any order."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.label = str(path)
        self.is_own = False
        self._file: BinaryIO | None = None
        self._indexed: tuple[int, ...] = ()

    def index(self, bad: BadRecords) -> Index:
        """Find the records by walking the headers; of SA-1B's no member is read. Raises what `pair_members` and
        `index_own` raise."""
        with open(self.path, "rb") as file:
            self._indexed = file_state(file)
            members = tar_members(file, self.label, bad)
            try:
                found = pair_members(self.label, members, bad, lambda some: index_own(self, some, bad))
            finally:
                self.close()
        self.is_own = found.records[0].own is not None
        return found

    def read(self, ref: RecordRef) -> RawRecord:
        """Read one record's two members.

        Raises:
            SourceError: the tar is gone, or is another one than when it was indexed.
        """
        if ref.own is not None:
            return read_own(self, ref, ref.own)
        return RawRecord.of(self.name, self.label, ref, self.content)

    def close(self) -> None:
        """Close the tar; the next read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def state(self, member: Member) -> tuple[object, ...]:
        """What changes when the content of a member does."""
        return self._indexed

    def content(self, member: Member, *, limit_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """The bytes of a member.

        Raises:
            RecordError: it is too large.
            SourceError: the tar is gone, or is another one than when it was indexed.
        """
        if member.size_bytes > limit_bytes:
            problem = f"expected at most {limit_bytes} bytes, found {member.size_bytes}"
            raise RecordError(problem, where=f"{self.label}: {member.name}")
        try:
            if self._file is None:
                self._file = open(self.path, "rb")  # noqa: SIM115 (closed by `close`)
            self._file.seek(member.offset)
            content = self._file.read(member.size_bytes)
            changed = bool(self._indexed) and file_state(self._file) != self._indexed
        except OSError as error:
            raise SourceError(f"expected a readable tar, found: {error.strerror}", where=self.label) from error
        if len(content) != member.size_bytes or changed:
            found = "another tar" if changed else str(len(content))
            raise SourceError(
                f"expected {member.size_bytes} bytes of {member.name}, found {found}",
                where=self.label,
                hint="The tar changed while it was read: run it again when nothing writes there any more.",
            )
        return content


def file_state(file: BinaryIO) -> tuple[int, ...]:
    """What changes when a file does: its number, size, and time of the last write."""
    state = os.fstat(file.fileno())
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def tar_members(file: BinaryIO, label: str, bad: BadRecords) -> Iterator[Member]:
    """The regular members of a tar with their places; see `open_tar` for what ends it early."""
    size_bytes = file.seek(0, io.SEEK_END)
    file.seek(0)
    with open_tar(file, label, bad) as members:
        for member in members:
            if member.size <= MAX_MEMBER_BYTES and member.offset_data + member.size > size_bytes:
                members.damaged(f"found the end of the data in {member.name}", member.name)
                return
            yield Member(member.name, member.size, member.offset_data)


@contextmanager
def open_tar(file: BinaryIO, label: str, bad: BadRecords, *, stream: bool = False) -> Iterator[_Members]:
    """Open a tar and iterate over the members that may be read.

    A tar that is not one raises `SourceError`. A truncated or damaged one follows the policy for bad records: under
    `skip` what comes before the damage is used and the damage is written down. Links, devices and sparse files that
    are named like a record's member are rejected.
    """
    ending = _Ending()
    try:
        # A class of its own per tar: it is the only place where `tarfile` tells how the archive ended.
        info = type("_Info", (_TarInfo,), {"ending": ending})
        tar = tarfile.open(  # noqa: SIM115 (closed below; an error of the reader is not one of opening)
            fileobj=file, mode="r|" if stream else "r:", bufsize=_STREAM_BYTES, tarinfo=info, errorlevel=2
        )
    except AsamDatasetsError:
        raise
    except Exception as error:  # noqa: BLE001 (see `_Members.__iter__`)
        raise SourceError(
            f"expected a tar (plain or gzip), found a file that is none: {_reason(error)}",
            where=label,
            hint="Give the path of an SA-1B archive: a folder, a .tar, or a URL of one.",
        ) from None
    with tar:
        yield _Members(tar, ending, label, bad)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__


class _Ending:
    """How the last header of a tar looked, and how many pax records there were that count for all of it."""

    error: tarfile.TarError | None = None
    global_records: int = 0


class _TarInfo(tarfile.TarInfo):
    ending: _Ending

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            info = super().frombuf(buf, encoding, errors)
            if info.size < 0:  # a reader that believes it goes back and reads the same header for ever
                raise tarfile.InvalidHeaderError("a size below zero")  # type: ignore[attr-defined]
            if info.type in _EXTENSIONS and info.size > _MAX_EXTENSION_BYTES:
                raise tarfile.InvalidHeaderError("a name of a megabyte")  # type: ignore[attr-defined]
        except tarfile.TarError as error:
            cls.ending.error = error
            raise
        return info

    def _proc_pax(self, tar: Any) -> Any:
        """Records of a pax header. `tarfile` looks for one of them with a regular expression that takes the square of
        a number's digits (four seconds for 64 KiB of them), and for its name without regard to where the record ends
        (five minutes, and all memory, for a megabyte of `2 `). Each member gets a copy of what global ones say."""
        content = tar.fileobj.read(self._block(self.size))  # type: ignore[attr-defined]
        records = _count_records(content[: self.size])
        if self.type == tarfile.XGLTYPE:
            records = self.ending.global_records = records + self.ending.global_records
        if not 0 <= records <= _MAX_PAX_RECORDS or _LONG_NUMBER.search(content):
            problem = "a number of twenty digits, more records than anybody needs, or one that is none"
            error = tarfile.InvalidHeaderError(f"a pax header with {problem}")  # type: ignore[attr-defined]
            self.ending.error = error
            raise error
        file, tar.fileobj = tar.fileobj, _Again(content, tar.fileobj)
        try:
            return super()._proc_pax(tar)  # type: ignore[misc]
        finally:
            tar.fileobj = file


def _count_records(content: bytes) -> int:
    """How many pax records there are, each `LENGTH NAME=VALUE` and a line's end; far below zero if one is none."""
    place = count = 0
    end = len(content.rstrip(b"\0"))
    while place < end:
        number = _RECORD.match(content, place)
        following = place + int(number[1]) if number else 0
        if number is None or not number.end() < following <= end or content[following - 1 : following] != b"\n":
            return -(2**32)
        if content.find(b"=", number.end(), following) < 0:
            return -(2**32)
        place, count = following, count + 1
    return count


class _Again:
    """A file that gives what was read of it once more, and then goes on."""

    def __init__(self, content: bytes, file: Any) -> None:
        self._content = content
        self._file = file

    def read(self, size: int) -> bytes:
        if self._content:
            content, self._content = self._content, b""
            return content
        found: bytes = self._file.read(size)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Members:
    """The usable members of an open tar, in its order."""

    def __init__(self, tar: tarfile.TarFile, ending: _Ending, label: str, bad: BadRecords) -> None:
        self._tar = tar
        self._ending = ending
        self._label = label
        self._bad = bad

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        last = "the start"
        while True:
            try:
                member = self._tar.next()
            except AsamDatasetsError:
                raise
            except Exception as error:  # noqa: BLE001 (a damaged header makes `tarfile` raise nearly anything)
                self.damaged(f"found damage after {last}: {_reason(error)}", last)
                return
            if member is None:
                break
            if member.size < 0:
                self.damaged(f"found a member of a size below zero after {last}", last)
                return
            last = member.name
            if self._usable(member):
                yield member
            # What a header claims, whatever a pax record says of it: `tarfile` would skip that, megabyte by megabyte.
            claimed = max(member.size, self._tar.offset - member.offset_data)
            if claimed > _MAX_TAR_BYTES:
                self.damaged(f"found {member.name}, which claims {claimed} bytes", member.name)
                return
            # `tarfile` remembers every member; a million of them would not be small.
            self._tar.members = []  # type: ignore[attr-defined]
        how = self._ending.error
        if isinstance(how, tarfile.EOFHeaderError) and not self._only_zeros_left():  # type: ignore[attr-defined]
            self.damaged(f"found more data after it (it comes after {last})", last)
            return
        if not isinstance(how, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
            self.damaged(f"found none after {last}" + (f" ({how})" if how and str(how) != "empty header" else ""), last)

    def _only_zeros_left(self) -> bool:
        """Whether nothing but padding follows; reads a gzip stream to its checksum."""
        file: Any = self._tar.fileobj
        if isinstance(file, io.IOBase):
            file.seek(self._tar.offset)
        try:
            while block := file.read(_STREAM_BYTES):
                if block.count(0) != len(block):
                    return False
        except (OSError, EOFError) as error:
            self.damaged(f"found that the data end early: {_reason(error)}", "the end")
        return True

    def content(self, member: tarfile.TarInfo) -> bytes | None:
        """Read a member of a stream; None when the data end within it (and the policy is `skip`)."""
        try:
            file = self._tar.extractfile(member)
            content = file.read() if file is not None else b""
        except AsamDatasetsError:
            raise
        except (tarfile.TarError, EOFError, OSError, ValueError) as error:
            self.damaged(f"found the end of the data in {member.name}: {_reason(error)}", member.name)
            return None
        if len(content) != member.size:
            self.damaged(f"found the end of the data in {member.name}", member.name)
            return None
        return content

    def _usable(self, member: tarfile.TarInfo) -> bool:
        if member.isdir():
            return False
        if member.isreg() and not member.issparse():
            return True
        try:
            known = member_id(member.name, archive=self._label)
        except RecordError:
            known = (0, "")
        if known is not None:
            self._bad.reject(
                RecordError(
                    f"expected a regular file, found {_KINDS.get(member.type, 'another kind of member')}",
                    where=f"{self._label}: {member.name}",
                ),
                archive=self._label,
                member=member.name,
            )
        return False

    def damaged(self, found: str, member: str) -> None:
        """The archive is not whole: stop, or write it down."""
        self._bad.reject(
            SourceError(
                f"expected a complete tar with its end-of-archive block, {found}",
                where=self._label,
                hint=f"The archive is truncated; get it again, or use what is whole in it: {SKIP}.",
            ),
            archive=self._label,
            member=member,
        )
