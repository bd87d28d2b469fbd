"""Binary images as masks: what the layouts with one for an image and with one for an object share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import msgspec
from rlemasklib import RLEMask

from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES, Deep, read_grey
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Folder, Object
from asam_datasets.sources.evaluation.layouts._base import Threshold
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout

if TYPE_CHECKING:
    from typing_extensions import Self

_PNG_OF_16_BITS = (b"\x89PNG\r\n\x1a\n", 24, 16)


class GreyLayout(PairedLayout, frozen=True, kw_only=True):
    """Grey images, PNG, JPEG or TIFF; of several channels the first counts. From `threshold` on is mask.

    Args:
        deep: what becomes of images of 16 bits: an error by default, since their masks depend on who reads them.
        palette: whether of an image with a palette the colors count (`color`), or the indices (`index`).
    """

    threshold: Threshold = 128
    deep: Deep = "reject"
    palette: Literal["color", "index"] = "color"

    asam_deep: ClassVar[Deep]
    """How the loader of ASAM's for such sets reads images of 16 bits."""
    later: ClassVar[frozenset[str]] = PairedLayout.later | {"deep", "palette"}

    def form(self) -> bytes:
        """Without `deep`, which says nothing of images that are read anyway; `evidence` says it of the others."""
        return super(GreyLayout, msgspec.structs.replace(self, deep="reject")).form()

    def as_asam(self) -> Self:
        """Images of 16 bits are read."""
        return msgspec.structs.replace(self, deep=self.asam_deep)

    def evidence(self, folder: Folder, ref: EvaluationRef) -> Iterator[Evidence]:
        """The mask files, in the order of their names, and how those of 16 bits are read."""
        for name in ref.masks:
            data = folder.read(name, limit_bytes=MAX_IMAGE_BYTES)
            start, place, depth = _PNG_OF_16_BITS
            is_deep = data.startswith(start) and data[place : place + 1] == bytes([depth])
            content = data + self.deep.encode() if is_deep and self.deep != "reject" else data
            yield Evidence(content, partial(self.objects, folder.holding(name, data), name))

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The one mask of a file."""
        values = read_grey(folder, name, shape, self.deep, indices=self.palette == "index")
        yield Object(RLEMask.from_array(values, threshold=self.threshold))
