"""What a record costs a reader, as `benchmarks/configs.py` measured it: run it again and put its lines here."""

from __future__ import annotations

from typing import NamedTuple


class Measured(NamedTuple):
    """One line of the table: seconds and bytes read for a record, by one process."""

    purpose: str
    config: str
    reader: str
    seconds: float
    size_bytes: int


MEASURED = (
    Measured("look at everything, masks as images", "train", "`datasets`", 0.2759, 1005899),
    Measured("train a ControlNet, images as they are", "controlnet", "`datasets`", 0.0354, 744126),
    Measured("train a ControlNet, 512 × 512", "controlnet", "`asam_datasets.training`", 0.0364, 744126),
    Measured("have image and masks, decoded by `pycocotools`", "sam", "`datasets`", 0.1717, 676278),
    Measured("tune SAM, 1024 × 1024 and 64 masks", "sam", "`asam_datasets.training`", 0.0229, 676278),
)
MEASURED_ON = (
    "Measured on 2026-11-30 by `benchmarks/configs.py`, not on the images of this dataset: 24 records of drawn images, "
    "1500 × 2250 with 100 masks and 0.59 MB each, read from a disk. Seconds are those of one core of an AMD EPYC."
)
