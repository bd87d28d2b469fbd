"""torchvision's transforms v2 between a record and a batch for SAM: `tv_tensors` change together.

Run with torch 2.14.1 and torchvision 0.29.1 of PyPI. torchvision has to be the one of its torch, so our CI, which has
torch's CPU build, has none.
"""

from functools import partial

from torch.utils.data import DataLoader, default_collate
from torchvision.transforms import v2

from asam_datasets.training import Choose, SamOptions, from_tv_tensors, open_stream, sam_sample, to_tv_tensors

pipeline = v2.Compose(
    [v2.RandomRotation(15), v2.RandomResizedCrop((256, 256)), v2.ColorJitter(0.3), v2.SanitizeBoundingBoxes()]
)


def augment(record, options, slots):
    # All masks of the record: some leave the image. `slots` of those that stay make the sample.
    return from_tv_tensors(pipeline(to_tv_tensors(sam_sample(record, options))), slots)


options = SamOptions(size=320, choose=Choose(None, "all"))
stream = open_stream("demo-dataset", "sam", transform=partial(augment, options=options, slots=8))
for batch in DataLoader(stream, batch_size=4, collate_fn=default_collate):
    print({name: tuple(value.shape) for name, value in batch.items()}, batch["valid"].sum(1).tolist())
