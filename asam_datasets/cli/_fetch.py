"""`asam-datasets fetch`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._options import Json, Masks, OrganizedFolder, Published, Revision, Workers, at_least_one
from asam_datasets.cli._terminal import Terminal
from asam_datasets.organized import Fetched, fetch

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    example = "Example: asam-datasets fetch NAMESPACE/NAME --ids sa_images_ids.txt --out sam-1b"
    app.command("fetch", epilog=example)(fetch_command)


def fetch_command(
    dataset: Published,
    ids: Annotated[
        Path, typer.Option(help="Image ids, or file names such as sa_123.jpg: one a line, or a JSON list; # comments.")
    ],
    out: OrganizedFolder,
    config: Annotated[
        Optional[str], typer.Option(help="Config; train if not given, or evaluation without archives.")
    ] = None,
    masks: Masks = "all",
    workers: Workers = None,
    at_once: Annotated[
        int, typer.Option(callback=at_least_one, help="Row groups that are read at the same time; at most 64.")
    ] = 8,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Fetch some images of a published dataset by their ids.

    Into the folder that ASAM's programs read, without the rest of the dataset. What was stopped goes on where it was;
    what is whole there is not fetched again. Ids that the dataset does not have are listed in missing-ids.txt there,
    and the exit code is 1 then: the images that it has are written all the same.
    """
    with Terminal(as_json=as_json) as terminal:
        done = fetch(
            dataset, ids, out, config=config, masks=masks, workers=workers, at_once=at_once, revision=revision,
            listener=terminal.listener(),
        )  # fmt: skip
        terminal.result(done, _text(done))
    if done.missing:
        raise typer.Exit(1)


def _text(done: Fetched) -> Sequence[str]:
    lines = [
        f"Fetched to {done.out}",
        f"  {done.images:,} images of {done.asked:,} ids, {done.images - done.fetched:,} of them there before; "
        f"{done.captions:,} captions, in {done.seconds:.1f} s",
    ]
    if done.repeated:
        lines.append(f"  note       {done.repeated:,} ids came again and were passed over")
    if done.missing:
        more = f" and {done.missing - len(done.first_missing):,} more" if done.missing > len(done.first_missing) else ""
        shown = ", ".join(done.first_missing)
        lines.append(f"  MISSING    {done.missing:,} ids: {shown}{more}; all of them in {done.missing_ids}")
    return lines
