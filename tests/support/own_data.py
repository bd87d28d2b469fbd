"""Data as people have them at home: photographs of any name, annotated by whatever they had."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

CAT, DOG = (40, 60), (30, 50)
"""(height, width) of the two images."""

POLYGON = [5.0, 5.0, 30.5, 6.0, 28.0, 21.0, 6.0, 19.5]
DIAGONAL = np.eye(*DOG, dtype=np.uint8)


def encoded(shape: tuple[int, int], kind: str, seed: int = 0) -> bytes:
    """An image of noise."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 255, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def runs(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed RLE."""
    found = coco.encode(np.asfortranarray(mask))
    return {"size": [int(side) for side in found["size"]], "counts": found["counts"].decode()}


def coco_table() -> dict[str, Any]:
    """A COCO JSON: polygons, runs as numbers, runs as text, a crowd, and one without a mask."""
    return {
        "images": [
            {"id": 7, "file_name": "Cat 1.png", "width": 60, "height": 40},
            {"id": 3, "file_name": "sub/dog.JPG", "width": 50, "height": 30},
        ],
        "annotations": [
            {"id": 11, "image_id": 7, "category_id": 1, "segmentation": [POLYGON], "bbox": [5, 5, 1, 1], "area": 9},
            {"id": 12, "image_id": 7, "category_id": 2, "segmentation": {"size": [40, 60], "counts": [100, 50, 2250]}},
            {"id": 13, "image_id": 3, "category_id": 2, "segmentation": runs(DIAGONAL), "iscrowd": 0},
            {"id": 14, "image_id": 3, "category_id": 2, "segmentation": []},
            {"id": 15, "image_id": 3, "category_id": 2, "segmentation": runs(DIAGONAL), "iscrowd": 1},
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def coco_files() -> dict[str, bytes]:
    """Two images below a folder, and one JSON beside it."""
    return {
        "images/Cat 1.png": encoded(CAT, "PNG"),
        "images/sub/dog.JPG": encoded(DOG, "JPEG"),
        "instances.json": json.dumps(coco_table()).encode(),
    }


def pair_files() -> dict[str, bytes]:
    """Two images with a JSON each: one looser than SA-1B's, one of COCO's form."""
    alone = {"annotations": [{"segmentation": [POLYGON], "label": "cat"}]}
    table = {"images": [{"file_name": "dog.jpeg"}], "annotations": [{"id": 4, "segmentation": runs(DIAGONAL)}]}
    return {
        "photos/Cat 1.png": encoded(CAT, "PNG"),
        "photos/Cat 1.json": json.dumps(alone).encode(),
        "photos/dog.jpeg": encoded(DOG, "JPEG"),
        "labels/dog.json": json.dumps(table).encode(),
    }


def pack(kind: str, path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files as a folder, a tar or a zip below `path`; what is written is called `mine`."""
    if kind == "folder":
        for name, content in files.items():
            (path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
            (path / "mine" / name).write_bytes(content)
        return path / "mine"
    packed = path / f"mine.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return packed
    with tarfile.open(packed, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed
