"""The tables, stated once: Arrow schema, features JSON and the configs of the card derive from here.

The features JSON, kept in each file's metadata, is spelled the old way (`{"feature": ..., "_type": "Sequence"}` for a
list, `[{...}]` for a list of structs): with the newer `List` type `datasets` before 4 cannot read the file at all, and
every later version reads the old spelling. Only feature types that `datasets` has built in are used.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa


@dataclass(frozen=True)
class Scalar:
    """One value; `kind` is a dtype of `datasets.Value`."""

    kind: str

    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64(), "float64": pa.float64()}[self.kind]

    def features(self) -> Any:
        """The entry of the features JSON."""
        return {"dtype": self.kind, "_type": "Value"}


@dataclass(frozen=True)
class Image:
    """An encoded image: its bytes, and its file name where it has one."""

    def arrow(self) -> pa.DataType:
        """The Arrow type: what `datasets.Image` stores."""
        return pa.struct({"bytes": pa.binary(), "path": pa.string()})

    def features(self) -> Any:
        """The entry of the features JSON."""
        return {"_type": "Image"}


@dataclass(frozen=True)
class Many:
    """A list; `length` where every list has the same."""

    item: Scalar | Image | Many
    length: int = -1

    def arrow(self) -> pa.DataType:
        """The Arrow type: fixed-size where `length` is given."""
        return pa.list_(self.item.arrow(), self.length) if self.length >= 0 else pa.list_(self.item.arrow())

    def features(self) -> Any:
        """The entry of the features JSON, old spelling."""
        length = {"length": self.length} if self.length >= 0 else {}
        return {"feature": self.item.features(), **length, "_type": "Sequence"}


@dataclass(frozen=True)
class Structs:
    """A list of structs."""

    fields: Mapping[str, Scalar | Many | Struct]

    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return pa.list_(Struct(self.fields).arrow())

    def features(self) -> Any:
        """The entry of the features JSON, old spelling."""
        return [Struct(self.fields).features()]


@dataclass(frozen=True)
class Struct:
    """Named values."""

    fields: Mapping[str, Scalar | Many | Struct]

    def arrow(self) -> pa.DataType:
        """The Arrow type."""
        return pa.struct({name: field.arrow() for name, field in self.fields.items()})

    def features(self) -> Any:
        """The entry of the features JSON."""
        return {name: field.features() for name, field in self.fields.items()}


@dataclass(frozen=True)
class Column:
    """One column of a table; `meaning` goes into the card, with units and conventions."""

    type: Scalar | Image | Many | Structs
    label: str
    meaning: str


STRING, INT32, INT64, FLOAT64 = Scalar("string"), Scalar("int32"), Scalar("int64"), Scalar("float64")

ANNOTATION: Mapping[str, Scalar | Many | Struct] = {
    "id": INT64,
    "segmentation": Struct({"size": Many(INT32, 2), "counts": STRING}),
    "bbox": Many(FLOAT64),
    "area": INT64,
    "predicted_iou": FLOAT64,
    "stability_score": FLOAT64,
    "crop_box": Many(FLOAT64),
    "point_coords": Many(Many(FLOAT64, 2)),
}
"""One annotation as SA-1B writes it; any field but `segmentation` may be null where the source left it out.

