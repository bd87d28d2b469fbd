"""The data of a published dataset for Lightning, and ASAM's tuning with it.

    pip install 'asam_datasets[train]' transformers lightning
    python examples/lightning_datamodule.py                     # 6 steps of a tiny random SAM on ./demo-dataset
    python examples/lightning_datamodule.py --steps 12 --resume # goes on with the very next image
    python examples/lightning_datamodule.py --dataset xhk/ASAM-Datasets --model facebook/sam-vit-base --devices 8

`SamData` is for any LightningModule. Where it is in its epoch stands in Lightning's checkpoints, for all ranks
together, so `Trainer.fit(ckpt_path=...)` goes on in the middle of an epoch too, with any other number of devices and
workers: each image once.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torchdata.stateful_dataloader import StatefulDataLoader
from tune_sam import batch_losses, make_model  # beside this file

from asam_datasets.training import (
    Choose,
    Filter,
    SamOptions,
    Stream,
    StreamSampler,
    gather_state,
    open_mixture,
    open_stream,
    sam_batch,
)

try:
    from lightning.pytorch import LightningDataModule, LightningModule, Trainer
except ModuleNotFoundError:
    from pytorch_lightning import LightningDataModule, LightningModule, Trainer

COLUMNS = ("image", "annotations", "image_id")
PLACE = "place"


class SamData(LightningDataModule):
    """Batches of `sam_batch`.

    Args:
        dataset: a published folder, or a repository on the Hub.
        options: what samples are made of.
        mixture: other configs and their shares, such as `{"adversarial": 0.5}`; the originals have the rest.
        hold_out: so many images, the first, are those of `val_dataloader` and not trained on.
        rows: the config `sam` as `load_dataset` gives it, map style: records come from there, in the stream's order.
        batch_size, workers: of each rank.
        seed: of the order.
    """

    def __init__(
        self,
        dataset: str | Path,
        *,
        options: SamOptions,
        mixture: Mapping[str, float] | None = None,
        hold_out: int = 0,
        rows: Any = None,
        batch_size: int = 4,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.dataset, self.mixture, self.hold_out, self.rows = dataset, dict(mixture or {}), hold_out, rows
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.collate = partial(sam_batch, options=options)
        self.stream: Any = None
        self.epoch = 0  # Lightning's own number goes up where `max_steps` ends a run in the middle of an epoch
        self._place: Any = None

    def setup(self, stage: str) -> None:
        """Open the streams; each rank gets its share."""
        held = self._held_out()
        where = Filter(without_image_ids=held) if held else None
        # `drop`: ranks wait for each other in every step, so none may have a batch more than the others.
        first, *others = (self._open(config, where, ends="drop") for config in ("sam", *self.mixture))
        shares = [1 - sum(self.mixture.values()), *self.mixture.values()]
        self.stream = (
            open_mixture(list(zip([first, *others], shares, strict=True)), stop="longest") if others else first
        )

    def train_dataloader(self) -> Batches:
        """One pass of it is one epoch."""
        return Batches(self)

    def val_dataloader(self) -> Any:
        """The images that are held out, each rank its share."""
        held = self._held_out()
        if not held:
            return []
        stream = self._open("sam", Filter(image_ids=held), window=0)
        return torch.utils.data.DataLoader(stream, self.batch_size, collate_fn=self.collate)

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Note the place of the batch that is trained on now: Lightning fetches one ahead."""
        self._place = batch.pop(PLACE, self._place)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The place of all ranks, which any number of them can take up. Lightning calls it in each rank."""
        return {} if self._place is None else {"stream": gather_state(self._place)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on there; Lightning calls it after `setup`."""
        if state_dict:
            self.stream.load_state_dict(state_dict["stream"])
            self.epoch = self.stream.epoch

    def _open(self, config: str, where: Filter | None, **more: Any) -> Stream:
        return open_stream(self.dataset, config, seed=self.seed, columns=COLUMNS, where=where, **more)

    def _held_out(self) -> list[int]:
        if not self.hold_out:
            return []
        ids = open_stream(self.dataset, "sam", rank=0, world_size=1, window=0, columns=["image_id"])
        return [record["image_id"] for record, _ in zip(ids, range(self.hold_out), strict=False)]


