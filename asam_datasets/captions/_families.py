"""The registry of captioning models: for each `model_type` of transformers, its class and how a prompt enters it.

A new family is one entry of `FAMILIES`. A prompt is the beginning that the model continues (or a question that it
answers); the caption is what the model adds to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PromptInputs:
    """What goes into `generate` besides the pixels, for one image. `echo` are the tokens that come out again before
    the new ones; whether they do depends on the version of transformers, so they are cut off where they are found."""

    tokens: Mapping[str, list[int]]
    echo: Sequence[int] = ()


NO_PROMPT = PromptInputs({})


@dataclass(frozen=True)
class Family:
    """One family: the name of its class in transformers, and how a prompt becomes inputs.

    `encode` gets the model's config, its tokenizer and the prompt, which may be empty.
    """

    model_class: str
    encode: Callable[[Any, Any, str], PromptInputs]


def _blip2(config: Any, tokenizer: Any, prompt: str) -> PromptInputs:
    text = config.text_config
    start = text.eos_token_id if text.bos_token_id is None else text.bos_token_id
    tokens = list(tokenizer(prompt).input_ids) if prompt else [start]
    image_token = getattr(config, "image_token_index", None)
    if image_token is None:  # checkpoints of before 2024: the queries are put before the text by the model
        return PromptInputs({"input_ids": tokens}) if prompt else NO_PROMPT
    # Without a prompt as well: some versions of transformers leave the places of the image out when they make them.
    tokens = [image_token] * config.num_query_tokens + tokens
    return PromptInputs({"input_ids": tokens}, tokens)


def _blip(config: Any, tokenizer: Any, prompt: str) -> PromptInputs:
    if not prompt:
        return NO_PROMPT
    tokens = list(tokenizer(prompt).input_ids)
    # The model puts its own beginning for the first, and drops the last, a separator.
    return PromptInputs({"input_ids": tokens}, [config.text_config.bos_token_id, *tokens[1:-1]])


def _git(config: Any, tokenizer: Any, prompt: str) -> PromptInputs:
    if not prompt:
        return NO_PROMPT
    tokens = [tokenizer.cls_token_id, *tokenizer(prompt, add_special_tokens=False).input_ids]
    return PromptInputs({"input_ids": tokens}, tokens)


def _encoder_decoder(config: Any, tokenizer: Any, prompt: str) -> PromptInputs:
    if not prompt:
        return NO_PROMPT
    start = config.decoder_start_token_id
    tokens = [start, *tokenizer(prompt, add_special_tokens=False).input_ids]
    return PromptInputs({"decoder_input_ids": tokens}, tokens)


FAMILIES: dict[str, Family] = {
    "blip": Family("BlipForConditionalGeneration", _blip),
    "blip-2": Family("Blip2ForConditionalGeneration", _blip2),
    "git": Family("GitForCausalLM", _git),
    "vision-encoder-decoder": Family("VisionEncoderDecoderModel", _encoder_decoder),
}
"""Families by `model_type`, as a checkpoint's `config.json` names it."""
