"""`asam-datasets scale`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from asam_datasets.cli._options import Json
from asam_datasets.cli._terminal import Terminal
from asam_datasets.errors import TargetError

if TYPE_CHECKING:
    from asam_datasets.scale import Scaled


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("scale", epilog="Example: asam-datasets scale examples/scale/one_machine.toml")(scale_command)


def scale_command(
    plan: Annotated[Path, typer.Argument(help="A TOML file: archives, repository, machines; see examples/scale/.")],
    as_json: Json = False,
) -> None:
    """Publish many archives by Slurm, Ray, HF Jobs, or one machine.

    A task for each archive, and a last one that makes all of them visible. The same command goes on where it was.
    """
    try:
        from asam_datasets.scale import read_plan, scale
    except ModuleNotFoundError as error:
        raise TargetError(error.msg, hint="The extra `scale` brings them.") from None
    with Terminal(as_json=as_json) as terminal:
        done = scale(read_plan(plan), terminal.listener())
        terminal.result(done, _text(done))


def _text(done: Scaled) -> Sequence[str]:
    what = "Published" if done.done else "Submitted; the last job publishes"
    return [
        f"{what}: {done.archives:,} archives of {done.name} to {done.target}, in {done.seconds:.1f} s",
        f"  logs       {done.run}/logs",
    ]
