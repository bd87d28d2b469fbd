"""Publish SA-1B archives as a Hugging Face dataset. See `asam_datasets.publish` and `asam_datasets.masks`."""

from __future__ import annotations

__version__ = "0.1.0"