Boxes are lists without a stated length: a null among fixed-size lists is what `datasets` 2.19 fails on.
"""

# Order matters: ControlNet scripts take the first three by position.
TRAIN: Mapping[str, Column] = {
    "image": Column(Image(), "Image", "the original JPEG, byte for byte"),
    "caption": Column(STRING, "string or null", "one sentence, by BLIP-2 T5 where ASAM made it"),
    "conditioning_image": Column(
        Image(),
        "Image",
        "PNG, RGB: every mask in a color of its own, larger masks under smaller ones, black background",
    ),
    "masks": Column(
        Many(Image()),
        "list of Image",
        "1-bit PNG per annotation, in their order, at the image's full size",
    ),
    "annotations": Column(
        Structs(ANNOTATION),
        "list of struct",
        "the fields of SA-1B's JSON, unchanged: `id`; `segmentation` as COCO RLE, column-major, "
        "`size` = [height, width]; `bbox` = [x_min, y_min, x_max − x_min, y_max − y_min] in pixels, **inclusive**: "
        "width and height are one less than COCO's; `area` in pixels; `predicted_iou` and `stability_score` in "
        "0 … 1; `crop_box` = [x, y, width, height] in pixels; `point_coords` = [[x, y]] in pixels",
    ),
    "image_id": Column(INT64, "int64", "SA-1B's id of the image"),
    "file_name": Column(STRING, "string", "`sa_<image_id>.jpg`"),
    "width": Column(INT32, "int32", "pixels"),
    "height": Column(INT32, "int32", "pixels"),
    "archive": Column(STRING, "string", "the SA-1B archive it came from, such as `sa_000000`"),
}

EVALUATION_ANNOTATION: Mapping[str, Scalar | Many | Struct] = {
    "id": INT64,
    "bbox": Many(FLOAT64),
    "area": INT64,
    "segmentation": Struct({"size": Many(INT32, 2), "counts": STRING}),
    "category_id": INT64,
    "category": STRING,
    "iscrowd": INT32,
}
"""One mask of an evaluation set; `category_id` and `category` are null where the set has none."""

EVALUATION: Mapping[str, Column] = {
    "image": Column(Image(), "Image", "the original file, byte for byte (Hypersim: its preview)"),
    "masks": Column(
        Many(Image()),
        "list of Image",
        "1-bit PNG per annotation, in their order, at the image's full size",
    ),
    "annotations": Column(
        Structs(EVALUATION_ANNOTATION),
        "list of struct",
        "`id`: the source's own, or the place in the list from 1; `bbox` = [x, y, width, height] in pixels, "
        "**exclusive** as in COCO; `area` in pixels; `segmentation` as COCO RLE, column-major, `size` = [height, "
        "width]; `category_id` and `category` or null; `iscrowd`: 1 for a group of objects",
    ),
    "image_id": Column(STRING, "string", "the source's own id of the image, or its path without the ending"),
    "file_name": Column(STRING, "string", "path below the folder of the set, as its source lays it out"),
    "width": Column(INT32, "int32", "pixels"),
    "height": Column(INT32, "int32", "pixels"),
    "dataset": Column(STRING, "string", "the set's id in the catalog"),
}


ADVERSARIAL_ANNOTATION: Mapping[str, Scalar | Many | Struct] = {
    "id": INT64,
    "bbox": Many(FLOAT64),
    "area": INT64,
    "segmentation": Struct({"size": Many(INT32, 2), "counts": STRING}),
}
"""One mask of an original in the size of an adversarial sample; `id` is the original annotation's."""

ADVERSARIAL: Mapping[str, Column] = {
    "image": Column(Image(), "Image", "the adversarial image, byte for byte (PNG or JPEG)"),
    "caption": Column(STRING, "string or null", "that of the original"),
    "masks": Column(Many(Image()), "list of Image", "1-bit PNG per annotation of the original, in this size"),
    "annotations": Column(
        Structs(ADVERSARIAL_ANNOTATION),
        "list of struct",
        "the masks of the original, resized (nearest neighbour): `id` of the annotation; `bbox` = [x, y, width, "
        "height] in pixels, **exclusive**; `area` in pixels; `segmentation` as COCO RLE",
    ),
    "worst_iou": Column(FLOAT64, "float64", "the worst IoU that SAM reached on it, 0 … 1, as the generator noted it"),
    "image_id": Column(INT64, "int64", "SA-1B's id of the original"),
    "file_name": Column(STRING, "string", "`sa_<image_id>.png` or `.jpg`"),
    "width": Column(INT32, "int32", "pixels"),
    "height": Column(INT32, "int32", "pixels"),
    "archive": Column(STRING, "string", "the SA-1B archive of the original"),
}


ADVERSARIAL_NAME = "adversarial"
"""Name of the one build of adversarial samples and of its config."""


@dataclass(frozen=True)
class View:
    """A config of the card that shows some columns of the train files; `columns` is None for all of them."""

    name: str
    columns: tuple[str, ...] | None
    purpose: str


VIEWS: tuple[View, ...] = (
    View("train", None, "everything"),
    View("controlnet", ("image", "caption", "conditioning_image"), "what ControlNet scripts take, in their order"),
    View(
        "sam",
        ("image", "caption", "annotations", "image_id", "width", "height"),
        "image and annotations; masks are decoded from the RLE, so their PNGs are not transferred",
    ),
)
"""The configs over the train files; the first is the default."""


def arrow_schema(table: Mapping[str, Column] = TRAIN) -> pa.Schema:
    """The Arrow schema of a table, with the features JSON as the metadata that `datasets` looks for."""
    info = {"info": {"features": features_json(table)}}
    return pa.schema(
        [pa.field(name, column.type.arrow()) for name, column in table.items()],
        metadata={"huggingface": json.dumps(info)},
    )


def features_json(table: Mapping[str, Column] = TRAIN) -> dict[str, Any]:
    """The features of a table as `datasets.Features.from_dict` takes them, in every version."""
    return {name: column.type.features() for name, column in table.items()}


def image_columns(table: Mapping[str, Column] = TRAIN) -> list[str]:
    """Parquet paths of the columns that hold bytes compressed already."""
    return [
        f"{name}.bytes" if isinstance(column.type, Image) else f"{name}.list.element.bytes"
        for name, column in table.items()
        if isinstance(column.type, Image) or (isinstance(column.type, Many) and isinstance(column.type.item, Image))
    ]
