"""Digests of what rows and parts are made from: a later run compares them and need not render what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from asam_datasets.builds._manifest import FORMAT

UNREADABLE = b"unreadable"
"""In place of the digest of what cannot be read."""


def digest_of(contents: Iterable[bytes], *, prefix: bytes = b"") -> bytes:
    """sha256 over some contents, each with its length in front, so that bytes cannot move from one to the next."""
    digest = hashlib.sha256(prefix)
    for content in contents:
        digest.update(len(content).to_bytes(8, "little"))
        digest.update(content)
    return digest.digest()


def inputs_of(records: Iterable[bytes]) -> str:
    """Digest of what makes one part, or a whole build: those of its records, in order."""
    digest = hashlib.sha256(f"asam_datasets {FORMAT}\n".encode())
    for record in records:
        digest.update(record)
    return digest.hexdigest()
