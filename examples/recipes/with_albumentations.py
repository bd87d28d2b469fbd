"""albumentations between a record and a batch for SAM: image, masks and boxes change together.

Run with albumentations 2.0.8, which is not among the packages that our CI installs (it brings scipy).
"""

import os
from functools import partial

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # or importing it asks PyPI for a newer one

import albumentations
from torch.utils.data import DataLoader, default_collate

from asam_datasets.training import Choose, SamOptions, from_albumentations, open_stream, sam_sample, to_albumentations

pipeline = albumentations.Compose(
    [albumentations.Rotate(limit=15), albumentations.RandomResizedCrop((256, 256)), albumentations.ColorJitter()],
    bbox_params=albumentations.BboxParams("pascal_voc", label_fields=["labels"]),
)


def augment(record, options, slots):
    # All masks of the record: some leave the image. `slots` of those that stay make the sample.
    frame = pipeline(**to_albumentations(sam_sample(record, options)))
    return {**from_albumentations(frame, slots), "image_id": record["image_id"]}


options = SamOptions(size=320, choose=Choose(None, "all"))
stream = open_stream("demo-dataset", "sam", transform=partial(augment, options=options, slots=8))
for batch in DataLoader(stream, batch_size=4, collate_fn=default_collate):
    print({name: tuple(value.shape) for name, value in batch.items()}, batch["valid"].sum(1).tolist())
