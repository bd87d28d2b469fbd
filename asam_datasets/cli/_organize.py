"""`asam-datasets organize`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from asam_datasets.cli._options import (
    BadRecord,
    Captions,
    Json,
    Masks,
    OnBadRecord,
    OrganizedFolder,
    RequireCaptions,
    TakesArchives,
    Workers,
)
from asam_datasets.cli._terminal import Terminal
from asam_datasets.organized import Organized, organize


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    example = "Example: asam-datasets organize sa_000000.tar --captions FILE --out sam-1b"
    app.command("organize", cls=TakesArchives, epilog=example)(organize_command)


def organize_command(
    sources: Annotated[
        list[str], typer.Argument(help="SA-1B archives: folder, .tar, or URL; several at once.", metavar="SOURCE...")
    ],
    out: OrganizedFolder,
    captions: Captions = None,
    masks: Masks = "all",
    workers: Workers = None,
    on_bad_record: OnBadRecord = BadRecord.RAISE,
    require_captions: RequireCaptions = False,
    as_json: Json = False,
) -> None:
    """Turn SA-1B archives into the folder that ASAM's programs read.

    Several caption files may follow --captions; a folder, a .tar or a URL after them is a SOURCE.
    """
    with Terminal(as_json=as_json) as terminal:
        done = organize(
            sources, out, captions=captions or (), masks=masks, workers=workers, on_bad_record=on_bad_record.value,
            require_captions=require_captions, listener=terminal.listener(),
        )  # fmt: skip
        terminal.result(done, describe(done))


def describe(done: Organized) -> Sequence[str]:
    """What `organize` or `export` wrote, as text."""
    images = sum(one.images for one in done.archives)
    masks, all_masks = (sum(getattr(one, name) for one in done.archives) for name in ("masks", "annotations"))
    decoded = f"{masks:,} masks" if masks == all_masks else f"{masks:,} masks of {all_masks:,}"
    captions = sum(one.captions for one in done.archives)
    lines = [
        f"Organised {done.out}",
        f"  {images:,} images, {decoded}, {captions:,} captions, in {done.seconds:.1f} s",
    ]
    for one in done.sets:
        lines.append(f"  testdata/{one.dataset}  {one.images:,} images, {one.annotations:,} masks ({one.form})")
    if done.samples:
        lines.append(f"  adversarial  {done.samples:,} images, each with its record")
    lines += [f"  note       {sentence}" for sentence in (*done.report.sentences(), *done.notes)]
    if done.rejects:
        lines.append(f"  rejected   {done.rejected:,}, see {done.rejects}")
    return lines
