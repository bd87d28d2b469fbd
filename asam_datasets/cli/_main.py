"""The command line: `asam-datasets VERB`, and `python -m asam_datasets.publish` for the main one.

Each command parses, calls one library function and prints. Exit codes: 0 done, 1 a known failure, 2 usage.
"""

from __future__ import annotations

import enum
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets import __version__
from asam_datasets.cli import _caption as caption
from asam_datasets.cli import _organize as organize
from asam_datasets.cli import _preview as preview
from asam_datasets.cli._options import BadRecord, TakesMany
from asam_datasets.cli._terminal import Terminal
from asam_datasets.demo import write_demo
from asam_datasets.errors import AsamDatasetsError, HubError
from asam_datasets.machine import available_cores
from asam_datasets.publish import PublishOptions
from asam_datasets.publish import plan as make_plan
from asam_datasets.publish import publish as run_publish
from asam_datasets.published import verify
from asam_datasets.release import Destination
from asam_datasets.sources.evaluation import find_entry, load_catalog
from asam_datasets.sources.sa1b import without_secrets

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045

TRACEBACK = "ASAM_DATASETS_TRACEBACK"
_STOPPED = 130  # as shells say it: 128 and the number of SIGINT

app = typer.Typer(
    name="asam-datasets",
    help="Publish SA-1B archives as a Hugging Face dataset.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Gated(str, enum.Enum):
    """How readers get through the gate, as the command line spells it."""

    AUTO = "auto"
    MANUAL = "manual"


class ReadingProtocol(str, enum.Enum):
    """How evaluation sets are read, as the command line spells it."""

    DEFAULT = "default"
    ASAM = "asam"


@app.command(
    "publish",
    cls=TakesMany,
    epilog="Example: python -m asam_datasets.publish --train sa_000000.tar --captions sa_000000-blip2-caption.json "
    "--out DIR",
)
def publish_command(
    train: Annotated[
        Optional[list[str]],
        typer.Option(help="SA-1B archives: folder, .tar, or URL (http, https, hf); several at once."),
    ] = None,
    evaluation: Annotated[
        Optional[list[str]],
        typer.Option(help="Evaluation sets, ID=FOLDER; `asam-datasets catalog` lists them; several at once."),
    ] = None,
    catalog: Annotated[Optional[list[Path]], typer.Option(help="TOML files with evaluation sets of your own.")] = None,
    protocol: Annotated[
        ReadingProtocol, typer.Option(help="asam: read evaluation sets as ASAM's own loaders do.")
    ] = ReadingProtocol.DEFAULT,
    adversarial: Annotated[
        Optional[Path], typer.Option(help="Adversarial samples: the folder with adv/ and record/ of ASAM's generator.")
    ] = None,
    captions: Annotated[
        Optional[list[Path]], typer.Option(help='Caption files, JSON Lines of {"img", "prompt"}; several at once.')
    ] = None,
    require_captions: Annotated[
        bool, typer.Option("--require-captions", help="Refuse images without a caption.")
    ] = False,
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
    workers: Annotated[Optional[int], typer.Option(help="Processes; as many as cores if not given.")] = None,
    on_bad_record: Annotated[
        BadRecord, typer.Option(help="Stop at a bad record, or skip and list it.")
    ] = BadRecord.RAISE,
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make one complete dataset out of SA-1B archives and captions, in a folder or on the Hub."""
    terminal = Terminal(as_json=as_json, yes=yes)
    try:
        options = PublishOptions(
            train=train or (),
            evaluation=evaluation or (),
            catalog=catalog or (),
            protocol=protocol.value,
            adversarial=adversarial,
            captions=captions or (),
            require_captions=require_captions,
            out=out,
            repo_id=repo_id,
            remove=remove or (),
            annotations_only=annotations_only or (),
            ids=ids,
            parts=parts,
            workers=workers,
            on_bad_record=on_bad_record.value,
            rejects=rejects,
            private=private,
            gated=gated.value if gated else None,
            accept_sa1b_terms=accept_sa1b_terms,
            destination=Destination(revision, create_pr, tag),
        )
        if dry_run:
            terminal.plan(make_plan(options, terminal.listener()))
        else:
            terminal.summary(run_publish(options, terminal.listener(), confirm=terminal.confirm))
    finally:
        terminal.close()


@app.command("verify", epilog="Example: asam-datasets verify xhk/ASAM-Datasets --deep")
def verify_command(
    dataset: Annotated[str, typer.Argument(help="A folder, or a repository on the Hub.")],
    deep: Annotated[bool, typer.Option("--deep", help="Look at every record: images, masks, numbers.")] = False,
    revision: Annotated[Optional[str], typer.Option(help="Branch, tag, commit or refs/pr/N on the Hub.")] = None,
    workers: Annotated[Optional[int], typer.Option(help="Processes; as many as cores if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check a published dataset against its manifests; exit code 1 when something is not as it should be."""
    terminal = Terminal(as_json=as_json)
    try:
        report = verify(
            dataset,
            revision=revision,
            deep=deep,
            workers=workers or available_cores(),
            listener=terminal.listener(),
        )
    finally:
        terminal.close()
    terminal.report(report)
    if not report.is_good:
        raise typer.Exit(1)


@app.command("catalog", epilog="Example: asam-datasets catalog show hrsod_te")
def catalog_command(
    what: Annotated[str, typer.Argument(help="`list`, or `show` with an id.")] = "list",
    identity: Annotated[Optional[str], typer.Argument(metavar="ID", help="An evaluation set.")] = None,
    catalog: Annotated[Optional[list[Path]], typer.Option(help="TOML files with evaluation sets of your own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the entries as JSON.")] = False,
) -> None:
    """List the evaluation sets, or show one with the folder that is expected of it."""
    terminal = Terminal(as_json=as_json)
    entries = load_catalog(catalog or ())
    if what == "list" and identity is None:
        terminal.catalog(entries)
        return
    if what != "show" or identity is None:
        raise typer.BadParameter("expected `list` or `show ID`")
    terminal.entry(find_entry(entries, identity))


@app.command("demo", epilog="Example: asam-datasets demo demo-data")
def demo_command(
    directory: Annotated[Path, typer.Argument(help="Folder for sa_000000.tar and its caption file.")],
    images: Annotated[int, typer.Option(help="How many images to draw.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw a small archive in the form of SA-1B, with captions, to try everything on."""
    Terminal(as_json=as_json).demo(write_demo(directory, images=images))


caption.register(app)
organize.register(app)
preview.register(app)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main(args: Optional[Sequence[str]] = None) -> None:
    """Run the command line; known failures become a sentence, a hint and exit code 1."""
    arguments = list(sys.argv[1:] if args is None else args)
    try:
        app(arguments, prog_name="asam-datasets")
    except AsamDatasetsError as error:
        if os.environ.get(TRACEBACK):
            raise
        terminal = Terminal(as_json=False)
        terminal.failure(error)
        if isinstance(error, HubError) and arguments[:1] == ["publish"]:
            command = ["python", "-m", "asam_datasets.publish", *map(without_secrets, arguments[1:])]
            terminal.talk(f"continue: {shlex.join(command)}")
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        # typer makes an exit of Ctrl-C where it sees it first.
        if isinstance(end, SystemExit) and end.code != _STOPPED:
            raise
        print("stopped; finished parts are kept, the same command goes on from there", file=sys.stderr)
        sys.exit(_STOPPED)


def publish_main() -> None:
    """`python -m asam_datasets.publish`: the verb `publish`."""
    main(["publish", *sys.argv[1:]])
