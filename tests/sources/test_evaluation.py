"""The catalog, a user's own one, what changes a digest, and the table of the evaluation sets."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from evaluation_trees import (
    SHAPE,
    TREES,
    box,
    coco_json,
    grid,
    palette_image,
    ring,
    save,
    via_region,
    write,
    write_image,
)
from PIL import Image

from asam_datasets.builds._writer import write_part
from asam_datasets.errors import CatalogError, RecordError
from asam_datasets.masks import PngEncoder
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import (
    EvaluationSource,
    describe_tree,
    load_catalog,
    open_evaluation,
    parse_evaluation,
)
from asam_datasets.tables import (
    EVALUATION,
    EvaluationRow,
    arrow_schema,
    features_json,
    image_columns,
    render_evaluation,
    row_bytes,
    to_table,
)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CATALOG = load_catalog()

MINE = """
[leaves]
name = "My leaves"
homepage = "https://example.org"
license = "CC0"
redistributable = "yes"
split = "test"
source_split = "all"
kind = "instance"
[leaves.layout]
type = "index_map"
pairs = [{ image = "rgb/{name}.png", mask = "ids/{name}.png" }]
ignored = [255]
"""


def rows_of(source: EvaluationSource) -> list[EvaluationRow]:
    records = [source.read(ref).record for ref in source.index(BadRecords())]
    return [render_evaluation(record, PngEncoder()) for record in records if record is not None]


def annotations(identity: str, root: Path, **options: Any) -> list[tuple[int, int | None, str | None, int]]:
    """Id, category and crowd of each mask of the first image."""
    TREES[identity](root)
    row = rows_of(open_evaluation(CATALOG[identity], root, **options))[0]
    return [(a.id, a.category_id, a.category, a.iscrowd) for a in row.annotations]


# ------------------------------------------------------------------------------------------------ the catalog


def test_the_catalog_says_what_it_does_not_know() -> None:
    assert len(CATALOG) == 49
    for identity, entry in CATALOG.items():
        assert entry.id == identity
        assert entry.homepage.startswith("http")
        assert entry.license or "License: not found" in entry.notes, identity
        assert entry.redistributable != "yes" or entry.license, identity
        assert bool(entry.protocol_asam) or entry.asam is None, identity
    assert {i for i, entry in CATALOG.items() if entry.redistributable == "no"} == {"ade20k", "cityscapes", "pidray"}


@pytest.mark.parametrize("identity", CATALOG)
def test_the_tree_of_a_set_names_all_that_is_read(identity: str) -> None:
    entry = CATALOG[identity]
    text = describe_tree(entry)
    readings = [entry.layout, entry.asam and entry.asam.layout, *(r.layout for r in entry.variants.values())]
    patterns = [
        pattern
        for layout in readings
        if layout
        for row in msgspec.to_builtins(layout).get("pairs") or msgspec.to_builtins(layout)["files"]
        for pattern in row.values()
        if isinstance(pattern, str) and pattern
    ]
    assert patterns
    for pattern in patterns:
        assert re.sub(r"\{(\w+)\*\*\}", r"<\1>/", pattern).replace("{", "<").replace("}", ">") in text
    for variant in entry.variants:
        assert f"{identity}:{variant}=FOLDER" in text
    assert ("--protocol asam" in text) == (entry.asam is not None)


def test_a_set_of_the_user(tmp_path: Path) -> None:
    write(tmp_path / "mine.toml", MINE)
    labels = grid([1, 255, 3])
    write_image(tmp_path, "rgb/a.png")
    save(tmp_path / "ids/a.png", labels.astype(np.uint8))
    catalog = load_catalog([tmp_path / "mine.toml"])
    assert len(catalog) == len(CATALOG) + 1
    (row,) = rows_of(parse_evaluation(f"leaves={tmp_path}", catalog))
    assert [a.area for a in row.annotations] == [(labels == 1).sum(), (labels == 3).sum()]
    assert "leaves" not in load_catalog()


def test_a_user_says_what_the_catalog_does_not_know(tmp_path: Path) -> None:
    """A known set in other folders: only what differs is written down."""
    layout = 'type = "coco"\nfiles = [{ json = "train.json", images = ["uav/{file_name}"] }]'
    write(tmp_path / "mine.toml", f"[ibd]\nexpected_masks = 2\n[ibd.layout]\n{layout}\n[bbbc038v1.layout]\n{layout}\n")
    catalog = load_catalog([tmp_path / "mine.toml"])
    assert catalog["ibd"].name == CATALOG["ibd"].name
    assert catalog["ibd"].expected_masks == 2
    # What was expected of the catalog's own layout does not hold for another one.
    assert (CATALOG["bbbc038v1"].expected_images, catalog["bbbc038v1"].expected_images) == (670, None)
    write_image(tmp_path, "uav/a.jpg")
    write(
        tmp_path / "train.json",
        {
            "images": [{"id": "x", "file_name": "a.jpg"}],
            "annotations": [{"image_id": "x", "segmentation": [ring(1, 1, 9, 9)]}],
        },
    )
    source = parse_evaluation(f"ibd={tmp_path}", catalog)
    (row,) = rows_of(source)
    assert (row.image_id, row.file_name) == ("x", "uav/a.jpg")
    assert [(a.id, a.bbox, a.category_id, a.category) for a in row.annotations] == [
        (1, (1.0, 1.0, 8.0, 8.0), None, None)
    ]
    assert source.unexpected_counts(1, 2) == ""
    assert source.unexpected_counts(1, 1) == f"ibd={tmp_path}: expected 2 masks, found 1"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (("[leaves]", "[leaves"), r"mine\.toml: expected TOML, found"),
        ((MINE, "leaves = 3"), r"mine\.toml: leaves: expected one table per set, found int"),
        (('license = "CC0"\n', ""), r"mine\.toml: \[leaves\]: object missing required field `license`"),
        (('kind = "instance"', 'kind = "objects"'), r"\[leaves\]: kind: invalid enum value 'objects'"),
        (('split = "test"', 'split = "train"'), r"\[leaves\]: split: invalid enum value 'train'"),
        (('"index_map"', '"maps"'), r"\[leaves\]: layout\.type: invalid value 'maps'"),
        (("ignored = [255]", "ignored = 255"), r"\[leaves\]: layout\.ignored: expected `array`, found `int`"),
        (("ignored", "ignore"), r"\[leaves\]: layout: object contains unknown field `ignore`"),
        (("ids/{name}", "ids/{stem}"), r"layout: expected only fields of `image` in `mask`, found \['stem'\]"),
        (("rgb/{name}", "../{name}"), r"layout\.pairs\[0\]: expected a path below the folder of the set"),
        (("rgb/{name}", "rgb/{name"), r"layout\.pairs\[0\]: expected fields such as \{name\}"),
        (("[leaves", "[Leaves"), "expected an id of small letters"),
        (("[leaves", "[train"), "expected an id of small letters"),
        (("[leaves", "[adversarial"), "small letters.* none of train, .*, found 'adversarial'"),
        (('"My leaves"', '""'), "expected a name, found an empty one"),
        (("[leaves]", '[leaves]\nid = "other"'), r"\[leaves\]: id: expected the table's name 'leaves', found 'other'"),
    ],
)
def test_an_entry_that_is_not_right(tmp_path: Path, edit: tuple[str, str], message: str) -> None:
    write(tmp_path / "mine.toml", MINE.replace(*edit))
    with pytest.raises(CatalogError, match=message) as caught:
        load_catalog([tmp_path / "mine.toml"])
    assert str(caught.value).startswith(f"{tmp_path}/mine.toml")


def test_a_catalog_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="expected a readable TOML file, found: No such file"):
        load_catalog([tmp_path / "none.toml"])
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(CatalogError, match="expected a TOML file in UTF-8"):
        load_catalog([tmp_path / "latin.toml"])


def test_what_the_command_line_says(tmp_path: Path) -> None:
    source = parse_evaluation(f"ibd:coco={tmp_path}", CATALOG)
    assert (source.name, source.variant, source.label) == ("ibd", "coco", f"ibd:coco={tmp_path}")
    assert parse_evaluation(f"big={tmp_path}", CATALOG).split == "validation"
    assert parse_evaluation(f"big:test={tmp_path}", CATALOG).split == "test"
    asam = parse_evaluation(f"trashcan={tmp_path}", CATALOG, protocol="asam")
    assert (asam.split, asam.source_split, asam.expected) == ("validation", "val of the instance version", (None, None))
    assert parse_evaluation(f"zerowaste_f={tmp_path}", CATALOG, protocol="asam").kind == "semantic"
    with pytest.raises(CatalogError, match="say ibd:index-map=FOLDER or ibd:coco=FOLDER"):
        parse_evaluation(f"ibd={tmp_path}", CATALOG)
    with pytest.raises(CatalogError, match=r"expected a variant of big \(test\), found 'train'"):
        parse_evaluation(f"big:train={tmp_path}", CATALOG)
    with pytest.raises(CatalogError, match="expected a variant or the protocol asam, found both for lvis"):
        parse_evaluation(f"lvis:v1={tmp_path}", CATALOG, protocol="asam")
    with pytest.raises(CatalogError, match="expected a set of the catalog, found 'hrsod'") as unknown:
        parse_evaluation(f"hrsod={tmp_path}", CATALOG)
    assert "Did you mean hrsod_te?" in unknown.value.hint
    with pytest.raises(CatalogError, match="expected ID=FOLDER"):
        parse_evaluation(str(tmp_path), CATALOG)


# ------------------------------------------------------------------------------------------------ what is read


def test_categories_ids_and_crowds(tmp_path: Path) -> None:
    assert [one[1:] for one in annotations("ade20k", tmp_path / "a")] == [
        (261, "café, coffeehouse", 0),
        (261, "café, coffeehouse", 0),
        (517, "rim", 0),
        (5197, None, 0),
        (1, "sky", 0),
        (6655, None, 0),
    ]
    assert annotations("cityscapes", tmp_path / "b")[:5] == [
        (7, 7, "road", 0),
        (8, 8, "sidewalk", 0),
        (23, 23, "sky", 0),
        (24000, 24, "person", 0),
        (24255, 24, "person", 0),
    ]
    assert (26, 26, "car", 1) in annotations("cityscapes", tmp_path / "c", protocol="asam")
    assert annotations("voc2012", tmp_path / "m") == [
        (1, 15, "person", 0),
        (2, 15, "person", 0),
        (8, 9, "chair", 0),
        (20, None, None, 0),
    ]
    assert annotations("dram", tmp_path / "n") == [(3, 3, "bird", 0), (15, 15, "person", 0), (17, 17, "sheep", 0)]
    assert annotations("gtea", tmp_path / "o", variant="hands") == [
        (1, None, "left hand", 0),
        (3, None, "right hand", 0),
        (4, None, "intersecting hands", 1),
    ]
    assert annotations("coco2017_val", tmp_path / "d", protocol="asam") == [
        (100 + n, 3, "car", int(n == 3)) for n in range(5)
    ]
    first = "1st order interacting object by left hand"
    for number, variant in enumerate((None, *CATALOG["egohos"].variants)):
        found = annotations("egohos", tmp_path / f"e{number}", variant=variant)
        assert found[:3] == [(1, 1, "left hand", 0), (2, 2, "right hand", 0), (3, 3, first, 0)]
    assert annotations("streets", tmp_path / "f") == [(1, None, "car", 0), (2, None, None, 0)]
    assert annotations("ndd20", tmp_path / "l") == [(1, None, "BND", 0), (2, None, "BND", 0)]
    assert annotations("visor", tmp_path / "g")[0] == (1, 300, "left hand", 0)
    assert annotations("woodscape", tmp_path / "h") == [
        (1, None, "road", 0),
        (7, None, "car", 0),
        (8, None, "pole", 0),
    ]
    assert annotations("ovis", tmp_path / "i") == [(1, 1, "Person", 0)]
    assert annotations("zerowaste_f", tmp_path / "j", protocol="asam")[1] == (2, 2, "cardboard", 0)
    ndd20 = rows_of(open_evaluation(CATALOG["ndd20"], tmp_path / "l"))
    assert [[a.category for a in row.annotations] for row in ndd20] == [["BND"] * 2, ["dolphin"] * 2]
    assert annotations("hypersim", tmp_path / "k") == [(5, None, None, 0), (8, None, None, 0), (70000, None, None, 0)]


@pytest.mark.parametrize(("identity", "skipped"), [("streets", 1), ("woodscape", 2), ("ndd20", 0)])
def test_what_official_code_passes_over_is_counted(tmp_path: Path, identity: str, skipped: int) -> None:
    """STREETS: regions that are no polygon. WoodScape: annotations that have not exactly one tag."""
    TREES[identity](tmp_path / "set")
    source = open_evaluation(CATALOG[identity], tmp_path / "set")
    assert sum(row.skipped for row in rows_of(source)) == skipped
    part = write_part(tmp_path / "part-000.parquet", rows_of(source), inputs=[], kind="evaluation")
    assert part.skipped == skipped


def test_a_class_is_that_of_most_pixels(tmp_path: Path) -> None:
    """Void and background pixels have no say; without a map of the classes, or a name, nothing is known."""
    TREES["voc2012"](tmp_path)
    file = tmp_path / "SegmentationClass/2007_000033.png"
    objects = np.asarray(Image.open(tmp_path / "SegmentationObject/2007_000033.png"))
    classes = np.select([objects == 1, objects == 2, objects == 8], [15, 3, 77], 255).astype(np.uint8)
    classes[tuple(np.argwhere(objects == 1)[:5].T)] = 7
    classes[tuple(np.argwhere(objects == 2)[:-4].T)] = 0
    save(file, palette_image(classes))
    source = open_evaluation(CATALOG["voc2012"], tmp_path)
    (ref,) = source.index(BadRecords())
    kinds = [(15, "person"), (3, "bird"), (77, None), (None, None)]
    assert [(a.category_id, a.category) for a in rows_of(source)[0].annotations] == kinds
    before = source.digest(ref)
    save(file, palette_image(classes * 0))
    assert before != source.digest(ref) == source.read(ref).digest
    save(file, palette_image(classes[:-1]))
    with pytest.raises(RecordError, match=r"SegmentationClass/2007_000033\.png: expected the image's size"):
        source.read(ref)
    file.unlink()
    assert {a.category_id for a in rows_of(source)[0].annotations} == {None}
    plain = msgspec.structs.replace(CATALOG["voc2012"], layout=msgspec.structs.replace(source.layout, classes=""))
    assert b"classes" not in plain.layout.form(), "sets without such a map keep their digests"


def test_crowds_that_are_kept_are_marked_in_every_layout(tmp_path: Path) -> None:
    """No reading of ASAM's keeps them in these two; a user may."""
    for identity, expected in (("ovis", [0, 1]), ("woodscape", [0, 1, 0, 0])):
        TREES[identity](tmp_path / identity)
        entry = CATALOG[identity]
        kept = msgspec.structs.replace(entry, layout=msgspec.structs.replace(entry.layout, crowds="keep"))
        row = rows_of(open_evaluation(kept, tmp_path / identity))[0]
        assert [a.iscrowd for a in row.annotations] == expected


