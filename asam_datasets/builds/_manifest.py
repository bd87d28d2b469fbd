"""What a build is, on disk: `data/train/<archive>-<digest>/part-000.parquet ...` and `build.json` beside them.

The digest is that of the parts, so a folder of that name always holds the same bytes. `inputs` of a part is a digest
of what went into it (members and captions): a later run compares it and need not render what is there already.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from asam_datasets.errors import TargetError
from asam_datasets.sources import RawRecord

FORMAT = 1
"""Raised when the same input shall give other parts than before; part of every digest."""

BUILD_FILE = "build.json"
_FOLDER = re.compile(r"(?P<archive>.+)-(?P<digest>[0-9a-f]{16})")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One Parquet file of a build."""

    file: str
    rows: int
    size_bytes: int
    sha256: str
    inputs: str
    annotations: int
    captions: int


class Build(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `build.json`. `rejected` counts the records that `--on-bad-record skip` left out."""

    format: int
    archive: str
    digest: str
    rejected: int
    parts: list[Part]

    @property
    def folder(self) -> str:
        """Name of the build's folder."""
        return f"{self.archive}-{self.digest}"

    @property
    def rows(self) -> int:
        """Number of records."""
        return sum(part.rows for part in self.parts)

    @property
    def annotations(self) -> int:
        """Number of masks."""
        return sum(part.annotations for part in self.parts)

    @property
    def captions(self) -> int:
        """Number of records with a caption."""
        return sum(part.captions for part in self.parts)

    @property
    def size_bytes(self) -> int:
        """Bytes of all parts."""
        return sum(part.size_bytes for part in self.parts)


def make_build(archive: str, parts: Sequence[Part], *, rejected: int) -> Build:
    """Describe a finished build; its digest is that of its parts."""
    content = hashlib.sha256(f"asam_datasets {FORMAT}\n".encode())
    for part in parts:
        content.update(f"{part.file} {part.sha256}\n".encode())
    return Build(FORMAT, archive, content.hexdigest()[:16], rejected, list(parts))


def encode_build(build: Build) -> bytes:
    """The text of `build.json`: the same build gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(build), indent=1) + b"\n"


def decode_build(content: bytes, where: str) -> Build:
    """Read `build.json`.

    Raises:
        TargetError: it is not one.
    """
    try:
        return msgspec.json.decode(content, type=Build)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TargetError(
            f"expected a {BUILD_FILE} of asam_datasets, found: {error}",
            where=where,
            hint="The dataset was changed by hand or made by another version; publish it to a new place.",
        ) from None


def split_folder(name: str) -> tuple[str, str] | None:
    """Split `sa_000000-0123456789abcdef` into archive and digest; None for other names."""
    match = _FOLDER.fullmatch(name)
    return (match["archive"], match["digest"]) if match else None


def record_inputs(raw: RawRecord, caption: str | None) -> bytes:
    """Digest of what makes one row: file name, JPEG, JSON, caption."""
    content = hashlib.sha256()
    texts = [raw.picture.rsplit("/", 1)[-1].encode(), raw.jpeg, raw.json]
    if caption is not None:
        texts.append(caption.encode("utf-8", "surrogatepass"))
    for text in texts:
        content.update(len(text).to_bytes(8, "little"))
        content.update(text)
    return content.digest()


def part_inputs(records: Iterable[bytes]) -> str:
    """Digest of what makes one part: those of its records, in order."""
    content = hashlib.sha256(f"asam_datasets {FORMAT}\n".encode())
    for record in records:
        content.update(record)
    return content.hexdigest()


def file_sha256(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    content = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            content.update(block)
    return content.hexdigest()
