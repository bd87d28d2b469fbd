"""What to evaluate, and how: settings that decide the numbers, and those that only decide the speed."""

from __future__ import annotations

from numbers import Integral
from typing import Literal, get_args

import msgspec

from asam_datasets.errors import ModelError, option
from asam_datasets.machine import texts_of
from asam_datasets.models import DTYPES
from asam_datasets.published import parse_range

Protocol = Literal["asam", "center-point", "box"]
_PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)

DEFAULT_MODEL = "facebook/sam-vit-base"

_LEAST = {"points": 0, "seed": 0, "workers": 0, "threads": 1, "worst": 0}
_MOST_WORST = 200  # blocks of a sheet


class EvaluateOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a model is evaluated.

    Args:
        model: a SAM of transformers, a folder or a name on the Hub; by default the one that the checkpoint was tuned
            from, or `DEFAULT_MODEL`.
        model_revision: branch, tag or commit of a model on the Hub.
        checkpoint: a folder with `checkpoint.pt`, or such a file: tensors that replace those of the model.
        revision: branch, tag or commit of a dataset on the Hub; `main` by default.
        configs: what is evaluated; by default all evaluation sets, and without any the default config.
        protocol: how; see `asam_datasets.evaluate`.
        points: of the protocol `asam`: so many random points of each mask as its prompt; 0 is its box.
        seed: of those points.
        rows: of each config: `0:100`, `4:`, or one number.
        max_masks: so many of the first masks of an image; all by default.
        workers: processes that read and prepare images ahead, for each rank; 0 does it in between.
        device: `auto`, `cpu`, `cuda`, `cuda:1`; ranks take a GPU each.
        dtype: that the image encoder calculates with, one of `DTYPES`; everything else is float32.
        threads: that a CPU calculates with in each rank. Another number is another order of sums, and a pixel in a
            million falls on the other side: so it is one of the settings, and no matter of the machine.
        worst: so many of the masks with the lowest IoU are drawn on a sheet.

    Raises:
        ModelError: a value is out of range.
        SourceError: `rows` is no range.
    """

    model: str | None = None
    model_revision: str | None = None
    checkpoint: str | None = None
    revision: str | None = None
    configs: tuple[str, ...] = ()
    protocol: Protocol = "asam"
    points: int = 0
    seed: int = 0
    rows: str = ":"
    max_masks: int | None = None
    workers: int = 0
    device: str = "auto"
    dtype: str = "float32"
    threads: int = 1
    worst: int = 0

    def __post_init__(self) -> None:
        # One config is one, and not its letters.
        msgspec.structs.force_setattr(self, "configs", tuple(texts_of(self.configs, "configs")))
        for name, lowest in _LEAST.items():
            number = getattr(self, name)
            if not isinstance(number, Integral) or number < lowest:
                raise ModelError(f"expected {option(name)} of at least {lowest}, found {number!r}")
        if self.max_masks is not None and self.max_masks < 1:
            raise ModelError(f"expected {option('max_masks')} of at least 1, found {self.max_masks}")
        if self.worst > _MOST_WORST:
            raise ModelError(f"expected {option('worst')} of at most {_MOST_WORST}, found {self.worst}")
        for name, value, known in (("protocol", self.protocol, _PROTOCOLS), ("dtype", self.dtype, DTYPES)):
            if value not in known:
                raise ModelError(f"expected one of {', '.join(known)}, found {value!r}", where=option(name))
        if self.points and self.protocol != "asam":
            raise ModelError(
                f"expected {option('points')} with the protocol asam, found it with {self.protocol}",
                hint="The protocol center-point chooses its point itself.",
            )
        parse_range(self.rows)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that decides the numbers: stands in the results, and what was scored with others is not gone on from.

    Args:
        dataset, model: where they were.
        revision: of the dataset: the commit, or of a folder a digest of its builds.
        model_revision: the commit, or of a folder a digest of its config and weights.
        checkpoint: sha256 of the file.
        device: `cpu`, or the name of the GPU.
    """

    dataset: str
    revision: str
    model: str
    model_revision: str
    checkpoint: str | None
    protocol: Protocol
    points: int
    seed: int
    max_masks: int | None
    device: str
    dtype: str
    threads: int | None
    versions: dict[str, str]