def test_masks_beside_their_images(tmp_path: Path) -> None:
    """Every mask looks like an image here, by its name; so does an image whose name ends like a mask's."""
    toml = MINE.replace("rgb/{name}.png", "{name}.png").replace("ids/{name}.png", "{name}_mask.png")
    write(tmp_path / "mine.toml", toml)
    for name in ("a", "b", "rubber_mask"):
        write_image(tmp_path, f"{name}.png")
        save(tmp_path / f"{name}_mask.png", grid([1, 2]).astype(np.uint8))
    rows = rows_of(parse_evaluation(f"leaves={tmp_path}", load_catalog([tmp_path / "mine.toml"])))
    assert [row.file_name for row in rows] == ["a.png", "b.png", "rubber_mask.png"]
    assert [len(row.annotations) for row in rows] == [2, 2, 2]


INSIDE = grid([1]) == 1
MODES = {
    "1 bit": Image.fromarray(INSIDE),
    "grey and opacity": Image.fromarray(np.stack([INSIDE * np.uint8(255), np.full(SHAPE, 9, np.uint8)], axis=-1)),
    "palette": palette_image(INSIDE * 15),
    "colors and opacity": Image.fromarray(np.stack([INSIDE * np.uint8(n) for n in (255, 9, 0, 255)], axis=-1)),
}


