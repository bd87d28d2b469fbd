"""How many samples a second does one worker make to tune SAM: 1024 × 1024, 64 masks an image?

    python benchmarks/training.py [--quick] [--archive TAR]

Three ways from the same images to the same sample, image and masks squeezed to 1024 × 1024 as ASAM does:

- ASAM's: an organised folder; image and each of the 64 mask PNGs read with an image reader, stacked, made float
  tensors, all resized bilinearly (ASAM's `dataloader_sam.py`, which adds the masks one by one to an array that is
  copied each time; stacked at once here, which is kinder).
- stock: `load_dataset` on the published folder, columns `image` and `masks`, as a reader writes it: each PNG to an
  array, resized with Pillow's NEAREST, stacked.
- ours: `open_stream` with the columns that the options name, and `sam_sample`.

First in one process on one core, which is what a worker does; then through a `DataLoader` with one worker, where
the batch also travels through shared memory. The floor is decoding the JPEG and nothing else, by the same library at
the same scale. Drawn JPEGs are small, so grain is added until they have the 0.9 MB that SA-1B's have.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional
from _archive import Members, add_arguments, describe, get_members, write_tar
from _report import (
    median_and_best,
    package_files,
    print_header,
    print_table,
    ratio,
    require_unchanged,
    time_in_turn,
    use_one_core,
)
from datasets import load_dataset
from PIL import Image

from asam_datasets.organized import organize
from asam_datasets.publish import PublishOptions, publish
from asam_datasets.training import Choose, SamOptions, masks_on_device, open_stream, sam_batch, sam_sample
from asam_datasets.training._images import choose_reduction, decode_image, open_image

SIZE, MASKS, JPEG_BYTES = 1024, 64, 900_000
OPTIONS = SamOptions(size=SIZE, fit="squeeze", choose=Choose(MASKS, "largest"))
PACKED = replace(OPTIONS, targets=("packed_masks",))
Sample = dict[str, torch.Tensor]


class OrganisedFolder(torch.utils.data.Dataset):  # type: ignore[misc]
    """As ASAM reads it."""

    def __init__(self, folder: Path) -> None:
        self.images = sorted(folder.glob("*.jpg"))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        path = self.images[index]
        masks = path.with_suffix("")
        count = len(os.listdir(masks))
        image = np.asarray(Image.open(path))
        planes = [np.asarray(Image.open(masks / f"segmentation_{number % count}.png")) for number in range(MASKS)]
        pixels = torch.tensor(image, dtype=torch.float32).permute(2, 0, 1)
        label = torch.tensor(np.stack(planes), dtype=torch.float32)
        resize = partial(torch.nn.functional.interpolate, size=(SIZE, SIZE), mode="bilinear")
        return {"pixel_values": resize(pixels[None])[0], "masks": resize(label[None])[0]}


class Stock(torch.utils.data.IterableDataset):  # type: ignore[misc]
    """As a reader of the published dataset writes it."""

    def __init__(self, folder: Path) -> None:
        self.stream = load_dataset(str(folder), "train", split="train", streaming=True).select_columns(
            ["image", "masks"]
        )

    def __iter__(self) -> Iterator[Sample]:
        for row in self.stream:
            image = row["image"].resize((SIZE, SIZE), Image.Resampling.BILINEAR)
            planes = [np.asarray(mask.resize((SIZE, SIZE), Image.Resampling.NEAREST)) for mask in row["masks"][:MASKS]]
            yield {
                "pixel_values": torch.from_numpy(np.array(image)).permute(2, 0, 1),
                "masks": torch.from_numpy(np.stack(planes)),
            }


def with_grain(members: Members) -> Members:
    """The images with noise, of at least `JPEG_BYTES`."""
    noise = np.random.default_rng(0)
    grained = []
    for jpeg, table in members:
        pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(np.int16)
        for strength in range(1, 20):
            if len(jpeg) >= JPEG_BYTES:
                break
            grain = noise.normal(0, strength, (*pixels.shape[:2], 1))
            content = io.BytesIO()
            Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=88)
            jpeg = content.getvalue()
        grained.append((jpeg, table))
    return grained


def check(asam: Sample, stock: Sample, ours: Sample, record: dict[str, Any]) -> None:
    """That the three made the same sample: masks of `stock` and ours bit by bit, ASAM's where bilinear is not grey."""
    areas = [one["area"] for one in record["annotations"]]
    order = sorted(range(len(areas)), key=lambda index: -areas[index])
    for slot, index in enumerate(order[:MASKS]):
        if index < MASKS:  # the others take the first ones
            mask = ours["masks"][slot]
            assert torch.equal(mask, stock["masks"][index].bool())
            grey = asam["masks"][index] / 255
            sure = (grey == 0) | (grey == 1)
            assert ((grey > 0.5) == mask)[sure].float().mean() > 0.99
    difference = (ours["pixel_values"].float() - stock["pixel_values"].float()).abs().mean()
    assert difference < 2, f"images differ by {difference:.1f} of 255"


