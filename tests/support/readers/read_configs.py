"""What a stock `datasets` of any version makes of some configs of a dataset, by rows, written down as JSON.

Runs in environments without `asam_datasets`: python read_configs.py LOCATION OUTPUT CONFIG...
"""

import hashlib
import json
import os
import sys

import datasets
import numpy as np

if hasattr(datasets.config, "USE_PARQUET_EXPORT"):
    datasets.config.USE_PARQUET_EXPORT = False  # see read_dataset.py

# Columns that only some sets have.
EXTRA = ("text_input", "is_instance_exhaustive", "is_pixel_exhaustive", "annotator", "subset")


def describe(row):
    """One row of an evaluation set, its image left as bytes."""
    return {
        "image": hashlib.sha256(row["image"]["bytes"]).hexdigest(),
        "masks": [hashlib.sha256(np.asarray(mask).astype(np.uint8).tobytes()).hexdigest() for mask in row["masks"]],
        "annotations": row["annotations"],
        "names": [row["image_id"], row["file_name"], row["dataset"]],
        "size": [row["height"], row["width"]],
        "extra": {name: row[name] for name in EXTRA if name in row},
    }


def main():
    """Each config, as a map and as a stream: rows by split."""
    location, output, *configs = sys.argv[1:]
    seen = {}
    for config in configs:
        for streaming in (False, True):
            splits = datasets.load_dataset(location, config, streaming=streaming)
            seen[f"{config} {'streaming' if streaming else 'map'}"] = {
                str(name): [describe(row) for row in split.cast_column("image", datasets.Image(decode=False))]
                for name, split in splits.items()
            }
            first = next(iter(next(iter(splits.values()))))["image"]
            assert first.size
    with open(output, "w") as file:
        json.dump(seen, file)


if __name__ == "__main__":
    main()
    # Arrow's threads may still read ahead of a stream that was left; an orderly end would abort now and then.
    sys.stdout.flush()
    os._exit(0)