@pytest.mark.parametrize("mode", MODES)
def test_mask_images_of_other_modes(tmp_path: Path, mode: str) -> None:
    """Of colors the first channel counts, also of those behind a palette: VOC's color 15 is (192, 128, 128)."""
    write_image(tmp_path, "imgs/a.jpg")
    save(tmp_path / "gts/a.png", MODES[mode])
    source = open_evaluation(CATALOG["hrsod_te"], tmp_path)
    record = source.read(source.index(BadRecords())[0]).record
    assert record
    np.testing.assert_array_equal(record.masks[0].to_array().astype(bool), INSIDE)


def test_via_projects_are_read_too(tmp_path: Path) -> None:
    write_image(tmp_path, "ABOVE/1.jpg")
    files = {"1.jpg9": {"filename": "1.jpg", "regions": [via_region(ring(60, 40, 70, 60))]}}
    write(tmp_path / "ABOVE_LABELS.json", {"_via_settings": {}, "_via_img_metadata": files})
    source = open_evaluation(CATALOG["ndd20"], tmp_path, protocol="asam")
    (record,) = [source.read(ref).record for ref in source.index(BadRecords())]
    assert record
    np.testing.assert_array_equal(record.masks[0].to_array(), box(60, 40, 70, 60))


def test_an_image_under_several_ids_is_a_row_each(tmp_path: Path) -> None:
    """As in SA-Co, where each pair of an image and a phrase has an id of its own."""
    write_image(tmp_path, "val2017/a.jpg")
    write_image(tmp_path, "val2017/b.jpg")
    images = {10: {"file_name": "a.jpg"}, 7: {"file_name": "b.jpg"}, 9: {"file_name": "a.jpg"}}
    rings = {10: [([ring(1, 1, 9, 9)], 0)], 9: [([ring(2, 2, 5, 5)], 0), ([ring(20, 2, 30, 5)], 0)], 7: []}
    write(tmp_path / "instances_val2017.json", coco_json(images, rings))
    source = open_evaluation(CATALOG["coco2017_val"], tmp_path)
    refs = source.index(BadRecords())
    assert [(ref.file_name, ref.image_id) for ref in refs] == [
        ("val2017/a.jpg", "10"),
        ("val2017/a.jpg", "9"),
        ("val2017/b.jpg", "7"),
    ]
    assert len({source.digest(ref) for ref in refs}) == 3
    rows = rows_of(source)
    assert [(row.image_id, [a.bbox for a in row.annotations]) for row in rows] == [
        ("10", [(1, 1, 8, 8)]),
        ("9", [(2, 2, 3, 3), (20, 2, 10, 3)]),
    ]


