"""A dataset that `load_dataset` has on this disk, in the order and with the shares of a stream: `StreamSampler`."""

from functools import partial

from datasets import Image, load_dataset
from torch.utils.data import DataLoader

from asam_datasets.training import Choose, SamOptions, StreamSampler, open_stream, sam_batch

rows = load_dataset("demo-dataset", "sam", split="train")
rows = rows.cast_column("image", Image(decode=False))  # `sam_batch` decodes them at the size that it needs
sampler = StreamSampler(open_stream("demo-dataset", "sam", seed=0, ends="drop"))  # nothing of the stream is read
collate = partial(sam_batch, options=SamOptions(size=256, choose=Choose(16)))
loader = DataLoader(rows, batch_size=4, sampler=sampler, num_workers=2, collate_fn=collate)

if __name__ == "__main__":  # workers may import this file
    for epoch in range(2):
        sampler.set_epoch(epoch)
        print("epoch", epoch, [batch["image_id"] for batch in loader])
