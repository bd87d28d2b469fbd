"""What git calls files and folders."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def git_blob_oid(content: bytes) -> str:
    """What git calls these bytes; the client compares regular files by it."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git itself keeps for an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def git_tree_oids(blobs: Mapping[str, str]) -> dict[str, str]:
    """What git calls each folder of a tree, by its path; the root is the empty one.

    Args:
        blobs: the oids of its files by path.
    """
    folders: dict[str, dict[bytes, bytes]] = {"": {}}
    for path in blobs:
        while path := path.rpartition("/")[0]:
            folders.setdefault(path, {})
    for path, oid in blobs.items():
        folder, _, name = path.rpartition("/")
        folders[folder][name.encode()] = b"100644 %s\0" % name.encode() + bytes.fromhex(oid)
    oids: dict[str, str] = {}
    for folder in sorted(folders, key=lambda path: path.count("/") + bool(path), reverse=True):
        content = b"".join(line for _, line in sorted(folders[folder].items()))
        oids[folder] = hashlib.sha1(b"tree %d\0" % len(content) + content).hexdigest()
        if folder:
            parent, _, name = folder.rpartition("/")
            folders[parent][name.encode() + b"/"] = b"40000 %s\0" % name.encode() + bytes.fromhex(oids[folder])
    return oids
