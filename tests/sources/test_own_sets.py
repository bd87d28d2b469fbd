"""Sets of one's own: read by looking at the folder, and catalogs that are begun for them."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest
from conftest import ROOT
from evaluation_trees import (
    TREES,
    box,
    by_color,
    by_value,
    coco_json,
    ellipse,
    grid,
    palette_image,
    ring,
    save,
    soft_mask,
    write,
    write_image,
)
from test_evaluation_sets import check
from typer.testing import CliRunner, Result

from asam_datasets.cli import app
from asam_datasets.errors import CatalogError, SourceError
from asam_datasets.progress import Listener
from asam_datasets.publish import PublishOptions, plan
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import (
    Entry,
    EvaluationSource,
    begin_entry,
    entry_toml,
    load_catalog,
    open_evaluation,
    parse_evaluation,
)
from asam_datasets.sources.evaluation._entry import Reading
from asam_datasets.sources.evaluation.layouts import Layout
from asam_datasets.sources.evaluation.layouts._base import BaseLayout
from asam_datasets.sources.evaluation.layouts._json import AnnotationFile
from asam_datasets.sources.evaluation.layouts._pairs import Pair

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CATALOG = load_catalog()


def own(root: Path) -> EvaluationSource:
    """A set that no catalog knows."""
    return parse_evaluation(f"mine={root}", CATALOG)


def test_binary_masks(tmp_path: Path) -> None:
    masks = {}
    for number in range(3):
        name = write_image(tmp_path, f"images/sub/{number}.JPG")
        save(tmp_path / f"masks/sub/{number}.png", (ellipse(20 + number, 30, 9, 9) * 255).astype(np.uint8))
        masks[name] = [ellipse(20 + number, 30, 9, 9)]
    source = own(tmp_path)
    assert check(source, masks) == 0
    assert (source.name, source.split, source.kind) == ("mine", "test", "binary")
    assert source.taken == (
        f"mine={tmp_path}: no catalog knows this set; it is read as images/<path>/<name>.jpg with "
        "masks/<path>/<name>.png, masks are binary: the masks hold 0 and 255"
    )


def test_binary_masks_of_0_and_1_and_with_soft_edges(tmp_path: Path) -> None:
    thing = ellipse(20, 30, 9, 9)
    for folder in ("ones", "soft"):
        write_image(tmp_path / folder, "imgs/a.png")
    save(tmp_path / "ones/gts/a_mask.png", thing.astype(np.uint8))
    assert check(own(tmp_path / "ones"), {"imgs/a.png": [thing]}) == 0
    soft = np.where(thing, 255, 0).astype(np.uint8)
    soft[20, 20:40] = [40, 127, 128, 200] * 5
    save(tmp_path / "soft/gts/a.png", soft)
    assert check(own(tmp_path / "soft"), {"imgs/a.png": [soft >= 128]}) == 0
    # A JPEG of a mask holds values around 0 and 255.
    (tmp_path / "soft/gts/a.png").unlink()
    save(tmp_path / "soft/gts/a.jpg", (thing * 255).astype(np.uint8))
    assert own(tmp_path / "soft").kind == "binary"


def test_maps_of_numbers(tmp_path: Path) -> None:
    labels = grid([1, 2, 700])
    for name, content in (
        ("bits", labels.astype(np.uint16)),
        ("palette", palette_image(labels % 256)),
        ("single", palette_image((labels == 2).astype(np.uint8))),
    ):
        write_image(tmp_path / name, "image/a.jpg")
        save(tmp_path / name / "label/a.png", content)
    assert check(own(tmp_path / "bits"), {"image/a.jpg": by_value(labels, 0)}) == 0
    assert check(own(tmp_path / "palette"), {"image/a.jpg": by_value(labels % 256, 0)}) == 0
    assert check(own(tmp_path / "single"), {"image/a.jpg": [labels == 2]}) == 0
    source = own(tmp_path / "bits")
    assert source.kind == "instance"
    assert source.taken.endswith("the masks are maps of numbers (1, 2, 700): each is taken for an object")


def test_maps_of_colors(tmp_path: Path) -> None:
    colors = np.array([(0, 0, 0), (200, 0, 0), (0, 200, 0)], np.uint8)[grid([1, 2])]
    write_image(tmp_path, "images/a.jpg")
    save(tmp_path / "masks/a.png", colors)
    source = own(tmp_path)
    assert check(source, {"images/a.jpg": by_color(colors, (0, 0, 0))}) == 0
    assert "maps of colors" in source.taken


@pytest.mark.parametrize("pattern", ["{image}/{number}.png", "{image}_{number}.png", "{image}-{number}.png"])
def test_one_file_per_object(tmp_path: Path, pattern: str) -> None:
    things = [ellipse(10, 10, 5, 5), ellipse(30, 40, 9, 9)]
    masks = {}
    for image in ("a", "b_c"):
        masks[write_image(tmp_path, f"images/{image}.jpg")] = things
        for number, thing in enumerate(things):
            save(tmp_path / "masks" / pattern.format(image=image, number=number), (thing * 255).astype(np.uint8))
    source = own(tmp_path)
    assert check(source, masks) == 0
    assert source.kind == "instance"
    assert source.taken.endswith("there are files per object")


@pytest.mark.parametrize(
    ("json", "images"), [("all.json", "photos/"), ("annotations/x.json", "images/"), ("x.json", "")]
)
def test_a_coco_json(tmp_path: Path, json: str, images: str) -> None:
    write(tmp_path / "settings.json", {"images": "none"})
    write_image(tmp_path, f"{images}a.jpg")
    write(tmp_path / json, coco_json({1: {"file_name": "a.jpg"}}, {1: [([ring(1, 1, 9, 9)], 0)]}))
    source = own(tmp_path)
    assert check(source, {f"{images}a.jpg": [box(1, 1, 9, 9)]}) == 0
    assert source.taken.endswith(f"{json} is a COCO JSON, whose images are {images}{{file_name}}")


def test_a_folder_of_something_else_is_no_set(tmp_path: Path) -> None:
    write_image(tmp_path, "images/a.jpg")
    write(tmp_path / "notes.json", {"images": [{"file_name": "images/a.jpg"}]})
    with pytest.raises(CatalogError, match="expected a set of the catalog, found 'mine'") as caught:
        own(tmp_path)
    assert "`asam-datasets catalog new FOLDER` begins one" in caught.value.hint
    with pytest.raises(CatalogError, match="expected a set of the catalog, found 'mine'"):
        own(tmp_path / "none")
    save(tmp_path / "masks/a.png", soft_mask(1))
    with pytest.raises(CatalogError, match="found 'train'"):
        parse_evaluation(f"train={tmp_path}", CATALOG)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe has no end, and a link may lead anywhere."""
    os.mkfifo(tmp_path / "x.json")
    (tmp_path / "y.json").symlink_to("/dev/zero")
    with pytest.raises(CatalogError, match="expected a set of the catalog, found 'mine'"):
        own(tmp_path)
    (tmp_path / "annotations").mkdir()
    os.mkfifo(tmp_path / "annotations/instances_val2017.json")
    source = open_evaluation(CATALOG["coco2017_val"], tmp_path)
    with pytest.raises(SourceError, match=r"instances_val2017\.json: expected a readable file, found: a named pipe"):
        source.index(BadRecords("skip"))


