"""`asam-datasets verify`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from asam_datasets.cli._options import Json, Published, Revision, Workers
from asam_datasets.cli._terminal import Terminal
from asam_datasets.machine import available_cores
from asam_datasets.published import Report, verify
from asam_datasets.release import count_bytes


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("verify", epilog="Example: asam-datasets verify xhk/ASAM-Datasets --deep")(verify_command)


def verify_command(
    dataset: Published,
    deep: Annotated[bool, typer.Option("--deep", help="Look at every record: images, masks, numbers.")] = False,
    revision: Revision = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Check a published dataset against its manifests.

    The exit code is 1 when something is not as it should be.
    """
    with Terminal(as_json=as_json) as terminal:
        cores, listener = workers or available_cores(), terminal.listener()
        report = verify(dataset, revision=revision, deep=deep, workers=cores, listener=listener)
        terminal.result(report._asdict(), _text(report))
    if not report.is_good:
        raise typer.Exit(1)


def _text(report: Report) -> Sequence[str]:
    lines = [
        f"Verified {report.target}" + (f" at {report.revision}" if report.revision else ""),
        f"  builds {report.builds:,}, parts {report.parts:,}, rows {report.rows:,}, "
        f"{count_bytes(report.size_bytes)}, in {report.seconds:.1f} s",
    ]
    if report.deep:
        lines.append(f"  looked at {report.records:,} records with {report.masks:,} masks")
    lines += [f"  note: {note}" for note in report.notes]
    lines += [f"  WRONG {finding.where}: {finding.problem}" for finding in report.findings]
    return [*lines, f"{len(report.findings):,} findings" if report.findings else "Everything is as it should be."]
