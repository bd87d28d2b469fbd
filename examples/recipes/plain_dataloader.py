"""torch's own loader over a stream: each image once an epoch, SAM's prompts and targets in each batch."""

from functools import partial

from torchdata.stateful_dataloader import StatefulDataLoader  # or torch.utils.data.DataLoader, which has no state

from asam_datasets.training import Choose, SamOptions, normalize, open_stream, sam_batch

# The config `sam` has the runs of the masks. `train` has them as PNGs too, which nobody here needs to decode.
stream = open_stream("demo-dataset", "sam", seed=0)
options = SamOptions(size=256, choose=Choose(16), targets=("low_res_masks",), low_res=64)
loader = StatefulDataLoader(stream, batch_size=4, num_workers=2, collate_fn=partial(sam_batch, options=options))

if __name__ == "__main__":  # workers may import this file
    for epoch in range(2):
        stream.set_epoch(epoch)  # another order
        for batch in loader:
            pixels = normalize(batch["pixel_values"], batch["reshaped_input_sizes"])  # on the batch's device
            prompts = batch["input_boxes"][batch["valid"]]  # slots without a mask are not valid
        print("epoch", epoch, tuple(pixels.shape), tuple(prompts.shape))
