"""SA-1B archives as a Hugging Face dataset: published by one command, loaded by plain `datasets`.

    python -m asam_datasets.publish --train sa_000000.tar --out DIR

What is public:

- `show` draws one record, of stock `datasets` or of a stream, for a notebook.
- `asam_datasets.publish` makes and updates a dataset, `asam_datasets.published` reads one back and verifies it.
- `asam_datasets.training` has samples and streams for torch (extra `train`), `asam_datasets.evaluate` measures a SAM on
  published sets (extra `evaluate`), `asam_datasets.captions` captions archives (extra `caption`).
- `asam_datasets.masks` checks, decodes and writes COCO RLE, `asam_datasets.preview` draws contact sheets,
  `asam_datasets.organized` makes the folder that ASAM's programs read.
- `asam_datasets.download` fetches archives, `asam_datasets.scale` builds many on a cluster, `asam_datasets.demo` draws
  one. `asam_datasets.errors` has everything that can go wrong in a known way.

Nothing is loaded before it is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

__all__ = ["show"]

_LAZY = {"show": "asam_datasets.preview"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
