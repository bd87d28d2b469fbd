"""`asam-datasets export`."""

from __future__ import annotations

import typer

from asam_datasets.cli._options import Json, Masks, OrganizedFolder, Published, Revision, Workers
from asam_datasets.cli._organize import describe
from asam_datasets.cli._terminal import Terminal
from asam_datasets.organized import export


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("export", epilog="Example: asam-datasets export NAMESPACE/NAME --out exported")(export_command)


def export_command(
    dataset: Published,
    out: OrganizedFolder,
    masks: Masks = "all",
    workers: Workers = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Turn a dataset into the folder that ASAM's programs read.

    Its evaluation sets go to testdata/ there.
    """
    with Terminal(as_json=as_json) as terminal:
        done = export(dataset, out, masks=masks, workers=workers, revision=revision, listener=terminal.listener())
        terminal.result(done, describe(done))