class Batches:
    """What Lightning iterates over. It has no state of its own: Lightning would save that of the first rank alone."""

    def __init__(self, data: SamData) -> None:
        self.data = data

    def __iter__(self) -> Iterator[dict[str, Any]]:
        data, is_empty = self.data, True
        for _ in range(2):  # a state may be that of the very end of an epoch: then the next one begins
            data.stream.set_epoch(data.epoch)
            for batch in self._of_rows() if data.rows is not None else self._of_stream():
                is_empty = False
                yield batch
            data.epoch += 1
            if not is_empty:
                return

    def _of_stream(self) -> Iterator[dict[str, Any]]:
        data = self.data
        loader = StatefulDataLoader(data.stream, data.batch_size, **self._settings())
        for batch in loader:
            yield {**batch, PLACE: loader.state_dict()}

    def _of_rows(self) -> Iterator[dict[str, Any]]:
        # Workers fetch ahead, so the sampler is ahead of the batches: what counts is what was handed out.
        data, start = self.data, self.data.stream.state_dict()
        sampler = StreamSampler(data.stream)
        loader = torch.utils.data.DataLoader(data.rows, data.batch_size, sampler=sampler, **self._settings())
        for number, batch in enumerate(loader, 1):
            yield {**batch, PLACE: {**start, "position": start["position"] + number * data.batch_size}}

    def _settings(self) -> dict[str, Any]:
        return {"num_workers": self.data.workers, "collate_fn": self.data.collate, "generator": torch.Generator()}


class TuneTokens(LightningModule):
    """Only the tokens of the mask decoder learn, as in `tune_sam.py`."""

    def __init__(self, model: str = "", lr: float = 2e-3) -> None:
        super().__init__()
        self.sam, self.lr = make_model(model), lr

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        loss, masks = batch_losses(self.sam, self.sam, batch, "box")
        mean = loss / masks.clamp(min=1)
        self.log("loss", mean, prog_bar=True, batch_size=len(batch["valid"]))
        return mean

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        loss, masks = batch_losses(self.sam, self.sam, batch, "box")
        self.log("validation_loss", loss / masks.clamp(min=1), batch_size=len(batch["valid"]), sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam((one for one in self.parameters() if one.requires_grad), lr=self.lr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="./demo-dataset")
    parser.add_argument("--model", default="", help="such as facebook/sam-vit-base; a tiny random one if not given")
    parser.add_argument("--mixture", type=float, default=0.0, help="share of the config adversarial")
    parser.add_argument("--hold-out", type=int, default=2)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("tuned-lightning"))
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", "'set_vital' is deprecated")  # torchdata 0.11 calls it for every loader
    module = TuneTokens(args.model)
    size, patch = module.sam.config.vision_config.image_size, module.sam.config.vision_config.patch_size
    data = SamData(
        args.dataset,
        options=SamOptions(size=size, choose=Choose(4), targets=("low_res_masks",), low_res=4 * size // patch),
        mixture={"adversarial": args.mixture} if args.mixture else None,
        hold_out=args.hold_out,
        workers=args.workers,
    )
    trainer = Trainer(
        max_steps=args.steps, devices=args.devices, default_root_dir=args.out, logger=False, enable_checkpointing=False
    )
    checkpoint = args.out / "lightning.ckpt"
    # weights_only: there is nothing but tensors and plain values in it.
    trainer.fit(module, data, ckpt_path=checkpoint if args.resume else None, weights_only=True)
    trainer.save_checkpoint(checkpoint, weights_only=False)
    print(f"saved {checkpoint}: {trainer.global_step} steps, epoch {data.epoch}")


if __name__ == "__main__":
    main()