def test_an_annotation_file_that_changes_is_read_again(tmp_path: Path) -> None:
    TREES["coco2017_val"](tmp_path)
    source = open_evaluation(CATALOG["coco2017_val"], tmp_path)
    before = rows_of(source)
    file = tmp_path / "annotations/instances_val2017.json"
    table = json.loads(file.read_text())
    table["annotations"].pop(0)
    file.write_text(json.dumps(table))
    assert len(rows_of(source)[0].annotations) == len(before[0].annotations) - 1


DIGEST_CHANGES = {
    "hrsod_te": ["HRSOD_test/1001_abc_o.jpg", "HRSOD_test_mask/1001_abc_o.png"],
    "bbbc038v1": ["stage1_train/00ae/images/00ae.png", "stage1_train/00ae/masks/*.png"],
    "hypersim": ["ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.semantic_instance.hdf5"],
    "woodscape": ["instance_annotations/00001_FV.json"],
    "ade20k": ["images/ADE/validation/urban/street/ADE_val_00000001.json"],
}


@pytest.mark.parametrize(("identity", "names"), DIGEST_CHANGES.items())
def test_a_digest_changes_with_each_file_that_decides_a_row(tmp_path: Path, identity: str, names: list[str]) -> None:
    TREES[identity](tmp_path)
    source = open_evaluation(CATALOG[identity], tmp_path)
    refs = source.index(BadRecords())
    assert len({source.digest(ref) for ref in refs}) == len(refs)
    first, *others = [source.digest(ref) for ref in refs]
    for name in names:
        (file,) = tmp_path.glob(name)
        content = file.read_bytes()
        file.write_bytes(content + b" ")
        assert source.digest(refs[0]) != first
        assert [source.digest(ref) for ref in refs[1:]] == others
        file.write_bytes(content)
    assert source.digest(refs[0]) == first
    same = open_evaluation(CATALOG[identity], tmp_path, protocol="asam")  # none of these reads otherwise
    assert same.digest(refs[0]) == first
    renamed = msgspec.structs.replace(CATALOG[identity], id="another")
    assert open_evaluation(renamed, tmp_path).digest(refs[0]) != first


