"""`asam-datasets export`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asam_datasets.cli._options import Json, Masks, Published, Revision, Workers
from asam_datasets.cli._organize import describe
from asam_datasets.cli._publish_text import fold
from asam_datasets.cli._terminal import Terminal
from asam_datasets.errors import TargetError, option
from asam_datasets.formats import Exported, export_form
from asam_datasets.organized import export


class Format(str, enum.Enum):
    """The forms of an export, as the command line spells them."""

    ORGANIZED = "organized"
    COCO = "coco"
    YOLO = "yolo"
    WEBDATASET = "webdataset"
    FIFTYONE = "fiftyone"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("export", epilog="Example: asam-datasets export NAMESPACE/NAME --out exported --format coco")(
        export_command
    )


def export_command(
    dataset: Published,
    out: Annotated[Path, typer.Option(help="The folder; made, continued or completed.")],
    form: Annotated[
        Format, typer.Option("--format", help="organized: ASAM's own folder; the others as those programs read them.")
    ] = Format.ORGANIZED,
    masks: Masks = "all",
    workers: Workers = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Turn a dataset into ASAM's folder, COCO, YOLO or others.

    Evaluation sets go to testdata/ of the organised folder, and beside the archives in the other forms.
    """
    with Terminal(as_json=as_json) as terminal:
        listener = terminal.listener()
        if form is Format.ORGANIZED:
            done = export(dataset, out, masks=masks, workers=workers, revision=revision, listener=listener)
            terminal.result(done, describe(done))
            return
        if masks != "all":
            raise TargetError(
                f"expected {option('masks')} with the organised folder only, found it with {form.value}",
                where=option("masks", masks),
                hint="The other forms have all masks; leave it out.",
            )
        written = export_form(dataset, out, form=form.value, workers=workers, revision=revision, listener=listener)
        terminal.result(written, _text(written))


def _text(done: Exported) -> Sequence[str]:
    images, masks = (sum(getattr(one, name) for one in done.folders) for name in ("images", "masks"))
    lines = [f"Exported {done.out} ({done.form})", f"  {images:,} images, {masks:,} masks, in {done.seconds:.1f} s"]
    lines += fold(f"  {one.name}  {one.split}, {one.images:,} images, {one.masks:,} masks" for one in done.folders)
    return [*lines, *fold(f"  note       {sentence}" for sentence in done.notes)]
