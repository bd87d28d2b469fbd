"""WebDataset: tars that stock `webdataset` and `datasets` read, an image and what is said of it beside each other.

    sa_000000-000000.tar:  sa_1.jpg  sa_1.json  sa_1.txt ...

`json` has the sizes and all annotations with exact runs; `txt` is the caption, where there is one. A tar is closed
before it would become larger than `MAX_SHARD_BYTES`. The same dataset gives the same bytes.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from asam_datasets.formats._form import Space, Tally, Whole
from asam_datasets.formats._reading import Item
from asam_datasets.formats._result import FolderWritten
from asam_datasets.machine import write_atomically

MAX_SHARD_BYTES = 2**29
"""Largest tar, but for an image that is larger by itself."""

_BLOCK = 512


class _Shards(msgspec.Struct, frozen=True):
    """How many tars a part became."""

    count: int


@dataclass(frozen=True)
class WebDatasetForm:
    """See this module."""

    FOLDERS: ClassVar[Sequence[str]] = ()
    SHARED: ClassVar[Sequence[str]] = ()

    def writer(self, space: Space) -> WebDatasetWriter:
        """What writes one part."""
        return WebDatasetWriter(space, MAX_SHARD_BYTES)

    def finish(self, whole: Whole) -> None:
        """Number the tars through, in the order of the parts."""
        number = 0
        for prefix in whole.prefixes:
            listed = whole.waiting / f"{prefix}.shards.json"
            for count in range(msgspec.json.decode(listed.read_bytes(), type=_Shards).count):
                found, place = (
                    whole.waiting / f"{prefix}-{count:05}.tar",
                    whole.folder / f"{whole.name}-{number:06}.tar",
                )
                if found.exists():  # else a run that was killed has moved it
                    os.replace(found, place)
                number += 1

    def shared(self, folders: Sequence[FolderWritten], classes: Sequence[str]) -> Mapping[str, bytes]:
        """None."""
        return {}

    def notes(self, folders: Sequence[FolderWritten]) -> list[str]:
        """Nothing: the form holds all."""
        return []


class WebDatasetWriter:
    """Writes one part as one or several tars."""

    def __init__(self, space: Space, most_bytes: int) -> None:
        self.tally = Tally()
        self._space = space
        self._most = most_bytes
        self._tar: tarfile.TarFile | None = None
        self._filled = self._count = 0

    def add(self, item: Item) -> None:
        """One sample: its members lie beside each other."""
        key = item.name.partition(".")[0]  # readers take the rest for the kind of file; no two images share this
        members = {item.ending: item.content, "json": self._json(item)}
        if item.caption is not None:
            members["txt"] = item.caption.encode("utf-8", "surrogatepass")
        size = sum(_BLOCK + len(content) + -len(content) % _BLOCK for content in members.values())
        if self._tar is None or (self._filled and self._filled + size > self._most):
            self._next()
        self._filled += size
        for ending, content in members.items():
            info = tarfile.TarInfo(f"{key}.{ending}")
            info.size = len(content)
            if self._tar is not None:
                self._tar.addfile(info, io.BytesIO(content))
        self.tally.masks += len(item.objects)

    def close(self) -> None:
        """Close the last tar."""
        if self._tar is not None:
            self._tar.close()
            self._tar = None
        shards = msgspec.json.encode(_Shards(self._count))
        write_atomically(Path(self._space.waiting, f"{self._space.prefix}.shards.json"), shards)

    def _next(self) -> None:
        if self._tar is not None:
            self._tar.close()
        path = self._space.waiting / f"{self._space.prefix}-{self._count:05}.tar"
        self._tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 (closed by `close`)
        self._filled, self._count = 0, self._count + 1

    def _json(self, item: Item) -> bytes:
        annotations = [
            {
                "id": one.id,
                "segmentation": one.segmentation,
                "bbox": one.box_xywh,
                "area": one.area,
                "category_id": one.kind[0],
                "category": one.kind[1],
                "iscrowd": one.iscrowd,
                **one.numbers,
            }
            for one in item.objects
        ]
        about = {
            "image_id": item.source_id,
            "file_name": item.source_name,
            "width": item.width,
            "height": item.height,
            "set": self._space.name,
            "caption": item.caption,
        }
        return msgspec.json.encode({**about, "annotations": annotations})
