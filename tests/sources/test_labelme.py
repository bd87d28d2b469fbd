"""LabelMe's XML: what people wrote into it, and what nobody should have."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from evaluation_trees import SHAPE, TREES, rendered

from asam_datasets.errors import RecordError
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import (
    EvaluationRecord,
    EvaluationSource,
    load_catalog,
    open_evaluation,
    parse_evaluation,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CATALOG = load_catalog()
FILE = "GTEA/Annotations/frame_1.xml"


@pytest.fixture
def source(tmp_path: Path) -> EvaluationSource:
    TREES["gtea"](tmp_path)
    return open_evaluation(CATALOG["gtea"], tmp_path, variant="hands")


def read(source: EvaluationSource) -> EvaluationRecord:
    record = source.read(source.index(BadRecords())[0]).record
    assert record is not None
    return record


LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in itertools.pairwise("abcdefgh")
)
BAD: dict[str, tuple[str, str, str]] = {
    "no XML": ("", "here", "expected XML of LabelMe, found: syntax error"),
    "nothing but blanks": ("", " ", "expected XML of LabelMe, found: no element found"),
    "cut": ("</annotation>", "", "expected XML of LabelMe, found: no element found"),
    "other XML": ("", "<html></html>", "expected XML of LabelMe, whose root is annotation, found 'html'"),
    "entities": ("", f"{LAUGHS}]><annotation>&h;</annotation>", "expected XML of LabelMe, found: a document type"),
    "encoding": ("", '<?xml version="1.0" encoding="nonsense"?><annotation/>', "expected XML of LabelMe, found: "),
    "deep": ("", "<annotation>" + "<a>" * 500_000, "expected XML of LabelMe, found: "),
    "large": ("", " " * (2**22 + 1), "expected at most 4194304 bytes, found 4194305"),
    "another size": (f"<nrows>{SHAPE[0]}", "<nrows>47", "expected the image's size, 48 × 64 .*, found 47 × 64"),
    "no size": (f"<nrows>{SHAPE[0]}", "<nrows>many", "expected the image's size in pixels, found 'many'"),
    "no number": ("<x>5.5</x>", "<x>five</x>", r"object\[0\]: expected a coordinate, found 'five'"),
    "no coordinate": ("<x>5.5</x>", "", r"object\[0\]: expected a coordinate, found ''"),
    "not finite": ("<x>5.5</x>", "<x>nan</x>", "expected finite coordinates"),
    "endless": ("<x>5.5</x>", "<x>1e9</x>", "expected an outline of at most"),
    "a box": (
        "<name>Left",
        "<type>bounding_box</type><name>Left",
        r"object\[0\]: expected a polygon, found an object w",
    ),
    "no polygon": (
        "<deleted>0</deleted>",
        "</object><object>",
        r"object\[0\]: expected a polygon, found an object without",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_bad_record(source: EvaluationSource, case: str) -> None:
    old, new, message = BAD[case]
    text = (source.root / FILE).read_text()
    assert old in text
    (source.root / FILE).write_text(text.replace(old, new, 1) if old else new)
    with pytest.raises(RecordError, match=f"{FILE}.*{message}") as caught:
        read(source)
    assert caught.value.hint


def test_what_has_no_size_is_taken_for_that_of_its_image(source: EvaluationSource) -> None:
    text = (source.root / FILE).read_text()
    before = [mask.to_array().tolist() for mask in read(source).masks]
    (source.root / FILE).write_text(text.replace("imagesize>", "other>").replace("<name>Left hand</name>", "", 1))
    record = read(source)
    assert [mask.to_array().tolist() for mask in record.masks] == before
    assert [one.category for one in record.annotations] == [None, "right hand", "intersecting hands"]


def test_a_set_of_ones_own(tmp_path: Path, source: EvaluationSource) -> None:
    """Groups are dropped, and what is no polygon is passed over and counted, where the catalog says so."""
    text = (source.root / FILE).read_text()
    (source.root / FILE).write_text(text.replace("<name>\nright", "<type>bounding_box</type><name>\nright"))
    (tmp_path / "mine.toml").write_text(
        '[mine]\nname = "Mine"\nhomepage = ""\nlicense = ""\nredistributable = "yes"\nsplit = "test"\n'
        'source_split = "all"\nkind = "instance"\n[mine.layout]\ntype = "labelme"\nother_shapes = "skip"\n'
        'crowd_prefix = "intersecting"\nlone_images = "drop"\n'
        'pairs = [{ image = "GTEA/Images/{name}.jpg", mask = "GTEA/Annotations/{name}.xml" }]\n'
    )
    record = read(parse_evaluation(f"mine={source.root}", load_catalog([tmp_path / "mine.toml"])))
    (mask,) = record.masks
    np.testing.assert_array_equal(mask.to_array().astype(bool), rendered([[5.5, 3.25, 40.0, 20.5, 9.75, 44.0]]))
    assert record.skipped == 1
