"""`asam-datasets preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._terminal import Terminal
from asam_datasets.preview import Preview
from asam_datasets.preview import preview as run_preview
from asam_datasets.release import count_bytes

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("preview", epilog="Example: asam-datasets preview NAMESPACE/NAME --rows 0:12 --out sheet.png")(
        preview_command
    )


def preview_command(
    dataset: Annotated[str, typer.Argument(help="A folder made by publish, or a repository on the Hub.")],
    out: Annotated[Path, typer.Option(help="The sheet: .png, .jpg, .jpeg or .webp; replaced if it is there.")],
    config: Annotated[
        Optional[str], typer.Option(help="Config; train if not given, or evaluation without archives.")
    ] = None,
    rows: Annotated[str, typer.Option(help="Rows of the config, from 0: A:B, A: or one number; at most 200.")] = "0:12",
    revision: Annotated[Optional[str], typer.Option(help="Branch, tag or commit of the repository [main].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw a contact sheet of rows: image, conditioning image, masks with their boxes, caption."""
    terminal = Terminal(as_json=as_json)
    try:
        done = run_preview(dataset, out=out, config=config, rows=rows, revision=revision, listener=terminal.listener())
        terminal.result(done, _text(done))
    finally:
        terminal.close()


def _text(done: Preview) -> str:
    return (
        f"Drew {done.out}\n"
        f"  {done.config}, rows {done.start}:{done.stop} of {done.total:,}, {done.masks:,} masks\n"
        f"  {done.height} × {done.width} pixels (height × width), {count_bytes(done.size_bytes)}, "
        f"in {done.seconds:.1f} s"
    )
