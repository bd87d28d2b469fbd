"""The rows of a published dataset as images with objects: the one layer that all forms are written from.

A repository may hold anything, so what is read is checked: images are images of their row's size, runs are masks of it.
Area and box of an object come from its mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from rlemasklib import RLEMask

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError
from asam_datasets.images import orientation
from asam_datasets.masks import Segmentation, to_segmentation
from asam_datasets.organized import (
    ANY_OBJECT,
    ObjectKind,
    flat_names,
    list_categories,
    number_categories,
    number_images,
)
from asam_datasets.published import (
    GET_AGAIN,
    Dataset,
    GroupReader,
    PartFile,
    Row,
    checked_image,
    checked_masks,
    read_file_names,
    read_rows,
)
from asam_datasets.tables import Kind, arrow_schema

_COLUMNS = ("image", "annotations", "image_id")
_NUMBERS = ("predicted_iou", "stability_score", "crop_box", "point_coords")


class Object(NamedTuple):
    """One mask. `box_xywh` is COCO's, exclusive, in pixels; `numbers` are SA-1B's, those that it has."""

    mask: RLEMask
    id: int | None
    area: int
    box_xywh: list[float]
    kind: ObjectKind
    iscrowd: int
    numbers: Mapping[str, Any]

    @property
    def segmentation(self) -> Segmentation:
        """Its runs."""
        return to_segmentation(self.mask)


class Item(NamedTuple):
    """One image: `name` is a safe name of a file that no other image of its folder has, `number` its id in COCO's
    sense."""

    name: str
    number: int
    source_name: str
    source_id: int | str
    content: bytes
    width: int
    height: int
    caption: str | None
    objects: Sequence[Object]
    turned: bool

    @property
    def ending(self) -> str:
        """What its bytes are: `jpg`, `png`, or what its name says."""
        if self.content.startswith(b"\xff\xd8"):
            return "jpg"
        return "png" if self.content.startswith(b"\x89PNG") else self.name.rpartition(".")[2].lower()


@dataclass(frozen=True)
class Plan:
    """One archive or set, or a split of one, that will be written under a name: names and numbers of its images, part
    by part, and its categories."""

    build: Build
    name: str
    title: str
    parts: list[PartFile]
    names: list[list[str]]
    numbers: list[list[int]]
    categories: Mapping[ObjectKind, int]

    def category_list(self) -> list[dict[str, Any]]:
        """Categories as COCO has them."""
        return list_categories(dict(self.categories))

    def category_name(self, kind: ObjectKind) -> str:
        """The name of a category; the same word for all that have none."""
        number, name = kind
        return name or (ANY_OBJECT if number is None else f"category {number}")


def plan_build(dataset: Dataset, build: Build, name: str, log: Callable[[str], None]) -> Plan:
    """Find out which images and categories there are: reads the small columns.

    Args:
        dataset: the dataset.
        build: one of it, or one of its splits alone.
        name: of the folder.
        log: gets a line when something is tried again.

    Raises:
        SourceError: a part is damaged, or an image is there twice.
        HubError: the Hub refused, or was not reached.
    """
    parts, reader = dataset.parts(build), GroupReader(dataset.published.location, log)
    for part in parts:
        if not reader.schema(part).equals(arrow_schema(build.columns)):
            raise SourceError("expected the columns of its table, found others", where=part.label, hint=GET_AGAIN)
    paths = [read_file_names(reader, part) for part in parts]
    ids = [_column(reader, part, "image_id") for part in parts]
    if any(
        len(one) != part.rows or len(other) != part.rows for one, other, part in zip(paths, ids, parts, strict=True)
    ):
        raise SourceError("expected as many rows as its manifest says, found others", where=build.path, hint=GET_AGAIN)
    names = iter(flat_names([path for found in paths for path in found]))
    numbers = iter(number_images([str(one) for found in ids for one in found]))
    kinds = {(None, None)} if build.kind == "train" else _kinds(reader, parts)
    title = build.evaluation.title if build.evaluation is not None else build.name
    return Plan(
        build,
        name,
        title,
        parts,
        [[next(names) for _ in found] for found in paths],
        [[next(numbers) for _ in found] for found in paths],
        number_categories(kinds),
    )


def read_items(part: PartFile, kind: Kind, names: Sequence[str], numbers: Sequence[int]) -> Iterator[Item]:
    """The images of one part, in order. One row group is held at a time.

    Args:
        part: as a plan has it.
        kind: of its table.
        names, numbers: of its images.

    Raises:
        SourceError, HubError: the part cannot be read.
        RecordError: a row is not what the table says.
    """
    reader = GroupReader(part.location)
    columns = (*_COLUMNS, "caption") if kind == "train" else _COLUMNS
    named = zip(names, numbers, strict=True)
    for group in range(len(part.row_groups)):
        for row in read_rows(reader, part, group, columns):
            name, number = next(named)
            content = checked_image(row)
            yield Item(
                name,
                number,
                row.file_name,
                row.image_id if row.image_id is not None else number,
                content,
                row.width,
                row.height,
                row.caption,
                [*_objects(row)],
                orientation(content) != 1,
            )


def _objects(row: Row) -> Iterator[Object]:
    for one, mask in zip(row.annotations, checked_masks(row), strict=True):
        numbers = {name: getattr(one, name) for name in _NUMBERS if getattr(one, name) is not None}
        box = [float(side) for side in mask.bbox()]
        kind = (one.category_id, one.category)
        yield Object(mask, one.id, int(mask.area()), box, kind, int(one.iscrowd or 0), numbers)


def _column(reader: GroupReader, part: PartFile, name: str) -> list[Any]:
    found: list[Any] = []
    for group in range(len(part.row_groups)):
        found += _values(reader.read(part, group, [name]).column(name), part)
    return found


def _kinds(reader: GroupReader, parts: Sequence[PartFile]) -> set[ObjectKind]:
    """Every (category id, category) of a set."""
    found: set[ObjectKind] = set()
    fields = ("category_id", "category")
    for part in parts:
        for group in range(len(part.row_groups)):
            table = reader.read(part, group, [f"annotations.list.element.{name}" for name in fields])
            flat = pc.list_flatten(table.column("annotations").combine_chunks())
            columns = [_values(pc.struct_field(flat, name), part) for name in fields]
            found |= set(zip(*columns, strict=True))
    return found


def _values(column: Any, part: PartFile) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, LookupError, OverflowError, pa.ArrowException) as error:
        raise SourceError(
            f"expected values of the table's types, found: {error}", where=part.label, hint=GET_AGAIN
        ) from None
    return values
