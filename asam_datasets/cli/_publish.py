"""`asam-datasets publish`, and `python -m asam_datasets.publish`."""

from __future__ import annotations

import enum
from collections.abc import Sequence
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
    TakesMany,
    Workers,
)
from asam_datasets.cli._terminal import Terminal, table
from asam_datasets.errors import TargetError
from asam_datasets.publish import Plan, PublishOptions, Summary, plan, publish
from asam_datasets.release import Destination, count_bytes

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045

_SHOWN_IDS = 10


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
    app.command("publish", cls=TakesMany, epilog=f"Example: {example}")(publish_command)


def publish_command(
    train: Annotated[
        Optional[list[str]],
        typer.Option(help="SA-1B archives: folder, .tar, or URL (http, https, hf); several at once."),
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
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Turn SA-1B archives and captions into one complete dataset.

    In a folder (--out) or on the Hub (--repo-id), with evaluation sets and adversarial samples if you have them.
    """
    with Terminal(as_json=as_json) as terminal:
        options = PublishOptions(
            train=train or (), evaluation=evaluation or (), catalog=catalog or (), protocol=protocol.value,
            adversarial=adversarial, captions=captions or (), no_captions=no_captions, out=out, repo_id=repo_id,
            require_captions=require_captions, remove=remove or (), annotations_only=annotations_only or (), ids=ids,
            parts=parts, workers=workers, on_bad_record=on_bad_record.value, rejects=rejects, private=private,
            gated=gated.value if gated else None, accept_sa1b_terms=accept_sa1b_terms,
            destination=Destination(revision, create_pr, tag),
        )  # fmt: skip
        if dry_run:
            planned = plan(options, terminal.listener())
            terminal.result({"plan": planned, "rows": planned.rows}, _dry_run_text(planned))
        else:
            done = publish(options, terminal.listener(), confirm=partial(_confirm, terminal, yes))
            terminal.result(done, _summary_text(done))


def _confirm(terminal: Terminal, yes: bool, planned: Plan) -> None:
    """Show the plan, and ask where somebody is there to answer: before an upload, and what others will notice.

    Raises:
        TargetError: the answer is no, or nobody can be asked and the plan needs an answer.
    """
    for line in _plan_text(planned):
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


def _dry_run_text(planned: Plan) -> Sequence[str]:
    return [f"Would publish to {planned.target} (dry run: nothing was changed)", *_plan_text(planned)]


def _plan_text(planned: Plan) -> Sequence[str]:
    """The plan: for whom, a table of the archives, what goes over the network."""
    rows = "an unknown number of" if planned.rows is None else f"{planned.rows:,}"
    builds = [("name", "state", "records", "files", "bytes", "from")]
    for one in planned.builds:
        rows_there, files = ("?" if number is None else f"{number:,}" for number in (one.rows, one.files))
        size = "?" if one.size_bytes is None else count_bytes(one.size_bytes)
        builds.append((one.name, one.state, rows_there, files, size, one.source))
    lines = [
        f"  readers   {planned.readers}",
        f"  configs   {', '.join(planned.configs)}, {rows} records of this run each",
        "",
        *table(builds),
        "",
    ]
    lines += [_turned(one.name, one.turned, one.rows) for one in planned.builds if one.turned]
    if planned.transfer_bytes is None:
        lines.append("  How much is transferred is known when the streams were read.")
    elif planned.transfer_bytes:
        lines.append(f"  About {count_bytes(planned.transfer_bytes)} are transferred at most.")
    if planned.replaces_foreign:
        lines.append(
            "  The README that is there was not made by asam_datasets: what it shows goes out of sight; its text stays."
        )
    if planned.losses:
        lines += ["  What is visible now and goes:", *(f"    {loss}" for loss in planned.losses)]
    if any(loss.why and loss.why != "removed" for loss in planned.losses):
        lines.append("  An archive of the same name is replaced; another name keeps both: --train NAME=PATH")
    return [*lines, *_missing(planned.missing_ids)]


def _summary_text(done: Summary) -> Sequence[str]:
    """What was done, and the line that loads it."""
    changes = done.changes
    lines = [
        f"Published {done.target}",
        f"  {done.rows:,} records, {done.annotations:,} masks, {done.captions:,} captions, "
        f"{count_bytes(done.size_bytes)}, in {done.seconds:.1f} s",
    ]
    for verb, folders in (("new", changes.added), ("unchanged", changes.unchanged), ("removed", changes.removed)):
        lines += [f"  {verb:<9}  {folder}" for folder in folders]
    if done.without_caption:
        lines.append(f"  no caption {done.without_caption:,} images")
    if done.dropped:
        lines.append(f"  dropped    {done.dropped:,} images of evaluation sets, which have no object")
    lines += [_turned(name, count) for name, count in done.turned.items()]
    if done.rejects:
        lines.append(f"  rejected   {done.rejected:,}, see {done.rejects}")
    lines += _missing(done.missing_ids)
    lines += [f"  warning    {warning}" for warning in done.warnings]
    if changes.uploaded_files:
        lines.append(f"  sent       {changes.uploaded_files:,} files, {count_bytes(changes.uploaded_bytes)}")
    revision = f', revision="{done.revision}"' if done.revision else ""
    chosen = 'split="train"' if done.configs[0] == "train" else f'"{done.configs[0]}", streaming=True'
    loaded = f'load_dataset("{done.location}", {chosen}{revision})'
    return [*lines, "Load it:", f"  from datasets import load_dataset; dataset = {loaded}"]


def _turned(name: str, count: int, rows: int | None = None) -> str:
    """The line about images whose masks do not fit what stock readers show."""
    of = f" of {rows:,}" if rows else ""
    return (
        f"  EXIF       {name}: {count:,}{of} images carry an orientation: stock readers turn them and not their masks; "
        "the card says how to read them"
    )


def _missing(ids: Sequence[int]) -> Sequence[str]:
    """The line about ids that were asked for and are not there; none if all are."""
    shown = ", ".join(map(str, ids[:_SHOWN_IDS])) + (", ..." if len(ids) > _SHOWN_IDS else "")
    return [f"  not found  {len(ids):,} of the ids asked for: {shown}"] if ids else []
