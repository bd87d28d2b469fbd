"""Writes the pages that are made out of the program: `reference/cli.md` and `reference/catalog.md`.

    python docs/generate.py [--check]

A test calls it with `--check`: exit code 1 and the names of pages that are not as they would be written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asam_datasets.sources.evaluation import Entry, describe_tree, load_catalog

_WIDTH = 96
DOCS = Path(__file__).resolve().parent


def main() -> int:
    """Write the pages, or only say which differ."""
    made = {"reference/cli.md": "\n".join(cli_page()), "reference/catalog.md": "\n".join(catalog_page())}
    stale = [name for name, text in made.items() if not (DOCS / name).is_file() or (DOCS / name).read_text() != text]
    if "--check" in sys.argv[1:]:
        print("\n".join(f"{name} is stale: python docs/generate.py" for name in stale))
        return int(bool(stale))
    for name in stale:
        (DOCS / name).write_text(made[name])
    return 0


def cli_page() -> Iterator[str]:
    """What `--help` says of every verb."""
    import typer

    from asam_datasets.cli import app
    from asam_datasets.cli._docs import PAGES

    group: Any = typer.main.get_command(app)
    yield "# Command line\n"
    yield "`asam-datasets VERB`; `python -m asam_datasets.publish` is `asam-datasets publish`. Exit codes: 0 done, 1 a"
    yield "known failure, told in a sentence, 2 wrong usage, 130 stopped. Every verb takes `--help`, `-h`.\n"
    for name, command in group.commands.items():
        context = command.make_context(f"asam-datasets {name}", [], resilient_parsing=True, terminal_width=_WIDTH)
        yield f"## {name}\n\n```text\n{command.get_help(context).rstrip()}\n```\n"
        if name in PAGES:
            yield f"More: [{name}](../{PAGES[name]}).\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def catalog_page() -> Iterator[str]:
    """Every evaluation set with the folder that is expected."""
    entries = load_catalog()
    yield "# The evaluation sets\n"
    yield f"{len(entries)} sets that `publish --evaluation ID=FOLDER` knows. A set of your own: [how](own_sets.md).\n"
    yield "| id | set | kind | images | masks | may be published |\n|---|---|---|---:|---:|---|"
    for entry in entries.values():
        counts = [f"{number:,}" if number else "" for number in (entry.expected_images, entry.expected_masks)]
        shown = (entry.kind, *counts, entry.redistributable)
        yield f"| [`{entry.id}`](#{entry.id}) | {_cell(entry.name)} | {' | '.join(map(str, shown))} |"
    for entry in entries.values():
        yield from _set(entry)


def _set(entry: Entry) -> Iterator[str]:
    yield f"\n## {entry.id}\n"
    license = f"[{entry.license or 'license'}]({entry.license_link})" if entry.license_link else entry.license
    yield f"[{entry.name}]({entry.homepage}), {entry.kind} masks. License: {license or 'not stated'}.\n"
    if entry.notes:
        yield f"{' '.join(entry.notes.split())}\n"
    yield f"```text\n{describe_tree(entry)}\n```"


if __name__ == "__main__":
    sys.exit(main())