def test_a_digest_changes_with_the_layout(tmp_path: Path) -> None:
    TREES["hrsod_te"](tmp_path)
    entry = CATALOG["hrsod_te"]
    other = msgspec.structs.replace(entry, layout=msgspec.structs.replace(entry.layout, threshold=1))
    ref = open_evaluation(entry, tmp_path).index(BadRecords())[0]
    digests = {open_evaluation(each, tmp_path).digest(ref) for each in (entry, other)}
    assert len(digests) == 2


JSON_CHANGES: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "coco2017_val": (
        "annotations/instances_val2017.json",
        [
            ("annotations", 0, "segmentation", [ring(1, 1, 9, 9)]),
            ("annotations", 1, "iscrowd", 1),
            ("annotations", 2, "category_id", 4),
            ("annotations", 3, "id", 7),
            ("categories", 0, "name", "bus"),
            ("images", 0, "height", None),
        ],
    ),
    "ovis": (
        "annotations_train.json",
        [
            ("annotations", 0, "segmentations", 0, None),
            ("annotations", 0, "iscrowd", 1),
            ("annotations", 2, "category_id", 2),
            ("categories", 0, "name", "Dog"),
        ],
    ),
    "visor": (
        "GroundTruth-SparseAnnotations/annotations/val/P01_01.json",
        [("video_annotations", 1, "annotations", [{"name": "cup", "class_id": 13, "segments": []}])],
    ),
    "ndd20": ("ABOVE_LABELS.json", [("1.jpg8123", "regions", 0, "shape_attributes", "all_points_x", 0, 6)]),
}


