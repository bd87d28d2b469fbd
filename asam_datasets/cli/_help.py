"""`--help`: the verbs by what they are for, the page that tells more, and lines for terminals that are narrow too."""

from __future__ import annotations

import shutil
from typing import Any

from typer.core import TyperGroup

from asam_datasets.cli._docs import PAGES, where

GROUPS = {
    "Publish": ("publish", "verify", "scale", "download", "caption", "merge", "catalog", "demo"),
    "Use": ("info", "preview", "fetch", "export", "organize", "evaluate"),
}
_ENOUGH = 60  # columns, for options and what they mean beside each other
_TERMS = 10
_LEAST = 20
_OF_CLICK = 52  # columns, below which click writes as if it had them
_ALL = 1000  # letters, of a sentence that is not cut

_Context: Any = TyperGroup.context_class
_Formatter: Any = _Context.formatter_class


class _FittingFormatter(_Formatter):  # type: ignore[misc]  # click's, or that of typer: what typer has is asked
    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Terms and texts; texts below their terms where the terminal is narrow."""
        super().write_dl(rows, col_max if self.width >= _ENOUGH else _TERMS, col_spacing)


class _FittingContext(_Context):  # type: ignore[misc]
    formatter_class = _FittingFormatter


class Grouped(TyperGroup):
    """The program with its verbs."""

    context_class = _FittingContext

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A verb, whose help ends with where its page is."""
        command = super().get_command(ctx, cmd_name)
        if command is not None and cmd_name in PAGES:
            example = (command.epilog or "").partition("\n\n")[0]
            command.epilog = f"{example}\n\nMore: {where(PAGES[cmd_name])}"
            command.context_class = _FittingContext
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The verbs by what they are for."""
        for title, group in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (name, self.commands[name].get_short_help_str(_ALL))
                        for name in self.list_commands(ctx)
                        if name in group
                    ]
                )

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Where the docs begin."""
        formatter.write_paragraph()
        formatter.write_text(f"Docs: {where('index.md')}")


def help_width() -> int | None:
    """Letters of a line of help on a terminal that is narrower than click thinks possible; else it finds out itself."""
    columns = shutil.get_terminal_size().columns
    return max(columns, _LEAST) if columns < _OF_CLICK else None
