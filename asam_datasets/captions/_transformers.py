"""Captioning by a model of transformers. The only module here that loads torch and transformers, inside functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asam_datasets.captions._families import FAMILIES
from asam_datasets.captions._images import load_image
from asam_datasets.captions._options import CaptionOptions, Settings
from asam_datasets.errors import ModelError
from asam_datasets.models import (
    choose_device,
    choose_dtype,
    describe_device,
    find_revision,
    import_transformers,
    loading,
    no_room,
)
from asam_datasets.sources.sa1b import RawRecord

if TYPE_CHECKING:
    import torch

# What checkpoints like to set in their generation_config.json, back at "off": the header must tell the whole story.
_NOT_FROM_CHECKPOINTS = {"min_length": 0, "no_repeat_ngram_size": 0, "num_return_sequences": 1}
_CPU_ALLOCATOR = "DefaultCPUAllocator"  # torch has no class of its own for this one


class OutOfMemory(Exception):
    """A batch was too large for the device; a smaller one may do."""


@dataclass(frozen=True)
class Checkpoint:
    """A model of transformers with what belongs to it; `revision` goes into the header."""

    config: Any
    tokenizer: Any
    images: Any
    model: Any
    revision: str


class TransformersCaptioner:
    """A loaded model. `prepare` may be called from any thread, `caption` from one."""

    def __init__(self, options: CaptionOptions, *, checkpoint: Checkpoint | None = None) -> None:
        """Load the model that `options` names, or take the one that is given.

        Raises:
            ModelError: torch or transformers is missing, the checkpoint cannot be loaded or is of an unknown family,
                or the device is not there.
        """
        self._torch, self._transformers = import_transformers("caption")
        device = choose_device(options.device)
        dtype = choose_dtype(options.dtype, device)
        self.device = describe_device(device)
        checkpoint = checkpoint or _load(self._transformers, self._torch, options, dtype)
        config, self._tokenizer = checkpoint.config, checkpoint.tokenizer
        self._images, self._model = checkpoint.images, checkpoint.model
        self._place(device)
        self._device, self._dtype = device, getattr(self._torch, dtype)
        self._prompt = FAMILIES[config.model_type].encode(config, self._tokenizer, options.prompt)
        self._generation = options.generation
        self._side = _side(self._images)
        self.software = {"torch": str(self._torch.__version__), "transformers": self._transformers.__version__}
        self.settings = Settings(
            model=options.model,
            revision=checkpoint.revision,
            prompt=options.prompt,
            dtype=dtype,
            generation=options.generation,
        )

    def prepare(self, raw: RawRecord) -> NDArray[np.float32]:
        """Decode and scale one image: float32 (channels, height, width), as the model takes it.

        Raises:
            RecordError: the image is damaged.
        """
        image = load_image(raw, self._side)
        pixels: NDArray[np.float32] = self._images(images=image, return_tensors="np")["pixel_values"][0]
        return np.ascontiguousarray(pixels, np.float32)

    def caption(self, images: Sequence[NDArray[np.float32]], first_id: int) -> list[str]:
        """Caption a batch.

        Args:
            images: what `prepare` gave.
            first_id: image id of the first; seeds the draws when the temperature is above 0.

        Raises:
            OutOfMemory: the batch does not fit; the memory that it took is free again.
        """
        try:
            return self._generate(images, first_id)
        except (self._torch.cuda.OutOfMemoryError, MemoryError):
            pass
        except RuntimeError as error:
            if _CPU_ALLOCATOR not in str(error):
                raise
        # Outside the handler: there the traceback would keep the tensors of the failed batch.
        if self._device.type == "cuda":
            self._torch.cuda.empty_cache()
        raise OutOfMemory

    def _generate(self, images: Sequence[NDArray[np.float32]], first_id: int) -> list[str]:
        torch, chosen = self._torch, self._generation
        pixels = torch.from_numpy(np.stack(images)).to(self._device, self._dtype)
        tokens = {
            name: torch.tensor([ids] * len(images), device=self._device) for name, ids in self._prompt.tokens.items()
        }
        if "input_ids" in tokens:
            tokens["attention_mask"] = torch.ones_like(tokens["input_ids"])
        draw = {"do_sample": True, "temperature": chosen.temperature, "top_k": 0, "top_p": 1.0}
        if chosen.temperature > 0:
            torch.manual_seed(chosen.seed + first_id)
        with torch.inference_mode():
            found = self._model.generate(
                pixel_values=pixels,
                **tokens,
                max_new_tokens=chosen.max_new_tokens,
                num_beams=chosen.num_beams,
                repetition_penalty=chosen.repetition_penalty,
                length_penalty=chosen.length_penalty,
                **_NOT_FROM_CHECKPOINTS,
                **(draw if chosen.temperature > 0 else {"do_sample": False}),
            )
        echo = list(self._prompt.echo)
        rows = [row[len(echo) :] if row[: len(echo)] == echo else row for row in found.tolist()]
        texts = self._tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [" ".join(text.split()) for text in texts]

    def _place(self, device: torch.device) -> None:
        try:
            self._model.to(device).eval()
        except (self._torch.cuda.OutOfMemoryError, RuntimeError) as error:
            raise no_room(device, error) from None


def _load(transformers: Any, torch: Any, options: CaptionOptions, dtype: str) -> Checkpoint:
    """Config, tokenizer, image processor and model. PIL's image processor in every version: torchvision's gives other
    pixels, and captions must not depend on whether it is installed."""
    with loading("a checkpoint", options.model):
        revision = find_revision(options.model, options.revision)
        from_hub = {} if Path(options.model).is_dir() else {"revision": revision}
        config = transformers.AutoConfig.from_pretrained(options.model, **from_hub)
        family = FAMILIES.get(config.model_type)
        if family is None:
            raise ModelError(
                f"expected a model of one of the types {', '.join(sorted(FAMILIES))}, found {config.model_type!r}",
                where=options.model,
                hint="Give the checkpoint of an image-to-text model of one of these types.",
            )
        images = transformers.AutoImageProcessor.from_pretrained(options.model, backend="pil", **from_hub)
        tokenizer = transformers.AutoTokenizer.from_pretrained(options.model, **from_hub)
        model = getattr(transformers, family.model_class).from_pretrained(
            options.model, dtype=getattr(torch, dtype), **from_hub
        )
    return Checkpoint(config=config, tokenizer=tokenizer, images=images, model=model, revision=revision)


def _side(images: Any) -> int:
    """The side, in pixels, that images are scaled to: the largest that the image processor names."""
    size = images.size
    values = [size] if isinstance(size, int) else [v for v in dict(size).values() if isinstance(v, int)]
    return max(values, default=1024)
