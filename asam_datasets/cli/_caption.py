"""`asam-datasets caption`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer

from asam_datasets.captions import DEFAULT_MODEL, Captioned, CaptionOptions, Generation, caption, parse_shard
from asam_datasets.cli._options import BadRecord, Json, OnBadRecord
from asam_datasets.cli._terminal import Terminal

# typer reads the annotations at run time, on Python 3.10 too: no `X | None` in them.
# ruff: noqa: UP045


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("caption", epilog="Example: asam-datasets caption sa_000000.tar --out sa_000000-blip2-caption.json")(
        caption_command
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
    seed: Annotated[int, typer.Option(help="Seed of what is drawn at random.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images at once; halved when memory runs out.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto (bfloat16 on CUDA), float32, bfloat16, float16.")] = "auto",
    threads: Annotated[int, typer.Option(help="Threads that decode images ahead.")] = 4,
    shard: Annotated[str, typer.Option(help="3/8: this is the third of eight processes; join by merge.")] = "1/1",
    on_bad_record: OnBadRecord = BadRecord.RAISE,
    as_json: Json = False,
) -> None:
    """Caption the images of an archive with BLIP-2 or another model.

    Any image-to-text model of transformers of the types BLIP-2, BLIP, GIT and vision-encoder-decoder.
    """
    with Terminal(as_json=as_json) as terminal:
        generation = Generation(
            max_new_tokens=max_new_tokens, num_beams=num_beams, repetition_penalty=repetition_penalty,
            length_penalty=length_penalty, temperature=temperature, seed=seed,
        )  # fmt: skip
        options = CaptionOptions(
            model=model, revision=revision, prompt=prompt, generation=generation, device=device, dtype=dtype,
            batch_size=batch_size, threads=threads, shard=parse_shard(shard), on_bad_record=on_bad_record.value,
        )  # fmt: skip
        done = caption(source, out, options=options, listener=terminal.listener())
        terminal.result(done, _text(done))


def _text(done: Captioned) -> Sequence[str]:
    rejected = f", {done.rejected:,} rejected: see {done.rejects}" if done.rejects else ""
    return (
        f"Captioned {done.out}",
        f"  {done.images:,} images, {done.new:,} of them now, in {done.seconds:.1f} s on {done.device}{rejected}",
    )
