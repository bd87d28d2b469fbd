"""A held-out share: the same images for every rank, worker and run, and none of them is trained on.

For a dataset of somebody else's. In one of your own, `publish --validation 0.1` makes a split that all readers know:
`open_stream("demo-dataset", "sam", split="validation")`.
"""

import zlib

from asam_datasets.training import Filter, open_stream


def is_held_out(image_id: int, percent: int = 20) -> bool:
    """By the id alone, so that the share stays the same when archives are added."""
    return zlib.crc32(str(image_id).encode()) % 100 < percent


# One small column of the dataset; rank and world size are given, so that each process sees all of it.
ids = open_stream("demo-dataset", "sam", rank=0, world_size=1, window=0, columns=["image_id"])
held_out = [record["image_id"] for record in ids if is_held_out(record["image_id"])]

training = open_stream("demo-dataset", "sam", seed=0, ends="drop", where=Filter(without_image_ids=held_out))
validation = open_stream("demo-dataset", "sam", window=0, where=Filter(image_ids=held_out))  # in the dataset's order
print(len(training), "and", len(validation), "held out:", held_out)
assert not {record["image_id"] for record in training} & set(held_out)
