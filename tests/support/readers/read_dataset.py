"""What a stock `datasets` of any version makes of a published dataset, written down as JSON.

Runs in environments without `asam_datasets`: python read_dataset.py LOCATION OUTPUT. The test compares the output
with the source archive.
"""

import hashlib
import json
import os
import sys

import datasets
import numpy as np

if hasattr(datasets.config, "USE_PARQUET_EXPORT"):
    # 2.19 asks another host of the Hub for its own export first: here that is a name that takes seconds to not resolve.
    datasets.config.USE_PARQUET_EXPORT = False

CONFIGS = {
    "train": [
        "image",
        "caption",
        "conditioning_image",
        "masks",
        "annotations",
        "image_id",
        "file_name",
        "width",
        "height",
        "archive",
    ],
    "controlnet": ["image", "caption", "conditioning_image"],
    "sam": ["image", "caption", "annotations", "image_id", "file_name", "width", "height"],
}


def digest(content):
    return hashlib.sha256(content).hexdigest()


def pixels(image):
    array = np.asarray(image)
    return {"mode": image.mode, "shape": list(array.shape), "sha256": digest(np.ascontiguousarray(array).tobytes())}


def describe(row):
    """One row of which `image` was left undecoded."""
    seen = {"columns": list(row), "jpeg": digest(row["image"]["bytes"]), "name": row["image"]["path"]}
    for name in ("caption", "annotations", "image_id", "file_name", "width", "height", "archive"):
        if name in row:
            seen[name] = row[name]
    if "conditioning_image" in row:
        seen["conditioning_image"] = pixels(row["conditioning_image"])
    if "masks" in row:
        seen["masks"] = [
            {"mode": mask.mode, "sha256": digest(np.asarray(mask).astype(np.uint8).tobytes())} for mask in row["masks"]
        ]
    return seen


def main():
    location, output = sys.argv[1:3]
    seen = {"datasets": datasets.__version__, "rows": {}, "default": None}
    for streaming in (False, True):
        for config in CONFIGS:
            dataset = datasets.load_dataset(location, config, split="train", streaming=streaming)
            decoded = next(iter(dataset))["image"]
            dataset = dataset.cast_column("image", datasets.Image(decode=False))
            rows = [describe(row) for row in dataset]
            rows[0]["decoded"] = [decoded.height, decoded.width]
            seen["rows"][f"{config} {'streaming' if streaming else 'map'}"] = rows
    seen["default"] = datasets.load_dataset(location, split="train", streaming=True).column_names
    with open(output, "w") as file:
        json.dump(seen, file)


if __name__ == "__main__":
    main()
    # Arrow's threads may still read ahead of a stream that was left; an orderly end would abort now and then.
    sys.stdout.flush()
    os._exit(0)
