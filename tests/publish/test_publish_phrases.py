"""SA-Co/Gold: images under several phrases, three annotators, negatives; in and out, in every version of `datasets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Run, clean_environment, run_reader
from evaluation_trees import GOLD, PHRASES, TREES, runs
from reading import READERS

from asam_datasets.errors import CatalogError
from asam_datasets.organized import export
from asam_datasets.preview import preview
from asam_datasets.published import front_matter, verify
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import load_catalog, open_evaluation
from asam_datasets.tables import EVALUATION, EVALUATION_EXTRA

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

SETS = ("coco2017_val", "saco_gold")
EXTRA = ["text_input", "is_instance_exhaustive", "is_pixel_exhaustive", "annotator", "subset"]

Expected = dict[tuple[str, str, str], tuple[str, bool, list[tuple[Any, int]]]]


def expected() -> Expected:
    """Phrase, whether every instance is marked, and masks, by image id, annotator and subset."""
    return {
        (str(identity), annotator, subset): (
            phrase,
            annotator != "b",
            [(mask, crowd) for pair, mask, crowd in GOLD[annotator] if pair == identity],
        )
        for subset, annotators in (("metaclip", "abc"), ("fg_sports_equipment", "a"))
        for annotator in annotators
        for identity, _, phrase in PHRASES
    }


@pytest.fixture(scope="module")
def published(publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("phrases")
    for name in SETS:
        TREES[name](base / name)
    ran = publish("--evaluation", *(f"{name}={base / name}" for name in SETS), "--out", base / "out")
    assert ran.code == 0, ran.err
    return base / "out"


def test_a_row_is_an_image_a_phrase_and_an_annotator(tmp_path: Path) -> None:
    TREES["saco_gold"](tmp_path)
    source = open_evaluation(load_catalog()["saco_gold"], tmp_path)
    refs = source.index(BadRecords())
    wanted = expected()
    assert len(refs) == len(wanted) == 12
    assert len({source.digest(ref) for ref in refs}) == 12
    seen = set()
    for ref in refs:
        record = source.read(ref).record
        assert record is not None, "negatives are kept"
        key = (record.image_id, str(record.extra["annotator"]), str(record.extra["subset"]))
        seen.add(key)
        phrase, exhaustive, masks = wanted[key]
        assert (record.extra["text_input"], record.extra["is_instance_exhaustive"]) == (phrase, exhaustive)
        assert record.extra["is_pixel_exhaustive"] is True
        assert [a.iscrowd for a in record.annotations] == [crowd for _, crowd in masks]
        for found, (mask, _) in zip(record.masks, masks, strict=True):
            np.testing.assert_array_equal(found.to_array().astype(bool), mask)
    assert seen == wanted.keys()


def test_a_digest_changes_with_the_phrase(tmp_path: Path) -> None:
    TREES["saco_gold"](tmp_path)
    file = tmp_path / "annotations/gold_metaclip_merged_b_release_test.json"
    source = open_evaluation(load_catalog()["saco_gold"], tmp_path)
    refs = source.index(BadRecords())
    before = [source.digest(ref) for ref in refs]
    file.write_text(file.read_text().replace("the fish ball", "a fish ball"))
    changed = [ref for ref, digest in zip(refs, before, strict=True) if source.digest(ref) != digest]
    assert [(ref.image_id, ref.masks) for ref in changed] == [("10000001", (file.relative_to(tmp_path).as_posix(),))]


def test_columns_that_nothing_says_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[mine]\nname = "Mine"\nhomepage = ""\nlicense = ""\nredistributable = "yes"\nsplit = "test"\n'
        'source_split = "all"\nkind = "instance"\n[mine.layout]\ntype = "coco"\ncolumns = ["annotator"]\n'
        'files = [{ json = "all.json", images = ["{file_name}"] }]\n'
    )
    with pytest.raises(CatalogError, match=r"expected fields of `json` for the columns \['annotator'\]"):
        load_catalog([tmp_path / "mine.toml"])


def test_only_parts_of_the_set_have_its_columns(published: Path) -> None:
    for name in SETS:
        (part,) = published.glob(f"data/evaluation/{name}-*/part-000.parquet")
        columns = [*EVALUATION, *(EVALUATION_EXTRA if name == "saco_gold" else ())]
        assert pq.read_schema(part).names == columns
    configs = {
        config["config_name"]: config for config in front_matter((published / "README.md").read_text())["configs"]
    }
    assert configs["evaluation"]["columns"] == list(EVALUATION)
    assert "columns" not in configs["saco_gold"]
    assert list(EVALUATION_EXTRA) == EXTRA


@pytest.mark.parametrize("reader", READERS)
def test_every_version_of_datasets_reads_it(reader: str, published: Path, tmp_path: Path) -> None:
    output = tmp_path / "seen.json"
    script = ROOT / "tests/support/readers/read_configs.py"
    ran = run_reader(reader, script, published, output, "evaluation", *SETS, env=clean_environment(tmp_path / "home"))
    assert ran.code == 0, ran.err[-3000:]
    seen = json.loads(output.read_text())
    wanted = expected()
    for mode in ("map", "streaming"):
        rows = seen[f"saco_gold {mode}"]["test"]
        assert len(rows) == len(wanted)
        for row in rows:
            extra = row["extra"]
            phrase, exhaustive, masks = wanted[row["names"][0], extra["annotator"], extra["subset"]]
            assert extra["text_input"] == phrase
            assert (extra["is_instance_exhaustive"], extra["is_pixel_exhaustive"]) == (exhaustive, True)
            assert [a["segmentation"]["counts"] for a in row["annotations"]] == [
                runs(mask)["counts"] for mask, _ in masks
            ]
        assert sum(not row["annotations"] for row in rows) == 5, "the negatives"
        together = {name: [] for name in SETS}
        for row in seen[f"evaluation {mode}"]["test"]:
            together[row["names"][2]].append(row)
        assert [{**row, "extra": {}} for row in rows] == together["saco_gold"]
        assert seen[f"coco2017_val {mode}"]["validation"] == together["coco2017_val"]


def test_our_own_readers_take_it(published: Path, tmp_path: Path) -> None:
    """Rows without a mask, and several of one image, in verify, export and preview; again, and as a builder."""
    assert not verify(str(published), deep=True).findings
    export(published, tmp_path / "organized")
    table = json.loads((tmp_path / "organized/testdata/saco_gold/annotations.json").read_text())
    assert len(table["images"]) == 12
    assert len(table["annotations"]) == sum(len(masks) for _, _, masks in expected().values())
    preview(published, out=tmp_path / "sheet.png", config="saco_gold", rows="0:12")


def test_again_is_unchanged(publish: Run, published: Path) -> None:
    sets = [f"{name}={published.parent / name}" for name in SETS]
    again = publish("--evaluation", *sets, "--out", published)
    assert again.code == 0, again.err
    assert again.out.count("unchanged") >= 2


def test_the_builder_has_the_columns(tmp_path: Path) -> None:
    from builders.segmentation_evaluation import SegmentationEvaluation

    TREES["saco_gold"](tmp_path / "set")
    builder = SegmentationEvaluation(
        config_name="saco_gold", data_dir=str(tmp_path / "set"), cache_dir=str(tmp_path / "cache")
    )
    assert list(builder.info.features) == [*EVALUATION, *EXTRA]
    rows = list(builder.as_streaming_dataset(split="test").cast_column("image", datasets.Image(decode=False)))
    found = {(row["image_id"], row["annotator"], row["subset"]): row["text_input"] for row in rows}
    assert found == {key: phrase for key, (phrase, _, _) in expected().items()}


def test_manifests_of_other_sets_say_nothing_of_columns(published: Path) -> None:
    for name in SETS:
        (manifest,) = published.glob(f"data/evaluation/{name}-*/build.json")
        info = msgspec.json.decode(manifest.read_bytes())["evaluation"]
        assert info.get("columns", []) == (EXTRA if name == "saco_gold" else [])
        assert ("columns" in info) == (name == "saco_gold")
