"""The proof after the flip: stock `datasets` loads every config from the Hub."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence

from asam_datasets.errors import HubError

_WAITS_S = (2.0, 5.0, 10.0)


def load_back(repo_id: str, revision: str, configs: Sequence[tuple[str, str]], tell: Callable[[str], None]) -> None:
    """Stream one record of each config, as a reader would.

    Args:
        repo_id: the dataset.
        revision: branch or pull request.
        configs: name and split.
        tell: gets a line when something is tried again.

    Raises:
        HubError: a config could not be loaded; the release is visible all the same.
    """
    for config, split in configs:
        for wait in (*_WAITS_S, None):
            try:
                _load_one(repo_id, revision, config, split)
                break
            # Whatever a reader may run into, in `datasets`, pyarrow or the network.
            except Exception as error:
                if wait is None:
                    raise HubError(
                        f"expected config {config} to load from the Hub, found {type(error).__name__}",
                        where=repo_id,
                        hint="It is published. Look at it with `asam-datasets verify`, or run the same command again.",
                    ) from error
                tell(f"loading {config} back: {type(error).__name__}; trying again in {wait:.0f} s")
                time.sleep(wait)


def _load_one(repo_id: str, revision: str, config: str, split: str) -> None:
    import datasets

    with tempfile.TemporaryDirectory(prefix="asam_datasets-") as cache:
        stream = datasets.load_dataset(repo_id, config, split=split, revision=revision, streaming=True, cache_dir=cache)
        row = next(iter(stream))
        if not row:
            raise ValueError("an empty record")
