"""`asam-datasets catalog`."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._lines import columns_of, table
from asam_datasets.cli._options import Catalogs, Json, TakesMany
from asam_datasets.cli._terminal import Terminal
from asam_datasets.errors import TargetError
from asam_datasets.sources.evaluation import (
    Entry,
    begin_entry,
    describe_tree,
    entry_toml,
    find_entry,
    load_catalog,
)

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045

_WIDTH = 110


class _Command(TakesMany):
    def is_argument(self, option: str, word: str) -> bool:
        """After catalogs of one's own: what to do."""
        return word in ("list", "new", "show")


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("catalog", cls=_Command, epilog="Example: asam-datasets catalog show hrsod_te")(catalog_command)


def catalog_command(
    what: Annotated[str, typer.Argument(help="`list`, `show` with an id, or `new` with a folder.")] = "list",
    identity: Annotated[Optional[str], typer.Argument(metavar="ID|FOLDER", help="An evaluation set.")] = None,
    catalog: Catalogs = None,
    toml: Annotated[bool, typer.Option("--toml", help="With `show`: as TOML, which --catalog takes.")] = False,
    out: Annotated[Optional[Path], typer.Option(help="With `new`: a new file to write; stdout by default.")] = None,
    as_json: Json = False,
) -> None:
    """List the evaluation sets, show one, or begin a catalog.

    The folder of a set is the one that `publish --evaluation ID=FOLDER` expects. `new FOLDER` looks at one and writes
    the TOML to start from.
    """
    terminal, entries = Terminal(as_json=as_json), load_catalog(catalog or ())
    match (what, identity, toml, out):
        case ("list", None, False, None):
            terminal.result(list(entries.values()), _all(entries))
        case ("show", str(), _, None):
            entry = find_entry(entries, identity)
            terminal.result(entry, entry_toml(entry).rstrip().split("\n") if toml else _one(entry))
        case ("new", str(), False, _):
            _begin(terminal, Path(identity), out)
        case _:
            raise typer.BadParameter("expected `list`, `show ID [--toml]` or `new FOLDER [--out FILE]`")


def _begin(terminal: Terminal, folder: Path, out: Path | None) -> None:
    """Write the TOML to start from."""
    entry, why = begin_entry(folder)
    text = entry_toml(entry, explained=True)
    terminal.talk(f"{folder}: {why}. Fill in what is empty.")
    if out is None:
        terminal.result(entry, text.rstrip().split("\n"))
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise TargetError("expected a new file, found one", where=f"--out {out}", hint="Take another name.") from None
    except OSError as error:
        raise TargetError(
            f"expected a file that can be written, found: {error.strerror}", where=f"--out {out}"
        ) from None
    terminal.result(entry, [str(out)])


def _all(entries: Mapping[str, Entry]) -> Sequence[str]:
    lines = [("id", "name", "split", "masks are", "may be given on", "ASAM reads it")]
    for entry in entries.values():
        differs = "otherwise" if entry.asam is not None else "the same way"
        lines.append((entry.id, entry.name, entry.split, entry.kind, entry.redistributable, differs))
    return [*table(lines), "", "`asam-datasets catalog show ID` prints one, with the folder that is expected."]


def _one(entry: Entry) -> Sequence[str]:
    counts = ((entry.expected_images, "images"), (entry.expected_masks, "masks"))
    facts = [
        (entry.id, entry.name),
        ("homepage", entry.homepage),
        ("split", f"{entry.split} (its {entry.source_split})"),
        ("masks are", entry.kind),
        ("expected", ", ".join(f"{count:,} {what}" for count, what in counts if count is not None) or "unknown"),
        ("license", entry.license or "unknown"),
        ("may be given on", entry.redistributable),
        ("cite", " ".join(entry.citation.split()) or "unknown"),
        ("ASAM reads it", " ".join(entry.protocol_asam.split()) or "the same way"),
    ]
    width = columns_of(sys.stdout) or _WIDTH
    fill = partial(textwrap.wrap, width=width, break_long_words=False, break_on_hyphens=False)
    lines: list[str] = []
    for name, text in facts:
        lines += fill(text, initial_indent=f"{name:<17}", subsequent_indent=" " * 17)
    if entry.notes.strip():
        lines += ["", *fill(" ".join(entry.notes.split()))]
    return "\n".join([*lines, "", describe_tree(entry)]).split("\n")
