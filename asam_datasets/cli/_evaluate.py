"""`asam-datasets evaluate`."""

from __future__ import annotations

import enum
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._lines import table
from asam_datasets.cli._options import Json, Published, Revision, TakesMany
from asam_datasets.cli._terminal import Terminal
from asam_datasets.evaluate import DEFAULT_MODEL, EvaluateOptions, Evaluation, evaluate, files_of, notes_of, table_of
from asam_datasets.progress import Listener

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


class Protocol(str, enum.Enum):
    """The protocols, as the command line spells them."""

    ASAM = "asam"
    CENTER_POINT = "center-point"
    BOX = "box"


class _TakesManyConfigs(TakesMany):
    """Configs end where the next word is a folder, or a repository: no config has a slash in its name."""

    def is_argument(self, option: str, word: str) -> bool:
        return "/" in word or Path(word).is_dir()


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command(
        "evaluate",
        cls=_TakesManyConfigs,
        epilog="Example: asam-datasets evaluate NAMESPACE/NAME --config hrsod_te camo --out results.json",
    )(evaluate_command)


def evaluate_command(
    dataset: Published,
    out: Annotated[Path, typer.Option(help="Results as JSON; table and scores of each mask are written beside it.")],
    model: Annotated[
        Optional[str],
        typer.Option(
            help=f"A SAM: a folder, or a name on the Hub; {DEFAULT_MODEL}, or the checkpoint's, if not given."
        ),
    ] = None,
    model_revision: Annotated[Optional[str], typer.Option(help="Branch, tag or commit of the model.")] = None,
    checkpoint: Annotated[
        Optional[Path], typer.Option(help="Folder or file of what was tuned: examples/tune_sam.py writes one.")
    ] = None,
    config: Annotated[
        Optional[list[str]], typer.Option(help="Configs, several at once; all evaluation sets if not given.")
    ] = None,
    protocol: Annotated[
        Protocol, typer.Option(help="ASAM's own, SAM's center point, or SAM with boxes.")
    ] = Protocol.ASAM,
    points: Annotated[int, typer.Option(help="Of asam: so many random points instead of the box.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the random points.")] = 0,
    rows: Annotated[str, typer.Option(help="Rows of each config, from 0: A:B, A: or one number.")] = ":",
    max_masks: Annotated[
        Optional[int], typer.Option(help="So many of the first masks of an image; all if not given.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes of each rank that read and prepare images ahead.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...; ranks take a GPU each.")] = "auto",
    dtype: Annotated[str, typer.Option(help="Of the image encoder: float32, bfloat16, float16.")] = "float32",
    threads: Annotated[int, typer.Option(help="On a CPU; another number may move a pixel in a million.")] = 1,
    worst: Annotated[int, typer.Option(help="Draw so many of the worst masks on a sheet.")] = 0,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Measure how well a SAM finds the masks of evaluation sets.

    Stopped or killed, the same command goes on. Several processes: torchrun --nproc-per-node 8 -m asam_datasets
    evaluate ...
    """
    with Terminal(as_json=as_json) as terminal:
        options = EvaluateOptions(
            model=model, model_revision=model_revision, checkpoint=None if checkpoint is None else str(checkpoint),
            revision=revision, configs=tuple(config or ()), protocol=protocol.value, points=points, seed=seed,
            rows=rows, max_masks=max_masks, workers=workers, device=device, dtype=dtype, threads=threads, worst=worst,
        )  # fmt: skip
        is_first = int(os.environ.get("RANK", 0)) == 0
        done = evaluate(dataset, out=out, options=options, listener=terminal.listener() if is_first else Listener())
        if is_first:
            terminal.result(done, _text(done, out, draws=worst > 0))


def _text(done: Evaluation, out: Path, *, draws: bool) -> Sequence[str]:
    files = ", ".join(str(path) for path in files_of(out, draws=draws))
    return (*table(table_of(done)), *(f"  {note}" for note in notes_of(done)), f"Wrote {files}")