@pytest.mark.parametrize(("identity", "file", "changes"), [(i, *rest) for i, rest in JSON_CHANGES.items()])
def test_a_digest_changes_with_what_a_shared_file_says_of_its_image(
    tmp_path: Path, identity: str, file: str, changes: list[tuple[Any, ...]]
) -> None:
    TREES[identity](tmp_path)
    source = open_evaluation(CATALOG[identity], tmp_path)
    refs = source.index(BadRecords())
    before = [source.digest(ref) for ref in refs]
    original = (tmp_path / file).read_text()
    for number, (*steps, last, value) in enumerate(changes):
        table = place = json.loads(original)
        for step in steps:
            place = place[step]
        place[last] = value
        write(tmp_path / file, table)
        os.utime(tmp_path / file, ns=(number, number))  # within a tick of the clock all times are equal
        after = [source.digest(ref) for ref in refs]
        assert after[0] != before[0], (steps, last)
        if steps[0] not in ("categories",):
            assert after[-1] == before[-1], (steps, last)  # an image that it is not about
    write(tmp_path / file, original)
    os.utime(tmp_path / file, ns=(99, 99))
    assert [source.digest(ref) for ref in refs] == before


# ------------------------------------------------------------------------------------------------ the table


def test_rows_survive_msgpack(tmp_path: Path) -> None:
    TREES["coco2017_val"](tmp_path)
    rows = rows_of(open_evaluation(CATALOG["coco2017_val"], tmp_path))
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(rows), type=list[EvaluationRow])
    assert again == rows
    table = to_table(EVALUATION, again)
    assert table.equals(to_table(EVALUATION, rows))
    assert sum(row_bytes(row) for row in rows) == pytest.approx(table.nbytes, rel=0.2)


