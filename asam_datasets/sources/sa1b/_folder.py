"""An archive as a folder: `sa_N.jpg` and `sa_N.json` anywhere below it.

Links are followed as long as they stay in the folder: what is elsewhere was not given, and must not be published.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.machine import leads_out, read_file
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b._records import (
    MAX_MEMBER_BYTES,
    Index,
    Member,
    RawRecord,
    RecordRef,
    check_member_size,
    member_id,
    pair_members,
)

LINK_HINT = "Give what the link points to, or put a copy in its place."


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
            SourceError: a file is gone, cannot be read, or changed.
        """
        return RawRecord.of(self.name, self.label, ref, self._read)

    def close(self) -> None:
        """Nothing is held open."""

    def _members(self, bad: BadRecords) -> Iterator[Member]:
        for folder, folders, files in os.walk(self.path, onerror=self._unreadable):
            # Of an organised folder: the masks of an image lie in a folder of its name, hundreds of files each.
            there = set(files)
            folders[:] = [name for name in folders if f"{name}.jpg" not in there]
            for each in folders:
                path = Path(folder, each)
                if path.is_symlink() and leads_out(self.path, path):
                    self._reject("expected folders of the archive, found a link out of it", path, bad)
            for file in files:
                path = Path(folder, file)
                if path.suffix in (".jpg", ".json") and self._is_file(path, bad):
                    yield Member(path.relative_to(self.path).as_posix(), path.stat().st_size)

    def _unreadable(self, error: OSError) -> None:
        """What `os.walk` passes over in silence."""
        raise SourceError(f"expected a readable folder, found: {error.strerror}", where=str(error.filename)) from error

    def _is_file(self, path: Path, bad: BadRecords) -> bool:
        """Whether it can be read as a file; a link out of the folder, a dangling one or a pipe named like a member is
        rejected."""
        is_link = path.is_symlink()
        outside = is_link and leads_out(self.path, path)
        if path.is_file() and not outside:
            return True
        if member_id(path.relative_to(self.path).as_posix(), archive=self.label) is not None:
            kind = "a link out of the folder" if outside else "a link to nothing" if is_link else "something else"
            self._reject(f"expected a regular file, found {kind}", path, bad)
        return False

    def _reject(self, problem: str, path: Path, bad: BadRecords) -> None:
        name = path.relative_to(self.path).as_posix()
        hint = f"{LINK_HINT} {SKIP} goes on without it." if "out of" in problem else ""
        error = RecordError(problem, where=f"{self.label}: {name}", hint=hint)
        bad.reject(error, archive=self.label, member=name)

    def _read(self, member: Member) -> bytes:
        path = self.path / member.name
        try:
            if leads_out(self.path, path):
                raise SourceError(
                    "expected a regular file, found a link out of the folder", where=str(path), hint=LINK_HINT
                )
            check_member_size(member.name, path.stat().st_size, archive=self.label)
            content = read_file(path, limit_bytes=MAX_MEMBER_BYTES)
        except OSError as error:
            raise SourceError(f"expected a readable file, found: {error.strerror}", where=str(path)) from error
        if len(content) != member.size_bytes:
            raise SourceError(
                f"expected {member.size_bytes} bytes as before, found {len(content)}",
                where=str(path),
                hint="The file changed while the archive was read: run it again when nothing writes there any more.",
            )
        return content
