"""Nothing but `datasets`, numpy and pycocotools: masks, boxes, and only what was predicted well.

Take the config `sam` wherever the PNGs of the masks are not needed: `train` decodes each of them for each row.
"""

import numpy as np
from datasets import load_dataset
from pycocotools import mask as coco_mask

stream = load_dataset("demo-dataset", "sam", split="train", streaming=True)


def keep_good(row, lowest=0.9):
    row["annotations"] = [one for one in row["annotations"] if (one["predicted_iou"] or 0) >= lowest]
    return row


def boxes_xyxy(annotations):
    """float64 (masks, 4). SA-1B's boxes are inclusive: x_max = x + width is the last column of the mask."""
    boxes = np.array([one["bbox"] for one in annotations]).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


for row in stream.map(keep_good).filter(lambda row: len(row["annotations"]) > 0).take(3):
    masks = np.stack([coco_mask.decode(one["segmentation"]) for one in row["annotations"]])  # (masks, height, width)
    boxes = boxes_xyxy(row["annotations"])
    columns = np.flatnonzero(masks[0].any(axis=0))
    print(row["image_id"], masks.shape, boxes[0], "=", columns[0], "to", columns[-1])
    # For torchvision, COCO and albumentations right and bottom are the first pixels outside: boxes + [0, 0, 1, 1].
