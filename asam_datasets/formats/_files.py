"""Small things that forms share: images to a folder, and JSON lines that become the lists of one JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

_ENCODER = msgspec.json.Encoder()


class Lines:
    """Objects of one part that wait for those of the others, a line each; what a killed run left is written anew."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = open(path, "wb")  # noqa: SIM115 (closed by `close`)

    def add(self, value: object) -> None:
        """One more object."""
        self._file.write(_ENCODER.encode(value) + b"\n")

    def close(self) -> None:
        """All are there."""
        self._file.close()


def write_lists(path: Path, head: dict[str, Any], lists: dict[str, Iterable[Path]]) -> None:
    """A JSON object of small values and of long lists, which are the lines of files; nothing is held in memory."""
    with open(path, "wb") as file:
        file.write(
            b"{" + b",\n".join(_ENCODER.encode(name) + b":" + _ENCODER.encode(value) for name, value in head.items())
        )
        for number, (name, paths) in enumerate(lists.items()):
            file.write((b",\n" if number or head else b"") + _ENCODER.encode(name) + b":[")
            for count, line in enumerate(_lines(paths)):
                file.write((b",\n" if count else b"\n") + line)
            file.write(b"]")
        file.write(b"}\n")


def waiting(folder: Path, prefixes: Sequence[str], ending: str) -> list[Path]:
    """The files of all parts that wait under one ending, in order."""
    return [folder / f"{prefix}{ending}" for prefix in prefixes]


def _lines(paths: Iterable[Path]) -> Iterator[bytes]:
    for path in paths:
        with open(path, "rb") as file:
            for line in file:
                yield line[:-1]
