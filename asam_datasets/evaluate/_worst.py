"""A sheet of the masks that were found worst: each with its surroundings, once as it is and once as it was found."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rlemasklib import RLEMask

from asam_datasets.evaluate._model import Predictor
from asam_datasets.evaluate._plan import EvaluatedSet, remaining
from asam_datasets.evaluate._prompts import outer_box
from asam_datasets.evaluate._samples import Recipe, make_sample, rows_of
from asam_datasets.evaluate._score import found_masks
from asam_datasets.evaluate._state import ImageScore, Key, MaskScore
from asam_datasets.machine import write_atomically, write_errors
from asam_datasets.preview import Block, draw_sheet, fit, make_grid, overlay
from asam_datasets.published import GroupReader, Location, Row
from asam_datasets.training import decode_image, open_image

_LABELS = ("true", "found")
_LEAST_SIDE = 64  # pixels of the image that a panel shows


@dataclass(frozen=True)
class Worst:
    """One of the worst masks."""

    image: ImageScore
    mask: MaskScore


def choose_worst(sets: Sequence[EvaluatedSet], scores: Mapping[Key, ImageScore], count: int) -> list[Worst]:
    """The masks with the lowest IoU, the lowest first; of equal ones the first in the dataset."""
    images = [scores[one.config.name, row] for one in sets for row in one.rows]
    found = [Worst(image, mask) for image in images for mask in image.masks]
    return sorted(found, key=lambda one: one.mask.iou)[:count]


def draw_worst(
    out: Path,
    worst: Sequence[Worst],
    sets: Sequence[EvaluatedSet],
    *,
    predictor: Predictor,
    recipe: Recipe,
    candidates: bool,
    location: Location,
    log: Callable[[str], None],
) -> None:
    """Draw the sheet as PNG. The model looks at the images of these masks once more.

    Raises:
        SourceError: a part is damaged.
        TargetError: `out` cannot be written.
        HubError: the Hub refused, or was not reached.
    """
    grid = make_grid(len(worst), len(_LABELS))
    blocks: dict[tuple[Key, int], Block] = {}
    keys = {one.image.key for one in worst}
    for key, row in _rows_of(sets, keys, location, log):
        sample = make_sample(*key, row, recipe)
        wanted = [one for one in worst if one.image.key == key]
        places = [sample.annotations.index(one.mask.annotation) for one in wanted]
        found = found_masks(predictor, sample, places, candidates=candidates)
        where = f"{row.where}: image"
        image = open_image(None if row.image is None else {"bytes": row.image.content}, where)
        pixels = decode_image(image, 1, where).copy()
        for one, place in zip(wanted, places, strict=True):
            blocks[key, one.mask.annotation] = _block(one, pixels, sample.masks[place], found.get(place), grid.side)
    title = f"The {len(worst)} masks with the lowest IoU" if len(worst) > 1 else "The mask with the lowest IoU"
    sheet = draw_sheet(title, _LABELS, [blocks[one.image.key, one.mask.annotation] for one in worst], grid)
    content = io.BytesIO()
    sheet.save(content, "PNG", compress_level=6)
    with write_errors(out):
        write_atomically(out, content.getvalue())


def _rows_of(
    sets: Sequence[EvaluatedSet], keys: set[Key], location: Location, log: Callable[[str], None]
) -> Iterator[tuple[Key, Row]]:
    reader = GroupReader(location, log)
    others = {(one.config.name, row) for one in sets for row in one.rows} - keys
    for piece in remaining(sets, others):
        for number, row in rows_of(reader, piece):
            yield (piece.config, number), row


def _block(one: Worst, pixels: NDArray[np.uint8], true: RLEMask, found: RLEMask | None, side: int) -> Block:
    x, y, width, height = _surroundings(true, pixels.shape[:2])
    fitted = fit((height, width), side)
    cut = Image.fromarray(pixels[y : y + height, x : x + width])
    ground = np.array(cut.resize((fitted[1], fitted[0]), Image.Resampling.BILINEAR))
    panels: list[NDArray[np.uint8] | str] = [
        "vanished: no prompt" if mask is None else overlay(ground, [mask.crop(np.array([x, y, width, height]))])
        for mask in (true, found)
    ]
    facts = f"IoU {100 * one.mask.iou:.1f} · row {one.image.row} · annotation {one.mask.annotation}"
    return Block(one.image.config, one.image.file_name, facts, panels, "", False)


def _surroundings(mask: RLEMask, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is shown: the box of a mask, and as much again on each side."""
    left, top, right, bottom = outer_box(mask)
    reach = max(right - left + 1, bottom - top + 1, _LEAST_SIDE // 2)
    first = max(0, left - reach), max(0, top - reach)
    return *first, min(shape[1], right + 1 + reach) - first[0], min(shape[0], bottom + 1 + reach) - first[1]
