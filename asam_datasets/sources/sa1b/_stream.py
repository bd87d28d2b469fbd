"""An archive that is read once, from its first byte to its last: a tar behind a URL, or a compressed one.

Nothing of the archive lands on disk, except halves of records that wait for the other half when a tar keeps them far
apart: those beyond `_HELD_BYTES` go into an unnamed temporary file.
"""

from __future__ import annotations

import errno
import gzip
import io
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from zlib_ng import gzip_ng, zlib_ng

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b._answers import options_for
from asam_datasets.sources.sa1b._records import Pairing, RawRecord, check_member_size, member_id, nothing_in
from asam_datasets.sources.sa1b._tar import open_tar, tar_members

_GZIP = b"\x1f\x8b"
_HINTS = {
    "zip": "A zip is read from a disk: download it, and give the file.",
    "Parquet": "Give the archive that it was made of, or what `asam-datasets export` makes of a dataset.",
}
_OTHERS = {b"BZh": "bzip2", b"\xfd7z": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PAR1": "Parquet"}
_ZLIB_ERROR = cast(type[Exception], zlib_ng.error)
_HELD_BYTES = 64 * 2**20
_BLOCK_BYTES = 8 * 2**20
_TRIES = 5
_GREW = 100  # times: JPEG does not shrink, JSON does so by less than ten
_GONE = "FileNotFoundError"
_TAR_ENDING_BYTES = 1024  # two blocks of zeros


class StreamSource:
    """Reads records from a stream, once and in its order."""

    is_own = False

    def __init__(self, location: str, name: str) -> None:
        self.name = name
        self.label = without_secrets(location)
        self._location = location

    def records(self, bad: BadRecords) -> Iterator[RawRecord]:
        """All records, as soon as both halves were seen; what is wrong follows the policy.

        Raises:
            SourceError: the URL cannot be opened, or the stream is no tar, or holds no record.
            RecordError: under the policy `raise`, as `pair_members`.
        """
        pairing = Pairing(self.label, bad)
        yielded = False
        with (
            open_location(self._location, self.label) as file,
            _plain(file, self.label) as plain,
            _Held() as held,
            open_tar(plain, self.label, bad, stream=True) as members,
        ):
            for member in members:
                try:
                    known = member_id(member.name, archive=self.label)
                    if known is None:
                        continue
                    check_member_size(member.name, member.size, archive=self.label)
                except RecordError as error:
                    bad.reject(error, archive=self.label, member=member.name)
                    continue
                image_id, ending = known
                if not pairing.is_new(image_id, ending, member.name):
                    continue
                content = members.content(member)
                if content is None:
                    pairing.forget(image_id, ending)
                    break
                other = held.pop(image_id)
                if other is None:
                    held.put(image_id, member.name, content)
                    continue
                yielded = True
                this = member.name, content
                (image, jpeg), (annotations, json) = (this, other) if ending == "jpg" else (other, this)
                yield RawRecord(
                    archive=self.name,
                    label=self.label,
                    image_id=image_id,
                    image=image,
                    annotations=annotations,
                    jpeg=jpeg,
                    json=json,
                )
            pairing.report_orphans()
        if not yielded:
            raise nothing_in(self.label, stream=True)


def without_secrets(location: str) -> str:
    """A URL as messages and logs show it: a signed one carries its secret in the query, others in `user:password@`."""
    if "://" not in location:
        return location
    scheme, rest = location.split("?", 1)[0].split("://", 1)
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rsplit('@', 1)[-1]}{slash}{path}"


def is_compressed(start: bytes, label: str) -> bool:
    """Whether a file that begins so has to be read as a stream, whatever its name says.

    Args:
        start: its first four bytes.

    Raises:
        SourceError: compressed in a way that SA-1B never was.
    """
    return _compression(start, label)


def check_tar(path: Path, label: str) -> None:
    """Walk through a tar on disk, plain or gzip, to its end; of a plain one the headers alone are read.

    Raises:
        SourceError: it is none, or not whole.
        RecordError: a member that is named like one of a record is a link or a device.
    """
    bad = BadRecords()
    with open(path, "rb") as file, _plain(file, label) as plain:
        if plain is file:
            members: Iterator[object] = tar_members(file, label, bad)
            deque(members, maxlen=0)
            return
        with open_tar(plain, label, bad, stream=True) as found:
            deque(found, maxlen=0)


