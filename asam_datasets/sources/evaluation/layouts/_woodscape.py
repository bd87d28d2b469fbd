"""WoodScape's polygon JSON, one per image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES, check_shape
from asam_datasets.sources.evaluation._polygons import from_rings, points
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, Object
from asam_datasets.sources.evaluation.layouts._json import JSONStruct, decode
from asam_datasets.sources.evaluation.layouts._pairs import evidence_of_files, index_pairs
from asam_datasets.sources.evaluation.layouts._structs import WoodScape


class _Annotation(JSONStruct, frozen=True, gc=False):
    tags: list[str]
    segmentation: list[tuple[float, float]]


class _Image(JSONStruct, frozen=True, gc=False):
    image_width: int
    image_height: int
    annotation: list[_Annotation]


_DECODER = msgspec.json.Decoder(dict[str, _Image])


class WoodScapeAdapter:
    """Each annotation is a mask; the one key of the file is the file's own name."""

    def index(self, layout: WoodScape, folder: Folder, bad: BadRecords) -> Iterable[EvaluationRef]:
        """Join images and JSON files."""
        return index_pairs(layout, folder, bad)

    def objects(
        self, layout: WoodScape, folder: Folder, ref: EvaluationRef, shape: tuple[int, int]
    ) -> Iterator[Object]:
        """The masks in the order of the file, cut off at the image's edges."""
        where = folder.place(ref.masks[0])
        data = folder.read(ref.masks[0], limit_bytes=MAX_IMAGE_BYTES)
        try:
            images = decode(_DECODER, data, where, "JSON of WoodScape")
        except SourceError as error:
            raise RecordError(error.problem, where=error.where) from None
        if len(images) != 1:
            raise RecordError(f"expected one key, the file's own name, found {len(images)}", where=where)
        (image,) = images.values()
        check_shape((image.image_height, image.image_width), shape, where)
        for position, annotation in enumerate(image.annotation):
            if not set(layout.ignored_tags).isdisjoint(annotation.tags):
                continue
            prefix = layout.crowd_prefix
            is_group = bool(prefix) and any(tag.startswith(prefix) for tag in annotation.tags)
            if is_group and layout.crowds == "drop":
                continue
            mask = from_rings([points(annotation.segmentation)], shape, f"{where}: annotation[{position}]")
            if mask is not None:
                category = annotation.tags[0] if annotation.tags else None
                yield Object(mask, position + 1, category=category, iscrowd=is_group)

    def evidence(self, layout: WoodScape, folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
        """The JSON."""
        return evidence_of_files(folder, ref)
