"""The command line: `asam-datasets VERB`, and `python -m asam_datasets.publish` for the main one.

A verb is a module with a `register`. Its command parses, calls one library function and prints. Exit codes: 0 done, 1 a
known failure, 2 usage.
"""

from __future__ import annotations

import io
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from asam_datasets import __version__
from asam_datasets.cli import (
    _caption,
    _catalog,
    _demo,
    _download,
    _evaluate,
    _export,
    _fetch,
    _info,
    _merge,
    _organize,
    _preview,
    _publish,
    _scale,
    _verify,
)
from asam_datasets.cli._help import Grouped, help_width
from asam_datasets.cli._lines import Verbatim, columns_of, fit
from asam_datasets.cli._terminal import Terminal
from asam_datasets.errors import AsamDatasetsError, HubError, printable
from asam_datasets.sources.sa1b import without_secrets

TRACEBACK = "ASAM_DATASETS_TRACEBACK"
_USAGE: Any = typer.BadParameter.__mro__[2]  # `ClickException`, of click or of what typer has in its place
_STOPPED = 130  # as shells say it: 128 and the number of SIGINT

app = typer.Typer(
    name="asam-datasets",
    cls=Grouped,
    help="Publish SA-1B archives as a Hugging Face dataset.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

for verb in (
    _publish,
    _verify,
    _info,
    _catalog,
    _demo,
    _download,
    _caption,
    _merge,
    _organize,
    _export,
    _fetch,
    _preview,
    _scale,
    _evaluate,
):  # as --help lists them
    verb.register(app)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; known failures become a sentence, a hint and exit code 1."""
    arguments = list(sys.argv[1:] if args is None else args)
    try:
        code = app(arguments, prog_name="asam-datasets", standalone_mode=False, terminal_width=help_width())
        sys.exit(code if isinstance(code, int) else 0)
    except _USAGE as error:  # names of files become arguments: `--train *`
        error.message = "\n".join(map(printable, error.message.split("\n")))
        with io.StringIO() as shown:
            error.show(file=shown)
            lines = [short for line in shown.getvalue().splitlines() for short in fit(line, columns_of(sys.stderr))]
        print("\n".join(lines), file=sys.stderr)
        sys.exit(error.exit_code)
    except typer.Abort:
        Terminal().talk("stopped; finished work is kept, the same command goes on from there")
        sys.exit(_STOPPED)
    except AsamDatasetsError as error:
        if os.environ.get(TRACEBACK):
            raise
        terminal = Terminal()
        terminal.failure(error)
        if isinstance(error, HubError) and arguments[:1] == ["publish"]:
            command = ["python", "-m", "asam_datasets.publish", *map(without_secrets, arguments[1:])]
            terminal.talk(Verbatim(f"continue: {shlex.join(command)}"))
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        # typer makes an exit of Ctrl-C where it sees it first.
        if isinstance(end, SystemExit) and end.code != _STOPPED:
            raise
        Terminal().talk("stopped; finished work is kept, the same command goes on from there")
        sys.exit(_STOPPED)


def publish_main() -> None:
    """`python -m asam_datasets.publish`: the verb `publish`."""
    main(["publish", *sys.argv[1:]])
