"""Two small evaluation sets with drawn images, `coco2017_val` and `hrsod_te`; their rows read without the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from pycocotools import mask as coco

from asam_datasets.builds import BUILD_FILE
from asam_datasets.demo import draw_record

# (height, width), masks; the model sees 128 × 128 pixels and takes 32 prompts at a time
COCO = (((150, 210), 40), ((300, 200), 3), ((96, 128), 5), ((128, 128), 2), ((70, 300), 4))
HRSOD = ((260, 180), (90, 140), (200, 200))


def draw_coco(root: Path) -> None:
    """`coco2017_val`: the first image has more masks than go through the decoder at once, the second one a mask of a
    single pixel, of which nothing is left at the size that the model sees."""
    (root / "val2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    images, annotations = [], []
    for number, ((height, width), masks) in enumerate(COCO, 1):
        jpeg, text = draw_record(number, height=height, width=width, masks=masks, seed=0)
        (root / f"val2017/{number:012}.jpg").write_bytes(jpeg)
        images.append({"id": number, "file_name": f"{number:012}.jpg", "height": height, "width": width})
        found = [one["segmentation"] for one in json.loads(text)["annotations"]]
        if number == 2:
            dot = np.zeros((height, width), np.uint8, order="F")
            dot[100, 77] = 1
            encoded = coco.encode(dot)
            found.append({"size": encoded["size"], "counts": encoded["counts"].decode()})
        for one in found:
            box = [float(n) for n in coco.toBbox(one)]
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 3, "iscrowd": 0, "segmentation": one,
                 "bbox": box, "area": float(coco.area(one))}
            )  # fmt: skip
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "stone"}]}
    (root / "annotations/instances_val2017.json").write_text(json.dumps(content))


def draw_hrsod(root: Path) -> None:
    """`hrsod_te`: one mask an image."""
    (root / "HRSOD_test").mkdir(parents=True)
    (root / "HRSOD_test_mask").mkdir()
    for number, (height, width) in enumerate(HRSOD, 50):
        jpeg, text = draw_record(number, height=height, width=width, masks=4, seed=0)
        (root / f"HRSOD_test/{number}.jpg").write_bytes(jpeg)
        union = coco.decode(coco.merge([one["segmentation"] for one in json.loads(text)["annotations"]]))
        Image.fromarray(255 * union).save(root / f"HRSOD_test_mask/{number}.png")


def regroup(part: Path, rows: int) -> None:
    """Write a part again with so many rows in each row group, as larger images would have it."""
    pq.write_table(pq.read_table(part), part, row_group_size=rows, compression="none")
    footer = pq.read_metadata(part)
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    manifest = json.loads(part.with_name(BUILD_FILE).read_text())
    columns: dict[str, int] = {}
    for chunk in (group.column(index) for group in groups for index in range(group.num_columns)):
        name = chunk.path_in_schema.split(".")[0]
        columns[name] = columns.get(name, 0) + chunk.total_compressed_size
    sizes = {"size_bytes": part.stat().st_size, "row_groups": [group.num_rows for group in groups], "columns": columns}
    manifest["parts"][0].update(sizes)
    part.with_name(BUILD_FILE).write_text(json.dumps(manifest))


def rows_of(dataset: Path, config: str) -> list[dict[str, Any]]:
    """The rows of a set, read without the package."""
    (part,) = dataset.glob(f"data/evaluation/{config}-*/part-000.parquet")
    return list(pq.read_table(part).to_pylist())
