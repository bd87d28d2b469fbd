"""A still sheet: every row with its image, its conditioning image and its masks side by side, and its caption."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam_datasets.preview._options import PreviewOptions
from asam_datasets.preview._panels import NEUTRAL, decode_image, fit, largest, overlay
from asam_datasets.preview._rows import Record
from asam_datasets.preview._sheet import Block, Grid, draw_sheet, make_grid
from asam_datasets.preview._shown import Drawn, Shown
from asam_datasets.preview._words import categories_of, facts_of

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 6}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),  # lines one pixel wide keep their color
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 92, "method": 4}),
}
"""Pillow's name and settings of the format of a sheet, by the end of its name."""

_IMAGE, _CONDITIONING, _MASKS = "image", "conditioning image", "masks"


def draw_still(shown: Shown, records: Iterable[Record], options: PreviewOptions, ending: str) -> Drawn:
    """Draw a sheet in one of the `FORMATS`.

    Raises:
        RecordError: a row that cannot be shown; the message names it.
    """
    labels = _labels(shown)
    grid = make_grid(len(shown.rows), len(labels))
    blocks, masks = [], 0
    for record in records:
        blocks.append(_block(record, labels, grid, shown, options))
        masks += len(record.masks)
    sheet = draw_sheet(shown.title, labels, blocks, grid)
    content = io.BytesIO()
    kind, settings = FORMATS[ending]
    sheet.save(content, kind, **settings)
    return Drawn(content.getvalue(), masks, sheet.height, sheet.width)


def categories(record: Record) -> str:
    """The categories of a row, with the count of those that come more than once."""
    return categories_of(one.category for one in record.row.annotations)


def _labels(shown: Shown) -> list[str]:
    """The panels of every block, by their names."""
    columns = shown.config.columns
    candidates = (
        (_IMAGE, shown.images and "image" in columns),
        (_CONDITIONING, "conditioning_image" in columns),
        (_MASKS, "annotations" in columns),
    )
    return [label for label, is_there in candidates if is_there]


def _block(record: Record, labels: list[str], grid: Grid, shown: Shown, options: PreviewOptions) -> Block:
    row = record.row
    fitted = fit(row.shape, grid.side)
    image = conditioning = None
    if row.image is not None and row.image.content is not None:
        image = decode_image(row.image.content, row.shape, fitted, f"{row.where}: image")
    if row.conditioning_image is not None and row.conditioning_image.content is not None:
        where = f"{row.where}: conditioning_image"
        conditioning = decode_image(row.conditioning_image.content, row.shape, fitted, where, is_map=True)
    panels: dict[str, NDArray[np.uint8] | str] = {
        _IMAGE: "no image" if image is None else image,
        _CONDITIONING: "no conditioning image" if conditioning is None else conditioning,
    }
    drawn = None
    if "annotations" in shown.config.columns:
        chosen = largest(record.masks, options.max_masks)
        ground = np.full((*fitted, 3), NEUTRAL, np.uint8) if image is None else image
        panels[_MASKS] = overlay(ground, [record.masks[n] for n in chosen], boxes=options.shows_boxes(len(chosen)))
        drawn = len(chosen)
    facts = facts_of(drawn, len(record.masks), row.shape, row.worst_iou)
    caption, is_muted = _caption(record, shown)
    panels_of_row = [panels[label] for label in labels]
    return Block(record.build.name, row.file_name, facts, panels_of_row, caption, is_muted)


def _caption(record: Record, shown: Shown) -> tuple[str, bool]:
    """What stands below the panels, and whether it only says that there is nothing: the caption, or the categories."""
    if "caption" in shown.config.columns:
        return (record.row.caption, False) if record.row.caption is not None else ("no caption", True)
    return categories(record), False
