"""FiftyOne: a folder of its type `FiftyOneDataset`, `fo.Dataset.from_dir(DIR, dataset_type=fo.types.FiftyOneDataset)`.

    data/...   metadata.json   samples.json

Each object is a `Detection` with an instance mask, exact: the pixels of its box, as `numpy.save` writes them, deflated,
in base64. `metadata.json` has no `version`, which says that the samples are plain JSON with masks as text, and that the
types of fields follow from the samples; FiftyOne up to 1.22 reads both kinds.
"""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np

from asam_datasets.formats._files import Lines, waiting, write_lists
from asam_datasets.formats._form import Space, Tally, Whole
from asam_datasets.formats._reading import Item, Object
from asam_datasets.formats._result import FolderWritten

_SAMPLES = ".samples"
_EMPTY = "masks without a pixel"
_NUDGE = 2**-10
"""Pixels by which boxes are moved: FiftyOne multiplies and cuts off the fraction, and 361.99999 would become 361."""

_FIELD = "ground_truth"


@dataclass(frozen=True)
class FiftyOneForm:
    """See this module."""

    FOLDERS: ClassVar[Sequence[str]] = ("data",)
    SHARED: ClassVar[Sequence[str]] = ()

    def writer(self, space: Space) -> FiftyOneWriter:
        """What writes one part."""
        return FiftyOneWriter(space)

    def finish(self, whole: Whole) -> None:
        """The two JSON files."""
        write_lists(whole.folder / "samples.json", {}, {"samples": waiting(whole.waiting, whole.prefixes, _SAMPLES)})
        names = [str(one["name"]) for one in whole.categories]
        about = {
            "name": whole.name,
            "media_type": "image",
            "info": {"description": whole.title, "classes": {_FIELD: names}},
        }
        (whole.folder / "metadata.json").write_bytes(msgspec.json.encode(about))

    def shared(self, folders: Sequence[FolderWritten], classes: Sequence[str]) -> Mapping[str, bytes]:
        """None."""
        return {}

    def notes(self, folders: Sequence[FolderWritten]) -> list[str]:
        """Nothing: the form holds all that has a pixel."""
        return []


class FiftyOneWriter:
    """Writes one part."""

    def __init__(self, space: Space) -> None:
        self.tally = Tally()
        self._space = space
        self._lines = Lines(space.waiting / f"{space.prefix}{_SAMPLES}")

    def add(self, item: Item) -> None:
        """Write the image, and a line for `samples.json`."""
        Path(self._space.folder, "data", item.name).write_bytes(item.content)
        kept = [one for one in item.objects if one.area]
        self.tally.masks += len(kept)
        if len(kept) < len(item.objects):
            self.tally.left_out[_EMPTY] += len(item.objects) - len(kept)
        found = {"_cls": "Detections", "detections": [self._detection(item, one) for one in kept]}
        sides = {"width": item.width, "height": item.height}
        self._lines.add(
            {
                "filepath": f"data/{item.name}",
                "tags": [],
                "metadata": {"_cls": "ImageMetadata", "size_bytes": len(item.content), **sides},
                "source_file_name": item.source_name,
                "source_id": str(item.source_id),
                "caption": item.caption,
                _FIELD: found,
            }
        )  # fmt: skip

    def close(self) -> None:
        """All lines are there."""
        self._lines.close()

    def _detection(self, item: Item, one: Object) -> dict[str, Any]:
        x, y, width, height = one.box_xywh
        own = {"source_id": one.id} if one.id is not None else {}
        return {
            "_cls": "Detection",
            "attributes": {},
            "tags": [],
            "label": self._space.classes[one.kind][1],
            "bounding_box": [
                *((x + _NUDGE) / item.width, (y + _NUDGE) / item.height),
                *(width / item.width, height / item.height),
            ],
            "mask": _mask(one),
            "iscrowd": bool(one.iscrowd),
            "area": one.area,
            **own,
            **one.numbers,
        }


def _mask(one: Object) -> str:
    """The pixels of the box: bool (height, width), as FiftyOne serializes arrays."""
    x, y, width, height = (int(side) for side in one.box_xywh)
    file = io.BytesIO()
    np.save(file, one.mask.crop((x, y, width, height)).to_array(order="C") != 0, allow_pickle=False)
    return base64.b64encode(zlib.compress(file.getvalue(), 1)).decode("ascii")
