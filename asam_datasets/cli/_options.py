"""What several verbs take: the policy for bad records, and options that take several values."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

_MANY = ("--train", "--evaluation", "--catalog", "--captions", "--remove", "--annotations-only")


class BadRecord(str, enum.Enum):
    """The policies for bad records, as the command line spells them."""

    RAISE = "raise"
    SKIP = "skip"


class TakesMany(TyperCommand):
    """`--train a.tar b.tar` means `--train a.tar --train b.tar`: that is what `--train *.tar` becomes in a shell."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Spread the values over as many options."""
        return super().parse_args(ctx, _spread(args))


def _spread(args: Sequence[str]) -> list[str]:
    spread: list[str] = []
    option = ""
    for arg in args:
        if arg.startswith("-") and arg != "-":
            option = arg if arg in _MANY else ""
            spread += [] if option else [arg]
        else:
            spread += [option, arg] if option else [arg]
    return spread
