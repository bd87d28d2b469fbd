"""Rows of published tables, typed and checked: what everybody but training reads.

A repository may hold anything. Of a row that `read_rows` gives it is known that

1. its values have the types of the tables, and its text is UTF-8;
2. its height and width are 1 or more, and at most `MAX_PIXELS` together;
3. its caption has at most `_MOST_LETTERS` letters, and its names fit into a path: both are held for many rows at once.

`checked_masks` adds that every segmentation is a mask of that size. `empty_places` and `wrong_numbers` find what else
the tables promise, for those who rely on it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec
import pyarrow as pa
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError, SegmentationError, SourceError
from asam_datasets.images import image_shape
from asam_datasets.masks import MAX_PIXELS, Runs, from_segmentation
from asam_datasets.published._part import GET_AGAIN, GroupReader, PartFile
from asam_datasets.tables import Kind

_MOST_LETTERS = 2**20
_MOST_OF_A_NAME = 2**12
_SHOWN = 200  # letters of a name in messages
_ALWAYS = ("file_name", "width", "height")
_NAMES = ("caption", "file_name", "image_id", "archive", "dataset")
_FETCHED = {"image": ("image.bytes",), "conditioning_image": ("conditioning_image.bytes",), "masks": ()}
_FIELD = "annotations.list.element"

_NEVER_NULL: Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "train": (("conditioning_image", "image_id", "archive"), ()),
    "evaluation": (("image_id", "dataset"), ("id", "bbox", "area", "iscrowd")),
    "adversarial": (("worst_iou", "image_id", "archive"), ("bbox", "area")),
}
"""Columns, and fields of annotations, that always have a value; those that no row can be without are not among them."""


class EncodedImage(msgspec.Struct, frozen=True, rename={"content": "bytes"}):
    """What `datasets.Image` stores; a field of the name of its type would hide the type."""

    content: bytes | None = None


class Annotation(msgspec.Struct, frozen=True):
    """One annotation of any of the tables; what a table does not have, its source left out, or nobody read is None.

    `bbox` is [x, y, width, height] in pixels: inclusive in the `train` table, exclusive in the others. `area` is in
    pixels.
    """

    segmentation: Runs
    id: int | None = None
    bbox: tuple[float, float, float, float] | None = None
    area: int | None = None
    predicted_iou: float | None = None
    stability_score: float | None = None
    crop_box: tuple[float, float, float, float] | None = None
    point_coords: list[tuple[float, float]] | None = None
    category_id: int | None = None
    category: str | None = None
    iscrowd: int | None = None


class Row(msgspec.Struct, frozen=True):
    """One row of any of the tables; what a table does not have, or nobody read, is None or empty.

    `where` is its place for messages; `width` and `height` are in pixels.
    """

    where: str
    file_name: str
    width: int
    height: int
    image: EncodedImage | None = None
    caption: str | None = None
    conditioning_image: EncodedImage | None = None
    masks: list[EncodedImage] = []
    annotations: list[Annotation] = []
    image_id: int | str | None = None
    archive: str | None = None
    dataset: str | None = None
    worst_iou: float | None = None
    text_input: str | None = None
    is_instance_exhaustive: bool | None = None
    is_pixel_exhaustive: bool | None = None
    annotator: str | None = None
    subset: str | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width


def arrow_columns(names: Iterable[str]) -> list[str]:
    """What is to be read for some columns of a table, in the words of Parquet.

    Args:
        names: columns, or fields of annotations (`annotations.area`). Of `masks` nothing is read, because the
            annotations say the same; file name, width and height always are.
    """
    found: dict[str, None] = {}
    for name in (*names, *_ALWAYS):
        column, _, field = name.partition(".")
        found |= dict.fromkeys([f"{_FIELD}.{field}"] if field else _FETCHED.get(column, (column,)))
    return list(found)


def row_columns(names: Iterable[str]) -> list[str]:
    """The columns that `typed_row` needs for some columns of a table, as they are called there."""
    return list(dict.fromkeys((*names, *_ALWAYS)))


def read_rows(
    reader: GroupReader,
    part: PartFile,
    group: int,
    columns: Iterable[str],
    start: int = 0,
    stop: int | None = None,
    *,
    first: int | None = None,
) -> Iterator[Row]:
    """Rows of a row group. One row group (at most 32 MiB) is held at a time.

    Args:
        reader: this thread's.
        part: where the row group is.
        group: its number in the part.
        columns: as for `arrow_columns`.
        start, stop: the rows, as in a slice.
        first: the number that messages give to the first of them; they give none by default.

    Raises:
        SourceError: the part is damaged, gone, or not what its manifest says.
        RecordError: a row is not what its table says; `where` has its place.
        HubError: the Hub refused, or was not reached.
    """
    for row in scan_rows(reader, part, group, arrow_columns(columns), start, stop, first=first):
        if isinstance(row, RecordError):
            raise row
        yield row


def scan_rows(
    reader: GroupReader,
    part: PartFile,
    group: int,
    columns: Iterable[str],
    start: int = 0,
    stop: int | None = None,
    *,
    first: int | None = None,
) -> Iterator[Row | RecordError]:
    """As `read_rows`, for those who go on past a bad row: its error is given in its place.

    Args:
        columns: in the words of Parquet.

    Raises:
        SourceError: the part is damaged, gone, or not what its manifest says.
        HubError: the Hub refused, or was not reached.
    """
    table = reader.read(part, group, list(columns))
    for count, index in enumerate(range(len(table))[start:stop]):
        try:
            values = row_values(table, index, part, group)
            yield typed_row(values, part.label if first is None else f"{part.label}: row {first + count}")
        except RecordError as error:
            yield error


def row_values(table: pa.Table, index: int, part: PartFile, group: int, row: int | None = None) -> dict[str, Any]:
    """One row of a row group as it is, by column.

    Args:
        row: its number in the row group, where `table` has not all of its rows.

    Raises:
        RecordError: its text is not UTF-8, or Python has no such values.
    """
    try:
        values: dict[str, Any] = table.slice(index, 1).to_pylist()[0]
    except (ValueError, LookupError, OverflowError, pa.ArrowException) as error:
        what = "text in UTF-8" if isinstance(error, UnicodeDecodeError) else "values of the table's types"
        where = f"{part.label}: row {sum(part.row_groups[:group]) + (index if row is None else row)}"
        raise RecordError(f"expected {what}, found: {error}", where=where, hint=GET_AGAIN) from None
    return values


def read_file_names(reader: GroupReader, part: PartFile) -> list[str]:
    """The file names of all rows of a part.

    Raises:
        SourceError: the part is damaged, or a row has none.
        HubError: the Hub refused, or was not reached.
    """
    names: list[Any] = []
    for group in range(len(part.row_groups)):
        column = reader.read(part, group, ["file_name"]).column("file_name")
        try:
            names += column.to_pylist()
        except UnicodeDecodeError:
            names.append(None)
    if not all(isinstance(name, str) and len(name) <= _MOST_OF_A_NAME for name in names):
        raise SourceError("expected a file name in each row, found another value", where=part.label, hint=GET_AGAIN)
    return names


def checked_image(row: Row) -> bytes:
    """The image of a row.

    Raises:
        RecordError: there is none, or one of another size.
    """
    where = f"{row.where}: image"
    if row.image is None or row.image.content is None:
        raise RecordError("expected an image, found none", where=where, hint=GET_AGAIN)
    try:
        found = image_shape(row.image.content, where)
    except RecordError as error:
        raise RecordError(error.problem, where=error.where, hint=GET_AGAIN) from None
    if found != row.shape:
        raise RecordError(
            f"expected {row.height} × {row.width} (height × width), found {found[0]} × {found[1]}",
            where=where,
            hint=GET_AGAIN,
        )
    return row.image.content


def checked_masks(row: Row) -> list[RLEMask]:
    """The masks of a row, in the order of its annotations.

    Raises:
        RecordError: a segmentation is no mask of the row's size; `where` ends with its place, such as
            `annotations[3].segmentation.counts`.
    """
    try:
        return [checked_mask(row, number) for number in range(len(row.annotations))]
    except RecordError as error:
        raise error.inside(row.where) from None


def checked_mask(row: Row, number: int) -> RLEMask:
    """The mask of one annotation.

    Raises:
        RecordError: it is none of the row's size; `where` is its place in the row.
    """
    try:
        return from_segmentation(row.annotations[number].segmentation, shape=row.shape)
    except SegmentationError as error:
        place = f"annotations[{number}].segmentation.{error.where}"
        raise RecordError(error.problem, where=place, hint=GET_AGAIN) from None


def empty_places(row: Row, kind: Kind, columns: Collection[str]) -> Iterator[str]:
    """The places in a row that have no value, though they always have one in such a table: `annotations[3].area`.

    Args:
        row: as it was read.
        kind: of the table.
        columns: those that were read.
    """
    names, fields = _NEVER_NULL[kind]
    yield from (name for name in names if name in columns and getattr(row, name) is None)
    if "annotations" in columns and fields:
        for number, one in enumerate(row.annotations):
            yield from (f"annotations[{number}].{field}" for field in fields if getattr(one, field) is None)


def wrong_numbers(annotation: Annotation, mask: RLEMask, *, inclusive: bool) -> Iterator[tuple[str, str]]:
    """Field and problem of the numbers of an annotation that are not its mask's. What is None stays unchecked.

    Args:
        annotation: with `area` and `bbox` in pixels.
        mask: its mask, checked.
        inclusive: whether width and height of the box are one less than COCO's, as in SA-1B.
    """
    area = int(mask.area())
    if annotation.area is not None and annotation.area != area:
        yield "area", f"expected {area} pixels, found {annotation.area}"
    if annotation.bbox is not None and area:
        x, y, width, height = (float(number) for number in mask.bbox())
        box = [x, y, width - inclusive, height - inclusive]
        kind = "inclusive: one less than COCO's" if inclusive else "exclusive, as COCO's"
        if list(annotation.bbox) != box:
            yield "bbox", f"expected {box} ({kind}), found {list(annotation.bbox)}"


def typed_row(values: dict[str, Any], label: str) -> Row:
    """A row as it is known after its check.

    Args:
        values: of the row, by column.
        label: where it is, for messages.

    Raises:
        RecordError: it is not what its table says.
    """
    where = f"{label}: {str(values.get('file_name'))[:_SHOWN]}"
    try:
        row = msgspec.convert({**values, "where": where}, Row)
    except msgspec.ValidationError as error:
        problem = f"expected a row of a published dataset, found: {error}"
        raise RecordError(problem, where=where, hint=GET_AGAIN) from None
    for name in _NAMES:
        text = getattr(row, name)
        most = _MOST_LETTERS if name == "caption" else _MOST_OF_A_NAME
        if isinstance(text, str) and len(text) > most:
            problem = f"expected a {name} of at most {most} letters, found {len(text)}"
            raise RecordError(problem, where=where, hint=GET_AGAIN)
    if min(row.shape) < 1 or row.height * row.width > MAX_PIXELS:
        raise RecordError(
            f"expected 1 to {MAX_PIXELS} pixels, found {row.height} × {row.width} (height × width)",
            where=where,
            hint=GET_AGAIN,
        )
    return row
