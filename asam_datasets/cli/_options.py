"""What several verbs take, each spelled once: options and arguments, and how an option takes several values."""

from __future__ import annotations

import enum
import os
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperCommand

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


class BadRecord(str, enum.Enum):
    """The policies for bad records, as the command line spells them."""

    RAISE = "raise"
    SKIP = "skip"


def at_least_one(number: Optional[int]) -> Optional[int]:
    """A number that is given is 1 or more; for typer."""
    if number is not None and number < 1:
        raise typer.BadParameter(f"expected at least 1, found {number}")
    return number


Captions = Annotated[
    Optional[list[Path]],
    typer.Option(help='Caption files: JSON Lines of {"img", "prompt"}, metadata.jsonl, CSV; several at once.'),
]
Catalogs = Annotated[
    Optional[list[Path]], typer.Option(help="TOML files with evaluation sets of your own; several at once.")
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Masks = Annotated[str, typer.Option(help="Which masks to decode: all, none, or a range such as 0:4.")]
OnBadRecord = Annotated[BadRecord, typer.Option(help="Stop at a bad record, or skip and list it.")]
OrganizedFolder = Annotated[Path, typer.Option(help="The organised folder; made, continued or completed.")]
Published = Annotated[str, typer.Argument(help="A folder made by publish, or a repository on the Hub.")]
RequireCaptions = Annotated[bool, typer.Option("--require-captions", help="Refuse images without a caption.")]
Revision = Annotated[
    Optional[str], typer.Option(help="Branch, tag, commit or refs/pr/N of the repository; main if not given.")
]
Workers = Annotated[
    Optional[int], typer.Option(callback=at_least_one, help="Processes; as many as cores if not given.")
]


class TakesMany(TyperCommand):
    """`--train a.tar b.tar` means `--train a.tar --train b.tar`: that is what `--train *.tar` becomes in a shell.

    So it is for each option that may be given several times. The first word after it is a value, and so are all up to
    the next option, to `--`, or to an argument of the command. `--train=a.tar` takes that one alone.
    """

    def is_argument(self, option: str, word: str) -> bool:
        """Whether a word that follows a value of an option is an argument of the command instead."""
        return False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spread the values over as many options.

        Raises:
            UsageError: an option has no value, or options took all words and left none for an argument.
        """
        spread, taken = self._spread(ctx, args)
        try:
            return super().parse_args(ctx, spread)
        except typer.BadParameter as error:
            if taken and error.param is not None and error.param.param_type_name == "argument":
                name = error.param.metavar or error.param.name
                words = ", ".join(f"{option} took {word}" for option, word in taken)
                ctx.fail(f"Missing argument '{name}': {words}. Give {name} first, or last after `--`.")
            raise

    def _spread(self, ctx: Any, args: list[str]) -> tuple[list[str], list[tuple[str, str]]]:
        """The words with its option before each value; and (option, value) of those that were not its first."""
        many = {name for one in self.params if getattr(one, "multiple", False) for name in one.opts}
        end = args.index("--") if "--" in args else len(args)
        spread: list[str] = []
        further: list[tuple[str, str]] = []
        option, count = "", 0
        for word in [*args[:end], "--"]:
            if word.startswith("-") and word != "-":
                if option and not count:
                    ctx.fail(f"Option '{option}' requires an argument.")
                option, count = word if word in many else "", 0
                spread += [] if option else [word]
            elif option and not (count and self.is_argument(option, word)):
                spread += [option, word]
                further += [(option, word)] if count else []
                count += 1
            else:
                option = ""
                spread.append(word)
        return [*spread[:-1], *args[end:]], further


class TakesArchives(TakesMany):
    """Its arguments are archives, which may follow the values of an option."""

    def is_argument(self, option: str, word: str) -> bool:
        """After caption files: an archive. No caption file is a folder, a tar or a URL."""
        is_archive = "://" in word or word.endswith((".tar", ".tar.gz", ".tgz", ".zip")) or os.path.isdir(word)
        return option == "--captions" and is_archive
