"""The configs of a dataset: ONE map from its builds to configs, their splits and their columns.

The card's YAML, what can be opened by name, plans and summaries all ask `configs_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from asam_datasets.tables._registry import TABLES, Kind, columns_of

ADVERSARIAL_NAME = "adversarial"
"""Name of the one build of adversarial samples and of its config."""

ALL_SETS = "evaluation"
"""The config that has every evaluation set, in one split: the Hub's viewer refuses more than 30."""

ALL_SETS_SPLIT = "test"


@dataclass(frozen=True)
class View:
    """Some columns of the train files; `columns` is None for all of them."""

    name: str
    columns: tuple[str, ...] | None
    purpose: str


VIEWS: tuple[View, ...] = (
    View("train", None, "everything"),
    View("controlnet", ("image", "caption", "conditioning_image"), "what ControlNet scripts take, in their order"),
    View(
        "sam",
        ("image", "caption", "annotations", "image_id", "file_name", "width", "height"),
        "image and annotations; masks are decoded from the RLE, so their PNGs are not transferred",
    ),
)
"""The configs over the train files; the first is the default."""

_SHARED = View(ALL_SETS, tuple(TABLES["evaluation"].columns), "the columns that all sets have")


class Described(Protocol):
    """What is known of a build, made or only planned."""

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def splits(self) -> Sequence[str]: ...

    @property
    def extra(self) -> Sequence[str]: ...


B = TypeVar("B", bound=Described)


@dataclass(frozen=True)
class Config(Generic[B]):
    """One config: the builds of each of its splits, and what it shows of them.

    `columns` are those of the table in their order; `view` is None for a config that shows all of its own files.
    """

    name: str
    kind: Kind
    splits: Mapping[str, tuple[B, ...]]
    view: View | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it shows."""
        chosen = self.view.columns if self.view is not None else None
        return chosen or tuple(columns_of(self.kind, {name for build in self.builds for name in build.extra}))

    @property
    def builds(self) -> tuple[B, ...]:
        """The builds of all splits, each once."""
        return tuple({build.name: build for builds in self.splits.values() for build in builds}.values())


def configs_of(builds: Iterable[B]) -> list[Config[B]]:
    """The configs that a dataset of these builds has, in the order of the card; the first is the default."""
    ordered = sorted(builds, key=lambda build: build.name)
    archives, sets, samples = (
        tuple(build for build in ordered if build.kind == kind) for kind in ("train", "evaluation", "adversarial")
    )
    splits = {split: tuple(one for one in archives if split in one.splits) for split in ("train", "validation")}
    shown = {split: some for split, some in splits.items() if some}
    views = [Config(view.name, "train", shown, view) for view in VIEWS if archives]
    alone = [_alone(build) for build in sets]
    # Stock readers take the columns of a config from its first file, and fail on files that have others.
    shared = _SHARED if any(build.extra for build in sets) else None
    together = [Config(ALL_SETS, "evaluation", {ALL_SETS_SPLIT: sets}, shared)] if sets else []
    return [*views, *map(_alone, samples), *([*alone, *together] if archives else [*together, *alone])]


def _alone(build: B) -> Config[B]:
    return Config(build.name, build.kind, {build.splits[0]: (build,)})