def ends_as_a_tar(path: Path) -> bool:
    """Whether the last bytes of a file are those of a whole tar; a compressed one is believed."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        if is_compressed(file.read(4), str(path)):
            return True
        if size < _TAR_ENDING_BYTES or size % 512:
            return False
        file.seek(-_TAR_ENDING_BYTES, io.SEEK_END)
        return not any(file.read())


def open_location(location: str, label: str) -> IO[bytes]:
    """Open a path or a URL for reading in order; reads that fail are tried again from where they stopped.

    Raises:
        SourceError: it does not exist, may not be read, or the host was not reached.
    """
    try:
        if "://" not in location:
            return open(location, "rb")
        import fsspec.core

        # Not `fsspec.open`: it takes the question mark of a signed URL for a pattern.
        system, path = fsspec.core.url_to_fs(location, **options_for(location))
        return io.BufferedReader(_Retrying(lambda: system.open(path, "rb"), label), _BLOCK_BYTES)
    except Exception as error:
        raise _unreachable(label, error) from error


class _Retrying(io.RawIOBase):
    """A remote file whose reads survive dropped connections. Position moves only with bytes that arrived."""

    def __init__(self, reopen: Callable[[], Any], label: str) -> None:
        self._reopen = reopen
        self._label = label
        self._file = reopen()
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        for attempt in range(_TRIES):
            try:
                if attempt:
                    time.sleep(min(0.25 * 2**attempt, 4.0))
                    self._file = self._reopen()
                    if self._position:
                        self._file.seek(self._position)
                content = self._file.read(len(buffer))
                break
            except SourceError as error:  # of ours: another try would give the same
                raise error.inside(self._label) from error
            except Exception as error:  # noqa: BLE001 (aiohttp, httpx and requests share no base; raised below)
                failure = error
        else:
            raise SourceError(
                f"expected the rest after {self._position} bytes, found a connection that fails ({_status(failure)})",
                where=self._label,
                hint="Check the network, then run the same command again.",
            ) from failure
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Held:
    """Halves of records that wait for the other half: in memory, and beyond a limit in a temporary file."""

    def __init__(self) -> None:
        self._in_memory: dict[int, tuple[str, bytes]] = {}
        self._on_disk: dict[int, tuple[str, int, int]] = {}
        self._bytes = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> _Held:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def put(self, image_id: int, name: str, content: bytes) -> None:
        if self._bytes + len(content) <= _HELD_BYTES:
            self._in_memory[image_id] = (name, content)
            self._bytes += len(content)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `__exit__`)
        offset = self._file.seek(0, io.SEEK_END)
        self._file.write(content)
        self._on_disk[image_id] = (name, offset, len(content))

    def pop(self, image_id: int) -> tuple[str, bytes] | None:
        if image_id in self._in_memory:
            name, content = self._in_memory.pop(image_id)
            self._bytes -= len(content)
            return name, content
        if image_id not in self._on_disk or self._file is None:
            return None
        name, offset, size = self._on_disk.pop(image_id)
        self._file.seek(offset)
        return name, self._file.read(size)


class _Counting(io.RawIOBase):
    """A file that counts what was read of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file: Any = file
        self.bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = int(self._file.readinto(buffer))
        self.bytes += read
        return read


class _GzipReader(io.RawIOBase):
    """A gzip stream whose damage is an `OSError`, so that `tarfile` and our messages see one kind.

    What grows more than anything of SA-1B does is damage as well: a megabyte of it fills a disk with halves of records.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._packed = _Counting(file)
        self._bytes = 0
        self._gzip = gzip_ng.GzipNGFile(fileobj=cast(BinaryIO, self._packed), mode="rb")  # type: ignore[no-untyped-call]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            read = int(self._gzip.readinto(buffer))
        except (EOFError, _ZLIB_ERROR, gzip.BadGzipFile) as error:
            raise OSError(f"the gzip data are cut or damaged ({error})") from error
        self._bytes += read
        if self._bytes > _HELD_BYTES + _GREW * self._packed.bytes:
            raise OSError(f"{self._packed.bytes} bytes of gzip data grew to {self._bytes}, as no images do")
        return read

    def close(self) -> None:
        if not self.closed:
            self._gzip.close()
        super().close()


def _plain(file: IO[bytes], label: str) -> BinaryIO:
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast(Any, file))
    if _compression(buffered.peek(4)[:4], label):
        return io.BufferedReader(_GzipReader(buffered), _BLOCK_BYTES)
    return buffered


def _compression(start: bytes, label: str) -> bool:
    for magic, kind in _OTHERS.items():
        if start.startswith(magic):
            hint = _HINTS.get(kind, "Unpack it and give the tar.")
            raise SourceError(f"expected a tar, plain or gzip, found {kind}", where=label, hint=hint)
    return start.startswith(_GZIP)


def _unreachable(label: str, error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    cause = error.__cause__ or error.__context__ or error  # fsspec makes any refusal a FileNotFoundError
    missing = isinstance(error, FileNotFoundError) and (
        error.errno == errno.ENOENT or _status(cause) in ("status 404", _GONE)
    )
    if missing:
        return SourceError("expected an archive, found nothing there", where=label, hint="Check the path or URL.")
    return SourceError(
        f"expected a readable archive, found: {_status(cause)}",
        where=label,
        hint="Check the address, the network and your permission, then run it again.",
    )


def _status(error: BaseException) -> str:
    """What went wrong in a word. Messages of HTTP clients repeat the address with its secrets, so they stay out."""
    status = getattr(error, "status", None) or getattr(getattr(error, "response", None), "status_code", None)
    local = error.strerror if isinstance(error, OSError) and error.errno else None
    return f"status {status}" if status else local or type(error).__name__
