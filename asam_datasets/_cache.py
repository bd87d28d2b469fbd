"""Where unfinished work and locks are kept."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """Where publishing to the Hub keeps its work: `ASAM_DATASETS_CACHE`, or `asam_datasets` in the user's cache."""
    named = os.environ.get("ASAM_DATASETS_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asam_datasets"
