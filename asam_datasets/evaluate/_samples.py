"""Images made ready for the model, with their prompts: in this process, or ahead of it by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.utils.data
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError
from asam_datasets.evaluate._options import Protocol
from asam_datasets.evaluate._plan import Piece, share
from asam_datasets.evaluate._prompts import center_point, draw_points, outer_box, squeeze_mask
from asam_datasets.published import GET_AGAIN, GroupReader, Location, Row, checked_masks, read_rows
from asam_datasets.training import decode_image, fitted_shape, open_image, resize_image

_COLUMNS = ("image", "image_id", "annotations.segmentation")


@dataclass(frozen=True)
class Recipe:
    """How samples are made: of `size` × `size` pixels, with prompts of a protocol (see `EvaluateOptions`)."""

    size: int
    protocol: Protocol
    points: int
    seed: int
    max_masks: int | None


@dataclass(frozen=True)
class Sample:
    """One image as the model takes it; shapes are (height, width).

    Args:
        where: its place, for messages.
        shape: of the image.
        fitted: of what is not padding.
        pixels: uint8 (3, size, size), 0 in the padding.
        annotations: the places of the masks in the record.
        masks: of the image's size, none of them empty.
        prompted: the numbers of the masks that have a prompt.
        boxes: float32 (prompts, 4), or None.
        points: float32 (prompts, points, 2), or None.
        left_out: why it is none to score, or empty; then it has no pixels and no masks.
    """

    config: str
    row: int
    where: str
    image_id: str
    file_name: str
    shape: tuple[int, int]
    fitted: tuple[int, int] = (0, 0)
    pixels: torch.Tensor | None = None
    annotations: tuple[int, ...] = ()
    masks: tuple[RLEMask, ...] = ()
    prompted: tuple[int, ...] = ()
    boxes: torch.Tensor | None = None
    points: torch.Tensor | None = None
    left_out: str = ""


class Samples(torch.utils.data.IterableDataset[Sample]):
    """The samples of a rank, in the order of the dataset; its workers share them in stretches."""

    def __init__(self, pieces: Sequence[Piece], location: Location, recipe: Recipe, log: Callable[[str], None]) -> None:
        super().__init__()
        self._pieces, self._location, self._recipe, self._log = tuple(pieces), location, recipe, log

    def __iter__(self) -> Iterator[Sample]:
        info = torch.utils.data.get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        reader = GroupReader(self._location, self._log)
        for piece in share(self._pieces, worker, workers):
            for number, row in rows_of(reader, piece):
                yield make_sample(piece.config, number, row, self._recipe)


def load_samples(
    pieces: Sequence[Piece], location: Location, recipe: Recipe, *, workers: int, log: Callable[[str], None]
) -> Iterator[Sample]:
    """The samples of a rank, made by so many processes ahead of their use.

    Args:
        pieces: the rows.
        location: of the dataset.
        recipe: how they are made.
        workers: processes; 0 makes each sample when it is asked for.
        log: gets a line when something is tried again; workers have nobody to tell.
    """
    if not workers or not pieces:
        return iter(Samples(pieces, location, recipe, log))
    samples = Samples(pieces, location, recipe, _silent)
    return iter(torch.utils.data.DataLoader(samples, batch_size=None, num_workers=workers, collate_fn=_as_it_is))


def _as_it_is(sample: Any) -> Any:
    return sample


def _silent(text: str) -> None:
    """What may go to another process instead of a listener."""


def rows_of(reader: GroupReader, piece: Piece) -> Iterator[tuple[int, Row]]:
    """The rows of a piece, with their numbers in the config."""
    before = piece.rows[0] - piece.span.first
    start, stop = piece.span.start + before, piece.span.start + piece.rows[-1] - piece.span.first + 1
    wanted = set(piece.rows)
    rows = read_rows(reader, piece.span.part, piece.span.group, _COLUMNS, start, stop, first=piece.rows[0])
    for number, row in enumerate(rows, piece.rows[0]):
        if number in wanted:
            yield number, row


def make_sample(config: str, number: int, row: Row, recipe: Recipe) -> Sample:
    """Make ready one row.

    Args:
        config: its config.
        number: of the row in it.
        row: with `image`, `image_id` and `annotations.segmentation`.
        recipe: how.

    Raises:
        RecordError: the image or a mask cannot be used.
    """
    masks = [(place, mask) for place, mask in enumerate(checked_masks(row)) if mask.any()][: recipe.max_masks]
    image_id = str(row.image_id)
    if not masks:
        return Sample(config, number, row.where, image_id, row.file_name, row.shape, left_out="it has no mask")
    fitted = fitted_shape(row.shape, recipe.size, "squeeze" if recipe.protocol == "asam" else "pad")
    prompts = [_prompt(mask, place, image_id, fitted, recipe) for place, mask in masks]
    if recipe.points and any(prompt is None for prompt in prompts):
        # ASAM's program goes on with the next image.
        reason = f"a mask has fewer than {recipe.points} pixels at {recipe.size} × {recipe.size}"
        return Sample(config, number, row.where, image_id, row.file_name, row.shape, left_out=reason)
    given = [prompt for prompt in prompts if prompt is not None]
    tensor = torch.from_numpy(np.stack(given).astype(np.float32)) if given else None
    are_boxes = recipe.protocol == "box" or (recipe.protocol == "asam" and not recipe.points)
    return Sample(
        config,
        number,
        row.where,
        image_id,
        row.file_name,
        row.shape,
        fitted=fitted,
        pixels=_pixels(row, fitted, recipe),
        annotations=tuple(place for place, _ in masks),
        masks=tuple(mask for _, mask in masks),
        prompted=tuple(place for place, prompt in enumerate(prompts) if prompt is not None),
        boxes=tensor if are_boxes else None,
        points=None if are_boxes else tensor,
    )


def _prompt(
    mask: RLEMask, place: int, image_id: str, fitted: tuple[int, int], recipe: Recipe
) -> NDArray[np.float64] | NDArray[np.int64] | None:
    """A box (4,), or points (points, 2), in pixels of the sample; None where nothing is left of the mask in it."""
    if recipe.protocol == "asam":
        patch = squeeze_mask(mask, recipe.size)
        if recipe.points:
            return draw_points(patch, recipe.points, seed=recipe.seed, image_id=image_id, annotation=place)
        box = patch.box()
        return None if box is None else np.array(box)
    scale = np.array([fitted[1] / mask.shape[1], fitted[0] / mask.shape[0]])  # as SAM's ResizeLongestSide has it
    if recipe.protocol == "box":
        scaled: NDArray[np.float64] = np.array(outer_box(mask)) * np.tile(scale, 2)
        return scaled
    points: NDArray[np.float64] = np.array([center_point(mask)]) * scale
    return points


def _pixels(row: Row, fitted: tuple[int, int], recipe: Recipe) -> torch.Tensor:
    """uint8 (3, size, size).

    Raises:
        RecordError: the image cannot be decoded, or has another size than its row says.
    """
    where = f"{row.where}: image"
    image = open_image(None if row.image is None else {"bytes": row.image.content}, where)
    if image.shape != row.shape:
        found = f"{image.shape[0]} × {image.shape[1]}"
        problem = f"expected {row.height} × {row.width} (height × width) as the row says, found {found}"
        raise RecordError(problem, where=where, hint=GET_AGAIN)
    decoded = decode_image(image, 1, where)
    if recipe.protocol == "asam":
        # As ASAM's loader: without antialiasing, and what is behind the point is cut off.
        planes = torch.from_numpy(decoded).permute(2, 0, 1)[None].to(torch.float32)
        return torch.nn.functional.interpolate(planes, fitted, mode="bilinear", align_corners=False)[0].to(torch.uint8)
    pixels = torch.zeros((3, recipe.size, recipe.size), dtype=torch.uint8)
    pixels[:, : fitted[0], : fitted[1]] = resize_image(decoded, fitted)
    return pixels
