"""Every set of the catalog, read from a small folder of its own form: the masks are those of an independent
reference, by default and as ASAM's loaders give them."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from evaluation_trees import PACKED, SHAPE, TREES, Masks, Tree, repack, repacked, save, soft_mask, write_image
from PIL import Image
from pycocotools import mask as coco

from asam_datasets.masks import PngEncoder
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import EvaluationSource, load_catalog, open_evaluation
from asam_datasets.sources.evaluation.layouts._binary import Binary
from asam_datasets.tables import EVALUATION, render_evaluation, to_table

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CATALOG = load_catalog()
IDS = list(CATALOG)
VARIANTS = [(identity, variant) for identity, entry in CATALOG.items() for variant in entry.variants]
PHRASED = ["saco_gold"]
"""Sets with several rows of one image: `tests/publish/test_publish_phrases.py` reads them."""
DIFFERENT = [identity for identity, entry in CATALOG.items() if entry.asam is not None]


class Made(dict[str, tuple[Path, Tree]]):
    """Folder and expected masks by id, each made when it is first asked for."""

    def __init__(self, base: Path) -> None:
        super().__init__()
        self._base = base

    def __missing__(self, identity: str) -> tuple[Path, Tree]:
        root = self._base / identity
        root.mkdir()
        self[identity] = (root, TREES[identity](root))
        return self[identity]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("sets"))


def check(source: EvaluationSource, expected: Masks) -> int:
    """Compare all that a source gives with the masks expected of it; returns how many images had none."""
    bad = BadRecords()
    refs = source.index(bad)
    assert not bad.rejects
    assert [ref.file_name for ref in refs] == sorted(ref.file_name for ref in refs)
    source = pickle.loads(pickle.dumps(source))
    rows, empty, encoder = [], 0, PngEncoder()
    for ref in pickle.loads(pickle.dumps(refs)):
        content = (source.root / ref.file_name).read_bytes()
        assert ref.size_bytes == len(content)
        record = source.read(ref).record
        if record is None:
            empty += 1
            assert ref.file_name not in expected
            continue
        assert record.image == content
        masks = expected[ref.file_name]
        assert len(record.annotations) == len(masks) == len(record.masks)
        assert (record.height, record.width) == masks[0].shape
        for annotation, mask, reference in zip(record.annotations, record.masks, masks, strict=True):
            np.testing.assert_array_equal(mask.to_array().astype(bool), reference)
            coded = coco.encode(np.asfortranarray(reference.astype(np.uint8)))
            assert annotation.segmentation.counts == coded["counts"].decode()
            assert annotation.segmentation.size == tuple(coded["size"])
            assert list(annotation.bbox) == coco.toBbox(coded).tolist()
            assert annotation.area == reference.sum()
        rows.append(render_evaluation(record, encoder))
    assert [row.file_name for row in rows] == sorted(expected)
    table = to_table(EVALUATION, rows).to_pylist()
    for row in table:
        assert row["image"]["bytes"] == (source.root / row["file_name"]).read_bytes()
        assert row["dataset"] == source.name
        for png, reference in zip(row["masks"], expected[row["file_name"]], strict=True):
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png["bytes"]))), reference)
    return empty


def test_every_entry_has_a_tree() -> None:
    assert len(IDS) == 49
    assert sorted(IDS) == sorted(TREES)


@pytest.mark.parametrize("identity", [i for i in IDS if CATALOG[i].layout is not None and i not in PHRASED])
def test_default_reading(trees: Made, identity: str) -> None:
    root, tree = trees[identity]
    assert tree.default
    assert check(open_evaluation(CATALOG[identity], root), tree.default) == tree.empty


@pytest.mark.parametrize(("identity", "variant"), VARIANTS)
def test_variants(trees: Made, identity: str, variant: str) -> None:
    root, tree = trees[identity]
    check(open_evaluation(CATALOG[identity], root, variant=variant), tree.variants[variant])


@pytest.mark.parametrize(("identity", "moves"), PACKED)
def test_other_packagings(tmp_path: Path, identity: str, moves: dict[str, str]) -> None:
    tree = TREES[identity](tmp_path)
    repack(tmp_path, moves)
    assert check(open_evaluation(CATALOG[identity], tmp_path), repacked(tree.default or {}, moves)) == tree.empty
    if tree.asam is not None:
        check(open_evaluation(CATALOG[identity], tmp_path, protocol="asam"), repacked(tree.asam, moves))


def test_cvc_clinicdb_as_png(tmp_path: Path) -> None:
    """Copies have PNG instead of TIFF, in folders of other names."""
    for number, (images, masks) in enumerate((("images", "masks"), ("PNG/Original", "PNG/Ground Truth"))):
        name = write_image(tmp_path / images, f"{images}/1.png")
        save(tmp_path / images / masks / "1.png", soft_mask(number))
        source = open_evaluation(CATALOG["cvc_clinicdb"], tmp_path / images)
        assert check(source, {name: [soft_mask(number) >= 128]}) == 0


def test_one_packaging_is_read_and_not_two(tmp_path: Path) -> None:
    """HQ-SAM's HRSOD has masks of 0 and 1 in `masks` beside those in `masks_max255`."""
    name = write_image(tmp_path, "images/a.jpg")
    save(tmp_path / "masks/a.png", np.ones(SHAPE, np.uint8))
    save(tmp_path / "masks_max255/a.png", soft_mask(3))
    source = open_evaluation(CATALOG["hrsod_te"], tmp_path)
    assert check(source, {name: [soft_mask(3) > 128]}) == 0


@pytest.mark.parametrize("identity", DIFFERENT)
def test_protocol_asam_differs_where_the_catalog_says_so(trees: Made, identity: str) -> None:
    root, tree = trees[identity]
    assert tree.asam, "the tree says nothing of ASAM's reading"
    check(open_evaluation(CATALOG[identity], root, protocol="asam"), tree.asam)

    def content(masks: Masks) -> list[tuple[str, list[bytes]]]:
        return [(name, [mask.tobytes() for mask in each]) for name, each in sorted(masks.items())]

    assert content(tree.asam) != content(tree.default or {})


@pytest.mark.parametrize(
    "identity", [i for i in IDS if i not in {*DIFFERENT, *PHRASED} and CATALOG[i].layout is not None]
)
def test_protocol_asam_is_the_default_elsewhere(trees: Made, identity: str) -> None:
    root, tree = trees[identity]
    assert tree.asam is None
    check(open_evaluation(CATALOG[identity], root, protocol="asam"), tree.default or {})


@pytest.mark.parametrize("identity", IDS)
def test_every_reading_says_what_its_own_masks_are(identity: str) -> None:
    """`kind` decides what an export writes: for `binary` one mask per image. A reading inherits it from its entry, so
    one with another layout has to say its own."""
    entry = CATALOG[identity]
    readings = [(entry.layout, entry.kind)] if entry.layout else []
    others = [*entry.variants.values(), *([entry.asam] if entry.asam else [])]
    readings += [(reading.layout, reading.kind or entry.kind) for reading in others]
    for layout, kind in readings:
        assert (kind == "binary") == isinstance(layout, Binary), (kind, layout)
        if getattr(layout, "values_are_categories", False):
            assert kind == "semantic"
        if kind == "panoptic":
            assert getattr(layout, "category_divisor", 0)
