"""An archive as a folder: `sa_N.jpg` and `sa_N.json` anywhere below it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b._records import (
    Index,
    Member,
    RawRecord,
    RecordRef,
    check_member_size,
    member_id,
    pair_members,
)


class FolderSource:
    """Reads records from a folder, in any order."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.label = str(path)

    def index(self, bad: BadRecords) -> Index:
        """Find the records. Raises what `pair_members` raises."""
        return pair_members(self.label, self._members(bad), bad)

    def read(self, ref: RecordRef) -> RawRecord:
        """Read one record's two files.

        Raises:
            SourceError: a file is gone or cannot be read.
        """
        return RawRecord.of(self.name, self.label, ref, self._read)

    def close(self) -> None:
        """Nothing is held open."""

    def _members(self, bad: BadRecords) -> Iterator[Member]:
        for folder, folders, files in os.walk(self.path):
            # Of an organised folder: the masks of an image lie in a folder of its name, hundreds of files each.
            there = set(files)
            folders[:] = [name for name in folders if f"{name}.jpg" not in there]
            for file in files:
                path = Path(folder, file)
                if path.suffix in (".jpg", ".json") and self._is_file(path, bad):
                    yield Member(path.relative_to(self.path).as_posix(), path.stat().st_size)

    def _is_file(self, path: Path, bad: BadRecords) -> bool:
        """Whether it can be read as a file; a dangling link or a pipe named like a member is rejected."""
        if path.is_file():
            return True
        name = path.relative_to(self.path).as_posix()
        if member_id(name, archive=self.label) is not None:
            kind = "a link to nothing" if path.is_symlink() else "something else"
            error = RecordError(f"expected a regular file, found {kind}", where=f"{self.label}: {name}")
            bad.reject(error, archive=self.label, member=name)
        return False

    def _read(self, member: Member) -> bytes:
        path = self.path / member.name
        try:
            check_member_size(member.name, path.stat().st_size, archive=self.label)
            return path.read_bytes()
        except OSError as error:
            raise SourceError(f"expected a readable file, found: {error.strerror}", where=str(path)) from error
