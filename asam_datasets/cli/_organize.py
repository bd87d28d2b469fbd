"""`asam-datasets organize` and `asam-datasets export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._options import BadRecord, TakesMany
from asam_datasets.cli._terminal import Terminal
from asam_datasets.organized import Organized
from asam_datasets.organized import export as run_export
from asam_datasets.organized import organize as run_organize

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045

_Masks = Annotated[str, typer.Option(help="Which masks to decode: all, none, or a range such as 0:4.")]
_Workers = Annotated[Optional[int], typer.Option(min=1, help="Processes; as many as cores if not given.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command(
        "organize", cls=TakesMany, epilog="Example: asam-datasets organize sa_000000.tar --out sam-1b --captions FILE"
    )(organize_command)
    app.command("export", epilog="Example: asam-datasets export NAMESPACE/NAME --out sam-1b")(export_command)


def organize_command(
    sources: Annotated[
        list[str], typer.Argument(help="SA-1B archives: folder, .tar, or URL; several at once.", metavar="SOURCE...")
    ],
    out: Annotated[Path, typer.Option(help="The organised folder; made, continued or completed.")],
    captions: Annotated[Optional[list[Path]], typer.Option(help="Caption files; several at once.")] = None,
    masks: _Masks = "all",
    workers: _Workers = None,
    on_bad_record: Annotated[
        BadRecord, typer.Option(help="Stop at a bad record, or skip and list it.")
    ] = BadRecord.RAISE,
    require_captions: Annotated[
        bool, typer.Option("--require-captions", help="Refuse images without a caption.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Make the folder that ASAM's programs read out of SA-1B archives and captions."""
    terminal = Terminal(as_json=as_json)
    try:
        done = run_organize(
            sources,
            out,
            captions=captions or (),
            masks=masks,
            workers=workers,
            on_bad_record=on_bad_record.value,
            require_captions=require_captions,
            listener=terminal.listener(),
        )
        terminal.result(done, _text(done))
    finally:
        terminal.close()


def export_command(
    dataset: Annotated[str, typer.Argument(help="A folder made by publish, or a repository on the Hub.")],
    out: Annotated[Path, typer.Option(help="The organised folder; made, continued or completed.")],
    masks: _Masks = "all",
    workers: _Workers = None,
    revision: Annotated[Optional[str], typer.Option(help="Branch, tag or commit of the repository [main].")] = None,
    as_json: _Json = False,
) -> None:
    """Make the folder that ASAM's programs read out of a published dataset, with its evaluation sets in testdata/."""
    terminal = Terminal(as_json=as_json)
    try:
        done = run_export(dataset, out, masks=masks, workers=workers, revision=revision, listener=terminal.listener())
        terminal.result(done, _text(done))
    finally:
        terminal.close()


def _text(done: Organized) -> str:
    images = sum(one.images for one in done.archives)
    masks = sum(one.annotations for one in done.archives)
    captions = sum(one.captions for one in done.archives)
    lines = [
        f"Organised {done.out}",
        f"  {images:,} images, {masks:,} masks, {captions:,} captions, in {done.seconds:.1f} s",
        *(
            f"  testdata/{one.dataset}  {one.images:,} images, {one.annotations:,} masks ({one.form})"
            for one in done.sets
        ),
        *(f"  note       {sentence}" for sentence in (*done.report.sentences(), *done.notes)),
    ]
    if done.rejects:
        lines.append(f"  rejected   {done.rejected:,}, see {done.rejects}")
    return "\n".join(lines)
