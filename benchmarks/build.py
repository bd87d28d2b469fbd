"""How much faster is an archive built than with `Dataset.from_generator`, and in how much memory?

    python benchmarks/build.py [--quick] [--archive TAR]

The obvious way reads the tar, decodes each mask with pycocotools, hands PIL images to `datasets.Image()` and calls
`to_parquet`; "careful" is the same, but paints the conditioning image by a label map, which is faster than color by
color (up to 255 masks). Ours is `build` with one worker. Each run is a fresh process on one core; the clock
starts when everything is imported and stops when the Parquet is on disk. The other ways get fewer images, or one
would wait for minutes; their memory still grows with them.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from _archive import add_arguments, describe, get_members, write_tar
from _report import (
    median_and_best,
    package_files,
    peak_mb,
    print_header,
    print_table,
    ratio,
    require_unchanged,
    use_one_core,
)
from PIL import Image

WAYS = ("obvious", "careful", "ours")
Array = np.ndarray[Any, Any]


def paint_colors(masks: Sequence[Array], order: Sequence[int], palette: Array) -> Array:
    canvas = np.zeros((*masks[0].shape, 3), np.uint8)
    for index in order:
        canvas[masks[index] == 1] = palette[index]
    return canvas


def paint_labels(masks: Sequence[Array], order: Sequence[int], palette: Array) -> Array:
    labels = np.zeros(masks[0].shape, np.uint8, order="F")  # as pycocotools decodes
    for number, index in enumerate(order, 1):
        labels[masks[index] == 1] = number
    painted: Array = np.concatenate([np.zeros((1, 3), np.uint8), palette[order]])[labels]
    return painted


def build_obvious(archive: Path, out: Path, paint: Callable[..., Array]) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    from datasets import Dataset, Features
    from pycocotools import mask as coco

    from asam_datasets.masks import colors
    from asam_datasets.tables import TRAIN, features_json

    features = Features.from_dict(features_json(TRAIN))  # ours, so that all write the same columns

    def records() -> Iterator[dict[str, Any]]:
        with tarfile.open(archive) as tar:
            for name in [name for name in tar.getnames() if name.endswith(".json")]:
                table = json.loads(tar.extractfile(name).read())
                image, annotations = table["image"], table["annotations"]
                masks = [coco.decode(one["segmentation"]) for one in annotations]
                order = sorted(range(len(masks)), key=lambda i: -annotations[i]["area"])
                canvas = paint(masks, order, colors(len(masks)))
                jpeg = tar.extractfile(name.replace(".json", ".jpg")).read()
                yield {
                    "image": {"bytes": jpeg, "path": image["file_name"]},
                    "caption": None,
                    "conditioning_image": Image.fromarray(canvas),
                    "masks": [Image.fromarray(mask.astype(bool)) for mask in masks],
                    "annotations": annotations,
                    **image,
                    "archive": archive.stem,
                }

    start, busy = time.perf_counter(), time.process_time()
    Dataset.from_generator(records, features=features, cache_dir=str(out / "cache")).to_parquet(out / "data.parquet")
    return time.perf_counter() - start, time.process_time() - busy


def build_ours(archive: Path, out: Path) -> tuple[float, float]:
    """Seconds of the clock and of the processor."""
    import pandas  # noqa: F401 (pyarrow imports it at the first array, `datasets` when it is imported: equal terms)

    from asam_datasets.builds import ArchiveRecipe, Options, build, look_over
    from asam_datasets.sources import BadRecords
    from asam_datasets.sources.sa1b import open_source
    from asam_datasets.workers import Workers

    start, busy = time.perf_counter(), time.process_time()
    survey = look_over(ArchiveRecipe(open_source(archive)), Options())
    workers = Workers(1, lambda _: None)
    build(survey, Options(), target=out, work=out / "work", bad=BadRecords(), workers=workers)
    return time.perf_counter() - start, time.process_time() - busy


PAINT = {"obvious": paint_colors, "careful": paint_labels}


def child(way: str, archive: Path, out: Path) -> None:
    """One run in a process of its own; prints its figures as JSON."""
    use_one_core()
    wall_s, cpu_s = build_ours(archive, out) if way == "ours" else build_obvious(archive, out, PAINT[way])
    size = sum(path.stat().st_size for path in out.rglob("*.parquet"))
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s, "peak_mb": peak_mb(), "bytes": size}))


def run_child(way: str, archive: Path, out: Path) -> dict[str, float]:
    out.mkdir()
    environment = {**os.environ, "HF_HOME": str(out / "hf"), "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, __file__, "--child", way, str(archive), str(out)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def check_equal(obvious: Path, ours: Path) -> int:
    """Assert that the images which both wrote are the same, mask by mask, pixel by pixel; how many masks."""
    expected = {row["image_id"]: row for path in obvious.rglob("*.parquet") for row in pq.read_table(path).to_pylist()}
    compared = 0
    for path in sorted(ours.rglob("*.parquet")):
        for found in pq.read_table(path, filters=[("image_id", "in", list(expected))]).to_pylist():
            row = expected.pop(found["image_id"])
            images = ("conditioning_image", "masks")
            assert all(found[name] == row[name] for name in row if name not in images), "a column differs"
            pairs = zip(found["masks"], row["masks"], strict=True)
            for one, other in [(found["conditioning_image"], row["conditioning_image"]), *pairs]:
                assert np.array_equal(pixels(one["bytes"]), pixels(other["bytes"])), "the pixels differ"
            compared += len(found["masks"])
    assert not expected, "a record is missing"
    return compared


def pixels(content: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(content)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child[0], Path(arguments.child[1]), Path(arguments.child[2]))
        return
    rounds, few, many = (1, 2, 16) if arguments.quick else (3, 4, 128)
    counts = {"obvious": few, "careful": few, "ours": many}
    print_header(
        "How much faster is an archive built than with `Dataset.from_generator`, and in how much memory?",
        "datasets", "pyarrow", "numpy", "pycocotools", "pillow", "rlemasklib", "zlib-ng",
    )  # fmt: skip
    before = package_files()
    members = get_members(arguments.archive, 8)
    print(f"  {describe(members)}, used in turn; one core; {rounds} rounds, the ways in turn\n", flush=True)
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        archives = {}
        for way in WAYS:
            (folder / way).mkdir()
            archives[way] = write_tar(folder / way / "sa_000000.tar", members, counts[way])
        for number in range(rounds):
            for way in WAYS:
                runs[way].append(run_child(way, archives[way], folder / f"{way}-{number}"))
        require_unchanged(before)
        masks = [check_equal(folder / f"{way}-0", folder / "ours-0") for way in PAINT]
    print(f"  all wrote the same images: {masks[0]} masks equal pixel by pixel, all other columns equal\n")
    lines = [["median (best)", *WAYS, "obvious / ours", "careful / ours"]]
    for name, key in (("ms per image", "wall_s"), ("ms of processor per image", "cpu_s")):
        each = {way: [run[key] / counts[way] for run in runs[way]] for way in WAYS}
        ratios = [ratio(each[way], each["ours"]) for way in PAINT]
        lines.append([name, *(median_and_best(each[way], 1e3) for way in WAYS), *ratios])
        rates = [f"{1 / statistics.median(each[way]):.2f} ({1 / min(each[way]):.2f})" for way in WAYS]
        lines.append(["  images per second", *rates, "", ""])
    for name, key, unit in (("peak memory, MB", "peak_mb", 1.0), ("Parquet, MB per image", "bytes", 1e-6)):
        most = {way: unit * max(run[key] for run in runs[way]) / (counts[way] if key == "bytes" else 1) for way in WAYS}
        ratios = [f"{most[way] / most['ours']:.2f} ×" for way in PAINT]
        lines.append([name, *(f"{most[way]:.4g}" for way in WAYS), *ratios])
    print_table([*lines, ["images", *(str(counts[way]) for way in WAYS), "", ""]])


if __name__ == "__main__":
    main()
