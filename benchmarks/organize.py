"""How much faster are masks written to disk by `organize` than by pycocotools and OpenCV?

    python benchmarks/organize.py [--quick] [--archive TAR] [--folder DIR]

The obvious way reads the tar, decodes each mask with pycocotools and calls `cv2.imwrite(path, mask * 255)`; "careful"
also tells OpenCV not to look for row filters, the fastest of its settings (level 1 alone is slower). Both write the
masks alone, which is what ASAM's own script does; "ours, all" is the whole `organize` of one worker: it checks every
record and writes the originals and the conditioning image as well. "ours, masks" is only the writing of masks, the same
work as the others. One core, fresh folders; every written mask is compared pixel by pixel.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from _archive import add_arguments, describe, get_members, segmentations, write_tar
from _report import median_and_best, package_files, print_header, print_table, ratio, require_unchanged, use_one_core
from pycocotools import mask as coco

from asam_datasets.masks import PngEncoder
from asam_datasets.organized import organize
from asam_datasets.organized._image import _place_folder
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import open_source, read_record

Write = Callable[[Path, Path], object]


def write_obvious(archive: Path, out: Path, options: list[int] | None = None) -> None:
    with tarfile.open(archive) as tar:
        for name in [name for name in tar.getnames() if name.endswith(".json")]:
            table = json.loads(tar.extractfile(name).read())  # type: ignore[union-attr]
            folder = out / archive.stem / Path(name).stem
            folder.mkdir(parents=True)
            for number, annotation in enumerate(table["annotations"]):
                mask = coco.decode(annotation["segmentation"])
                cv2.imwrite(str(folder / f"segmentation_{number}.png"), mask * 255, options or [])


def write_careful(archive: Path, out: Path) -> None:
    write_obvious(archive, out, [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE])


def write_masks(archive: Path, out: Path) -> None:
    source, encoder = open_source(archive), PngEncoder()
    (out / archive.stem).mkdir(parents=True)
    for ref in source.index(BadRecords()).records:  # type: ignore[union-attr]
        record = read_record(source.read(ref), None)  # type: ignore[union-attr]
        masks = {f"segmentation_{n}.png": encoder.mask(one, bit_depth=8) for n, one in enumerate(record.masks)}
        _place_folder(out / archive.stem / f"sa_{ref.image_id}", masks, out / "work")
    source.close()  # type: ignore[union-attr]


def write_all(archive: Path, out: Path) -> None:
    organize([archive], out, workers=1)


WAYS: dict[str, Write] = {
    "obvious": write_obvious,
    "careful": write_careful,
    "ours, masks": write_masks,
    "ours, all": write_all,
}


def check_equal(expected: Path, found: Path) -> int:
    """Assert that both folders hold the same masks, pixel by pixel; how many."""
    names = sorted(path.relative_to(expected) for path in expected.rglob("segmentation_*.png"))
    for name in names:
        one, other = (cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED) for folder in (expected, found))
        assert np.array_equal(one, other), f"{name}: the pixels differ"
    return len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--folder", type=Path, help="where to write [the system's temporary folder]")
    arguments = parser.parse_args()
    rounds, drawn, images = (1, 2, 4) if arguments.quick else (3, 4, 6)
    print_header(
        "How much faster are masks written to disk by `organize` than by pycocotools and OpenCV?",
        "numpy", "pycocotools", "opencv-python-headless", "rlemasklib", "zlib-ng",
    )  # fmt: skip
    before = package_files()
    members = get_members(arguments.archive, drawn)
    each = [len(one) for one in segmentations(members)]
    masks = sum(each[number % len(each)] for number in range(images))
    use_one_core()
    cv2.setNumThreads(1)
    print(f"  {describe(members)}, used in turn for {images}", flush=True)
    print(f"  one core; {rounds} rounds, the ways in turn; median (best)\n", flush=True)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    sizes: dict[str, float] = {}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as temporary:
        folder = Path(temporary)
        archive = write_tar(folder / "sa_000000.tar", members, images)
        for number in range(rounds + 1):
            for way, write in WAYS.items():
                start = time.perf_counter()
                write(archive, folder / way)
                if number:
                    seconds[way].append(time.perf_counter() - start)
                if not number:
                    assert check_equal(folder / "obvious", folder / way) == masks
                    written = (folder / way).rglob("segmentation_*.png")
                    sizes[way] = sum(path.stat().st_size for path in written) / masks
                if number or way != "obvious":
                    shutil.rmtree(folder / way)
            shutil.rmtree(folder / "obvious", ignore_errors=True)
    require_unchanged(before)
    lines = [["", *WAYS]]
    lines.append(["ms per mask", *(median_and_best(seconds[way], 1e3 / masks) for way in WAYS)])
    lines.append(["masks per second", *(f"{masks / sorted(seconds[way])[rounds // 2]:,.0f}" for way in WAYS)])
    lines.append(["bytes per mask", *(f"{sizes[way]:,.0f}" for way in WAYS)])
    for base in ("obvious", "careful"):
        lines.append([f"{base} / this", *(ratio(seconds[base], seconds[way]) for way in WAYS)])
    print_table(lines)


if __name__ == "__main__":
    main()
