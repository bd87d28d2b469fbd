"""A catalog entry: all that is known of one evaluation set, typed and checked."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from asam_datasets.sources.evaluation.layouts import Layout

Split = Literal["test", "validation"]
Kind = Literal["instance", "semantic", "binary", "panoptic"]
Protocol = Literal["default", "asam"]
Count = Annotated[int, Meta(ge=1)]

_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")
RESERVED = ("train", "controlnet", "sam", "evaluation", "adversarial", "default")
"""Configs of the dataset that are there already."""


class Reading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Another way to read a set: its layout, and what of the entry does not hold for it.

    Args:
        split, source_split, kind: of these files; the entry's own by default.
        expected_images, expected_masks: of these files; unknown by default.
    """

    layout: Layout
    split: Split | None = None
    source_split: str = ""
    kind: Kind | None = None
    expected_images: Count | None = None
    expected_masks: Count | None = None


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One evaluation set.

    Args:
        id: names the set on the command line and its config in the dataset.
        license: in words; empty where nothing is known.
        redistributable: may the images be published inside another dataset? Not legal advice; treat `unknown` as
            `no`.
        citation: BibTeX or text; empty where nothing is known.
        split: of the config; sets whose source knows no such split, or calls it `train`, are a `test` set here.
        source_split: what the source calls the files that the layout reads.
        layout: how the set is read; None where only the user can say which of the `variants` lies in the folder.
        variants: other files of the same set, chosen by name.
        expected_images, expected_masks: images with at least one mask, and masks, that the layout should give.
        protocol_asam: how the reading of ASAM's own loaders differs; empty where it does not, or where it has none.
        asam: that reading.
    """

    id: str
    name: str
    homepage: str
    license: str
    redistributable: Literal["yes", "no", "unknown"]
    split: Split
    source_split: str
    kind: Kind
    license_link: str | None = None
    citation: str = ""
    layout: Layout | None = None
    variants: dict[str, Reading] = {}
    expected_images: Count | None = None
    expected_masks: Count | None = None
    notes: str = ""
    protocol_asam: str = ""
    asam: Reading | None = None

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id) or self.id in RESERVED:
            taken = ", ".join(RESERVED)
            raise ValueError(
                f"expected an id of small letters, digits and underscores that is none of {taken}, found {self.id!r}"
            )
        if not self.name.strip():
            raise ValueError("expected a name, found an empty one")
        if self.layout is None and not self.variants:
            raise ValueError("expected a layout, or variants to choose from, found neither")
        for variant in self.variants:
            if not re.fullmatch(r"[a-z][a-z0-9_-]*", variant):
                raise ValueError(f"expected a variant's name of small letters, digits and dashes, found {variant!r}")
        if self.asam is not None and not self.protocol_asam:
            raise ValueError("expected `protocol_asam` to say how the reading `asam` differs, found nothing")