def test_a_slip_of_the_pen_is_no_new_set(tmp_path: Path) -> None:
    TREES["kvasir_seg"](tmp_path)
    with pytest.raises(CatalogError) as caught:
        parse_evaluation(f"kvasir={tmp_path}", CATALOG)
    assert caught.value.hint.startswith("Did you mean kvasir_seg or kvasir_sessile? ")
    assert own(tmp_path).kind == "binary"  # under a name of its own it is one's own


# ------------------------------------------------------------------------------------------------ TOML


@pytest.mark.parametrize("identity", CATALOG)
def test_an_entry_survives_toml(tmp_path: Path, identity: str) -> None:
    entry = CATALOG[identity]
    renamed = msgspec.structs.replace(entry, id=f"x_{identity}")
    write(tmp_path / "mine.toml", entry_toml(entry, explained=True) + entry_toml(renamed))
    assert load_catalog([tmp_path / "mine.toml"])[f"x_{identity}"] == renamed


def test_text_of_any_kind_survives_toml(tmp_path: Path) -> None:
    layout = CATALOG["zerowaste_f"].asam
    assert layout is not None
    names = {1: 'a "quoted" \\ one', 2: "line\nbreak\x7f\x01", 3: "größe ] } # 'x'"}
    odd = msgspec.structs.replace(
        CATALOG["hrsod_te"],
        id="odd",
        name=names[1],
        notes=names[2],
        license=names[3],
        layout=msgspec.structs.replace(layout.layout, names=names),
        kind="semantic",
    )
    write(tmp_path / "odd.toml", entry_toml(odd))
    assert load_catalog([tmp_path / "odd.toml"])["odd"] == odd


