"""How many images a second does `caption` caption, and is the GPU kept busy?

    python benchmarks/caption.py [--quick] [--archive TAR] [--tiny] [--batches 16 64 128] [--tokens 20]

BLIP-2 in the size of `Salesforce/blip2-flan-t5-xl` (ViT-g, Q-Former, Flan-T5 XL: 3.9 billion weights) with random
weights, made in memory: nothing is downloaded, and the work is that of the real one. Random weights never end a
sentence, so every caption takes all of `--tokens`. Images are read from a tar, decoded and scaled by the threads, so
the figures are those of the whole verb after loading. GPU busy is the share of samples' utilisation by `nvidia-smi`,
every 0.2 s. `--tiny` takes a model of a few thousand weights instead: what is left is the cost of everything else.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from _archive import add_arguments, describe, get_members, write_tar
from _report import package_files, print_header, print_table, require_unchanged

from asam_datasets.captions import CaptionOptions, Checkpoint, Generation, TransformersCaptioner, caption

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
_THREADS = 12


def make_checkpoint(folder: Path, *, tiny: bool) -> Checkpoint:
    """BLIP-2 with random weights and a tokenizer of thirty words."""
    import torch
    import transformers
    from tiny_models import make_blip2, make_tokenizer

    processor = getattr(transformers, "BlipImageProcessorPil", None) or transformers.BlipImageProcessor
    if tiny:
        model = transformers.Blip2ForConditionalGeneration.from_pretrained(make_blip2(folder))
        size = 32
    else:
        config = transformers.Blip2Config(
            vision_config={},  # the defaults are ViT-g and the Q-Former as released
            qformer_config={},
            text_config=transformers.T5Config(
                vocab_size=32128, d_model=2048, d_kv=64, d_ff=5120, num_layers=24, num_decoder_layers=24,
                num_heads=32, feed_forward_proj="gated-gelu", tie_word_embeddings=False, bos_token_id=1,
                decoder_start_token_id=0,
            ).to_dict(),
            num_query_tokens=32,
            image_token_index=32100,
        )  # fmt: skip
        device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
        with torch.device(device):
            model = transformers.Blip2ForConditionalGeneration(config)
        torch.set_default_dtype(torch.float32)
        size = 224
    images = processor(size={"height": size, "width": size})
    return Checkpoint(
        config=model.config, tokenizer=make_tokenizer(folder), images=images, model=model, revision="random"
    )


class Busy:
    """Samples the GPU's utilisation while the block runs; `share` is None without a GPU."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Busy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def share(self) -> float | None:
        return statistics.mean(self._samples) if self._samples else None

    def _sample(self) -> None:
        command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._done.wait(0.2):
            try:
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                self._samples.append(float(done.stdout.split()[0]))
            except (OSError, subprocess.CalledProcessError, ValueError):
                return


def measure(archive: Path, out: Path, options: CaptionOptions, *, checkpoint: Checkpoint, images: int) -> list[str]:
    """One line of the table."""
    captioner = TransformersCaptioner(options, checkpoint=checkpoint)

    def load(_: CaptionOptions) -> Any:
        return captioner

    caption(archive, out / "warm.json", options=options, load=load)  # kernels are chosen at the first batch
    with Busy() as busy:
        start = time.perf_counter()
        done = caption(archive, out / f"{options.batch_size}.json", options=options, load=load)
        seconds = time.perf_counter() - start
    (out / "warm.json").unlink()
    (out / "warm.header.json").unlink()
    share = "no GPU" if busy.share is None else f"{busy.share:.0f} %"
    return [f"{options.batch_size}", f"{images / seconds:.1f}", share, f"{done.batch_size}", done.device]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--tiny", action="store_true", help="a model that costs nothing: the price of the rest")
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64, 128], help="batch sizes")
    parser.add_argument("--images", type=int, help="how many images [8 × the largest batch; 64 with --tiny]")
    parser.add_argument("--tokens", type=int, default=20, help="length of a caption")
    arguments = parser.parse_args()
    print_header(
        "How many images a second does `caption` caption, and is the GPU kept busy?",
        "torch", "transformers", "pillow", "numpy",
    )  # fmt: skip
    before = package_files()
    members = get_members(arguments.archive, 2 if arguments.quick or arguments.tiny else 4)
    images = arguments.images or (64 if arguments.tiny else 8 * max(arguments.batches))
    print(f"  {describe(members)}, used in turn for {images}; {arguments.tokens} tokens a caption\n", flush=True)
    lines = [["batch", "images/s", "GPU busy", "batch at the end", "device"]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        archive = write_tar(folder / "sa_000000.tar", members, images)
        checkpoint = make_checkpoint(folder / "model", tiny=arguments.tiny)
        options = partial(
            CaptionOptions, model="random", generation=Generation(max_new_tokens=arguments.tokens), threads=_THREADS
        )
        for size in arguments.batches:
            lines.append(measure(archive, folder, options(batch_size=size), checkpoint=checkpoint, images=images))
    require_unchanged(before)
    print_table(lines)


if __name__ == "__main__":
    main()
