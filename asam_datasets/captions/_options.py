"""What to caption with: settings that decide the words, and those that only decide the speed."""

from __future__ import annotations

import re

import msgspec

from asam_datasets.errors import ModelError, option
from asam_datasets.sources import OnBadRecord

DEFAULT_MODEL = "Salesforce/blip2-flan-t5-xl"
_LEAST = {"batch_size": 1, "threads": 1, "max_new_tokens": 1, "num_beams": 1, "seed": 0}


class Generation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How words are chosen; all of it explicit, so that no default of a library or a checkpoint decides.

    `temperature` 0 takes the most likely words (greedy, or beams): the same image gets the same caption. Above 0
    words are drawn at random, seeded by `seed` and the first image id of a batch.
    """

    max_new_tokens: int = 40
    num_beams: int = 1
    repetition_penalty: float = 1.0
    length_penalty: float = 1.0
    temperature: float = 0.0
    seed: int = 0


class CaptionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to caption with. `shard` is (number, of how many): this process takes every n-th image.

    Raises:
        ModelError: a number is out of range.
    """

    model: str = DEFAULT_MODEL
    revision: str | None = None
    prompt: str = ""
    generation: Generation = Generation()
    device: str = "auto"
    dtype: str = "auto"
    batch_size: int = 16
    threads: int = 4
    shard: tuple[int, int] = (1, 1)
    on_bad_record: OnBadRecord = "raise"

    def __post_init__(self) -> None:
        numbers = {"batch_size": self.batch_size, "threads": self.threads}
        generation = self.generation
        numbers |= {name: getattr(generation, name) for name in ("max_new_tokens", "num_beams", "seed")}
        for name, number in numbers.items():
            if number < _LEAST[name]:
                raise ModelError(f"expected {option(name)} of at least {_LEAST[name]}, found {number}")
        if not (generation.temperature >= 0 and generation.repetition_penalty > 0):
            raise ModelError(
                f"expected {option('temperature')} of at least 0 and a repetition penalty above 0, "
                f"found {generation.temperature} and {generation.repetition_penalty}"
            )
        if not 1 <= self.shard[0] <= self.shard[1]:
            raise ModelError(f"expected {option('shard')} from 1/n to n/n, found {self.shard[0]}/{self.shard[1]}")


def parse_shard(text: str) -> tuple[int, int]:
    """Read `3/8`.

    Raises:
        ModelError: it is not of that form.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if not match:
        raise ModelError(
            f"expected {option('shard')} as 3/8, found {text!r}", hint="3/8 is the third of eight processes."
        )
    return int(match[1]), int(match[2])


class Settings(msgspec.Struct, frozen=True):
    """What decides the words of a caption file: recorded in its header, and the same in every run that continues it.

    `revision` is the commit of a Hub checkpoint, or a digest of a local one.
    """

    model: str
    revision: str
    prompt: str
    dtype: str
    generation: Generation
