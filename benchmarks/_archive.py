"""The archives that the benchmarks read: drawn images of 1500 × 2250 with 100 masks each, or given ones.

A drawn image takes a second, so a few are drawn and used again under other ids; the JSON is rewritten to fit.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

from asam_datasets.demo import draw_record

HEIGHT, WIDTH, MASKS = 1500, 2250, 100
_SEED = 0

Members = list[tuple[bytes, bytes]]
"""(JPEG, JSON) of each image."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that all benchmarks have."""
    parser.add_argument("--quick", action="store_true", help="fewer rounds and images, for a first look")
    parser.add_argument("--archive", type=Path, metavar="TAR", help="use these images instead of drawn ones")


def get_members(archive: Path | None, images: int) -> Members:
    """The first `images` of a tar (all, if it has fewer), or drawn ones."""
    if archive is None:
        return [draw_record(n, height=HEIGHT, width=WIDTH, masks=MASKS, seed=_SEED) for n in range(1, images + 1)]
    with tarfile.open(archive) as tar:
        contents = {Path(member.name).name: tar.extractfile(member) for member in tar if member.isfile()}
        names = sorted(name.removesuffix(".json") for name in contents if name.endswith(".json"))[:images]
        return [(contents[f"{name}.jpg"].read(), contents[f"{name}.json"].read()) for name in names]


def describe(members: Members) -> str:
    """One line about the images."""
    tables = [json.loads(text) for _, text in members]
    sizes = sorted({(table["image"]["height"], table["image"]["width"]) for table in tables})
    shapes = ", ".join(f"{height} × {width}" for height, width in sizes[:2]) + (", ..." if len(sizes) > 2 else "")
    masks = sum(len(table["annotations"]) for table in tables)
    jpeg = sum(len(content) for content, _ in members) / len(members)
    return f"{len(members)} images of {shapes}, {masks / len(members):.0f} masks and {jpeg / 1e6:.2f} MB each"


def segmentations(members: Members) -> list[list[dict[str, Any]]]:
    """The COCO RLEs of each image."""
    return [[one["segmentation"] for one in json.loads(text)["annotations"]] for _, text in members]


def write_tar(path: Path, members: Members, records: int, first_id: int = 1) -> Path:
    """Write an archive of `records` images, ids from `first_id`, which go round over `members`."""
    tables = [json.loads(text) for _, text in members]
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for image_id in range(first_id, first_id + records):
            which = (image_id - 1) % len(members)
            table = tables[which]
            table["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
            for number, one in enumerate(table["annotations"]):
                one["id"] = image_id * 10_000 + number
            for ending, content in (("jpg", members[which][0]), ("json", json.dumps(table).encode())):
                member = tarfile.TarInfo(f"./sa_{image_id}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def compress(path: Path) -> Path:
    """The same tar as gzip under a `.tar` name, in a folder beside it: it can only be read as a stream."""
    folder = path.parent / "gzip"
    folder.mkdir(exist_ok=True)
    with open(path, "rb") as plain, gzip.open(folder / path.name, "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed, 2**20)
    return folder / path.name
