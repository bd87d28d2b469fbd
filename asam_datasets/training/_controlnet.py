"""Samples to train a ControlNet: image, conditioning image and caption, under the names of diffusers' script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import RecordError
from asam_datasets.masks import colors
from asam_datasets.training._geometry import Geometry, draw_geometry
from asam_datasets.training._images import EncodedImage, open_image
from asam_datasets.training._options import ControlNetOptions, random_of
from asam_datasets.training._records import check_options, check_record, list_records, rows_of
from asam_datasets.training._sam import mask_of

_DEFAULT = ControlNetOptions()
Tokenizer = Callable[..., Any]


def controlnet_sample(
    record: Mapping[str, Any], options: ControlNetOptions = _DEFAULT, tokenizer: Tokenizer | None = None
) -> dict[str, Any]:
    """Make one sample of a record: for `map` on a streaming dataset, and `transform` of `open_stream`.

    The conditioning image is that of the record, or is painted from `annotations` where the record has none, in the
    same colors: larger masks under smaller ones on black.

    Args:
        record: `image`, `caption`, and `conditioning_image` or `annotations`.
        options: how it is made.
        tokenizer: of `transformers`; called as diffusers' script does.

    Returns:
        `pixel_values` float32 (3, S, S) in -1 … 1; `conditioning_pixel_values` float32 (3, S, S) in 0 … 1; `input_ids`
        int64 (length,) with a tokenizer, else `caption`. Without a caption it is the empty one. `padding` bool (), if
        the record has it (`ends="pad"`).

    Raises:
        RecordError: it is no record, or an image or an annotation cannot be used.
        StreamError: the options are others.
    """
    check_options(options, ControlNetOptions)
    check_record(record, "controlnet")
    where = str(record.get("image_id", "record"))
    image = open_image(record.get("image"), f"{where}: image")
    random = random_of(options.seed, record, image.encoded)
    geometry = draw_geometry(image.shape, options.size, fit=options.fit, augment=options.augment, random=random)
    caption = record.get("caption") or ""
    if random.random() < options.empty_captions:
        caption = ""
    sample: dict[str, Any] = {
        "pixel_values": _on_canvas(geometry.image(image, f"{where}: image"), geometry).div_(127.5).sub_(1.0),
        "conditioning_pixel_values": _on_canvas(_conditioning(record, geometry, image, where), geometry).div_(255.0),
    }
    if "padding" in record:
        sample["padding"] = torch.tensor(bool(record["padding"]))
    if tokenizer is None:
        return {**sample, "caption": caption}
    return {**sample, "input_ids": _tokens([caption], tokenizer)[0]}


def controlnet_samples(
    batch: Mapping[str, Sequence[Any]], options: ControlNetOptions = _DEFAULT, tokenizer: Tokenizer | None = None
) -> dict[str, list[Any]]:
    """As `controlnet_sample` for columns: for `with_transform`, and `map(batched=True)`."""
    samples = [controlnet_sample(record, options, tokenizer) for record in rows_of(batch, "controlnet")]
    return {name: [sample[name] for sample in samples] for name in (samples[0] if samples else ())}


def controlnet_batch(
    records: Sequence[Mapping[str, Any]], options: ControlNetOptions = _DEFAULT, tokenizer: Tokenizer | None = None
) -> dict[str, Any]:
    """Make one batch of records: for `collate_fn`. As `controlnet_sample` with a first axis; captions are a list."""
    samples = [controlnet_sample(record, options, tokenizer) for record in list_records(records, "controlnet")]
    return {
        name: [sample[name] for sample in samples]
        if name == "caption"
        else torch.stack([sample[name] for sample in samples])
        for name in (samples[0] if samples else ())
    }


def _conditioning(record: Mapping[str, Any], geometry: Geometry, image: EncodedImage, where: str) -> torch.Tensor:
    """uint8 (3, height, width) of what is not padding."""
    if record.get("conditioning_image") is not None:
        painted = open_image(record["conditioning_image"], f"{where}: conditioning_image")
        if painted.shape != image.shape:
            raise RecordError(
                f"expected a conditioning image of the image's size {image.shape}, found {painted.shape}",
                where=f"{where}: conditioning_image",
            )
        return geometry.image(painted, f"{where}: conditioning_image")
    if record.get("annotations") is None:
        raise RecordError(
            "expected `conditioning_image` or `annotations`, found neither",
            where=where,
            hint="Use the config `controlnet` or `sam`.",
        )
    masks = [
        mask_of(annotation, image.shape, f"{where}: annotations[{position}]")
        for position, annotation in enumerate(record["annotations"])
    ]
    return torch.from_numpy(_paint(masks, geometry)).permute(2, 0, 1)


def _paint(masks: Sequence[RLEMask], geometry: Geometry) -> NDArray[np.uint8]:
    """uint8 (height, width, 3): mask `i` in color `i`, as the published conditioning image."""
    numbers = np.zeros((geometry.shape[0], geometry.size), np.int32)
    order = sorted(range(len(masks)), key=lambda index: -int(masks[index].area()))
    for number, mask in zip(order, geometry.masks([masks[number] for number in order]), strict=True):
        mask.decode_into(numbers, fg_value=number + 1)
    table = np.concatenate([np.zeros((1, 3), np.uint8), colors(len(masks))])
    painted: NDArray[np.uint8] = table[numbers[:, : geometry.shape[1]]]
    return painted


def _on_canvas(pixels: torch.Tensor, geometry: Geometry) -> torch.Tensor:
    """float32 (3, size, size), 0 in the padding."""
    height, width = geometry.shape
    canvas = torch.zeros((3, geometry.size, geometry.size))
    canvas[:, :height, :width] = pixels
    return canvas


def _tokens(captions: list[str], tokenizer: Tokenizer) -> torch.Tensor:
    length = getattr(tokenizer, "model_max_length", None)
    done = tokenizer(captions, max_length=length, padding="max_length", truncation=True, return_tensors="pt")
    tokens: torch.Tensor = done.input_ids
    return tokens
