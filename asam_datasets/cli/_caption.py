"""`asam-datasets caption` and `asam-datasets merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.captions import DEFAULT_MODEL, CaptionOptions, Generation, parse_part
from asam_datasets.captions import caption as run_caption
from asam_datasets.captions import merge as run_merge
from asam_datasets.cli._options import BadRecord
from asam_datasets.cli._terminal import Terminal

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045

_Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    app.command("caption", epilog="Example: asam-datasets caption sa_000000.tar --out sa_000000-blip2-caption.json")(
        caption_command
    )
    app.command("merge", epilog="Example: asam-datasets merge captions.part-*-of-8.json --out captions.json")(
        merge_command
    )


def caption_command(
    source: Annotated[str, typer.Argument(help="An SA-1B archive: folder, .tar, or URL.")],
    out: Annotated[Path, typer.Option(help="The caption file; a stopped run goes on with the same command.")],
    model: Annotated[str, typer.Option(help="Checkpoint: a folder, or a name on the Hub.")] = DEFAULT_MODEL,
    revision: Annotated[Optional[str], typer.Option(help="Branch, tag or commit of the checkpoint.")] = None,
    prompt: Annotated[str, typer.Option(help="Beginning that the model continues, or a question.")] = "",
    max_new_tokens: Annotated[int, typer.Option(help="Longest caption, in tokens.")] = 40,
    num_beams: Annotated[int, typer.Option(help="Beams of the search; 1 is greedy.")] = 1,
    repetition_penalty: Annotated[float, typer.Option(help="Above 1, words are repeated less.")] = 1.0,
    length_penalty: Annotated[float, typer.Option(help="Above 0, beams prefer longer captions.")] = 1.0,
    temperature: Annotated[float, typer.Option(help="0: most likely words; above, drawn at random.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images at once; halved when memory runs out.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto (bfloat16 on CUDA), float32, bfloat16, float16.")] = "auto",
    threads: Annotated[int, typer.Option(help="Threads that decode images ahead.")] = 4,
    part: Annotated[str, typer.Option(help="3/8: this is the third of eight processes; join by merge.")] = "1/1",
    on_bad_record: Annotated[
        BadRecord, typer.Option(help="Stop at a bad image, or skip and list it.")
    ] = BadRecord.RAISE,
    as_json: _Json = False,
) -> None:
    """Caption the images of an archive with BLIP-2 or another image-to-text model."""
    terminal = Terminal(as_json=as_json)
    try:
        generation = Generation(max_new_tokens, num_beams, repetition_penalty, length_penalty, temperature, seed)
        options = CaptionOptions(
            model, revision, prompt, generation, device, dtype, batch_size, threads, parse_part(part),
            on_bad_record.value,
        )  # fmt: skip
        done = run_caption(source, out, options=options, listener=terminal.listener())
        rejected = f", {done.rejected:,} rejected: see {done.rejects}" if done.rejects else ""
        terminal.result(
            done,
            f"Captioned {done.out}\n  {done.images:,} images, {done.new:,} of them now, "
            f"in {done.seconds:.1f} s on {done.device}{rejected}",
        )
    finally:
        terminal.close()


def merge_command(
    files: Annotated[list[Path], typer.Argument(help="The files of all parts.", metavar="FILE...")],
    out: Annotated[Path, typer.Option(help="The caption file of the whole archive.")],
    as_json: _Json = False,
) -> None:
    """Join the caption files that several processes made with --part."""
    done = run_merge(files, out)
    terminal = Terminal(as_json=as_json)
    terminal.result(done, f"Merged {done.out}\n  {done.images:,} images of {done.parts} parts")
