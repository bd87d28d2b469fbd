"""Stop on two GPUs, go on on three, or with other workers: what is left of the epoch is shared, each image once.

The ranks are played in one process here. In a job each saves `gather_state(loader.state_dict())`, which asks the other
ranks through `torch.distributed`, and opens its stream without `rank` and `world_size`: the environment says them.
"""

import json

from torchdata.stateful_dataloader import StatefulDataLoader

from asam_datasets.training import gather_state, open_stream


def open_rank(rank, world_size, workers):
    stream = open_stream("demo-dataset", "sam", rank=rank, world_size=world_size, columns=["image_id"])
    return stream, StatefulDataLoader(stream, batch_size=2, num_workers=workers, collate_fn=list)


if __name__ == "__main__":  # workers may import this file
    seen, states = [], []
    for rank in range(2):
        stream, loader = open_rank(rank, world_size=2, workers=0)
        for number, batch in enumerate(loader, 1):
            seen += [record["image_id"] for record in batch]
            if number == 2:
                states.append(loader.state_dict())
                break
    state = json.dumps(gather_state(states))  # plain values, one for all ranks: put it into the checkpoint

    for rank in range(3):
        stream, loader = open_rank(rank, world_size=3, workers=1)
        stream.load_state_dict(json.loads(state))  # of the stream, before the first iteration; not of the loader
        seen += [record["image_id"] for batch in loader for record in batch]
    print(sorted(seen))
    assert len(seen) == len(set(seen))
