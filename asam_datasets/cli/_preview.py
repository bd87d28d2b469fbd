"""`asam-datasets preview`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._options import Json, Published, Revision, at_least_one
from asam_datasets.cli._terminal import Terminal
from asam_datasets.preview import MANY_MASKS, Preview, PreviewOptions, preview
from asam_datasets.release import count_bytes

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("preview", epilog="Example: asam-datasets preview NAMESPACE/NAME --rows 0:24 --out page.html")(
        preview_command
    )


def preview_command(
    dataset: Published,
    out: Annotated[
        Path,
        typer.Option(
            help="A sheet: .png, .jpg, .jpeg or .webp; or a page for a browser: .html. Replaced if it is there."
        ),
    ],
    config: Annotated[
        Optional[str], typer.Option(help="Config; train if not given, or evaluation without archives.")
    ] = None,
    rows: Annotated[str, typer.Option(help="Rows of the config, from 0: A:B, A: or one number; at most 200.")] = "0:12",
    max_masks: Annotated[
        Optional[int], typer.Option(callback=at_least_one, help="Most masks of a row: its largest; all if not given.")
    ] = None,
    boxes: Annotated[
        Optional[bool],
        typer.Option("--boxes/--no-boxes", help=f"Boxes around masks; up to {MANY_MASKS} masks of a row if not given."),
    ] = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Draw rows of a published dataset: a sheet, or a page.

    A sheet shows image, conditioning image, masks and caption of each row. A page is one file to look into, without
    server and network: masks light up and show their numbers, sliders filter them, images are searched.
    """
    options = PreviewOptions(max_masks=max_masks, boxes=boxes)
    with Terminal(as_json=as_json) as terminal:
        listener = terminal.listener()
        done = preview(
            dataset, out=out, config=config, rows=rows, revision=revision, options=options, listener=listener
        )
        terminal.result(done, _text(done))


def _text(done: Preview) -> Sequence[str]:
    form = "a page for a browser" if done.height is None else f"{done.height} × {done.width} pixels (height × width)"
    return (
        f"Drew {done.out}",
        f"  {done.config}, rows {done.start}:{done.stop} of {done.total:,}, {done.masks:,} masks",
        f"  {form}, {count_bytes(done.size_bytes)}, in {done.seconds:.1f} s",
        *(f"  not for everyone: {notice}" for notice in done.notices),
    )