def one_process(folder: Path, published: Path, rounds: int) -> None:
    """Samples of all three in turn, and the floor, on one core."""
    use_one_core()
    torch.set_num_threads(1)
    organised, stream = OrganisedFolder(folder), open_stream(published, "sam", window=0, columns=OPTIONS.columns)
    records = list(stream)
    count = len(records)
    check(organised[0], next(iter(Stock(published))), sam_sample(records[0], OPTIONS), records[0])

    def asam() -> None:
        for index in range(count):
            organised[index]

    def stock() -> None:
        for _ in Stock(published):
            pass

    def ours(options: SamOptions = OPTIONS) -> None:
        for record in stream:
            sam_sample(record, options)

    def floor() -> None:
        for record in records:
            image = open_image(record["image"], "")
            decode_image(image, choose_reduction(image.shape, (SIZE, SIZE), encoded=True), "")

    def pillow() -> None:
        for record in records:
            with Image.open(io.BytesIO(record["image"]["bytes"])) as image:
                np.asarray(image)

    ways: dict[str, Callable[[], object]] = {"ASAM's folder": asam, "stock masks": stock, "ours": ours}
    ways["ours, packed"] = partial(ours, PACKED)
    ways |= {"JPEG alone (simplejpeg)": floor, "JPEG alone (Pillow)": pillow}
    seconds, processor = time_in_turn(ways, rounds)
    lines = [["one process, one core", "ms a sample", "ms of the processor", "samples/s", "ours is faster by"]]
    for name, values in seconds.items():
        rate = f"{count / sorted(values)[len(values) // 2]:.1f}"
        faster = ratio(processor[name], processor["ours"]) if name in ("ASAM's folder", "stock masks") else ""
        times = (median_and_best(one[name], 1000 / count) for one in (seconds, processor))
        lines.append([name, *times, rate, faster])
    print_table(lines)
    share = min(processor["JPEG alone (simplejpeg)"]) / min(processor["ours"])
    print(f"  bare JPEG decoding is {share:.0%} of ours (best of each, time of the processor, as the ratios)")
    against = ratio(processor["JPEG alone (Pillow)"], processor["JPEG alone (simplejpeg)"])
    print(f"  simplejpeg against Pillow: {against}\n")


