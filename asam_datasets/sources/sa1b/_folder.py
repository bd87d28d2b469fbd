"""An archive as a folder: `sa_N.jpg` and `sa_N.json` anywhere below it, or data of one's own (`_own.py`).

Links are followed as long as they stay in the folder: what is elsewhere was not given, and must not be published.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.machine import leads_out, read_file
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b._own import index_own, read_own
from asam_datasets.sources.sa1b._records import (
    MATERIAL,
    MAX_MEMBER_BYTES,
    Index,
    Member,
    RawRecord,
    RecordRef,
    check_member_size,
    is_material,
    member_id,
    pair_members,
)

_MASKS = re.compile(r"sa_[0-9]+")
LINK_HINT = "Give what the link points to, or put a copy in its place."


class FolderSource:
    """Reads records from a folder, in any order.

    Args:
        path: the folder.
        name: of the archive.
        coco: the COCO JSON of its images, below `path`; whatever is there is looked at if none is named.
    """

    def __init__(self, path: Path, name: str, coco: str = "") -> None:
        self.path = path
        self.name = name
        self.label = str(path)
        self.is_own = False
        self._named = coco

    def index(self, bad: BadRecords) -> Index:
        """Find the records. Raises what `pair_members` and `index_own` raise."""
        if self._named:
            found = index_own(self, [one for one in self._members(bad) if is_material(one.name)], bad, coco=self._named)
        else:
            found = pair_members(self.label, self._members(bad), bad, lambda some: index_own(self, some, bad))
        self.is_own = found.records[0].own is not None
        return found

    def read(self, ref: RecordRef) -> RawRecord:
        """Read one record's two files.

        Raises:
            SourceError: a file is gone, cannot be read, or changed.
        """
        if ref.own is not None:
            return read_own(self, ref, ref.own)
        return RawRecord.of(self.name, self.label, ref, self._read)

    def close(self) -> None:
        """Nothing is held open."""

    def _members(self, bad: BadRecords) -> Iterator[Member]:
        for folder, folders, files in os.walk(self.path, onerror=self._unreadable):
            # Of an organised folder: the masks of an image lie in a folder of its name, hundreds of files each.
            there = set(files)
            folders[:] = [name for name in folders if not (_MASKS.fullmatch(name) and f"{name}.jpg" in there)]
            for each in folders:
                path = Path(folder, each)
                if path.is_symlink() and leads_out(self.path, path):
                    self._reject("expected folders of the archive, found a link out of it", path, bad)
            for file in files:
                path = Path(folder, file)
                if path.suffix.lower() in MATERIAL and self._is_file(path, bad):
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

    def content(self, member: Member, *, limit_bytes: int = MAX_MEMBER_BYTES) -> bytes:
        """The bytes of a member.

        Raises:
            SourceError: it is gone, cannot be read, too large, or changed.
        """
        path = self.path / member.name
        try:
            if leads_out(self.path, path):
                raise SourceError(
                    "expected a regular file, found a link out of the folder", where=str(path), hint=LINK_HINT
                )
            content = read_file(path, limit_bytes=limit_bytes)
        except OSError as error:
            raise SourceError(f"expected a readable file, found: {error.strerror}", where=str(path)) from error
        if len(content) != member.size_bytes:
            raise SourceError(
                f"expected {member.size_bytes} bytes as before, found {len(content)}",
                where=str(path),
                hint="The file changed while the archive was read: run it again when nothing writes there any more.",
            )
        return content

    def state(self, member: Member) -> tuple[object, ...]:
        """What changes when the content of a member does."""
        try:
            found = (self.path / member.name).stat()
        except OSError as error:
            where = str(self.path / member.name)
            raise SourceError(f"expected a readable file, found: {error.strerror}", where=where) from error
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _read(self, member: Member) -> bytes:
        path = self.path / member.name
        try:
            check_member_size(member.name, path.stat().st_size, archive=self.label)
        except OSError as error:
            raise SourceError(f"expected a readable file, found: {error.strerror}", where=str(path)) from error
        return self.content(member)