def test_a_catalog_that_is_begun_reads_the_folder(tmp_path: Path) -> None:
    root = tmp_path / "3 My-Leaves"
    write_image(root, "images/a.jpg")
    save(root / "masks/a.png", grid([1, 2, 3]).astype(np.uint8))
    entry, why = begin_entry(root)
    assert (entry.id, entry.kind, entry.redistributable) == ("my_3_my_leaves", "instance", "unknown")
    assert why.startswith("the masks are maps of numbers (1, 2, 3)")
    text = entry_toml(entry, explained=True)
    for word in ("yes, no or unknown", "test or validation", "instance, semantic, binary or panoptic"):
        assert word in text
    write(tmp_path / "mine.toml", text)
    source = parse_evaluation(f"{entry.id}={root}", load_catalog([tmp_path / "mine.toml"]))
    assert check(source, {"images/a.jpg": by_value(grid([1, 2, 3]), 0)}) == 0
    assert source.taken == ""
    empty, why = begin_entry(tmp_path)
    assert "nothing known" in why
    assert isinstance(empty, Entry)
    with pytest.raises(SourceError, match="expected the folder of a set, found none"):
        begin_entry(tmp_path / "none")


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path / "mine.toml", '[mine]\nname = "Mine"\nlicense = ""\n')
    with pytest.raises(CatalogError) as caught:
        load_catalog([tmp_path / "mine.toml"])
    assert str(caught.value) == (
        f"{tmp_path}/mine.toml: [mine]: object missing required fields `homepage`, `redistributable`, `split`, "
        "`source_split`, `kind`, `layout`"
    )
    for text in (
        "`redistributable` is 'no', 'unknown' or 'yes'.",
        "`split` is 'test' or 'validation'.",
        "`kind` is 'binary', 'instance', 'panoptic' or 'semantic'.",
        "`asam-datasets catalog show hrsod_te --toml` prints an entry that is right.",
    ):
        assert text in caught.value.hint


def test_what_is_missing_below_a_set_is_told_with_it(tmp_path: Path) -> None:
    write(
        tmp_path / "mine.toml",
        '[mine]\nname = "Mine"\nhomepage = ""\nlicense = ""\nredistributable = "yes"\nsplit = "test"\nkind = "binary"\n'
        '[mine.layout]\ntype = "binary"\npairs = [{ mask = "a.png" }, {}]\npackagings = [[{ image = "b.png" }]]\n'
        '[mine.variants.b]\n[mine.variants.c.layout]\npairs = [{}]\n[mine.asam.layout]\ntype = "coco"\nfiles = [{}]\n',
    )
    with pytest.raises(CatalogError) as caught:
        load_catalog([tmp_path / "mine.toml"])
    assert caught.value.problem == (
        "object missing required fields `source_split`, `layout.pairs[0].image`, `layout.pairs[1].image`, "
        "`layout.pairs[1].mask`, `layout.packagings[0][0].mask`, `variants.b.layout`, `variants.c.layout.type`, "
        "`asam.layout.files[0].json`, `asam.layout.files[0].images`"
    )
    assert "`type` is 'binary', 'coco', 'hypersim', 'index_map', 'labelme', " in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ('kind = "binary"', 'kind = "masks"', "`kind` is 'binary', 'instance', 'panoptic' or 'semantic'."),
        ('type = "binary"', 'type = "png"', "`type` is 'binary', 'coco', 'hypersim', "),
        ("threshold", "treshold", "A layout of the type binary has the fields without_objects, pairs, packagings, "),
        ("mask =", "label =", "A table there has the fields image, mask, listed."),
        ("threshold = 129", 'threshold = 129\nlone_images = "keep"', "`lone_images` is 'drop' or 'reject'."),
        ("citation", "cite", "A set has the fields id, name, homepage, "),
    ],
)
def test_what_is_wrong_comes_with_what_is_right(tmp_path: Path, old: str, new: str, hint: str) -> None:
    text = entry_toml(CATALOG["hrsod_te"])
    assert old in text
    write(tmp_path / "mine.toml", text.replace(old, new, 1))
    with pytest.raises(CatalogError) as caught:
        load_catalog([tmp_path / "mine.toml"])
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("layout", get_args(Layout), ids=lambda layout: layout.__name__)
def test_every_layout_does_all_that_the_contract_names(layout: type[BaseLayout]) -> None:
    """Structs of msgspec have no abstract methods, so nothing else says when one is missing."""
    contract = {name for name, value in vars(BaseLayout).items() if "NotImplementedError" in _source(value)}
    contract |= {
        name
        for family in layout.__mro__
        for name, value in vars(family).items()
        if "NotImplementedError" in _source(value)
    }
    assert {"ways", "fits", "why_nothing", "index"} <= contract
    assert [name for name in sorted(contract) if "NotImplementedError" in _source(getattr(layout, name))] == []


