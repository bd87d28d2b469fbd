"""The index of a dataset, packed and named by its digest as a hostile publisher would: judged by Python's own `json`,
`gzip`, and the rules for manifests."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import zlib
from functools import lru_cache
from typing import Any

from asam_datasets.builds import encode_build
from asam_datasets.errors import AsamDatasetsError
from asam_datasets.published import open_dataset
from fuzz import mutate, readmes
from fuzz.manifests import confirm_names, confirm_values
from fuzz.target import Target, refused


@lru_cache(maxsize=1)
def seed() -> tuple[str, str, Any]:
    """README, and name and content of the index that it names."""
    (index,) = readmes.dataset().glob("data/index-*.json.gz")
    readme = readmes.original()
    end = readme.index("\n---", 4) + 5
    lines = [line for line in readme[:end].split("\n") if line.strip()]
    first = lines.index("configs:")
    views = [number for number, line in enumerate(lines) if line.startswith("- config_name: controlnet")]
    key = lines.index("asam_datasets:")
    short = ["---", *lines[first : views[0]], *lines[key : key + 2], "---", ""]
    return "\n".join(short), index.name, json.loads(gzip.decompress(index.read_bytes()))


def _packed(rng: random.Random, text: bytes) -> bytes:
    kind = rng.randrange(12)
    packed = gzip.compress(text, 1)
    if kind == 0:
        return rng.choice((text, packed + packed, packed + b"x", packed[: rng.randint(0, len(packed))], b""))
    if kind == 1:
        return mutate.blob(rng, packed)
    if kind == 2 and rng.random() < 0.1:
        return _bomb()
    return packed


@lru_cache(maxsize=1)
def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([packer.compress(b" " * 2**20) for _ in range(600)] + [packer.flush()])


def try_one(rng: random.Random) -> bool:
    """One index."""
    readme, name, content = seed()
    text = mutate.json_text(rng, content) if rng.random() < 0.85 else json.dumps(content).encode()
    packed = _packed(rng, text)
    other = f"index-{hashlib.sha256(text).hexdigest()[:16]}.json.gz" if rng.random() < 0.95 else name
    path = readmes.dataset() / "data" / other
    before = path.read_bytes() if path.exists() else None  # others try things on the same dataset
    path.write_bytes(packed)
    (readmes.dataset() / "README.md").write_text(readme.replace(name, other))
    try:
        found = open_dataset(readmes.dataset())
    except AsamDatasetsError as error:
        return refused(error)
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)
    given = json.loads(gzip.decompress(packed))
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest()[:16] in other
    expected = {path: build for build in given["builds"] if (path := _path(build)) and readmes.is_shown(path, readme)}
    assert {build.path for build in found.builds} == set(expected), "other builds than those of the index"
    for build in found.builds:
        confirm_names(build)
        was = {key: value for key, value in expected[build.path].items() if key != "run"}
        confirm_values(was, json.loads(encode_build(build)))
    return True


def _path(build: Any) -> str:
    return f"data/{build['kind']}/{build['name']}-{build['digest']}-{build['run']}" if "run" in build else ""


TARGET = Target("index", try_one, share=30_000, short=150, prepare=seed)
