"""Captions of an archive's images by an image-to-text model: BLIP-2 T5, or another family of the registry.

    caption("sa_000000.tar", Path("sa_000000-blip2-caption.json"))

Importing this loads neither torch nor transformers. Caption files are read by `asam_datasets.sources.read_captions`.
"""

from __future__ import annotations

from asam_datasets.captions._caption import Captioned as Captioned
from asam_datasets.captions._caption import caption as caption
from asam_datasets.captions._caption import shard_path as shard_path
from asam_datasets.captions._merge import Merged as Merged
from asam_datasets.captions._merge import merge as merge
from asam_datasets.captions._options import DEFAULT_MODEL as DEFAULT_MODEL
from asam_datasets.captions._options import CaptionOptions as CaptionOptions
from asam_datasets.captions._options import Generation as Generation
from asam_datasets.captions._options import Settings as Settings
from asam_datasets.captions._options import parse_shard as parse_shard
from asam_datasets.captions._transformers import Checkpoint as Checkpoint
from asam_datasets.captions._transformers import OutOfMemory as OutOfMemory
from asam_datasets.captions._transformers import TransformersCaptioner as TransformersCaptioner

__all__ = [
    "DEFAULT_MODEL",
    "CaptionOptions",
    "Captioned",
    "Checkpoint",
    "Generation",
    "Merged",
    "OutOfMemory",
    "Settings",
    "TransformersCaptioner",
    "caption",
    "merge",
    "parse_shard",
    "shard_path",
]
