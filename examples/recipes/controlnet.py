"""Batches for a ControlNet, under the names of diffusers' script. The whole script: ../train_controlnet.md."""

from functools import partial

from torch.utils.data import DataLoader

from asam_datasets.training import Augment, ControlNetOptions, controlnet_batch, open_stream

options = ControlNetOptions(size=256, augment=Augment(mirror=0.5), empty_captions=0.1)
stream = open_stream("demo-dataset", "controlnet", ends="drop")
# tokenizer=CLIPTokenizer.from_pretrained(...) gives `input_ids` in place of the captions
loader = DataLoader(stream, batch_size=4, num_workers=1, collate_fn=partial(controlnet_batch, options=options))
if __name__ == "__main__":  # workers may import this file
    for batch in loader:
        print(tuple(batch["pixel_values"].shape), tuple(batch["conditioning_pixel_values"].shape), batch["caption"][0])
