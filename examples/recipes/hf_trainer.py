"""transformers' Trainer: ASAM's tuning of SAM, which goes on with the very next image, on any number of GPUs.

The loader is our own: accelerate would share the records of a rank among the ranks once more.
"""

import json
from functools import partial
from pathlib import Path

import torch
from torchdata.stateful_dataloader import StatefulDataLoader
from transformers import SamModel, Trainer, TrainerCallback, TrainingArguments

from asam_datasets.training import Choose, SamOptions, gather_state, normalize, open_stream, sam_batch

DATASET, MODEL, OUT = "demo-dataset", "facebook/sam-vit-base", "tuned-hf"


class Endless:
    """Epoch after epoch: Trainer counts steps, and the stream its epochs. Without a length nothing is skipped."""

    def __init__(self, stream, **settings):
        self.stream, self.loader = stream, StatefulDataLoader(stream, **settings)

    def __iter__(self):
        epoch = self.stream.epoch
        while True:
            self.stream.set_epoch(epoch)
            yield from self.loader
            epoch += 1


class Place(TrainerCallback):
    """Where all ranks are, beside each of Trainer's checkpoints."""

    def __init__(self, batches):
        self.batches = batches

    def on_save(self, args, state, control, **kwargs):
        place = gather_state(self.batches.loader.state_dict())  # in every rank
        if state.is_world_process_zero:
            Path(args.output_dir, f"checkpoint-{state.global_step}", "place.json").write_text(json.dumps(place))


class SamTrainer(Trainer):
    def __init__(self, model, args, batches):
        super().__init__(model, args, callbacks=[Place(batches)])
        self.batches = batches

    def get_train_dataloader(self):
        return self.batches

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        pixels = normalize(inputs["pixel_values"], inputs["reshaped_input_sizes"])
        logits = model(pixel_values=pixels, input_boxes=inputs["input_boxes"], multimask_output=False).pred_masks[
            :, :, 0
        ]
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, inputs["low_res_masks"].float(), reduction="none"
        )
        return losses.mean((-2, -1))[inputs["valid"]].mean()


def train(steps, resume=None):
    model = SamModel.from_pretrained(MODEL)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith("mask_decoder.mask_tokens"))
    size, patch = model.config.vision_config.image_size, model.config.vision_config.patch_size
    options = SamOptions(size=size, choose=Choose(4), targets=("low_res_masks",), low_res=4 * size // patch)
    stream = open_stream(DATASET, "sam", ends="drop")
    if resume:
        stream.load_state_dict(json.loads(Path(resume, "place.json").read_text()))
    batches = Endless(stream, batch_size=4, collate_fn=partial(sam_batch, options=options))
    # ignore_data_skip: the stream knows where it was, nothing has to be read again.
    args = TrainingArguments(
        OUT, max_steps=steps, save_steps=2, learning_rate=2e-3, remove_unused_columns=False, ignore_data_skip=True,
        report_to="none", logging_steps=1,
    )  # fmt: skip
    SamTrainer(model, args, batches).train(resume_from_checkpoint=resume)


if __name__ == "__main__":
    train(steps=2)
    train(steps=4, resume=f"{OUT}/checkpoint-2")
