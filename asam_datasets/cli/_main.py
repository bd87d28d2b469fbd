"""The command line: `asam-datasets VERB`, and `python -m asam_datasets.publish` for the main one.

A verb is a module with a `register`. Its command parses, calls one library function and prints. Exit codes: 0 done, 1 a
known failure, 2 usage.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

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
from asam_datasets.cli._docs import PAGES, where
from asam_datasets.cli._terminal import Terminal
from asam_datasets.errors import AsamDatasetsError, HubError, printable
from asam_datasets.sources.sa1b import without_secrets

TRACEBACK = "ASAM_DATASETS_TRACEBACK"
_USAGE: Any = typer.BadParameter.__mro__[2]  # `ClickException`, of click or of what typer has in its place
_STOPPED = 130  # as shells say it: 128 and the number of SIGINT

_GROUPS = {
    "Publish": ("publish", "verify", "scale", "download", "caption", "merge", "catalog", "demo"),
    "Use": ("info", "preview", "fetch", "export", "organize", "evaluate"),
}


class _Grouped(TyperGroup):
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A verb, whose help ends with where its page is."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and cmd_name in PAGES:
            example = (command.epilog or "").partition("\n\n")[0]
            command.epilog = f"{example}\n\nMore: {where(PAGES[cmd_name])}"
        return command

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Where the docs begin."""
        formatter.write_paragraph()
        formatter.write_text(f"Docs: {where('index.md')}")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The verbs by what they are for."""
        names = self.list_commands(ctx)
        width = formatter.width - 6 - max(map(len, names))
        for title, group in _GROUPS.items():
            lines = [(name, self.commands[name].get_short_help_str(width)) for name in names if name in group]
            with formatter.section(title):
                formatter.write_dl(lines)


app = typer.Typer(
    name="asam-datasets",
    cls=_Grouped,
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
        code = app(arguments, prog_name="asam-datasets", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except _USAGE as error:  # names of files become arguments: `--train *`
        error.message = "\n".join(map(printable, error.message.split("\n")))
        error.show()
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
            terminal.talk(f"continue: {shlex.join(command)}")
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
