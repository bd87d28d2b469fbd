"""ASAM's organised folder: from archives (`organize`), and from a published dataset, all of it (`export`) or some of
its images by their ids (`fetch`).

    sam-1b/
      sa_000000/
        sa_1.jpg  sa_1.json            the originals, byte for byte
        sa_1/segmentation_0.png ...    masks in annotation order, 8-bit grey, 0 or 255
        sa_1.png                       conditioning image, full size: the published one
      sa_000000-blip2-caption.json     JSON Lines: {"img": "sa_1.jpg", "prompt": "a photo of ..."}
      sa_000000-controlnet-train.json  JSON Lines: {"source": "sa_000000/sa_1.png", "target": "sa_000000/sa_1.jpg", ...}
      testdata/hrsod_te/{imgs,gts}/    evaluation sets (`export` alone): binary ones with a mask per image,
      testdata/lvis/{imgs/,annotations.json}                              the others with a COCO file
      adversarial/{adv,record}/      adversarial samples (`export` alone), as ASAM's generator leaves them

All write the same bytes. As a source, such a folder is read by `asam_datasets.sources`.
"""

from __future__ import annotations

from asam_datasets.organized._coco import ANY_OBJECT as ANY_OBJECT
from asam_datasets.organized._coco import ObjectKind as ObjectKind
from asam_datasets.organized._coco import list_categories as list_categories
from asam_datasets.organized._coco import number_categories as number_categories
from asam_datasets.organized._coco import number_images as number_images
from asam_datasets.organized._export import export as export
from asam_datasets.organized._fetch import fetch as fetch
from asam_datasets.organized._masks import MaskRange as MaskRange
from asam_datasets.organized._names import flat_names as flat_names
from asam_datasets.organized._organize import organize as organize
from asam_datasets.organized._result import Fetched as Fetched
from asam_datasets.organized._result import Organized as Organized

__all__ = [
    "ANY_OBJECT",
    "Fetched",
    "MaskRange",
    "ObjectKind",
    "Organized",
    "export",
    "fetch",
    "flat_names",
    "list_categories",
    "number_categories",
    "number_images",
    "organize",
]
