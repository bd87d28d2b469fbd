"""One order for any cluster: the batches number k of all ranks together are the same records on 1, 2, 4 ... 128 GPUs.

For losses that must not depend on how many GPUs there were. Its price: the images are read one by one.
"""

from torch.utils.data import DataLoader

from asam_datasets.training import open_stream

GLOBAL_BATCH = 4


def steps(world_size, workers=0):
    """The images of each step of a job, from all its ranks."""
    size = GLOBAL_BATCH // world_size
    ranks = []
    for rank in range(world_size):
        given = {"rank": rank, "world_size": world_size, "order": "global", "batch_size": size, "seed": 7}
        stream = open_stream("demo-dataset", "sam", columns=["image_id"], **given)
        ranks.append(DataLoader(stream, batch_size=size, num_workers=workers, collate_fn=list))
    return [sorted(record["image_id"] for batch in step for record in batch) for step in zip(*ranks, strict=True)]


if __name__ == "__main__":  # workers may import this file
    print(steps(1))
    assert steps(1) == steps(2, workers=1) == steps(4)
