"""Data of one's own: a folder with a mutated COCO JSON or pairs, under both policies.

What is taken has to hold together: each row's masks are of its size, areas and boxes are those of the masks, names and
ids are each there once.
"""

from __future__ import annotations

import copy
import json
import random
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from own_data import coco_files, coco_table, pair_files

from asam_datasets.errors import AsamDatasetsError
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import Record, open_source, read_record
from fuzz import mutate
from fuzz.target import Target, fresh, refused, scratch


@lru_cache(maxsize=1)
def _seeds() -> tuple[dict[str, bytes], dict[str, bytes]]:
    return coco_files(), pair_files()


def _folder() -> Path:
    """Both forms, each in a folder, with the images written once."""
    top = scratch() / "own"
    if not top.is_dir():
        fresh("own")
        for name, files in zip(("coco", "pairs"), _seeds(), strict=True):
            for path, content in files.items():
                (top / name / path).parent.mkdir(parents=True, exist_ok=True)
                (top / name / path).write_bytes(content)
    return top


def try_one(rng: random.Random) -> bool:
    """One annotation file that is not what it was."""
    form = rng.choice(("coco", "pairs"))
    folder = _folder() / form
    if form == "coco":
        place, table = folder / "instances.json", coco_table()
    else:
        name = rng.choice(("photos/Cat 1.json", "labels/dog.json"))
        place, table = folder / name, json.loads(_seeds()[1][name])
    before = place.read_bytes()
    text = mutate.json_text(rng, copy.deepcopy(table))
    place.write_bytes(mutate.blob(rng, text) if rng.random() < 0.2 else text)
    try:
        return _tried(folder)
    finally:
        place.write_bytes(before)


def _tried(folder: Path) -> bool:
    skipping = BadRecords("skip")
    try:
        loose: Any = _read(folder, skipping)
    except AsamDatasetsError as error:
        refused(error)
        loose = None
    try:
        strict = _read(folder, BadRecords())
    except AsamDatasetsError as error:
        return refused(error)
    assert loose is not None
    assert [one.image for one in loose] == [one.image for one in strict]
    return True


def _read(folder: Path, bad: BadRecords) -> list[Record]:
    source = open_source(folder)
    found = source.index(bad).records  # type: ignore[union-attr]
    records = [read_record(source.read(ref), None) for ref in found]  # type: ignore[union-attr]
    assert len({one.image.image_id for one in records}) == len({one.image.file_name for one in records}) == len(records)
    for record in records:
        for mask, annotation in zip(record.masks, record.annotations, strict=True):
            pixels = mask.to_array(order="C") != 0
            assert pixels.shape == (record.image.height, record.image.width)
            assert annotation.area == pixels.sum()
            if pixels.any():
                rows, columns = np.nonzero(pixels)
                assert annotation.bbox == (columns.min(), rows.min(), np.ptp(columns), np.ptp(rows))
    return records


TARGET = Target("own-data", try_one, share=40_000, short=200, prepare=_seeds)
