"""What the papers say of the sets: figures to stand beside ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Published(NamedTuple):
    """Mean IoU in percent with the box as prompt, ViT-B, as ASAM's tables have it (CVPR 2024)."""

    sam: float
    asam: float


PUBLISHED: Mapping[str, Published] = {
    "doors": Published(86.5, 87.1),
    "lvis": Published(80.7, 81.2),
    "zerowaste_f": Published(43.0, 46.9),
    "ndispark": Published(81.8, 82.2),
    "egohos": Published(81.1, 82.0),
    "plittersdorf": Published(78.7, 79.0),
    "bbbc038v1": Published(84.8, 85.0),
    "ade20k": Published(74.7, 75.5),
    "voc2012": Published(79.1, 80.6),
    "cityscapes": Published(54.1, 56.0),
    "coco2017_val": Published(77.5, 79.4),
    "hrsod_te": Published(88.9, 91.3),
    "camo": Published(70.7, 73.0),
    "big": Published(85.5, 87.0),
}
"""By the id in the catalog."""

_FINE = ("hrsod", "big", "dis5k")


def is_fine(config: str) -> bool:
    """Whether the outlines of a set are exact enough for a boundary IoU."""
    return any(config == name or config.startswith(f"{name}_") for name in _FINE)
