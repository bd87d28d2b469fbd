"""A caption file that grows batch by batch, and its header.

    sa_000000-blip2-caption.json           complete, in the order of the archive; there only when complete
    sa_000000-blip2-caption.partial        JSON Lines so far, in the order of work; appended to and flushed
    sa_000000-blip2-caption.header.json    with what it is made; written first

A kill leaves whole lines, and at most one torn one, which the next run cuts off. Nothing else is ever taken away from
the partial file; it is deleted when the complete one is there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from asam_datasets.captions._options import Settings
from asam_datasets.errors import CaptionsError, TargetError, option
from asam_datasets.machine import write_atomically
from asam_datasets.sources import caption_id, encode_captions, read_captions

_FORMAT = 1


class Header(msgspec.Struct, frozen=True):
    """With what a caption file is made. `shard` is (number, of how many); `device` and `software` are for people."""

    format: int
    archive: str
    shard: tuple[int, int]
    settings: Settings
    device: str
    software: dict[str, str]


@dataclass
class CaptionFile:
    """The three files, and the captions so far by file name of the image."""

    path: Path
    captions: dict[str, str] = field(default_factory=dict)

    @property
    def partial(self) -> Path:
        """Where lines go while work goes on."""
        return self.path.with_name(f"{self.path.stem}.partial")

    @property
    def header_path(self) -> Path:
        """Where the header is."""
        return self.path.with_name(f"{self.path.stem}.header.json")

    def open(self, header: Header) -> None:
        """Begin, or go on where a run with the same settings stopped.

        Raises:
            CaptionsError: the files are of a run with other settings, or of somebody else, or damaged.
            TargetError: the place is a folder.
        """
        if self.path.is_dir():
            raise TargetError(
                "expected a file, found a folder", where=str(self.path), hint=f"Give a file as {option('out')}."
            )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known = read_header(self.header_path)
        if known is not None:
            _require_same(known, header, self.header_path)
        elif self.path.exists() or self.partial.exists():
            raise CaptionsError(
                f"expected {self.header_path.name} beside it, found none",
                where=str(self.path if self.path.exists() else self.partial),
                hint=f"`asam-datasets caption` did not make it: give another {option('out')}, or move it away.",
            )
        else:
            write_atomically(self.header_path, msgspec.json.format(msgspec.json.encode(header), indent=1) + b"\n")
        _cut_torn_line(self.partial)
        self.captions = read_captions([path for path in (self.path, self.partial) if path.is_file()])

    def append(self, captions: Sequence[tuple[str, str]]) -> None:
        """Add captions of some images: on disk when this returns.

        Raises:
            OSError: the disk is full; a torn line is cut off, here or by the next run.
        """
        content = encode_captions(captions)
        try:
            with open(self.partial, "ab", buffering=0) as file:
                rest = memoryview(content)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
        except OSError as error:
            _cut_torn_line(self.partial)
            raise OSError(error.errno, error.strerror, str(self.partial)) from error
        self.captions.update(captions)

    def finish(self) -> None:
        """Everything is captioned: write the complete file, in the order of the archive."""
        if self.partial.exists() or not self.path.exists():
            write_atomically(self.path, encode_captions(in_order(self.captions)))
            self.partial.unlink(missing_ok=True)


def in_order(captions: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """(file name, caption) by image id: the order of an archive."""
    return sorted(captions.items(), key=lambda item: caption_id(item[0]))


def make_header(
    *, archive: str, shard: tuple[int, int], settings: Settings, device: str, software: dict[str, str]
) -> Header:
    """The header of a caption file."""
    return Header(format=_FORMAT, archive=archive, shard=shard, settings=settings, device=device, software=software)


def read_header(path: Path) -> Header | None:
    """The header at `path`; None when there is none.

    Raises:
        CaptionsError: it is not one.
    """
    try:
        fields = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        # So was it called once: what was begun then is continued.
        return msgspec.convert({"shard" if name == "part" else name: fields[name] for name in fields}, Header)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CaptionsError(
            f"expected the header of a caption file, found: {error}",
            where=str(path),
            hint=f"Give another {option('out')}, or move this file and its captions away.",
        ) from None
    except OSError as error:
        raise CaptionsError(f"expected a readable header, found: {error.strerror}", where=str(path)) from error


def differences(known: Header, mine: Header) -> list[str]:
    """What differs between two headers, in words; device and software may."""
    before, now = _flat(known), _flat(mine)
    return [
        f"{name} {before.get(name)!r} there, {now.get(name)!r} here" for name in now if before.get(name) != now[name]
    ]


def _flat(header: Header) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(header)
    settings = fields.pop("settings")
    generation = settings.pop("generation")
    del fields["device"], fields["software"]
    return {**fields, **settings, **generation}


def _require_same(known: Header, mine: Header, path: Path) -> None:
    other = differences(known, mine)
    if other:
        raise CaptionsError(
            f"expected the settings that the captions so far were made with, found {'; '.join(other)}",
            where=str(path),
            hint=f"Go on with the same settings, or give another {option('out')} for the new ones.",
        )


def _cut_torn_line(path: Path) -> None:
    """End a file after its last whole line."""
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)
