"""The bytes of one repository: regular files, LFS objects, Xet files, all readable as files on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from .git import git_blob_oid, lfs_pointer
from .model import FileEntry, HubError
from .xet_store import XetStore


def _sha256(file: BinaryIO) -> str:
    content = hashlib.sha256()
    while block := file.read(2**20):
        content.update(block)
    return content.hexdigest()


def lfs_entry(sha256: str, size: int) -> FileEntry:
    """The entry of an LFS or Xet file."""
    pointer = lfs_pointer(sha256, size)
    return FileEntry(size=size, oid=sha256, lfs=True, git_oid=git_blob_oid(pointer), pointer_size=len(pointer))


class ObjectStore:
    """Content by its own hash; nothing is stored twice and nothing large is held in memory."""

    def __init__(self, root: Path) -> None:
        self._blobs = root / "blobs"
        self._lfs = root / "lfs"
        self._rebuilt = root / "rebuilt"
        for folder in (self._blobs, self._lfs, self._rebuilt):
            folder.mkdir(parents=True)
        self._rebuilding = threading.Lock()
        self.xet = XetStore(root / "xet")

    def add_regular(self, content: bytes) -> FileEntry:
        """Keep a regular file."""
        oid = git_blob_oid(content)
        target = self._blobs / oid
        if not target.exists():
            target.write_bytes(content)
        return FileEntry(size=len(content), oid=oid, lfs=False, git_oid=oid)

    async def receive_lfs(self, sha256: str, size: int, body: AsyncIterator[bytes]) -> None:
        """Keep an LFS object as it streams in, if it is what it was announced to be."""
        digest, received = hashlib.sha256(), 0
        partial = self._lfs / f".{sha256}.{id(body)}"
        try:
            with partial.open("wb") as file:
                async for piece in body:
                    digest.update(piece)
                    received += len(piece)
                    file.write(piece)
            if (digest.hexdigest(), received) != (sha256, size):
                raise HubError(
                    400,
                    f"LFS object {sha256} of {size} bytes was announced, "
                    f"{digest.hexdigest()} of {received} bytes arrived",
                )
            partial.rename(self._lfs / sha256)
        finally:
            partial.unlink(missing_ok=True)

    def link_lfs(self, path: Path) -> str:
        """Keep a file that is here already as an LFS object; its sha256."""
        with open(path, "rb") as file:
            sha256 = _sha256(file)
        stored = self._lfs / sha256
        if not stored.exists():
            try:
                os.link(path, stored)
            except OSError:  # on another disk
                shutil.copyfile(path, stored)
        return sha256

    def lfs_size(self, sha256: str) -> int | None:
        """The size of an uploaded LFS or Xet file, None when it was never uploaded."""
        stored = self._lfs / sha256
        if stored.exists():
            return stored.stat().st_size
        return self.xet.size(sha256)

    def path(self, entry: FileEntry) -> Path:
        """Where the content lies on disk; a Xet file is rebuilt once, at its first reading."""
        if not entry.lfs:
            return self._blobs / entry.oid
        stored = self._lfs / entry.oid
        if stored.exists():
            return stored
        rebuilt = self._rebuilt / entry.oid
        with self._rebuilding:
            if not rebuilt.exists():
                self.xet.rebuild(entry.oid, rebuilt)
        return rebuilt

    def stored_bytes(self) -> int:
        """Bytes of large files that clients have uploaded, by either way."""
        lfs = sum(item.stat().st_size for item in self._lfs.iterdir() if not item.name.startswith("."))
        return lfs + self.xet.stored_bytes()
