"""The layouts, one module each. A new one is a module here, its import and its place in `Layout`."""

from __future__ import annotations

from typing import TypeAlias

from asam_datasets.sources.evaluation.layouts._binary import Binary
from asam_datasets.sources.evaluation.layouts._coco import Coco
from asam_datasets.sources.evaluation.layouts._hypersim import Hypersim
from asam_datasets.sources.evaluation.layouts._index_map import IndexMap
from asam_datasets.sources.evaluation.layouts._labelme import LabelMe
from asam_datasets.sources.evaluation.layouts._objects import Objects
from asam_datasets.sources.evaluation.layouts._rgb_map import RGBMap
from asam_datasets.sources.evaluation.layouts._via import Via
from asam_datasets.sources.evaluation.layouts._visor import Visor
from asam_datasets.sources.evaluation.layouts._woodscape import WoodScape
from asam_datasets.sources.evaluation.layouts._youtube_vis import YouTubeVIS

__all__ = ["Layout"]

Layout: TypeAlias = (
    Binary | Objects | IndexMap | RGBMap | Coco | Via | Visor | WoodScape | LabelMe | YouTubeVIS | Hypersim
)
"""What an entry's `layout` may be: its `type` is the struct's tag."""
