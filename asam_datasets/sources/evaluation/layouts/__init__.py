"""One adapter per layout. A new layout is a struct in `_layouts.py`, a module here and a line in `ADAPTERS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asam_datasets.sources.evaluation._records import Adapter
from asam_datasets.sources.evaluation.layouts._binary import BinaryAdapter
from asam_datasets.sources.evaluation.layouts._coco import CocoAdapter
from asam_datasets.sources.evaluation.layouts._hypersim import HypersimAdapter
from asam_datasets.sources.evaluation.layouts._index_map import IndexMapAdapter
from asam_datasets.sources.evaluation.layouts._rgb_map import RGBMapAdapter
from asam_datasets.sources.evaluation.layouts._structs import (
    Binary,
    Coco,
    Hypersim,
    IndexMap,
    Layout,
    Objects,
    RGBMap,
    Via,
    Visor,
    WoodScape,
    YouTubeVIS,
)
from asam_datasets.sources.evaluation.layouts._via import ViaAdapter
from asam_datasets.sources.evaluation.layouts._visor import VisorAdapter
from asam_datasets.sources.evaluation.layouts._woodscape import WoodScapeAdapter
from asam_datasets.sources.evaluation.layouts._youtube_vis import YouTubeVISAdapter

ADAPTERS: Mapping[type[Layout], Adapter[Any]] = {
    Binary: BinaryAdapter(),
    Objects: BinaryAdapter(),
    IndexMap: IndexMapAdapter(),
    RGBMap: RGBMapAdapter(),
    Coco: CocoAdapter(),
    Via: ViaAdapter(),
    Visor: VisorAdapter(),
    WoodScape: WoodScapeAdapter(),
    YouTubeVIS: YouTubeVISAdapter(),
    Hypersim: HypersimAdapter(),
}


def adapter_of(layout: Layout) -> Adapter[Any]:
    """The adapter that reads a layout."""
    return ADAPTERS[type(layout)]
