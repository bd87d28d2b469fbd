"""COCO: `images/` and `annotations.json`, as `pycocotools.coco.COCO` reads it; captions in a file of their own.

Masks are exact: each `segmentation` is the RLE of the dataset. Boxes are COCO's, exclusive, and so one more in width
and height than SA-1B's. Ids of annotations count from 1; the dataset's own are in `source_id`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from asam_datasets.formats._files import Lines, waiting, write_lists
from asam_datasets.formats._form import Space, Tally, Whole
from asam_datasets.formats._reading import Item, Object
from asam_datasets.formats._result import FolderWritten

_IMAGES, _ANNOTATIONS, _CAPTIONS = ".images", ".annotations", ".captions"


@dataclass(frozen=True)
class CocoForm:
    """See this module."""

    FOLDERS: ClassVar[Sequence[str]] = ("images",)
    SHARED: ClassVar[Sequence[str]] = ()

    def writer(self, space: Space) -> CocoWriter:
        """What writes one part."""
        return CocoWriter(space)

    def finish(self, whole: Whole) -> None:
        """The JSON files."""
        files = {
            ending: waiting(whole.waiting, whole.prefixes, ending) for ending in (_IMAGES, _ANNOTATIONS, _CAPTIONS)
        }
        info = {"description": whole.title}
        head = {"info": info, "categories": whole.categories}
        write_lists(
            whole.folder / "annotations.json", head, {"images": files[_IMAGES], "annotations": files[_ANNOTATIONS]}
        )
        path = whole.folder / "captions.json"
        if whole.captions:
            write_lists(path, {"info": info}, {"images": files[_IMAGES], "annotations": files[_CAPTIONS]})

    def shared(self, folders: Sequence[FolderWritten], classes: Sequence[str]) -> Mapping[str, bytes]:
        """None."""
        return {}

    def notes(self, folders: Sequence[FolderWritten]) -> list[str]:
        """Nothing: the form holds all."""
        return []


class CocoWriter:
    """Writes one part."""

    def __init__(self, space: Space) -> None:
        self.tally = Tally()
        self._space = space
        self._next = space.first_annotation + 1
        self._files = {
            ending: Lines(space.waiting / f"{space.prefix}{ending}") for ending in (_IMAGES, _ANNOTATIONS, _CAPTIONS)
        }

    def add(self, item: Item) -> None:
        """Write the image, and lines for the JSON."""
        Path(self._space.folder, "images", item.name).write_bytes(item.content)
        self._files[_IMAGES].add(
            {
                "id": item.number,
                "file_name": item.name,
                "width": item.width,
                "height": item.height,
                "source_file_name": item.source_name,
                "source_id": item.source_id,
            }
        )
        if item.caption is not None:
            self._files[_CAPTIONS].add({"id": item.number, "image_id": item.number, "caption": item.caption})
        for one in item.objects:
            self._files[_ANNOTATIONS].add(self._annotation(item, one))
            self._next += 1
        self.tally.masks += len(item.objects)

    def close(self) -> None:
        """All lines are there."""
        for file in self._files.values():
            file.close()

    def _annotation(self, item: Item, one: Object) -> dict[str, Any]:
        own = {"source_id": one.id} if one.id is not None else {}
        return {
            "id": self._next,
            "image_id": item.number,
            "category_id": self._space.categories[one.kind],
            "iscrowd": one.iscrowd,
            "area": one.area,
            "bbox": one.box_xywh,
            "segmentation": one.segmentation,
            **own,
            **one.numbers,
        }
