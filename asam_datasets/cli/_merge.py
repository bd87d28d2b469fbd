"""`asam-datasets merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asam_datasets.captions import merge
from asam_datasets.cli._options import Json
from asam_datasets.cli._terminal import Terminal


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("merge", epilog="Example: asam-datasets merge captions.shard-*-of-8.json --out captions.json")(
        merge_command
    )


def merge_command(
    files: Annotated[list[Path], typer.Argument(help="The files of all shards.", metavar="FILE...")],
    out: Annotated[Path, typer.Option(help="The caption file of the whole archive.")],
    as_json: Json = False,
) -> None:
    """Join the caption files that several processes made with --shard."""
    done = merge(files, out)
    text = (f"Merged {done.out}", f"  {done.images:,} images of {done.shards} shards")
    Terminal(as_json=as_json).result(done, text)