def _source(value: object) -> str:
    return inspect.getsource(value) if inspect.isfunction(value) else ""


@pytest.mark.parametrize("public", ["../others.csv", "/etc/passwd", "{name}.csv"])
def test_the_list_of_a_release_lies_in_the_set(tmp_path: Path, public: str) -> None:
    text = entry_toml(CATALOG["hypersim"]).replace("metadata_images_split_scene_v1.csv", public)
    assert public in text
    write(tmp_path / "mine.toml", text)
    with pytest.raises(CatalogError, match="expected"):
        load_catalog([tmp_path / "mine.toml"])


@pytest.mark.parametrize("unknown", ["[mine.variants.b]\nkin = 1\n", "[mine.variants.b.layout]\ntype = 1\n"])
def test_what_is_wrong_in_a_variant_is_told(tmp_path: Path, unknown: str) -> None:
    text = entry_toml(CATALOG["hrsod_te"]).replace("[hrsod_te", "[mine").replace('id = "hrsod_te"\n', "")
    write(tmp_path / "mine.toml", f"{text}\n{unknown}")
    with pytest.raises(CatalogError, match=r"variants"):
        load_catalog([tmp_path / "mine.toml"])


@pytest.mark.parametrize("text", [f"[mine]\nexpected_images = {'9' * 5000}\n", f"a = {'[' * 20000}\n"])
def test_toml_that_python_stumbles_over_is_told(tmp_path: Path, text: str) -> None:
    write(tmp_path / "mine.toml", text)
    with pytest.raises(CatalogError, match="expected TOML, found: "):
        load_catalog([tmp_path / "mine.toml"])


def verb(*words: str | Path) -> Result:
    """Run `asam-datasets catalog` in this process."""
    return CliRunner().invoke(app, ["catalog", *map(str, words)])


def test_the_verb(tmp_path: Path) -> None:
    """`catalog new` begins a catalog, `catalog show --toml` prints an entry that is right."""
    write_image(tmp_path / "leaves", "images/a.jpg")
    save(tmp_path / "leaves/masks/a.png", (ellipse(20, 30, 9, 9) * 255).astype(np.uint8))
    file = tmp_path / "mine.toml"
    told = verb("new", tmp_path / "leaves", "--out", file)
    assert (told.exit_code, told.stdout) == (0, f"{file}\n")
    assert "the masks hold 0 and 255. Fill in what is empty." in told.stderr
    assert load_catalog([file])["leaves"].kind == "binary"
    assert verb("new", tmp_path / "leaves").stdout == file.read_text()
    again = verb("new", tmp_path / "leaves", "--out", file)
    assert again.exit_code != 0
    assert "expected a new file, found one" in str(again.exception)
    shown = verb("--catalog", file, "show", "leaves", "--toml")
    assert shown.stdout == entry_toml(load_catalog([file])["leaves"])
    for wrong in (["list", "--toml"], ["show", "leaves", "--out", "x"], ["new"], ["new", "x", "--toml"]):
        assert verb(*wrong).exit_code == 2


def test_publish_says_what_it_took_a_folder_for(tmp_path: Path) -> None:
    root = tmp_path / "leaves"
    write_image(root, "images/a.jpg")
    save(root / "masks/a.png", grid([1, 2, 3]).astype(np.uint8))
    told: list[str] = []
    options = PublishOptions(out=tmp_path / "out", evaluation=[f"leaves={root}"], workers=1)
    planned = plan(options, Listener(on_stage=told.append))
    (line,) = [line for line in told if line.startswith(f"leaves={root}: ")]
    assert "no catalog knows this set; it is read as images/<path>/<name>.jpg with masks/<path>/<name>.png" in line
    assert planned.rows == 1


DOCS = (ROOT / "docs/reference/own_sets.md").read_text()


@pytest.mark.parametrize("layout", get_args(Layout), ids=lambda layout: layout.__name__)
def test_every_layout_and_each_of_its_fields_is_in_the_docs(layout: type[msgspec.Struct]) -> None:
    own = DOCS.partition(f"\n### `{layout.__struct_config__.tag}`")[2].partition("\n### ")[0]
    shared = DOCS.partition("\n## What all layouts share")[2].partition("\n## ")[0]
    assert own
    for field in msgspec.structs.fields(layout):
        assert f"`{field.encode_name}`" in own + shared, field.name


def test_every_field_of_a_set_is_in_the_docs() -> None:
    for kind in (Entry, Reading, Pair, AnnotationFile):
        for field in msgspec.structs.fields(kind):
            assert f"`{field.encode_name}`" in DOCS, (kind, field.name)
