"""Which config should a program take: what does a record of each cost, by stock `datasets` and by `asam_datasets`?

    python benchmarks/configs.py [--quick] [--archive TAR]

Publishes an archive of drawn images (1500 × 2250, 100 masks each) into a folder and reads all of its records, config by
config, as the card tells readers to. What is said are seconds of a processor core for a record, in one process on one
core, with no network, and the bytes that are read of the files for it. The card has these figures as they were when
somebody last ran this: put the lines that are printed at the end into `asam_datasets/release/_measured.py`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _archive import add_arguments, describe, get_members, write_tar
from _report import package_files, print_header, print_table, require_unchanged, use_one_core

from asam_datasets.info import ConfigInfo, info
from asam_datasets.publish import PublishOptions, publish

Read = Callable[[str], int]


def stock(config: str, look: Callable[[dict[str, object]], object]) -> Read:
    """Stream a config with `datasets`; each record is looked at as a program would."""

    def read(dataset: str) -> int:
        from datasets import load_dataset

        count = 0
        for record in load_dataset(dataset, config, split="train", streaming=True):
            look(record)
            count += 1
        return count

    return read


def everything(record: dict[str, object]) -> object:
    """Image and masks as arrays; `datasets` has decoded them to images."""
    return np.asarray(record["image"]), [np.asarray(mask) for mask in record["masks"]]  # type: ignore[attr-defined]


def pair(record: dict[str, object]) -> object:
    """What a ControlNet script turns into tensors."""
    return np.asarray(record["image"].convert("RGB")), np.asarray(record["conditioning_image"])  # type: ignore[attr-defined]


def runs(record: dict[str, object]) -> object:
    """Image, and the masks out of their runs, as the card shows."""
    from pycocotools import mask as coco

    return np.asarray(record["image"]), [coco.decode(one["segmentation"]) for one in record["annotations"]]  # type: ignore[attr-defined]


def samples(dataset: str) -> int:
    """Samples to tune SAM: 1024 × 1024, 64 masks."""
    from asam_datasets.training import Choose, SamOptions, open_stream, sam_sample

    options = SamOptions(size=1024, fit="squeeze", choose=Choose(64))
    return sum(1 for record in open_stream(dataset, "sam", seed=0) if sam_sample(record, options) is not None)


def pairs(dataset: str) -> int:
    """Samples to train a ControlNet: 512 × 512."""
    from asam_datasets.training import ControlNetOptions, controlnet_sample, open_stream

    options = ControlNetOptions(size=512)
    stream = open_stream(dataset, "controlnet", seed=0)
    return sum(1 for record in stream if controlnet_sample(record, options) is not None)


WAYS: tuple[tuple[str, str, str, Read], ...] = (
    ("look at everything, masks as images", "train", "`datasets`", stock("train", everything)),
    ("train a ControlNet, images as they are", "controlnet", "`datasets`", stock("controlnet", pair)),
    ("train a ControlNet, 512 × 512", "controlnet", "`asam_datasets.training`", pairs),
    ("have image and masks, decoded by `pycocotools`", "sam", "`datasets`", stock("sam", runs)),
    ("tune SAM, 1024 × 1024 and 64 masks", "sam", "`asam_datasets.training`", samples),
)


def measure(dataset: Path, rounds: int) -> list[tuple[float, int]]:
    """Seconds of a core for a record, the median of some rounds after one that is not counted; and its bytes."""
    sizes: dict[str, ConfigInfo] = {one.name: one for one in info(dataset).configs}
    found = []
    for _, config, _, read in WAYS:
        seconds = []
        for number in range(rounds + 1):
            start = time.process_time()
            count = read(str(dataset))
            if number:
                seconds.append((time.process_time() - start) / count)
        one = sizes[config]
        found.append((statistics.median(seconds), one.size_bytes // sum(one.rows.values())))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    arguments = parser.parse_args()
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    use_one_core()
    before = package_files()
    print_header("What does a record of each config cost?", "datasets", "pyarrow", "torch")
    members = get_members(arguments.archive, 4 if arguments.quick else 8)
    print(f"  {describe(members)}\n")
    with tempfile.TemporaryDirectory() as folder:
        records = len(members) if arguments.quick else 3 * len(members)
        archive = write_tar(Path(folder) / "sa_000000.tar", members, records)
        out = Path(folder) / "dataset"
        publish(PublishOptions([str(archive)], out=out, workers=1, license="cc0-1.0"))
        figures = measure(out, 1 if arguments.quick else 3)
    require_unchanged(before)
    lines = [["", "config", "s a record", "bytes a record"]]
    for (purpose, config, reader, _), (seconds, size) in zip(WAYS, figures, strict=True):
        lines.append([f"{purpose}, by {reader}", config, f"{seconds:.4f}", f"{size:,}"])
    print_table(lines)
    print(f"# {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}")
    for (purpose, config, reader, _), (seconds, size) in zip(WAYS, figures, strict=True):
        print(f'    Measured("{purpose}", "{config}", "{reader}", {seconds:.4f}, {size}),')


if __name__ == "__main__":
    main()
