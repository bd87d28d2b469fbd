"""`asam-datasets download`."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.cli._options import Json, TakesMany, at_least_one
from asam_datasets.cli._terminal import Terminal
from asam_datasets.download import Downloaded, choose_links, download, read_links
from asam_datasets.release import count_bytes

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    example = "asam-datasets download segment_anything_links.txt --archives sa_000000-000019 --out sa-1b-tars"
    app.command("download", cls=TakesMany, epilog=f"Example: {example}")(download_command)


def download_command(
    links: Annotated[Path, typer.Argument(help="Meta's segment_anything_links.txt.")],
    out: Annotated[Path, typer.Option(help="Folder for the archives; made, or gone on with.")],
    archives: Annotated[
        Optional[list[str]],
        typer.Option(help="Names and ranges, such as sa_000000-000019; several at once; all if not given."),
    ] = None,
    at_once: Annotated[int, typer.Option(callback=at_least_one, help="Files that are fetched at the same time.")] = 4,
    aria2: Annotated[
        bool, typer.Option("--aria2", help="Fetch nothing; print what `aria2c --input-file` takes instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Download SA-1B archives by Meta's list of links.

    What was stopped goes on where it was; a file has its name only when it is whole.
    """
    if aria2:
        chosen = choose_links(read_links(links), archives or (), str(links))
        print("".join(f"{link.url}\n  out={link.file_name}\n  dir={out}\n" for link in chosen), end="")
        return
    with Terminal(as_json=as_json) as terminal:
        if shutil.which("aria2c"):
            terminal.talk(f"aria2c is installed, and fetches one file over several connections: {_aria2(links, out)}")
        listener = terminal.listener(counts_bytes=True)
        done = download(links, out, archives=archives or (), at_once=at_once, listener=listener)
        terminal.result(done, _text(done))


def _aria2(links: Path, out: Path) -> str:
    ours = shlex.join(["asam-datasets", "download", str(links), "--out", str(out), "--aria2"])
    return f"{ours} | aria2c --continue --max-connection-per-server 8 --input-file -"


def _text(done: Downloaded) -> Sequence[str]:
    there = sum(one.state == "there" for one in done.archives)
    size = sum(one.size_bytes for one in done.archives)
    return [
        f"Downloaded to {done.out}",
        f"  {len(done.archives):,} files, {count_bytes(size)}, {there:,} of them there before; "
        f"{count_bytes(done.bytes)} fetched in {done.seconds:.1f} s",
    ]
