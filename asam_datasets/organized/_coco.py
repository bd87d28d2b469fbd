"""The COCO instances file of an exported set, as `pycocotools.coco.COCO` reads it.

Same table, same bytes. The source's own ids are kept where COCO can take them (whole numbers, each once) and are
replaced by the place in the table, from 1, where it cannot. `coco_url` is the name of the file: ASAM's `LVISDataset`
takes what is behind its last slash, `COCODataset` takes `file_name`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from asam_datasets.sources.evaluation import EvaluationAnnotation

_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
ANY_OBJECT = "object"
ObjectKind = tuple[int | None, str | None]


class Imaged(msgspec.Struct, frozen=True):
    """One checked image of a set, without its bytes."""

    source_name: str
    source_id: str
    width: int
    height: int
    annotations: list[EvaluationAnnotation]


def encode_coco(title: str, names: Sequence[str], images: Sequence[Imaged]) -> bytes:
    """Write the instances file.

    Args:
        title: of the set.
        names: the file of each image below the folder of the images.
        images: in the order of the table.
    """
    image_ids = number_images([image.source_id for image in images])
    annotations = [(number, one) for number, p in zip(image_ids, images, strict=True) for one in p.annotations]
    own = [one.id for _, one in annotations]
    # COCO's evaluation takes the id 0 for "no match".
    ids = own if len(set(own)) == len(own) and min(own, default=1) > 0 else range(1, len(own) + 1)
    categories = number_categories((one.category_id, one.category) for _, one in annotations)
    content = {
        "info": {"description": title},
        "images": [
            {
                "id": number,
                "file_name": name,
                "coco_url": name,
                "width": image.width,
                "height": image.height,
                "source_file_name": image.source_name,
                "source_id": image.source_id,
            }
            for number, name, image in zip(image_ids, names, images, strict=True)
        ],
        "annotations": [
            {
                "id": own_id,
                "image_id": number,
                "category_id": categories[one.category_id, one.category],
                "iscrowd": one.iscrowd,
                "area": one.area,
                "bbox": one.bbox,
                "segmentation": one.segmentation,
            }
            for own_id, (number, one) in zip(ids, annotations, strict=True)
        ],
        "categories": list_categories(categories),
    }
    return msgspec.json.encode(content) + b"\n"


def number_images(found: Sequence[str]) -> list[int]:
    numbers = [int(text) for text in found if _NUMBER.fullmatch(text)]
    return numbers if len(set(numbers)) == len(found) else list(range(1, len(found) + 1))


def number_categories(kinds: Iterable[ObjectKind]) -> dict[ObjectKind, int]:
    """The id of each kind of object: its own; a new one where it has none or another name has it already."""
    ordered = sorted(set(kinds), key=lambda kind: (kind[0] is None, kind[0] or 0, kind[1] is None, kind[1] or ""))
    categories: dict[ObjectKind, int] = {}
    taken: set[int] = set()
    free = max((number for number, _ in ordered if number is not None), default=0) + 1
    for kind in ordered:
        number = kind[0]
        if number is None or number in taken:
            number, free = max(free, 1), max(free, 1) + 1
        taken.add(number)
        categories[kind] = number
    return categories


def list_categories(categories: dict[ObjectKind, int]) -> list[dict[str, Any]]:
    named = [
        {"id": number, "name": name or (ANY_OBJECT if own is None else f"category {own}")}
        for (own, name), number in categories.items()
    ]
    return sorted(named, key=lambda one: one["id"]) or [{"id": 1, "name": ANY_OBJECT}]
