"""Tune SAM as ASAM does: only the tokens of the mask decoder learn, everything else stays as it is.

    pip install 'asam_datasets[train]' transformers
    python examples/tune_sam.py                          # 20 steps of a tiny random SAM on ./demo-dataset
    python examples/tune_sam.py --steps 40 --resume      # goes on, with the losses of a run that was never stopped
    torchrun --nproc-per-node 8 examples/tune_sam.py --dataset xhk/ASAM-Datasets --model facebook/sam-vit-base \\
        --mixture adversarial=0.5 --prompt random --augment --steps 7000 --save-every 500 --workers 4 --out tuned \\
        --validate hrsod_te camo --hold-out 200 --validate-every 500

A job may come back with other numbers of processes and workers: `--resume` then shares what was left of the epoch among
those, each image once. With the same numbers the losses are those of a run that was never stopped.

`--validate` measures by `asam_datasets.evaluate`, with boxes and the protocol of ASAM's program, on evaluation sets
of the dataset; `--hold-out 200` on its first 200 images, which are then not tuned on. The losses stay those of a run
without it. The numbers are those of this line, which the program ends with, beside the one that loads the tokens:

    asam-datasets evaluate NAMESPACE/NAME --checkpoint tuned --out results.json

    model.load_state_dict(torch.load("tuned/checkpoint.pt")["tokens"], strict=False)

As in ASAM: the frozen encoder, Adam with a rate of 2e-3, four masks of each of four images for each step and
process, one mask for each prompt, cross entropy plus dice. Not as in ASAM: the loss is of all pixels of the logits
(ASAM samples 12544 of them); masks are drawn at random (ASAM takes the first four); the rate stays (ASAM's rises over
ten epochs, then halves with each); `--prompt random` draws box or points for a step (ASAM does for an image, and has
noisy masks too, of which `transformers` takes only one an image).
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

try:
    import torch
    import torch.distributed as dist
    import torch.nn.functional as F
    from torch.nn.parallel import DistributedDataParallel
    from torchdata.stateful_dataloader import StatefulDataLoader
    from transformers import AutoConfig, SamConfig, SamModel

    from asam_datasets.errors import AsamDatasetsError, ModelError, SourceError, StreamError, TargetError
    from asam_datasets.evaluate import EvaluateOptions, evaluate
    from asam_datasets.training import (
        Augment,
        Choose,
        Filter,
        Mixture,
        SamOptions,
        Stream,
        gather_state,
        normalize,
        open_mixture,
        open_stream,
        sam_batch,
    )
except ModuleNotFoundError as error:
    hint = "pip install 'asam_datasets[train]' transformers"
    raise SystemExit(
        f"expected the packages to tune SAM, found no {str(error.name).partition('.')[0]}\n  {hint}"
    ) from None

TUNED = ("mask_decoder.mask_tokens", "mask_decoder.iou_token")
POINTS = 10
SETTINGS = ("model", "mixture", "hold_out", "batch_size", "masks", "prompt", "augment", "lr", "seed")
"""The options that decide the losses: a checkpoint is continued with the same ones only."""
LOAD = '  model.load_state_dict(torch.load("{}")["tokens"], strict=False)'


@dataclass(frozen=True)
class Run:
    """What a process works with; all that a checkpoint has the state of."""

    args: argparse.Namespace
    rank: int
    world_size: int
    sam: SamModel
    tokens: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    stream: Stream | Mixture
    loader: StatefulDataLoader
    log: Callable[[str, float, int], None]

    @property
    def checkpoint(self) -> Path:
        return Path(self.args.out) / "checkpoint.pt"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Tune the tokens of SAM's mask decoder.")
    parser.add_argument("--dataset", default="./demo-dataset", help="a published folder, or a repository on the Hub")
    parser.add_argument(
        "--mixture",
        nargs="+",
        default=[],
        metavar="CONFIG=SHARE",
        help="other configs in the same batches, such as adversarial=0.5; the originals have the rest",
    )
    parser.add_argument("--model", default="", help="such as facebook/sam-vit-base; a tiny random one if not given")
    parser.add_argument("--steps", type=int, default=20, help="at which step to end, counted from the very first")
    parser.add_argument("--batch-size", type=int, default=4, help="images for each step and process")
    parser.add_argument("--masks", type=int, default=4, help="masks of each image")
    parser.add_argument("--prompt", choices=("box", "points", "random"), default="box", help="random: one for a step")
    parser.add_argument("--augment", action="store_true", help="mirror images and jitter their scale, as ASAM does")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches, for each rank")
    parser.add_argument("--lr", type=float, help="learning rate; 2e-3, and 2e-2 for the tiny model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("tuned-sam"), help="folder of checkpoint.pt")
    parser.add_argument("--save-every", type=int, default=0, help="steps; 0 saves at the end only")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--validate", nargs="+", default=[], metavar="CONFIG", help="evaluation sets, or `evaluation`")
    parser.add_argument("--hold-out", type=int, default=0, metavar="N", help="validate on the first N images instead")
    parser.add_argument("--validate-every", type=int, default=0, help="steps; 0 validates at the end only")
    parser.add_argument("--tensorboard", type=Path, help="folder for the losses, to be seen by tensorboard")
    args = parser.parse_args()
    args.mixture = sorted(args.mixture)
    try:
        args.shares = {name: float(share) for name, _, share in (one.partition("=") for one in args.mixture)}
    except ValueError:
        parser.error(f"--mixture: expected CONFIG=SHARE such as adversarial=0.5, found {' '.join(args.mixture)}")
    if not all(share > 0 for share in args.shares.values()) or sum(args.shares.values()) >= 1:
        parser.error("--mixture: expected shares above 0 that leave something for the originals")
    lowest_of = {"steps": 1, "batch_size": 1, "masks": 1, "workers": 0, "seed": 0, "save_every": 0}
    for name, lowest in {**lowest_of, "hold_out": 0, "validate_every": 0}.items():
        if getattr(args, name) < lowest:
            parser.error(f"--{name.replace('_', '-')}: expected {lowest} or more, found {getattr(args, name)}")
    if args.validate_every and not (args.validate or args.hold_out):
        parser.error("--validate-every: expected --validate or --hold-out, found neither")
    args.lr = args.lr or (2e-3 if args.model else 2e-2)
    return args


def make_model(name: str) -> SamModel:
    """The model, with nothing but its tokens to learn."""
    if name:
        try:
            config = AutoConfig.from_pretrained(name)
            model = SamModel.from_pretrained(name) if isinstance(config, SamConfig) else None
        except (OSError, ValueError) as error:
            said = str(error).partition("\n")[0]
            raise ModelError(f"expected a model on the Hub or a folder, found: {said}", where="--model") from None
        if model is None:
            raise ModelError(f"expected a SAM, found a model of type {config.model_type}", where=f"--model {name}")
    else:
        vision = {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "output_channels": 32,
            "image_size": 256, "num_pos_feats": 16, "window_size": 8, "global_attn_indexes": [1],
        }  # fmt: skip
        prompts = {"hidden_size": 32, "image_size": 256}
        decoder = {"hidden_size": 32, "mlp_dim": 64, "num_attention_heads": 2, "iou_head_hidden_dim": 32}
        # Large weights: with the usual ones the masks of an untrained model hardly depend on its tokens.
        config = SamConfig(
            vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder, initializer_range=0.3
        )
        model = SamModel(config)
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter_name.startswith(TUNED))
    return model.eval()


def make_stream(args: argparse.Namespace) -> Stream | Mixture:
    """The originals, or a mixture of them and what `--mixture` names: an epoch then is one of the longest of them."""
    # `drop`: the ranks wait for each other in every step, so none may have a batch more than the others.
    columns = ["image", "annotations", "image_id"]
    where = Filter(without_image_ids=held_out(args)) if args.hold_out else None  # adversarial ones of them neither
    originals, *others = (
        open_stream(args.dataset, config, seed=args.seed, ends="drop", columns=columns, where=where)
        for config in ("sam", *args.shares)
    )
    for config in args.validate:  # now, and not after an hour
        open_stream(args.dataset, config, rank=0, world_size=1, columns=["image", "annotations"])
    if not all(len(stream) for stream in (originals, *others)):
        raise SourceError("expected at least one record for each process, found fewer", where=args.dataset)
    if not others:
        return originals
    shares = zip(others, args.shares.values(), strict=True)
    return open_mixture([(originals, 1 - sum(args.shares.values())), *shares], stop="longest")


def held_out(args: argparse.Namespace) -> list[int]:
    """The ids of the images that are validated on."""
    stream = open_stream(args.dataset, "sam", rank=0, world_size=1, window=0, columns=["image_id"])
    if len(stream) <= args.hold_out:
        hint = "Give fewer."
        raise SourceError(
            f"expected more than {args.hold_out} images, found {len(stream)}", where="--hold-out", hint=hint
        )
    return [record["image_id"] for record in islice(stream, args.hold_out)]


def make_loader(args: argparse.Namespace, model: SamModel) -> tuple[Stream | Mixture, StatefulDataLoader]:
    """Images of the size that the model takes, masks of the size of its logits."""
    size, patch = model.config.vision_config.image_size, model.config.vision_config.patch_size
    options = SamOptions(
        size=size,
        choose=Choose(args.masks),
        augment=Augment(mirror=0.5, jitter=(0.1, 2.0)) if args.augment else Augment(),
        points=0 if args.prompt == "box" else POINTS,
        targets=("low_res_masks",),
        low_res=4 * size // patch,
        seed=args.seed,
    )
    stream = make_stream(args)
    loader = StatefulDataLoader(
        stream,
        batch_size=args.batch_size,
        num_workers=args.workers,
        collate_fn=partial(sam_batch, options=options),
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # of its own: starting an epoch must not change what the training draws
    )
    return stream, loader


def mask_losses(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross entropy plus dice of each mask: (batch, masks, side, side) to (batch, masks)."""
    logits, targets = logits.flatten(2), targets.flatten(2).to(logits.dtype)
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1)
    shares = logits.sigmoid()
    overlap, areas = (shares * targets).sum(-1), shares.sum(-1) + targets.sum(-1)
    return entropy + 1 - (2 * overlap + 1) / (areas + 1)


