"""A contact sheet of rows of a published dataset: see `asam_datasets.preview`."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam_datasets.builds import Build
from asam_datasets.errors import TargetError, option
from asam_datasets.machine import write_atomically, write_errors
from asam_datasets.preview._panels import NEUTRAL, decode_image, fit, overlay
from asam_datasets.preview._rows import Record, find_rows, read_records
from asam_datasets.preview._sheet import Block, Grid, draw_sheet, make_grid
from asam_datasets.preview._words import categories_of, facts_of
from asam_datasets.progress import Listener
from asam_datasets.published import Row, open_dataset, parse_range
from asam_datasets.tables import Config

_IMAGE, _CONDITIONING, _MASKS = "image", "conditioning image", "masks and boxes"
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 6}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),  # lines one pixel wide keep their color
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 92, "method": 4}),
}


@dataclass(frozen=True)
class Preview:
    """What `preview` drew: rows `start` to before `stop` of the `total` that the config has; the sheet's height and
    width are in pixels."""

    out: str
    dataset: str
    config: str
    start: int
    stop: int
    total: int
    masks: int
    height: int
    width: int
    size_bytes: int
    seconds: float


def preview(
    dataset: str | Path,
    *,
    out: Path,
    config: str | None = None,
    rows: str = "0:12",
    revision: str | None = None,
    listener: Listener | None = None,
) -> Preview:
    """Draw a contact sheet of rows of a published dataset: image, conditioning image, masks and boxes, caption.

    Masks are tinted in the colors of the conditioning image, with a box one pixel wide. Rows that were published
    without their image have their masks on a neutral ground. The same rows give the same bytes, from a folder as
    from the Hub.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub. Only the row groups that hold the rows
            are read, and of them only the columns that are shown.
        out: the sheet: `.png`, `.jpg`, `.jpeg` or `.webp`. A file of that name is replaced, at once and whole.
        config: what `load_dataset` calls so; by default its default, `train`, or `evaluation` without archives.
        rows: `0:12`, `4:`, or one number, over all parts of the config; at most `MAX_ROWS`.
        revision: of the repository; `main` by default.
        listener: who follows the run.

    Raises:
        SourceError: no such dataset, config or rows, or a part is damaged.
        RecordError: a row that cannot be shown; the message names it.
        TargetError: `out` cannot be written.
        HubError: the Hub refused, or was not reached.
    """
    listener, started = listener or Listener(), time.monotonic()
    kind, settings = _check_target(out)
    parse_range(rows)  # before anything is fetched
    listener.on_stage(f"Looking at {dataset}")
    opened = open_dataset(dataset, revision=revision, log=listener.on_stage)
    shown = opened.config(config)
    chosen, total, spans = find_rows(opened, shown, rows)
    labels = _labels(shown, any(span.build.images for span in spans))
    grid = make_grid(len(chosen), len(labels))
    listener.on_total(len(chosen))
    blocks, masks = [], 0
    for record in read_records(opened, shown, spans, listener.on_stage):
        blocks.append(_block(record, labels, grid, shown))
        masks += len(record.masks)
        listener.on_records(1)
    numbers = f"row {chosen.start}" if len(chosen) == 1 else f"rows {chosen.start} to {chosen[-1]}"
    sheet = draw_sheet(f"{shown.name}: {numbers} of {total:,}", labels, blocks, grid)
    content = io.BytesIO()
    sheet.save(content, kind, **settings)
    with write_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(out, content.getvalue())
    size = content.tell()
    seconds = time.monotonic() - started
    return Preview(
        out=str(out),
        dataset=opened.published.url,
        config=shown.name,
        start=chosen.start,
        stop=chosen.stop,
        total=total,
        masks=masks,
        height=sheet.height,
        width=sheet.width,
        size_bytes=size,
        seconds=seconds,
    )


def _check_target(out: Path) -> tuple[str, dict[str, Any]]:
    """Pillow's name of the format of a sheet, and its settings.

    Raises:
        TargetError: no known format, or a folder.
    """
    if out.is_dir():
        raise TargetError(
            "expected a file, found a folder", where=str(out), hint=f"Give a file as {option('out')}: sheet.png."
        )
    if out.suffix.lower() not in _FORMATS:
        raise TargetError(
            f"expected a name that ends with {', '.join(_FORMATS)}, found {out.name!r}",
            where=option("out"),
            hint="Give a file such as sheet.png.",
        )
    return _FORMATS[out.suffix.lower()]


def _labels(config: Config[Build], images: bool) -> list[str]:
    """The panels of every block, by their names."""
    candidates = (
        (_IMAGE, images and "image" in config.columns),
        (_CONDITIONING, "conditioning_image" in config.columns),
        (_MASKS, "annotations" in config.columns),
    )
    return [label for label, is_there in candidates if is_there]


def _block(record: Record, labels: list[str], grid: Grid, config: Config[Build]) -> Block:
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
    has_masks = "annotations" in config.columns
    if has_masks:
        ground = np.full((*fitted, 3), NEUTRAL, np.uint8) if image is None else image
        panels[_MASKS] = overlay(ground, record.masks)
    facts = facts_of(len(record.masks) if has_masks else None, row.shape, row.worst_iou)
    shown = [panels[label] for label in labels]
    return Block(record.build, row.file_name, facts, shown, *_caption(row, config))


def _caption(row: Row, config: Config[Build]) -> tuple[str, bool]:
    """What stands below the panels, and whether it only says that there is nothing: the caption, or the categories."""
    if "caption" in config.columns:
        return (row.caption, False) if row.caption is not None else ("no caption", True)
    return categories_of(one.category for one in row.annotations), False
