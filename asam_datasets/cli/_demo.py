"""`asam-datasets demo`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asam_datasets.cli._lines import Verbatim
from asam_datasets.cli._options import Json
from asam_datasets.cli._terminal import Terminal
from asam_datasets.demo import DemoArchive, write_demo


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("demo", epilog="Example: asam-datasets demo demo-data")(demo_command)


def demo_command(
    directory: Annotated[Path, typer.Argument(help="Folder for sa_000000.tar and its caption file.")],
    images: Annotated[int, typer.Option(help="How many images to draw.")] = 12,
    as_json: Json = False,
) -> None:
    """Draw a small archive in the form of SA-1B to try things on.

    A caption file comes with it.
    """
    drawn = write_demo(directory, images=images)
    fields = {name: str(value) if isinstance(value, Path) else value for name, value in vars(drawn).items()}
    Terminal(as_json=as_json).result(fields, _text(drawn))


def _text(drawn: DemoArchive) -> Sequence[str]:
    return (
        f"Drew {drawn.images} images with {drawn.annotations:,} masks:",
        f"  {drawn.archive}",
        f"  {drawn.captions}",
        "Publish them into a folder:",
        Verbatim(
            f"  python -m asam_datasets.publish --train {drawn.archive} --captions {drawn.captions} "
            '--title "Drawn images" --license cc0-1.0 --out demo-dataset'
        ),
    )
