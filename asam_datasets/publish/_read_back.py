"""A program of its own: stream one record of each config, as a reader would, with stock `datasets`.

    python _read_back.py '{"repo_id": ..., "revision": ..., "configs": [[name, split], ...]}'

Prints the name of each config that was read; the first that was not ends it with the kind of the failure on stderr.
It needs nothing of this package. It is no part of the publishing process because Arrow's threads go on reading behind
a stream that was left after one record, and a Python that ends meanwhile is aborted.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any


def read_back(job: dict[str, Any]) -> None:
    """Stream one record of each config.

    Raises:
        ValueError: a record is empty; and whatever a reader may run into.
    """
    os.environ["USE_TORCH"] = "0"  # `datasets` would load it for streams, a second for nothing here
    import datasets

    with tempfile.TemporaryDirectory(prefix="asam_datasets-") as cache:
        for config, split in job["configs"]:
            stream = datasets.load_dataset(
                job["repo_id"], config, split=split, revision=job["revision"], streaming=True, cache_dir=cache
            )
            if not next(iter(stream)):
                raise ValueError("an empty record")
            print(config, flush=True)


if __name__ == "__main__":
    code = 0
    try:
        read_back(json.loads(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - told to the publishing process, which knows what to do
        print(f"\n{type(error).__name__}", file=sys.stderr, flush=True)
        code = 1
    os._exit(code)
