"""The folder that the tasks of a run share: which archives, the note of each that is done, captions, logs.

Every file is written by one task, whole or not at all, and says the same when it is written again. The folder may lie
wherever `fsspec` reaches; only the lock below is for folders of a file system, and nothing but requests depends on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from asam_datasets.builds import Build, Built, in_run, new_run
from asam_datasets.errors import TargetError
from asam_datasets.machine import write_atomically
from asam_datasets.scale._datatrove import data_folder
from asam_datasets.sources import Reject

RELEASED = "released.json"
"""What the last task did; there once it is done."""

_RUN = "run.json"
_JOBS = "jobs.json"


class _Described(msgspec.Struct, frozen=True):
    """What a run is about: said once, by whoever prepares it."""

    name: str
    repo_id: str
    archives: list[str]


class Note(msgspec.Struct, frozen=True):
    """What a task says of its archive when all parts are sent: the build, where it shall lie, and the image ids."""

    build: Build
    ids: list[int]
    all_ids: list[int]
    rejects: list[Reject]

    @property
    def built(self) -> Built:
        """As the release takes it."""
        return Built(self.build, None, _int64(self.all_ids), _int64(self.ids))


class RunFolder:
    """The shared folder of one run, which was prepared."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._folder: Any = data_folder(path)
        try:
            described = msgspec.json.decode(self.read(_RUN), type=_Described)
        except (OSError, msgspec.MsgspecError):
            raise TargetError(
                "expected the folder of a run, found none", where=path, hint="`asam-datasets scale` prepares it."
            ) from None
        self.name = described.name
        self.repo_id = described.repo_id
        self.archives: Sequence[str] = described.archives

    def has(self, path: str) -> bool:
        """Whether a file is there."""
        return bool(self._folder.isfile(path))

    def read(self, path: str) -> bytes:
        """The content of a file."""
        with self._folder.open(path, "rb") as file:
            content: bytes = file.read()
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        _write(self._folder, path, content)

    def remove(self, path: str) -> None:
        """Remove a file; it may be gone."""
        if self.has(path):
            self._folder.rm(path)

    def note(self, archive: str) -> Note | None:
        """What was said of an archive; None while it is not done."""
        path = _note(archive)
        return msgspec.json.decode(self.read(path), type=Note) if self.has(path) else None

    def write_note(self, archive: str, note: Note) -> None:
        """Say that all parts of an archive are sent."""
        placed = msgspec.structs.replace(note, build=in_run(note.build, self.name))
        self.write(_note(archive), msgspec.json.encode(placed))

    def forget(self, archive: str) -> None:
        """Have an archive done again: the Hub has lost what was sent of it."""
        self.remove(_note(archive))
        self.remove(f"logs/archives/completions/{self.archives.index(archive):05d}")
        self.remove("logs/release/completions/00000")

    def captions(self, archive: str) -> str:
        """The path of an archive's captions, where a model makes them."""
        return f"captions/{archive}-blip2-caption.json"

    def waiting(self) -> list[str]:
        """The archives that are done and that no commit has named yet."""
        named = set(self._names("named", ""))
        return [name for name in self._names("notes", ".json") if name not in named]

    def mark_named(self, archives: Sequence[str]) -> None:
        """Remember that a commit has named some archives."""
        for name in archives:
            self.write(f"named/{name}", b"")

    @contextmanager
    def naming(self) -> Iterator[bool]:
        """Whether this process is the one that makes commits now; nobody is, where nobody can tell."""
        from filelock import FileLock, Timeout

        if not self._folder.is_local():
            yield False
            return
        lock = FileLock(Path(self._folder.resolve_paths("naming.lock")))
        try:
            lock.acquire(timeout=0)
        except (OSError, Timeout):
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def jobs(self) -> list[str]:
        """The jobs of Slurm that were submitted last."""
        return msgspec.json.decode(self.read(_JOBS), type=list[str]) if self.has(_JOBS) else []

    def write_jobs(self, jobs: Sequence[str]) -> None:
        """Remember which jobs were submitted."""
        self.write(_JOBS, msgspec.json.encode(jobs))

    def look_again(self) -> None:
        """Forget what other machines may have changed meanwhile."""
        self._folder.fs.invalidate_cache()

    def running(self) -> dict[str, bytes]:
        """What tasks say that are at work, or were killed."""
        found = {str(path): path for path in self._folder.list_files("running")}
        return {path: self.read(path) for path in found if self.has(path)}

    def _names(self, folder: str, ending: str) -> list[str]:
        found = (str(path).rpartition("/")[2] for path in self._folder.list_files(folder))
        return sorted(name.removesuffix(ending) for name in found if name.endswith(ending))


def open_run(path: str, repo_id: str, archives: Sequence[str]) -> RunFolder:
    """The folder of a run for these archives; made if there is none.

    Raises:
        TargetError: it is the folder of other archives, or of another repository.
    """
    folder: Any = data_folder(path)
    if not folder.isfile(_RUN):
        described = _Described(new_run(secrets.token_hex(6)), repo_id, list(archives))
        _write(folder, _RUN, msgspec.json.encode(described))
    run = RunFolder(path)
    if (run.repo_id, list(run.archives)) != (repo_id, list(archives)):
        raise TargetError(
            f"expected the run of {len(archives):,} archives for {repo_id}, found one of {len(run.archives):,} for "
            f"{run.repo_id}",
            where=path,
            hint="Give another folder for the run, or the plan that it was begun with.",
        )
    return run


def _note(archive: str) -> str:
    return f"notes/{archive}.json"


def _write(folder: Any, path: str, content: bytes) -> None:
    if folder.is_local():
        place = Path(folder.resolve_paths(path))
        place.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(place, content)
        return
    with folder.open(path, "wb") as file:
        file.write(content)


def _int64(numbers: Sequence[int]) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)
