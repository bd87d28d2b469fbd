"""Masks as COCO RLE: checked, decoded at any size, written as PNG, painted as a conditioning image.

Knows numpy and the engine (`rlemasklib`), nothing of datasets. Shapes are (height, width) everywhere.
"""

from __future__ import annotations

from asam_datasets.masks._colors import colors as colors
from asam_datasets.masks._decode import decode as decode
from asam_datasets.masks._decode import decode_batch as decode_batch
from asam_datasets.masks._decode import resize as resize
from asam_datasets.masks._labels import from_label_map as from_label_map
from asam_datasets.masks._png import PngEncoder as PngEncoder
from asam_datasets.masks._png import conditioning_png as conditioning_png
from asam_datasets.masks._png import from_png as from_png
from asam_datasets.masks._png import to_png as to_png
from asam_datasets.masks._rle import MAX_PIXELS as MAX_PIXELS
from asam_datasets.masks._rle import Runs as Runs
from asam_datasets.masks._rle import Segmentation as Segmentation
from asam_datasets.masks._rle import encode as encode
from asam_datasets.masks._rle import from_segmentation as from_segmentation
from asam_datasets.masks._rle import parse_counts as parse_counts
from asam_datasets.masks._rle import parse_together as parse_together
from asam_datasets.masks._rle import to_runs as to_runs
from asam_datasets.masks._rle import to_segmentation as to_segmentation
from asam_datasets.masks._sample import centers as centers
from asam_datasets.masks._sample import sample as sample

__all__ = [
    "MAX_PIXELS",
    "PngEncoder",
    "Runs",
    "Segmentation",
    "centers",
    "colors",
    "conditioning_png",
    "decode",
    "decode_batch",
    "encode",
    "from_label_map",
    "from_png",
    "from_segmentation",
    "parse_counts",
    "parse_together",
    "resize",
    "sample",
    "to_png",
    "to_runs",
    "to_segmentation",
]
