"""The machine below: paths as people give them, a full disk in one sentence, one writer for a place, so many cores."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from asam_datasets.errors import AsamDatasetsError, SourceError, TargetError, option

AnyPath: TypeAlias = str | os.PathLike[str]
"""A path as a caller may give it: a text, or a `Path`."""

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def available_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def texts_of(given: AnyPath | Iterable[AnyPath] | None, name: str = "") -> list[str]:
    """Several paths or names as text; one that is not in a list is one, and not its letters.

    Raises:
        SourceError: it is something else; the message calls it by `name`.
    """
    if given is None:
        return []
    try:
        texts = [text_of(one) for one in ([given] if isinstance(given, (str, os.PathLike)) else given)]
    except TypeError:
        texts = [""]
    if not all(texts):  # an empty one would be the folder one is in: mostly a variable that is not set
        raise SourceError(
            f"expected paths or names, one or a list of them, found {given!r:.80}", where=option(name) if name else ""
        )
    return texts


def text_of(given: AnyPath) -> str:
    """A path as text that `path_of` understands: a `Path` that begins with a `~` means what is called so.

    Raises:
        SourceError: no file can be called so.
    """
    text = os.fsdecode(given)
    if "\0" in text:
        raise SourceError(f"expected a path, found {text!r:.80}, which has a null character")
    return f"./{text}" if text.startswith("~") and not isinstance(given, str) else text


def path_of(given: AnyPath) -> Path:
    """A path. The `~` of a text is the folder of the user, as in a shell, unless nobody knows that user; a `Path` is as
    it is. What comes of it does not begin with one, so that nothing is expanded twice."""
    path = Path(os.path.expanduser(text_of(given)))
    return path.absolute() if str(path).startswith("~") else path


def paths_of(given: AnyPath | Iterable[AnyPath]) -> list[Path]:
    """As `texts_of`, as paths."""
    return [path_of(one) for one in texts_of(given)]


@contextmanager
def write_errors(where: Path) -> Iterator[None]:
    """Turn what the system says about a write (full disk, missing permission) into one sentence.

    Raises:
        TargetError: in place of an `OSError` that is not one of ours.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, AsamDatasetsError):
            raise
        raise TargetError(
            f"expected to be able to write, found: {error.strerror or error}",
            where=str(error.filename or where),
            hint="Make room or give permission, then run the same command again: what is finished is kept.",
        ) from error


def _is_starting(parent: str) -> bool:
    """Whether this process is being started by that one: it reads the script of its parent then, and does what stands
    there outside of `if __name__ == "__main__":` once more."""
    # What Python's own refusal to start a process here goes by; that comes too late.
    return str(os.getppid()) == parent and getattr(multiprocessing.current_process(), "_inheriting", False)