def threads_or_workers(published: Path, rounds: int) -> None:
    """Samples of ours by threads of this process, and by workers of a loader, on one core and on two."""
    stream, free = open_stream(published, "sam", columns=OPTIONS.columns), sorted(os.sched_getaffinity(0))
    records = list(stream)
    lines = [["threads or workers", "ms a sample, 1 core", "2 cores"]]
    times: dict[str, list[list[float]]] = {}

    def threads(count: int, options: SamOptions) -> None:
        with ThreadPoolExecutor(count) as pool:
            under_way: deque[Future[Sample]] = deque()
            for record in stream:
                under_way.append(pool.submit(sam_sample, record, options))
                if len(under_way) > count:
                    under_way.popleft().result()
            while under_way:
                under_way.popleft().result()

    for kept, cores in ((1, free[:1]), (2, free[:2])):
        os.sched_setaffinity(0, cores)
        for _ in range(rounds):
            for what, options in (("dense", OPTIONS), ("packed", PACKED)):
                start = time.perf_counter()
                threads(kept, options)
                spent = (time.perf_counter() - start) / len(records)
                times.setdefault(f"threads, {what}", [[], []])[kept - 1].append(spent)
                loader = torch.utils.data.DataLoader(
                    stream, batch_size=1, num_workers=kept, collate_fn=partial(sam_batch, options=options)
                )
                batches = iter(loader)
                next(batches)  # the start of the workers is not counted
                start, seen = time.perf_counter(), 0
                for _ in batches:
                    seen += 1
                spent = (time.perf_counter() - start) / max(seen, 1)
                times.setdefault(f"workers, {what}", [[], []])[kept - 1].append(spent)
    os.sched_setaffinity(0, free)
    for name, values in times.items():
        lines.append([name, *(median_and_best(one, 1000) for one in values)])
    print_table(lines)


def one_worker(folder: Path, published: Path, rounds: int) -> None:
    """Samples of all three in turn through a loader with one worker, and ours with targets in the size of logits."""
    low_res = replace(OPTIONS, targets=("low_res_masks",))
    stream = open_stream(published, "sam", columns=OPTIONS.columns)
    loaders = {
        "ASAM's folder": (OrganisedFolder(folder), None),
        "stock masks": (Stock(published), None),
        "ours": (stream, partial(sam_batch, options=OPTIONS)),
        "ours, packed": (stream, partial(sam_batch, options=PACKED)),
        "ours, 256 × 256 targets": (stream, partial(sam_batch, options=low_res)),
    }
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(rounds):
        for name, (dataset, collate) in loaders.items():
            loader = torch.utils.data.DataLoader(dataset, batch_size=1, num_workers=1, collate_fn=collate)
            batches, seen = iter(loader), 0
            next(batches)  # the worker's start is not counted
            start = time.perf_counter()
            for batch in batches:
                seen += 1
                if "packed_masks" in batch:
                    masks_on_device(batch, "cpu")
            times[name].append((time.perf_counter() - start) / seen)
    lines = [["a loader with one worker", "ms a sample", "samples/s", "ours is faster by"]]
    for name, values in times.items():
        faster = "" if name.startswith("ours") else ratio(values, times["ours"])
        middle = sorted(values)[len(values) // 2]
        lines.append([name, median_and_best(values, 1000), f"{1 / middle:.1f}", faster])
    print_table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    arguments = parser.parse_args()
    images, rounds = (4, 2) if arguments.quick else (8, 5)
    question = "How many samples a second does one worker make to tune SAM?"
    print_header(question, "torch", "simplejpeg", "pillow", "datasets", "pyarrow", "rlemasklib")
    before = package_files()
    members = get_members(arguments.archive, images)
    members = members if arguments.archive else with_grain(members)
    print(f"  {describe(members)}; {MASKS} masks at {SIZE} × {SIZE}\n", flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        tar = write_tar(Path(temporary, "sa_000000.tar"), members, 2 * len(members))
        publish(PublishOptions([str(tar)], out=Path(temporary, "dataset")))
        organize([str(tar)], Path(temporary, "sam-1b"))
        place = (Path(temporary, "sam-1b", "sa_000000"), Path(temporary, "dataset"))
        cores = os.sched_getaffinity(0)
        one_process(*place, rounds)
        os.sched_setaffinity(0, cores)
        one_worker(*place, min(rounds, 3))
        if len(cores) > 1:
            threads_or_workers(place[1], min(rounds, 3))
    require_unchanged(before)
    print(json.dumps({"images": 2 * len(members), "masks": MASKS, "size": SIZE}))


if __name__ == "__main__":
    main()