def batch_losses(
    model: torch.nn.Module, sam: SamModel, batch: dict[str, Any], prompt: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The losses of a batch added up, and of how many masks."""
    moved = {name: value.to(sam.device, non_blocking=True) for name, value in batch.items() if name != "image_id"}
    pixels = normalize(moved["pixel_values"], moved["reshaped_input_sizes"])
    embeddings = sam.get_image_embeddings(pixels)  # without gradients
    names = ("input_boxes",) if prompt == "box" else ("input_points", "input_labels")
    prompts = {name: moved[name] for name in names}
    logits = model(image_embeddings=embeddings, **prompts, multimask_output=False).pred_masks[:, :, 0]
    losses = mask_losses(logits, moved["low_res_masks"])
    return losses[moved["valid"]].sum(), moved["valid"].sum()


def over_ranks(value: torch.Tensor) -> torch.Tensor:
    """The sum over all ranks."""
    value = value.detach().clone()
    if dist.is_initialized():
        dist.all_reduce(value)
    return value


def tune(args: argparse.Namespace, device: torch.device) -> None:
    rank, world_size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    torch.manual_seed(args.seed)
    sam = make_model(args.model).to(device)
    tokens = {name: parameter for name, parameter in sam.named_parameters() if parameter.requires_grad}
    optimizer = torch.optim.Adam(tokens.values(), lr=args.lr)
    stream, loader = make_loader(args, sam)
    run = Run(
        args=args,
        rank=rank,
        world_size=world_size,
        sam=sam,
        tokens=tokens,
        optimizer=optimizer,
        stream=stream,
        loader=loader,
        log=make_log(args.tensorboard) if rank == 0 else lambda name, value, step: None,
    )
    step, epoch = load(run) if args.resume else (0, 0)
    model = DistributedDataParallel(sam) if world_size > 1 else sam
    while step < args.steps:
        run.stream.set_epoch(epoch)
        for batch in run.loader:
            prompt = ("box", "points")[int(torch.randint(2, ()))] if args.prompt == "random" else args.prompt
            loss, masks = batch_losses(model, sam, batch, prompt)
            all_masks = over_ranks(masks).clamp(min=1)
            optimizer.zero_grad()
            (loss * world_size / all_masks).backward()  # the mean over all ranks: DDP divides by their number
            optimizer.step()
            step += 1
            mean = (over_ranks(loss) / all_masks).item()
            if rank == 0:  # nine digits tell any two float32 apart
                print(f"step {step}  epoch {epoch}  loss {mean:.9g}", flush=True)
                run.log("loss", mean, step)
                run.log("epoch", epoch, step)
            is_validated = is_due(step, args.steps, args.validate_every) and bool(args.validate or args.hold_out)
            if is_validated or is_due(step, args.steps, args.save_every):
                save(run, step, epoch)
            if is_validated:
                validate(run, step)
            if step == args.steps:
                break
        epoch += 1
    if rank == 0:
        say_where(run)


def is_due(step: int, last: int, every: int) -> bool:
    """Whether something is done after a step: each so many, and after the last one."""
    return step == last or bool(every and step % every == 0)


def validate(run: Run, step: int) -> None:
    """Measure the checkpoint; what is found goes into `validation/` beside it, as `asam-datasets evaluate` has it."""
    args, device = run.args, run.sam.device
    asked = [("sets", tuple(args.validate), ":")] if args.validate else []
    asked += [("hold-out", ("sam",), f"0:{args.hold_out}")] if args.hold_out else []
    for name, configs, rows in asked:
        out = run.checkpoint.parent / "validation" / f"step-{step}-{name}.json"
        options = EvaluateOptions(checkpoint=str(run.checkpoint), configs=configs, rows=rows, workers=args.workers)
        # Whatever it draws: what is drawn next is the training's.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            sets = evaluate(args.dataset, out=out, options=options).sets
        for one in sets if run.rank == 0 else []:
            miou, label = one.miou or 0.0, one.config if name == "sets" else name
            print(f"step {step}  validation {label}  images {one.images}  mIoU {miou:.9g}", flush=True)
            run.log(f"validation/{label}", miou, step)


def say_where(run: Run) -> None:
    """What was saved where, and what to do with it."""
    folder, args = run.checkpoint.parent, run.args
    measure = ["asam-datasets", "evaluate", args.dataset, "--checkpoint", folder, "--out", folder / "results.json"]
    said = [
        f"saved {run.checkpoint}; what was tuned goes back into its model by",
        LOAD.format(run.checkpoint),
        "and is measured on the dataset's evaluation sets by",
        "  " + shlex.join(map(str, measure)),
    ]
    print("\n".join(said), file=sys.stderr)


def make_log(folder: Path | None) -> Callable[[str, float, int], None]:
    """What takes a number of a step: TensorBoard's writer, or nothing."""
    if folder is None:
        return lambda name, value, step: None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise ModelError(
            "expected the package tensorboard, found none", where="--tensorboard", hint="pip install tensorboard"
        ) from None
    writer = SummaryWriter(str(folder))  # type: ignore[no-untyped-call]
    return lambda name, value, step: writer.add_scalar(name, value, step)  # type: ignore[no-untyped-call]


def save(run: Run, step: int, epoch: int) -> None:
    """Write the checkpoint of all ranks: one file, which replaces the one before it as a whole."""
    state = run.stream.state_dict()
    mine = {
        "stream": state["streams"][0]["stream"] if "streams" in state else state["stream"],
        "dataset": dataset_of(state),
        "loader": run.loader.state_dict(),
        "random": torch.get_rng_state(),
    }
    ranks: list[Any] = [mine] * run.world_size
    if dist.is_initialized():
        dist.all_gather_object(ranks, mine)
    if run.rank == 0:
        write(run, step, epoch, ranks)
    if dist.is_initialized():
        dist.barrier()  # who reads it next may be another rank


def write(run: Run, step: int, epoch: int, ranks: list[Any]) -> None:
    """Write the checkpoint, as a whole or not at all."""
    checkpoint = {
        "step": step,
        "epoch": epoch,
        "workers": run.args.workers,
        "settings": {name: getattr(run.args, name) for name in SETTINGS},
        "tokens": {name: token.detach().cpu() for name, token in run.tokens.items()},
        "optimizer": run.optimizer.state_dict(),
        "ranks": ranks,
    }
    run.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial_file = run.checkpoint.with_suffix(".partial")
    torch.save(checkpoint, partial_file)
    os.replace(partial_file, run.checkpoint)
    if not run.args.model:  # nobody else has the model that these tokens belong to; they are in it already
        run.sam.save_pretrained(run.checkpoint.parent / "model")


def dataset_of(state: dict[str, Any]) -> str:
    """What tells which records are tuned on, whatever the ranks are."""
    return str(state.get("mixture") or state["dataset"])


def load(run: Run) -> tuple[int, int]:
    """Take up the checkpoint: the step and the epoch that it was taken in.

    With other numbers of processes or workers, what is left of the epoch is shared by these.
    """
    where = str(run.checkpoint)
    if not run.checkpoint.exists():
        raise SourceError("expected a checkpoint, found none", where=where, hint="Leave --resume out to start anew.")
    checkpoint = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
    for name, value in checkpoint["settings"].items():
        found = getattr(run.args, name)
        if found != value:
            hint = "Give the options that the run was started with."
            raise StreamError(f"expected {name.replace('_', '-')} {value!r}, found {found!r}", where=where, hint=hint)
    ranks = checkpoint["ranks"]
    if ranks[0]["dataset"] != dataset_of(run.stream.state_dict()):
        hint = "Give the dataset, in the state, that the run was started with."
        raise StreamError(f"expected its own dataset, found another in {run.args.dataset}", where=where, hint=hint)
    if checkpoint["step"] >= run.args.steps:
        hint = f"It has {checkpoint['step']} steps already: give more."
        raise StreamError(f"expected steps to do, found --steps {run.args.steps}", where=where, hint=hint)
    with torch.no_grad():
        for name, token in run.tokens.items():
            token.copy_(checkpoint["tokens"][name])
    run.optimizer.load_state_dict(checkpoint["optimizer"])
    if (len(ranks), checkpoint["workers"]) == (run.world_size, run.args.workers):
        run.loader.load_state_dict(ranks[run.rank]["loader"])
        torch.set_rng_state(ranks[run.rank]["random"])
    else:
        run.stream.load_state_dict(gather_state([one["loader"] for one in ranks]))
        torch.manual_seed(
            run.args.seed + 1000 * checkpoint["step"] + run.rank
        )  # what it draws, each process on its own
    return checkpoint["step"], checkpoint["epoch"]


@contextmanager
def processes() -> Iterator[torch.device]:
    """The device of this process; under torchrun also the group of all processes."""
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
        # Without these, two runs of the same commands give other losses on a GPU.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def main() -> None:
    args = parse()
    warnings.filterwarnings("ignore", "'set_vital' is deprecated")  # torchdata 0.11 calls it for every loader
    try:
        if not args.resume and any((args.out / name).exists() for name in ("checkpoint.pt", "validation")):
            hint = "Add --resume to go on from it, or give another --out."
            raise TargetError("expected no checkpoint, found one", where=str(args.out), hint=hint)
        with processes() as device:
            tune(args, device)
    except AsamDatasetsError as error:
        raise SystemExit(f"{error}\n  {error.hint}") from None


if __name__ == "__main__":
    main()