def test_the_table_loads_in_datasets(tmp_path: Path) -> None:
    rows = []
    for identity in ("coco2017_val", "hrsod_te", "cvc_clinicdb"):
        TREES[identity](tmp_path / identity)
        rows += rows_of(open_evaluation(CATALOG[identity], tmp_path / identity))
    table = to_table(EVALUATION, rows)
    assert table.schema.equals(arrow_schema(EVALUATION), check_metadata=True)
    assert table.column_names == [
        "image",
        "masks",
        "annotations",
        "image_id",
        "file_name",
        "width",
        "height",
        "dataset",
    ]
    assert image_columns(EVALUATION) == ["image.bytes", "masks.list.element.bytes"]
    pq.write_table(table, tmp_path / "part.parquet")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "part.parquet"), cache_dir=str(tmp_path / "cache")
    )
    split = loaded["train"]
    assert split.features == datasets.Features.from_dict(features_json(EVALUATION))
    for number, row in enumerate(rows):
        one = split[number]
        assert one["image"].size == (row.width, row.height)
        assert [mask.size for mask in one["masks"]] == [(row.width, row.height)] * len(row.masks)
        assert [a["area"] for a in one["annotations"]] == [a.area for a in row.annotations]
        assert [a["bbox"] for a in one["annotations"]] == [list(a.bbox) for a in row.annotations]
    assert to_table(EVALUATION, []).schema.equals(table.schema)


def test_hundreds_of_objects_in_a_large_image_take_little_memory(tmp_path: Path) -> None:
    ids = np.add.outer(np.arange(3600) // 180 * 20, np.arange(5000) // 250).astype(np.uint16) + 1
    save(tmp_path / "val/a.png", np.zeros((3600, 5000), np.uint8))
    save(tmp_path / "val_labels/a.png", ids)
    code = (
        "import re, sys; from asam_datasets.sources.evaluation import *; from asam_datasets.sources import BadRecords\n"
        "source = parse_evaluation(sys.argv[1], load_catalog())\n"
        "record = source.read(source.index(BadRecords())[0]).record\n"
        # Not `ru_maxrss`: a new process inherits that of the one that started it.
        "peak = re.search(r'VmHWM:\\s+(\\d+) kB', open('/proc/self/status').read())[1]\n"
        "print(len(record.masks), int(peak) * 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"ibd:index-map={tmp_path}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    masks, peak = map(int, done.stdout.split())
    assert masks == 400
    assert peak < 600e6


def test_reading_sets_loads_nothing_heavy() -> None:
    code = (
        "import sys, asam_datasets.sources.evaluation\n"
        "print([name for name in ('torch', 'datasets', 'h5py', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
