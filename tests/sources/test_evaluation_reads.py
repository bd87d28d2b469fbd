"""Each file of an evaluation set is read once, and a digest is that of the bytes that the masks were made from."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from conftest import ROOT
from evaluation_trees import TREES, write
from PIL import Image

from asam_datasets.errors import RecordError
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import EvaluationRef, EvaluationSource, load_catalog, open_evaluation
from asam_datasets.sources.evaluation._records import Evidence
from asam_datasets.sources.evaluation.layouts import Layout
from asam_datasets.sources.evaluation.layouts._pairs import PairedLayout

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CATALOG = load_catalog()

# Reads all images as a worker does that was just started, and prints how often which files were opened, by image: by
# `read`, then by `digest`. Python tells an audit hook of everything that is opened by name, in C as well.
READER = """
import collections, json, pickle, sys
opened = collections.Counter()
sys.addaudithook(lambda event, args: event == "open" and opened.update([str(args[0])]))
found = []
for source, refs in pickle.load(sys.stdin.buffer):
    for method in (source.read, source.digest):
        for ref in refs:
            opened.clear()
            method(ref)
            root = f"{source.root}/"
            found.append({name[len(root):]: n for name, n in opened.items() if name.startswith(root)})
with open(__file__) as once, open(__file__) as twice:
    assert opened[__file__] >= 2
print(json.dumps(found))
"""


def readings(identity: str, root: Path) -> list[EvaluationSource]:
    """All ways to read a set."""
    entry = CATALOG[identity]
    sources = [open_evaluation(entry, root, variant=variant) for variant in entry.variants]
    if entry.layout is not None:
        sources.append(open_evaluation(entry, root))
    if entry.asam is not None:
        sources.append(open_evaluation(entry, root, protocol="asam"))
    return sources


def test_each_file_is_read_once(tmp_path: Path) -> None:
    jobs: list[tuple[EvaluationSource, tuple[EvaluationRef, ...]]] = []
    for identity, make in TREES.items():
        (tmp_path / identity).mkdir()
        make(tmp_path / identity)
        jobs += [(source, source.index(BadRecords())) for source in readings(identity, tmp_path / identity)]
    (tmp_path / "reader.py").write_text(READER)
    done = subprocess.run(
        [sys.executable, tmp_path / "reader.py"],
        input=pickle.dumps(jobs),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
    )
    found = iter(json.loads(done.stdout))
    layouts, parsed, companions = set(), set(), 0
    for source, refs in jobs:
        layouts.add(type(source.layout))
        for method in ("read", "digest"):
            for ref in refs:
                opened = next(found)
                assert opened.pop(ref.file_name) == 1
                if isinstance(source.layout, PairedLayout):
                    beside = [o for name in ref.masks for o in source.layout._beside(source._folder, name)]
                    assert opened == dict.fromkeys([*ref.masks, *beside], 1), (source.label, method)
                    companions += len(beside)
                    continue
                # A file of many images is parsed for the first of them, and kept.
                new = set(ref.masks) - {name for label, name in parsed if label == source.label}
                assert opened.keys() <= new, (source.label, method)
                assert set(opened.values()) <= {1}
                parsed |= {(source.label, name) for name in ref.masks}
    assert next(found, None) is None
    assert layouts == set(get_args(Layout))
    assert companions


@pytest.mark.parametrize("identity", CATALOG)
def test_masks_come_from_the_bytes_that_the_digest_is_of(tmp_path: Path, identity: str) -> None:
    """With the evidence taken, the folder may be replaced or gone: the masks are those of the evidence."""
    root = tmp_path / "set"
    root.mkdir()
    TREES[identity](root)
    sources = readings(identity, root)
    reads = [[source.read(ref) for ref in source.index(BadRecords())] for source in sources]
    taken: list[list[tuple[tuple[int, int], list[Evidence]]]] = []
    for source, read in zip(sources, reads, strict=True):
        refs = source.index(BadRecords())
        assert [one.digest for one in read] == [source.digest(ref) for ref in refs]
        assert len({one.digest for one in read}) == len(refs)
        taken.append([(shape_of(root / r.file_name), list(source.layout.evidence(source._folder, r))) for r in refs])
    shutil.rmtree(root)
    for read, each in zip(reads, taken, strict=True):
        for (record, _), (shape, evidence) in zip(read, each, strict=True):
            masks = [one.mask for piece in evidence for one in piece.objects(shape) if one.mask.area()]
            for mask, expected in zip(masks, record.masks if record else [], strict=True):
                np.testing.assert_array_equal(mask.to_array(), expected.to_array())


def shape_of(path: Path) -> tuple[int, int]:
    """(height, width) of an image."""
    with Image.open(path) as image:
        return image.height, image.width


def test_an_image_without_objects_has_a_digest(tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path)
    source = open_evaluation(CATALOG["hrsod_te"], tmp_path)
    ref = source.index(BadRecords())[-1]
    read = source.read(ref)
    assert read.record is None
    assert read.digest == source.digest(ref)
    with open(tmp_path / ref.masks[0], "ab") as file:
        file.write(b" ")
    assert source.read(ref).digest == source.digest(ref) != read.digest


def test_an_image_that_cannot_be_decoded_has_a_digest(tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path)
    source = open_evaluation(CATALOG["hrsod_te"], tmp_path)
    ref = source.index(BadRecords())[0]
    before = source.digest(ref)
    (tmp_path / ref.masks[0]).write_bytes(b"not an image at all")
    with pytest.raises(RecordError):
        source.read(ref)
    assert source.digest(ref) != before


SHARED: dict[str, tuple[str, Callable[[Any], object]]] = {
    "coco2017_val": ("annotations/instances_val2017.json", lambda table: table["images"].pop(0)),
    "ndd20": ("ABOVE_LABELS.json", lambda table: table.pop("1.jpg8123")),
    "visor": (
        "GroundTruth-SparseAnnotations/annotations/val/P01_01.json",
        lambda table: table["video_annotations"].pop(0),
    ),
    "ovis": ("annotations_train.json", lambda table: table["videos"][0]["file_names"].insert(0, "other.jpg")),
}


@pytest.mark.parametrize("identity", SHARED)
def test_an_image_that_its_annotation_file_no_longer_has(tmp_path: Path, identity: str) -> None:
    """The file changes after the set was indexed: another image's masks are not taken for its own."""
    name, change = SHARED[identity]
    TREES[identity](tmp_path)
    source = open_evaluation(CATALOG[identity], tmp_path)
    ref = source.index(BadRecords())[0]
    table = json.loads((tmp_path / name).read_text())
    change(table)
    for track in table["annotations"] if identity == "ovis" else ():
        track["segmentations"].insert(0, None)
    write(tmp_path / name, table)
    for method in (source.read, source.digest):
        with pytest.raises(RecordError, match=f"{name}: expected {ref.file_name} in this file as before"):
            method(ref)
