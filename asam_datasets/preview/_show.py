"""One record as an image, for notebooks: the panels of a sheet, of whatever columns the record has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError, SegmentationError, SourceError, option
from asam_datasets.images import decoding, open_image
from asam_datasets.machine import texts_of
from asam_datasets.masks import from_png, from_segmentation
from asam_datasets.preview._options import PreviewOptions
from asam_datasets.preview._panels import NEUTRAL, fit, largest, overlay, shrink
from asam_datasets.preview._sheet import Block, Grid, draw_sheet
from asam_datasets.preview._words import categories_of, facts_of

_LABELS = {
    "image": "image",
    "conditioning_image": "conditioning image",
    "masks": "masks",
    "original": "original",
}
_MOST_SIDE = 4096
_HINT = "Give one row as `datasets` or a stream gives it, such as `dataset[0]`."
_TURNED = "`datasets` turns what EXIF says and not its masks: cast_column('image', Image(decode=False)) shows both."


def show(
    record: Mapping[str, Any],
    *,
    side: int = 400,
    panels: Sequence[str] | None = None,
    max_masks: int | None = None,
    boxes: bool | None = None,
) -> Image.Image:
    """Draw one record: its image, its conditioning image, its masks with their boxes over the image, its caption.

    Of any config: rows of `datasets`, map style or streaming, decoded or not (`Image(decode=False)`), and those of
    `asam_datasets.training.open_stream`. Masks come from `annotations`, or from `masks` where the row has none.

    Args:
        record: the row. What it does not have is not drawn.
        side: of the square that each panel has, in pixels.
        panels: some of `image`, `conditioning_image`, `masks`, and `original` (of `open_stream(..., pairs=True)`), in
            this order; by default all that the record has.
        max_masks: most masks, the largest of them; None shows all.
        boxes: whether masks have boxes; None gives them to records that show at most `MANY_MASKS`.

    Returns:
        An RGB image, which a notebook shows by itself.

    Raises:
        RecordError: it is no record, or its image and masks do not fit each other.
        SourceError: it has none of these panels, or `side` is out of range.
        TargetError: `max_masks` is.
    """
    if not isinstance(record, Mapping):
        raise RecordError(f"expected a record, found a {type(record).__name__}", where="record", hint=_HINT)
    if not 64 <= side <= _MOST_SIDE:
        raise SourceError(f"expected 64 to {_MOST_SIDE} pixels, found {side!r}", where=option("side"))
    where = f"record {record.get('image_id') or record.get('file_name') or ''}".strip()
    has_masks = record.get("annotations") is not None or record.get("masks") is not None
    there = {name for name in _LABELS if record.get(name) is not None} | ({"masks"} if has_masks else set())
    panels = None if panels is None else texts_of(panels)
    chosen = [name for name in _LABELS if name in (there if panels is None else panels)]
    missing = set(panels or ()) - there
    if missing or not chosen:
        found = ", ".join(map(str, record)) or "nothing"
        wanted = ", ".join(sorted(missing) or _LABELS)
        raise SourceError(f"expected a record with {wanted}, found {found}", where=where, hint=_HINT)
    shape = _shape_of(record, where)
    options = PreviewOptions(max_masks=max_masks, boxes=boxes)
    drawn = [_panel(name, record, shape, side, options, where) for name in chosen]
    masks = len(record["masks"] if record.get("annotations") is None else record["annotations"]) if has_masks else 0
    count = min(masks, max_masks or masks) if "masks" in chosen else None
    block = Block(
        str(record.get("archive") or record.get("dataset") or ""),
        str(record.get("file_name") or f"image {record.get('image_id', '')}"),
        facts_of(count, masks, shape, record.get("worst_iou")),
        drawn,
        *_caption(record),
    )
    return draw_sheet("", [_LABELS[name] for name in chosen], [block], Grid(1, len(chosen), side))


def _panel(
    name: str, record: Mapping[str, Any], shape: tuple[int, int], side: int, options: PreviewOptions, where: str
) -> NDArray[np.uint8] | str:
    fitted = fit(shape, side)
    if name == "original":
        original = record["original"]
        of_it = f"{where}: original"
        return _panel("masks", original, _shape_of(original, of_it), side, options, of_it)
    if name == "conditioning_image":
        return _pixels(record[name], shape, fitted, f"{where}: {name}", is_map=True)
    image = record.get("image")
    if name == "image":
        return "no image" if _is_empty(image) else _pixels(image, shape, fitted, f"{where}: image")
    if _is_empty(image):
        ground = np.full((*fitted, 3), NEUTRAL, np.uint8)
    else:
        ground = _pixels(image, shape, fitted, f"{where}: image")
    masks = _masks(record, shape, where)
    chosen = largest(masks, options.max_masks)
    return overlay(ground, [masks[number] for number in chosen], boxes=options.shows_boxes(len(chosen)))


def _is_empty(value: Any) -> bool:
    """Whether a dataset was published without this image."""
    return value is None or (isinstance(value, Mapping) and value.get("bytes") is None)


def _open(value: Any, where: str) -> Image.Image:
    """An image as `datasets` gives it; a Pillow image stays as it is."""
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, Mapping):
        value = value.get("bytes")
    if not isinstance(value, bytes):
        problem = f"expected an image ({{'bytes': ...}} or a Pillow image), found a {type(value).__name__}"
        raise RecordError(problem, where=where, hint=_HINT)
    return open_image(value, where, expected="an image", hint=_HINT)


def _pixels(
    value: Any, shape: tuple[int, int], fitted: tuple[int, int], where: str, *, is_map: bool = False
) -> NDArray[np.uint8]:
    image = _open(value, where)
    if (image.height, image.width) != shape:
        problem = f"expected {shape[0]} × {shape[1]} (height × width), found {image.height} × {image.width}"
        turned = (image.width, image.height) == shape
        raise RecordError(problem, where=where, hint=_TURNED if turned else _HINT)
    with decoding(where, expected="an image that decodes", hint=_HINT):
        return shrink(image.copy() if image is value else image, shape, fitted, is_map=is_map)


def _shape_of(record: Mapping[str, Any], where: str) -> tuple[int, int]:
    """(height, width) of the record: what it says, or what its masks are, or its image."""
    sides = record.get("height"), record.get("width")
    if all(isinstance(side, int) and side > 0 for side in sides):
        return sides  # type: ignore[return-value]
    for one in record.get("annotations") or ():
        size = _segmentation(one, where)["size"]
        return int(size[0]), int(size[1])
    for name in ("image", "conditioning_image"):
        if not _is_empty(record.get(name)):
            image = _open(record[name], f"{where}: {name}")
            return image.height, image.width
    for one in record.get("masks") or ():
        image = _open(one, f"{where}: masks")
        return image.height, image.width
    raise RecordError("expected an image, masks, or height and width, found none", where=where, hint=_HINT)


def _masks(record: Mapping[str, Any], shape: tuple[int, int], where: str) -> list[RLEMask]:
    found: list[RLEMask] = []
    name = "masks" if record.get("annotations") is None else "annotations"
    for number, one in enumerate(record[name]):
        place = f"{where}: {name}[{number}]"
        try:
            if name == "masks" and isinstance(one, Image.Image):
                mask = RLEMask.from_array((np.asarray(one.convert("L")) != 0).astype(np.uint8))
                if mask.shape != shape:
                    raise RecordError(f"expected a mask of {shape}, found {mask.shape}", where=place, hint=_TURNED)
            elif name == "masks":
                content = one.get("bytes") if isinstance(one, Mapping) else one
                mask = from_segmentation(from_png(content if isinstance(content, bytes) else b""), shape=shape)
            else:
                mask = from_segmentation(_segmentation(one, place), shape=shape)
        except SegmentationError as error:
            where = f"{place}.{error.where}".rstrip(".")
            raise RecordError(error.problem, where=where, hint=error.marked_hint) from None
        found.append(mask)
    return found


def _segmentation(annotation: Any, where: str) -> Any:
    found = annotation.get("segmentation") if isinstance(annotation, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(found.get("counts"), (str, bytes)) or len(found["size"]) != 2:
        said = f"expected annotations with COCO RLE, found {annotation!r:.80}"
        raise RecordError(said, where=where, hint=_HINT)
    return {"size": list(found["size"]), "counts": found["counts"]}


def _caption(record: Mapping[str, Any]) -> tuple[str, bool]:
    """The caption, or the categories; and whether it only says that there is none."""
    if "caption" in record:
        caption = record["caption"]
        return (str(caption), False) if caption is not None else ("no caption", True)
    names = (one.get("category") for one in record.get("annotations") or () if isinstance(one, Mapping))
    return categories_of(names), False
