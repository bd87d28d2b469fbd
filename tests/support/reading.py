"""The readers of other environments, and what they must have seen of a published archive."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from conftest import tar_members
from pycocotools import mask as coco

from asam_datasets.masks import colors
from asam_datasets.sources.sa1b import to_sa1b_json

READERS = ("datasets-2.19.2", "datasets-3.6.0", "datasets-latest")

SAM = ["image", "caption", "annotations", "image_id", "file_name", "width", "height"]
TRAIN = ["image", "caption", "conditioning_image", "masks", "annotations", "image_id", "file_name", "width", "height"]
TRAIN += ["archive"]


def check_rows(seen: dict[str, Any], archive: Path, captions: Path) -> None:
    """Compare what a reader saw with the archive, in all configs, in map and streaming mode."""
    members = tar_members(archive)
    names = sorted((name for name in members if name.endswith(".jpg")), key=lambda name: int(name[3:-4]))
    texts = {line["img"]: line["prompt"] for line in map(json.loads, captions.read_text().splitlines())}
    assert seen["default"] == seen["rows"]["train map"][0]["columns"]
    assert set(seen["rows"]) == {f"{c} {m}" for c in ("train", "controlnet", "sam") for m in ("map", "streaming")}
    for config, rows in seen["rows"].items():
        assert [row["name"] for row in rows] == names, config
        for name, row in zip(names, rows, strict=True):
            source = json.loads(members[name.replace("jpg", "json")])
            shape = [source["image"]["height"], source["image"]["width"]]
            assert row["jpeg"] == hashlib.sha256(members[name]).hexdigest()
            assert row["caption"] == texts[name]
            if "decoded" in row:
                assert row["decoded"] == shape
            if "conditioning_image" in row:
                assert row["conditioning_image"] == painted(source, shape)
            if config.startswith("controlnet"):
                assert row["columns"] == ["image", "caption", "conditioning_image"]
                continue
            assert row["columns"] == (SAM if config.startswith("sam") else TRAIN)
            assert to_sa1b_json({"file_name": name, **row}) == source
            if "masks" in row:
                decoded = [coco.decode(annotation["segmentation"]) for annotation in source["annotations"]]
                assert [mask["sha256"] for mask in row["masks"]] == [sha256(mask) for mask in decoded]
                assert {mask["mode"] for mask in row["masks"]} <= {"1"}
                assert row["archive"] == archive.stem


def painted(source: dict[str, Any], shape: list[int]) -> dict[str, Any]:
    """The conditioning image by plain NumPy, from the convention in the card: larger masks under smaller ones."""
    canvas = np.zeros((*shape, 3), np.uint8)
    masks = [coco.decode(annotation["segmentation"]).astype(bool) for annotation in source["annotations"]]
    for index in sorted(range(len(masks)), key=lambda i: (-int(masks[i].sum()), i)):
        canvas[masks[index]] = colors(len(masks))[index]
    return {"mode": "RGB", "shape": [*shape, 3], "sha256": sha256(canvas)}


def sha256(array: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
