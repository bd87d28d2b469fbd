"""`build.json`: judged by Python's own `json` and by rules for names that become paths, written a second time."""

from __future__ import annotations

import json
import random
import string
from functools import lru_cache
from typing import Any

from asam_datasets.builds import decode_build, encode_build
from asam_datasets.errors import TargetError
from fuzz import mutate
from fuzz.target import Target, refused


@lru_cache(maxsize=1)
def seeds() -> list[Any]:
    """Manifests of an archive and of an evaluation set."""
    part = {
        "file": "part-000.parquet",
        "rows": 3,
        "row_groups": [2, 1],
        "size_bytes": 1000,
        "sha256": "0" * 64,
        "inputs": "1" * 64,
        "annotations": 9,
        "captions": 3,
        "columns": {"image": 500, "caption": 20},
    }
    rights = {"licence": "CC0", "link": "", "redistributable": "yes"}
    build = {
        "format": 2,
        "kind": "train",
        "name": "sa_000000",
        "digest": "0123456789abcdef",
        "rejected": 0,
        "pictures": True,
        "rights": rights,
        "parts": [part | {"image_ids": [[1, 2], [3, 3]]}, part | {"file": "part-001.parquet", "missing": {"area": 1}}],
    }
    said = dict.fromkeys(("title", "homepage", "citation", "source_split", "masks", "protocol"), "x")
    evaluation = {**said, "split": "test", "variant": None}
    return [build, build | {"kind": "evaluation", "name": "hrsod_te", "evaluation": evaluation, "inputs": "2" * 64}]


def try_one(rng: random.Random) -> bool:
    """One manifest."""
    content = mutate.json_text(rng, rng.choice(seeds()))
    try:
        build = decode_build(content, "x/build.json")
    except TargetError as error:
        return refused(error)
    confirm_names(build)
    given = json.loads(content)
    given.pop("run", None)  # says where it lies, and is no part of what it is
    confirm_values(given, json.loads(encode_build(build)))
    return True


def confirm_names(build: Any) -> None:
    letters = set(string.ascii_letters + string.digits + "._-")
    assert set(build.name) <= letters, build.name
    assert build.name[0] not in "._-"
    assert len(build.digest) == 16
    assert set(build.digest) <= set("0123456789abcdef")
    pieces = build.path.split("/")
    assert len(pieces) in (3, 4)
    assert all(set(piece) <= letters and piece.strip(".") for piece in pieces), build.path
    for part in build.parts:
        assert set(part.file) <= letters, part.file
        assert part.file.startswith("part-")
        assert 0 <= part.rows == sum(part.row_groups) < 2**63


def confirm_values(given: Any, again: Any) -> None:
    """What was taken says what the file said; what is written besides are fields with their usual value."""
    for name, value in again.items():
        if name == "parts":
            for one, other in zip(given[name], value, strict=True):
                usual = {"missing": {}, "image_ids": []}
                assert {**usual, **one} == {**usual, **other}
        elif name in given:
            assert given[name] == value, name
    assert given.keys() <= again.keys()


TARGET = Target("manifests", try_one, share=90_000, short=1_000, prepare=seeds)