@contextmanager
def only_writer(where: str | Path) -> Iterator[None]:
    """Hold the lock of a place on this machine; the system lets go of it when the process dies, however it dies.

    Args:
        where: a file or folder, or what else a place is known by (a URL).

    Raises:
        TargetError: another process holds it, the message says which; or there is no place for the lock.
    """
    from filelock import FileLock, Timeout

    key = where.resolve() if isinstance(where, Path) else where
    with write_errors(default_cache()):
        holder = _lock_folder() / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}.holder"
    lock = FileLock(holder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        process = holder.read_text() if holder.is_file() else "that is unknown"
        if _is_starting(process.partition(" ")[0]):
            raise SystemExit(1) from None  # without a word: the parent finds its workers gone, and says so
        raise TargetError(
            f"expected to be the only writer, found process {process} at work",
            where=str(where),
            hint="Wait until it is done, or stop it; then run the same command again.",
        ) from None
    except OSError as error:
        with write_errors(holder):
            raise error from None
    try:
        with write_errors(holder):
            holder.write_text(f"{os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


@contextmanager
def only_writer_in(folder: Path) -> Iterator[None]:
    """As `only_writer` of a folder, also beside users and programs with another cache, where the file system knows
    locks of folders. The folder is made for it, and removed again if nothing is in it.

    Raises:
        TargetError: as `only_writer`.
    """
    with only_writer(str(folder.resolve())):
        missing = [path for path in (folder, *folder.absolute().parents) if not path.exists()]
        try:
            with suppress(OSError):  # what cannot be made, or is a file, is told by whoever writes there
                folder.mkdir(parents=True, exist_ok=True)
            with _held(folder):
                yield
        finally:
            for path in missing:
                with suppress(OSError):
                    path.rmdir()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    number = None
    with suppress(ImportError, OSError):  # no such system, or no such folder
        import fcntl

        number = os.open(folder, os.O_RDONLY)
    try:
        if number is not None:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(number)  # type: ignore[arg-type]
        raise TargetError(
            "expected to be the only writer, found another process at work",
            where=str(folder),
            hint="Wait until it is done, or stop it; then run the same command again.",
        ) from None
    except OSError:
        pass  # a file system without locks of folders
    try:
        yield
    finally:
        if number is not None:
            os.close(number)


def _lock_folder() -> Path:
    """A folder of this user alone, beside the work that the locks are for: machines that share the one share the other.

    Where the cache cannot be written, the system's temporary folder has to do, in a folder of this user: anybody could
    hold a lock whose name can be guessed.

    Raises:
        TargetError: somebody else has made that folder.
    """
    cached = default_cache() / ".locks"
    try:
        cached.mkdir(parents=True, exist_ok=True)
    except OSError:
        pass
    else:
        if os.access(cached, os.W_OK):
            return cached
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir(), f"asam_datasets-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and (folder.is_symlink() or folder.stat().st_uid != user):
        raise TargetError(
            "expected a folder of this user for locks, found somebody else's",
            where=str(folder),
            hint="Remove it, or set TMPDIR to a folder of your own.",
        )
    return folder


def refuse_links(top: Path, path: Path) -> None:
    """Refuse a folder of ours that is a link, or lies behind one: what it points to is not ours to write or empty.

    Args:
        top: the folder that somebody gave, which may be a link.
        path: below it; what is not there yet is no link.

    Raises:
        TargetError: a folder between the two, or `path` itself, is a link.
    """
    place = top
    for part in path.relative_to(top).parts:
        place = place / part
        if place.is_symlink():
            raise TargetError(
                "expected a folder of its own, found a link",
                where=str(place),
                hint="Remove the link; what it points to has not been touched.",
            )


_UNFINISHED = re.compile(r"(?P<name>.+)\.[0-9]+\.tmp")
_OPEN_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


def read_file(path: Path, *, limit_bytes: int) -> bytes:
    """The bytes of a regular file; a pipe or a device, which may have no end, is not waited for.

    Raises:
        OSError: it cannot be read, is something else, or is larger than `limit_bytes`; `strerror` says what.
    """
    _require_file(os.stat(path), path)  # to open some devices is to do something to them
    # Without `O_NONBLOCK` a pipe that came just now would be waited for.
    with os.fdopen(os.open(path, os.O_RDONLY | _OPEN_FLAGS), "rb") as file:
        state = os.fstat(file.fileno())
        _require_file(state, path)
        if state.st_size > limit_bytes:
            raise OSError(errno.EFBIG, f"over {limit_bytes} bytes", str(path))
        content = file.read(state.st_size + 1)  # room is made for all that is asked for
        if len(content) > state.st_size:
            raise OSError(errno.EBUSY, "a file that grows while it is read", str(path))
        return content


def _require_file(state: os.stat_result, path: Path) -> None:
    kind = next((name for test, name in _KINDS if test(state.st_mode)), "")
    if kind:
        raise OSError(errno.EINVAL, kind, str(path))


def leads_out(top: Path, path: Path) -> bool:
    """Whether a path below a folder is, by a link on the way, a place outside of it.

    Args:
        top: the folder that somebody gave, which may be a link itself.
        path: below it.
    """
    real_top = os.path.realpath(top)
    return not f"{os.path.realpath(path)}{os.sep}".startswith(f"{real_top.rstrip(os.sep)}{os.sep}")


def unfinished_writes(folder: Path) -> dict[Path, str]:
    """What killed runs of `write_atomically` left in a folder, with the names of the files that it was to be."""
    found = {path: _UNFINISHED.fullmatch(path.name) for path in sorted(folder.glob("*.tmp"))}
    return {path: match["name"] for path, match in found.items() if match is not None}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file: at any moment the old content or the new one is there."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_rejects(path: Path, rejects: Iterable[NamedTuple]) -> Path | None:
    """Write what was rejected as JSON Lines; without rejects, remove the list of an earlier run.

    Args:
        path: of the list.
        rejects: named values, all of them text.

    Returns:
        `path`, or None where there is nothing to list.
    """
    # Names in a tar need not be UTF-8; what is not becomes an escape.
    lines = [
        {name: value.encode("utf-8", "backslashreplace").decode() for name, value in reject._asdict().items()}
        for reject in rejects
    ]
    if not lines:
        path.unlink(missing_ok=True)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, msgspec.json.Encoder().encode_lines(lines))
    return path


def file_sha256(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            content.update(block)
    return content.hexdigest()


def default_cache() -> Path:
    """Where publishing to the Hub keeps its work: `ASAM_DATASETS_CACHE`, or `asam_datasets` in the user's cache."""
    named = os.environ.get("ASAM_DATASETS_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asam_datasets"
