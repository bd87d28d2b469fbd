"""`asam-datasets publish`, and `python -m asam_datasets.publish`."""

from __future__ import annotations

import enum
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._options import (
    BadRecord,
    Captions,
    Catalogs,
    Json,
    OnBadRecord,
    RequireCaptions,
    TakesArchives,
    Workers,
)
from asam_datasets.cli._publish_text import dry_run_text, plan_text, summary_text
from asam_datasets.cli._terminal import Terminal
from asam_datasets.errors import TargetError
from asam_datasets.publish import Plan, PublishOptions, plan, publish
from asam_datasets.release import Destination

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


class Gated(str, enum.Enum):
    """How readers get through the gate, as the command line spells it."""

    AUTO = "auto"
    MANUAL = "manual"


class ReadingProtocol(str, enum.Enum):
    """How evaluation sets are read, as the command line spells it."""

    DEFAULT = "default"
    ASAM = "asam"


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    example = "python -m asam_datasets.publish --train sa_000000.tar --captions sa_000000-blip2-caption.json --out DIR"
    app.command("publish", cls=TakesArchives, epilog=f"Example: {example}")(publish_command)


def publish_command(
    archives: Annotated[
        Optional[list[str]],
        typer.Argument(metavar="ARCHIVE", help="The same as with --train.", show_default=False),
    ] = None,
    train: Annotated[
        Optional[list[str]],
        typer.Option(help="Archives: folder, .tar, .zip, COCO .json, or URL (http, https, hf); several at once."),
    ] = None,
    evaluation: Annotated[
        Optional[list[str]],
        typer.Option(help="Evaluation sets, ID=FOLDER; `asam-datasets catalog` lists them; several at once."),
    ] = None,
    catalog: Catalogs = None,
    protocol: Annotated[
        ReadingProtocol, typer.Option(help="asam: read evaluation sets as ASAM's own loaders do.")
    ] = ReadingProtocol.DEFAULT,
    adversarial: Annotated[
        Optional[Path], typer.Option(help="Adversarial samples: the folder with adv/ and record/ of ASAM's generator.")
    ] = None,
    captions: Captions = None,
    no_captions: Annotated[
        bool, typer.Option("--no-captions", help="Without captions; otherwise those that are published stay.")
    ] = False,
    require_captions: RequireCaptions = False,
    out: Annotated[Optional[Path], typer.Option(help="Folder that becomes (or is) the dataset.")] = None,
    repo_id: Annotated[
        Optional[str], typer.Option(help="Repository on the Hub, NAMESPACE/NAME; a new one is private.")
    ] = None,
    remove: Annotated[
        Optional[list[str]], typer.Option(help="Take these archives out of the dataset, such as sa_000000.")
    ] = None,
    annotations_only: Annotated[
        Optional[list[str]], typer.Option(help="Publish these archives without their images.")
    ] = None,
    ids: Annotated[Optional[Path], typer.Option(help="Take only these image ids (a file, one id a line).")] = None,
    parts: Annotated[Optional[int], typer.Option(help="Parquet files per archive; by its size if not given.")] = None,
    validation: Annotated[
        Optional[str],
        typer.Option(
            metavar="SHARE|FILE",
            help="Hold out a share (0.1), or the images of a file (a name or id a line), as the split validation.",
        ),
    ] = None,
    workers: Workers = None,
    on_bad_record: OnBadRecord = BadRecord.RAISE,
    rejects: Annotated[Optional[Path], typer.Option(help="Where skipped records are listed [rejects.jsonl].")] = None,
    private: Annotated[
        Optional[bool],
        typer.Option("--private/--public", help="Who may see the repository; as it is if not given, private if new."),
    ] = None,
    gated: Annotated[
        Optional[Gated], typer.Option(help="Readers accept the terms first; manual: you look at each of them.")
    ] = None,
    accept_sa1b_terms: Annotated[
        bool, typer.Option("--accept-sa1b-terms", help="You know SA-1B's terms; needed to be public, behind a gate.")
    ] = False,
    revision: Annotated[Optional[str], typer.Option(help="Publish to this branch; made if it is not there.")] = None,
    create_pr: Annotated[bool, typer.Option("--create-pr", help="Publish as a pull request.")] = False,
    tag: Annotated[Optional[str], typer.Option(help="Tag the published version, such as v1.0.")] = None,
    title: Annotated[
        Optional[str], typer.Option(help="Heading of the card; as it is if not given, the name of the dataset if new.")
    ] = None,
    about: Annotated[
        Optional[Path], typer.Option(help="Markdown file with what the card says first; stays until another is given.")
    ] = None,
    license: Annotated[
        Optional[str],
        typer.Option(help="License of these archives, such as cc-by-4.0; as it was if not given, SA-1B's if new."),
    ] = None,
    license_link: Annotated[Optional[str], typer.Option(help="Web page of that license.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Turn SA-1B archives and captions into one complete dataset.

    In a folder (--out) or on the Hub (--repo-id), with evaluation sets and adversarial samples if you have them.
    """
    with Terminal(as_json=as_json) as terminal:
        options = PublishOptions(
            train=[*(train or ()), *(archives or ())], evaluation=evaluation or (), catalog=catalog or (), out=out,
            protocol=protocol.value, adversarial=adversarial, captions=captions or (), no_captions=no_captions, ids=ids,
            require_captions=require_captions, remove=remove or (), annotations_only=annotations_only or (),
            repo_id=repo_id, parts=parts, workers=workers, on_bad_record=on_bad_record.value, rejects=rejects,
            private=private, gated=gated.value if gated else None, accept_sa1b_terms=accept_sa1b_terms,
            destination=Destination(revision, create_pr, tag), about=about, title=title, license=license,
            validation=validation, license_link=license_link,
        )  # fmt: skip
        if dry_run:
            planned = plan(options, terminal.listener())
            terminal.result({"plan": planned, "rows": planned.rows}, dry_run_text(planned))
        else:
            done = publish(options, terminal.listener(), confirm=partial(_confirm, terminal, yes))
            terminal.result(done, summary_text(done))


def _confirm(terminal: Terminal, yes: bool, planned: Plan) -> None:
    """Show the plan, and ask where somebody is there to answer: before an upload, and what others will notice.

    Raises:
        TargetError: the answer is no, or nobody can be asked and the plan needs an answer.
    """
    for line in plan_text(planned):
        terminal.talk(line)
    uploads = planned.remote and any(build.state not in ("unchanged", "kept") for build in planned.builds)
    if yes or not (planned.public or planned.destructive or uploads):
        return
    what = "show it to everyone" if planned.public else "take away what is published"
    answer = terminal.ask("Go on?")
    if answer is False:
        raise TargetError("expected a yes, found none; nothing was changed", hint="--yes answers beforehand.")
    if answer is None and (planned.public or planned.destructive):
        raise TargetError(
            f"expected --yes to {what}, found nobody to ask",
            where=planned.target,
            hint="Look at the plan above, then run the same command with --yes. Nothing was changed.",
        )
