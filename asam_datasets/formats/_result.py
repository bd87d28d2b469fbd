"""What `export_form` says that it wrote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec


class FolderWritten(msgspec.Struct, frozen=True):
    """One archive or set in its folder, complete.

    `masks` counts what was written of the `annotations` that there are, `left_out` what was not, by the reason; `lost`
    counts masks that the form cannot hold exactly, by what is lost of them.
    """

    name: str
    split: str
    images: int
    annotations: int
    masks: int
    captions: int
    left_out: Mapping[str, int] = {}
    lost: Mapping[str, int] = {}


@dataclass(frozen=True)
class Exported:
    """What `export_form` wrote; `notes` tell what was left out, and what readers of the form will stumble over."""

    out: str
    form: str
    folders: Sequence[FolderWritten]
    notes: Sequence[str]
    seconds: float
