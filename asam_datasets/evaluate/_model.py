"""A SAM of transformers, with what a checkpoint replaces in it, and the masks that it gives for prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from asam_datasets.errors import ModelError, option
from asam_datasets.evaluate._options import DEFAULT_MODEL, EvaluateOptions
from asam_datasets.evaluate._samples import Sample
from asam_datasets.machine import file_sha256
from asam_datasets.models import find_revision, import_transformers, loading, no_room
from asam_datasets.training import normalize

CHECKPOINT_FILE = "checkpoint.pt"
_MODEL_FOLDER = "model"
"""Where the checkpoint of a model that nobody else has keeps it."""

_AT_ONCE = 32
"""Prompts that go through the decoder together: always so many, because sums of batches of other sizes differ."""


@dataclass(frozen=True)
class Predicted:
    """What the model gives for some prompts of an image: `first` is the number of the first of them.

    `logits` are float32 (prompts, masks, side, side) at the decoder's size, `scores` float32 (prompts, masks), what the
    model thinks of them.
    """

    first: int
    logits: torch.Tensor
    scores: NDArray[np.float32]


class Predictor:
    """A loaded model on a device.

    Args:
        model: a `SamModel`.
        name, revision: of it; the revision is the commit, or of a folder a digest of its config and weights.
        checkpoint: sha256 of what replaced some of its tensors, or None.
        device, dtype: where, and with what numbers the image encoder calculates. Prompts and masks are always made in
            float32: in 8 bits a point would be off by pixels.
    """

    def __init__(
        self, model: Any, *, name: str, revision: str, checkpoint: str | None, device: torch.device, dtype: str
    ) -> None:
        self.name, self.revision, self.checkpoint = name, revision, checkpoint
        self.device, self._dtype = device, getattr(torch, dtype)
        self.counts_there = device.type != "cpu"
        """Whether pixels are counted on the device; on the CPU runs are faster."""
        self.size: int = model.config.vision_config.image_size
        try:
            self._model = model.to(device).eval()
            self._model.vision_encoder.to(self._dtype)
        except RuntimeError as error:  # of CUDA, that there is no room
            raise no_room(device, error) from None

    def predict(self, sample: Sample, *, candidates: bool) -> Iterator[Predicted]:
        """The masks for the prompts of a sample. The image goes through the encoder once.

        Args:
            sample: with pixels; without any prompt it gives nothing.
            candidates: whether each prompt gets the three masks of an ambiguous one, or the single mask.
        """
        prompts = sample.boxes if sample.points is None else sample.points
        if prompts is None or sample.pixels is None:
            return
        pixels = normalize(sample.pixels[None].to(self.device), torch.tensor([sample.fitted]))
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            embeddings = self._model.get_image_embeddings(pixels.to(self._dtype)).to(torch.float32)
        for first in range(0, len(prompts), _AT_ONCE):
            some = prompts[None, first : first + _AT_ONCE].to(self.device)
            if sample.points is None:
                given = {"input_boxes": some}
            else:
                labels = torch.ones(some.shape[:3], dtype=torch.int64, device=self.device)
                given = {"input_points": some, "input_labels": labels}
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                made = self._model(image_embeddings=embeddings, **given, multimask_output=candidates)
            yield Predicted(first, made.pred_masks[0], made.iou_scores[0].cpu().numpy())


def upscale(logits: torch.Tensor, size: int, fitted: tuple[int, int], shape: tuple[int, int]) -> torch.Tensor:
    """Logits at the size of the image, bilinearly: first to the sample, of which the padding is cut off.

    Args:
        logits: float32 (prompts, masks, side, side).
        size: of the sample.
        fitted: (height, width) of what is not padding in it.
        shape: (height, width) of the image.

    Returns:
        float32 (prompts, masks, *shape).
    """
    sample = interpolate(logits, (size, size), mode="bilinear", align_corners=False)
    return interpolate(sample[..., : fitted[0], : fitted[1]], shape, mode="bilinear", align_corners=False)


def load_predictor(options: EvaluateOptions, device: torch.device) -> Predictor:
    """Load a model, and what a checkpoint replaces in it.

    Raises:
        ModelError: transformers is missing, there is no such model or checkpoint, they do not fit each other, or the
            device has no room for them.
    """
    _, transformers = import_transformers("evaluate")
    name, revision = options.model, options.model_revision
    file = content = None
    if options.checkpoint is not None:
        file = _checkpoint_file(Path(options.checkpoint))
        content = _read_checkpoint(file)
        name = name or _model_of(content, file)
    name = name or DEFAULT_MODEL
    model, found = _load(transformers, name, revision)
    if content is not None:
        _replace(model, content["tokens"], str(file))
    return Predictor(
        model,
        name=name,
        revision=found,
        checkpoint=None if file is None else file_sha256(file),
        device=device,
        dtype=options.dtype,
    )


def _load(transformers: Any, name: str, revision: str | None) -> tuple[Any, str]:
    """A model in float32, and which one it is."""
    with loading("a SAM", name):
        found = find_revision(name, revision)
        # What was named is what is loaded, also if the branch moves meanwhile.
        from_hub = {} if Path(name).is_dir() else {"revision": found}
        config = transformers.AutoConfig.from_pretrained(name, **from_hub)
        if not isinstance(config, transformers.SamConfig):
            raise ModelError(
                f"expected a SAM, found a model of type {config.model_type!r}",
                where=name,
                hint=f"Give a model such as {DEFAULT_MODEL}.",
            )
        model = transformers.SamModel.from_pretrained(name, dtype=torch.float32, **from_hub)
    return model, found


def _checkpoint_file(given: Path) -> Path:
    file = given / CHECKPOINT_FILE if given.is_dir() else given
    if not file.is_file():
        raise ModelError(
            f"expected a checkpoint, a file or a folder with {CHECKPOINT_FILE}, found none",
            where=str(given),
            hint="`python examples/tune_sam.py` writes such a folder; a whole model is given as "
            f"{option('model')} instead.",
        )
    return file


def _read_checkpoint(file: Path) -> Mapping[str, Any]:
    """Its content, whose `tokens` are tensors by name.

    Raises:
        ModelError: it is no checkpoint.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # Whatever torch, zipfile and pickle make of a file of anybody's making.
        said = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(
            f"expected a checkpoint that torch can load, found {type(error).__name__}: {said[:200]}", where=str(file)
        ) from error
    if isinstance(content, dict) and content and all(isinstance(value, torch.Tensor) for value in content.values()):
        content = {"tokens": content}
    tokens = content.get("tokens") if isinstance(content, dict) else None
    if (
        not isinstance(tokens, dict)
        or not tokens
        or not all(isinstance(value, torch.Tensor) for value in tokens.values())
    ):
        raise ModelError(
            "expected `tokens`, tensors by their names in the model, found none",
            where=str(file),
            hint="`python examples/tune_sam.py` writes such a file; a plain dict of tensors will do too.",
        )
    return dict(content)


def _model_of(content: Mapping[str, Any], file: Path) -> str | None:
    """The model that a checkpoint was tuned from, as far as it says."""
    settings = content.get("settings")
    name = settings.get("model") if isinstance(settings, dict) else None
    beside = file.parent / _MODEL_FOLDER
    return str(name) if name else str(beside) if beside.is_dir() else None


def _replace(model: Any, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Put tensors in place of the model's.

    Raises:
        ModelError: the model has none of that name and shape.
    """
    mine = model.state_dict()
    for name, tensor in tensors.items():
        expected = tuple(mine[name].shape) if name in mine else None
        if expected != tuple(tensor.shape):
            found = f"{name} of {tuple(tensor.shape)}"
            raise ModelError(
                f"expected tensors of the model, found {found}, where the model has {expected or 'no such tensor'}",
                where=where,
                hint=f"Give the {option('model')} that it was tuned from.",
            )
    model.load_state_dict(dict(tensors), strict=False)
