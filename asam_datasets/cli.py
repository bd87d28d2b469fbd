"""The command line: `asam-datasets VERB`, and `python -m asam_datasets.publish` for the main one.

Each command parses, calls one library function and prints. Exit codes: 0 done, 1 a known failure, 2 usage.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets import __version__
from asam_datasets._terminal import Terminal
from asam_datasets.commands import caption, organize
from asam_datasets.commands._options import BadRecord, TakesMany
from asam_datasets.demo import write_demo
from asam_datasets.errors import AsamDatasetsError
from asam_datasets.publish import PublishOptions
from asam_datasets.publish import plan as make_plan
from asam_datasets.publish import publish as run_publish

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045

TRACEBACK = "ASAM_DATASETS_TRACEBACK"

app = typer.Typer(
    name="asam-datasets",
    help="Publish SA-1B archives as a Hugging Face dataset.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command(
    "publish",
    cls=TakesMany,
    epilog="Example: python -m asam_datasets.publish --train sa_000000.tar --captions sa_000000-blip2-caption.json "
    "--out DIR",
)
def publish_command(
    train: Annotated[
        list[str], typer.Option(help="SA-1B archives: folder, .tar, or URL (http, https, hf); several at once.")
    ],
    captions: Annotated[
        Optional[list[Path]], typer.Option(help='Caption files, JSON Lines of {"img", "prompt"}; several at once.')
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Folder that becomes (or is) the dataset.")] = None,
    repo_id: Annotated[Optional[str], typer.Option(help="Repository on the Hub, NAMESPACE/NAME; made private.")] = None,
    ids: Annotated[Optional[Path], typer.Option(help="Take only these image ids (a file, one id a line).")] = None,
    parts: Annotated[Optional[int], typer.Option(help="Parquet files per archive; by its size if not given.")] = None,
    workers: Annotated[Optional[int], typer.Option(help="Processes; as many as cores if not given.")] = None,
    on_bad_record: Annotated[
        BadRecord, typer.Option(help="Stop at a bad record, or skip and list it.")
    ] = BadRecord.RAISE,
    rejects: Annotated[Optional[Path], typer.Option(help="Where skipped records are listed [rejects.jsonl].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make one complete dataset out of SA-1B archives and captions, in a folder or on the Hub."""
    terminal = Terminal(as_json=as_json)
    try:
        options = PublishOptions(train, captions or (), out, repo_id, ids, parts, workers, on_bad_record.value, rejects)
        if dry_run:
            terminal.plan(make_plan(options))
        else:
            terminal.summary(run_publish(options, terminal.listener()))
    finally:
        terminal.close()


@app.command("demo", epilog="Example: asam-datasets demo demo-data")
def demo_command(
    directory: Annotated[Path, typer.Argument(help="Folder for sa_000000.tar and its caption file.")],
    pictures: Annotated[int, typer.Option(help="How many pictures to draw.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Draw a small archive in the form of SA-1B, with captions, to try everything on."""
    Terminal(as_json=as_json).demo(write_demo(directory, pictures=pictures))


caption.register(app)
organize.register(app)


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
        Terminal(as_json=False).failure(error)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; finished parts are kept, the same command goes on from there", file=sys.stderr)
        sys.exit(130)


def publish_main() -> None:
    """`python -m asam_datasets.publish`: the verb `publish`."""
    main(["publish", *sys.argv[1:]])
