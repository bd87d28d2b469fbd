"""Small evaluation sets of one image, for targets whose hostile file is the annotation of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asam_datasets.errors import AsamDatasetsError
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import Entry, EvaluationRecord, EvaluationSource, load_catalog, open_evaluation
from fuzz.target import scratch

SHAPE = (20, 24)

_ENTRY = """
[{id}]
name = "{id}"
homepage = ""
license = ""
redistributable = "no"
split = "test"
source_split = "test"
kind = "instance"
[{id}.layout]
{layout}
"""
_PAIRS = 'pairs = [{ image = "images/{name}.png", mask = "masks/{name}.bin" }]'
_LAYOUTS = {
    "fuzz_binary": f'type = "binary"\nthreshold = 100\n{_PAIRS}',
    "fuzz_numbers": f'type = "index_map"\n{_PAIRS}',
    "fuzz_colors": f'type = "rgb_map"\n{_PAIRS}',
    "fuzz_labelme": f'type = "labelme"\nother_shapes = "skip"\n{_PAIRS}',
    "fuzz_hdf5": f'type = "hypersim"\nbackground = [-1]\n{_PAIRS}',
    "fuzz_coco": 'type = "coco"\ncrowds = "keep"\nfiles = [{ json = "a.json", images = ["images/{file_name}"] }]',
    "fuzz_pycocotools": 'type = "coco"\ncrowds = "keep"\nas_pycocotools = true\n'
    'files = [{ json = "a.json", images = ["images/{file_name}"] }]',
}


@lru_cache(maxsize=1)
def entries() -> Mapping[str, Entry]:
    """The catalog with these sets."""
    path = scratch() / "catalog.toml"
    path.write_text("".join(_ENTRY.format(id=name, layout=layout) for name, layout in _LAYOUTS.items()))
    return load_catalog([path])


@lru_cache(maxsize=16)
def root(name: str) -> Path:
    """The folder of one of the sets, with its image."""
    folder = scratch() / name
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(folder / "images/one.png")
    return folder


_writes = 0


def write(path: Path, data: bytes) -> None:
    """Write a file, later than any time it was written before: what was read of it is remembered by its time."""
    global _writes
    _writes += 1
    path.write_bytes(data)
    os.utime(path, ns=(_writes * 10**6, _writes * 10**6))


def read(name: str) -> EvaluationRecord | None:
    """The record of the one image; None where it has no masks.

    Raises:
        AsamDatasetsError: it cannot be used. The policy `skip` does without it then.
    """
    source = open_evaluation(entries()[name], root(name))
    try:
        (ref,) = source.index(BadRecords())
        record = source.read(ref).record
    except AsamDatasetsError:
        _skip(source)
        raise
    assert _skip(source) == 0
    return record


def _skip(source: EvaluationSource) -> int:
    """Read the set under the policy `skip`: whatever is in a file, that is a reject or stops the set."""
    bad = BadRecords("skip")
    try:
        for ref in source.index(bad):
            try:
                source.read(ref)
            except AsamDatasetsError as error:
                bad.reject(error, archive=source.label, member=ref.file_name)
    except AsamDatasetsError:
        return 1
    return len(bad.rejects)


def bitmaps(record: EvaluationRecord | None) -> list[NDArray[np.bool_]]:
    """The masks as arrays."""
    return [] if record is None else [mask.to_array(order="C") > 0 for mask in record.masks]
