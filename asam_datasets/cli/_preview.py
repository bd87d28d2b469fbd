"""`asam-datasets preview`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._options import Json, Published, Revision
from asam_datasets.cli._terminal import Terminal
from asam_datasets.preview import Preview, preview
from asam_datasets.release import count_bytes

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("preview", epilog="Example: asam-datasets preview NAMESPACE/NAME --rows 0:12 --out sheet.png")(
        preview_command
    )


def preview_command(
    dataset: Published,
    out: Annotated[Path, typer.Option(help="The sheet: .png, .jpg, .jpeg or .webp; replaced if it is there.")],
    config: Annotated[
        Optional[str], typer.Option(help="Config; train if not given, or evaluation without archives.")
    ] = None,
    rows: Annotated[str, typer.Option(help="Rows of the config, from 0: A:B, A: or one number; at most 200.")] = "0:12",
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Draw a contact sheet of rows of a published dataset.

    Each row shows its image, conditioning image, masks with their boxes, and caption.
    """
    with Terminal(as_json=as_json) as terminal:
        done = preview(dataset, out=out, config=config, rows=rows, revision=revision, listener=terminal.listener())
        terminal.result(done, _text(done))


def _text(done: Preview) -> Sequence[str]:
    return (
        f"Drew {done.out}",
        f"  {done.config}, rows {done.start}:{done.stop} of {done.total:,}, {done.masks:,} masks",
        f"  {done.height} × {done.width} pixels (height × width), {count_bytes(done.size_bytes)}, "
        f"in {done.seconds:.1f} s",
    )
