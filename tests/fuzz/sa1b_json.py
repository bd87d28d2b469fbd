"""The JSON of SA-1B and its JPEG: judged by Python's own `json`, NumPy, and a reader of JPEG headers."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from typing import Any

from asam_datasets.demo import draw_record
from asam_datasets.errors import RecordError
from asam_datasets.masks import PngEncoder
from asam_datasets.sources.sa1b import RawRecord, Record, read_record, to_sa1b_json
from asam_datasets.tables import TABLES, render, to_table
from fuzz import mutate
from fuzz.masks import pixels_of
from fuzz.target import Target, refused

SIDE = 64


@lru_cache(maxsize=1)
def seed_record() -> tuple[bytes, Any]:
    """A JPEG and the table of its JSON."""
    jpeg, text = draw_record(1, height=SIDE, width=SIDE, masks=3, seed=0)
    return jpeg, json.loads(text)


def try_one(rng: random.Random) -> bool:
    """One record."""
    jpeg, table = seed_record()
    text = mutate.json_text(rng, table) if rng.random() < 0.9 else json.dumps(table).encode()
    if rng.random() < 0.1:
        jpeg = mutate.blob(rng, jpeg)
    elif rng.random() < 0.2:
        text = _counts_changed(rng, table)
    raw = RawRecord("sa_000000", "sa_000000.tar", 1, "sa_1.jpg", "sa_1.json", jpeg, text)
    seed = (seed_record()[0], json.dumps(table).encode())
    try:
        record = read_record(raw, None)
    except RecordError as error:
        if (jpeg, text) == seed or not error.where.startswith("sa_000000.tar: sa_1.j"):
            raise
        return refused(error)
    _confirm(rng, record, json.loads(text), jpeg)
    return True


def _counts_changed(rng: random.Random, table: Any) -> bytes:
    segmentation = rng.choice(table["annotations"])["segmentation"]
    before = segmentation["counts"]
    segmentation["counts"] = mutate.blob(rng, before.encode()).decode("latin-1")
    text = json.dumps(table).encode()
    segmentation["counts"] = before
    return text


def _confirm(rng: random.Random, record: Record, expected: Any, jpeg: bytes) -> None:
    assert jpeg_size(jpeg) == (record.image.height, record.image.width)
    for mask, annotation in zip(record.masks, expected["annotations"], strict=True):
        segmentation = annotation["segmentation"]
        pixels = pixels_of(segmentation["size"], segmentation["counts"])
        assert pixels is not None, "taken, and it is no mask"
        assert (mask.to_array(order="C") == pixels).all()
    if rng.random() < 0.3:
        row = to_table(TABLES["train"].columns, [render(record, PngEncoder())]).to_pylist()[0]
        assert _equal(to_sa1b_json(row), expected), "the table does not hold what the JSON says"


def _equal(found: Any, expected: Any) -> bool:
    """Equal in every field; where the table has float64, an integer that the file writes instead is rounded to one."""
    if isinstance(found, float) and type(expected) is int:
        return found == float(expected)
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_equal(found[name], expected[name]) for name in found)
    if isinstance(found, list) and isinstance(expected, list):
        return len(found) == len(expected) and all(map(_equal, found, expected))
    return bool(found == expected)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """(height, width) as the frame header of a JPEG says."""
    position = 2
    while position < len(data):
        if data[position] != 0xFF:
            position += 1  # as readers do: what is no marker is passed over
            continue
        marker = data[position + 1]
        if marker in (0xFF, 0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            position += 1 if marker == 0xFF else 2
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[position + 5 : position + 7], "big"), int.from_bytes(
                data[position + 7 : position + 9], "big"
            )
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise AssertionError("no frame header")


TARGET = Target("sa1b-json", try_one, share=160_000, short=600, prepare=seed_record)
