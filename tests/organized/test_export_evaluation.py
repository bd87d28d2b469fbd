"""Evaluation sets out of a published dataset: what ASAM's loaders and pycocotools read, again, killed, hostile."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives import tree
from conftest import ROOT, Ran, Run, kill_and_wait_for_all, run_python
from evaluation_trees import SHAPE, TREES, Tree, coco_json, runs, save, write, write_image
from local_hub import Fault, LocalHub
from PIL import Image
from pycocotools.coco import COCO

from asam_datasets.demo import DemoArchive
from asam_datasets.errors import RecordError, SourceError, TargetError
from asam_datasets.masks import Runs
from asam_datasets.organized import export, organize
from asam_datasets.organized._coco import Imaged, encode_coco
from asam_datasets.organized._names import flat_names, mask_name
from asam_datasets.sources.evaluation import EvaluationAnnotation
from asam_datasets.sources.sa1b import find_archives

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

SETS = ("hrsod_te", "coco2017_val", "cityscapes")
REPO = "xhk/ASAM-Datasets"
Folders = dict[str, tuple[Path, Tree]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    base = tmp_path_factory.mktemp("sets")
    for name in SETS:
        (base / name).mkdir()
    return {name: (base / name, TREES[name](base / name)) for name in SETS}


@pytest.fixture(scope="module")
def given(folders: Folders) -> list[str]:
    return ["--evaluation", *(f"{name}={folder}" for name, (folder, _) in folders.items())]


@pytest.fixture(scope="module")
def published(given: list[str], publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "dataset"
    ran = publish(*given, "--out", out)
    assert ran.code == 0, ran.err
    return out


@pytest.fixture(scope="module")
def exported(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets as `export` makes them; copy the folder to change it."""
    out = tmp_path_factory.mktemp("exported") / "sam-1b"
    export(published, out, workers=1)
    return out


def run(*arguments: object, env: dict[str, str] | None = None) -> Ran:
    """`asam-datasets export`."""
    return run_python("-m", "asam_datasets", "export", *map(str, arguments), env=env)


def masks_of(tree: Tree) -> dict[str, list[Any]]:
    assert tree.default is not None
    return tree.default


def read_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


# ------------------------------------------------------------------------------------------------ what is written


def test_binary_sets_as_asam_pairs_them(exported: Path, folders: Folders) -> None:
    """`imgs/*.jpg`, then `imgs` → `gts` and `.jpg` → `.png`; the first channel, > 128."""
    folder, expected = folders["hrsod_te"]
    masks = {Path(name).name: (folder / name, masks) for name, masks in masks_of(expected).items()}
    found = sorted((exported / "testdata/hrsod_te/imgs").glob("*.jpg"))
    assert [path.name for path in found] == sorted(masks)
    assert {path.name for path in (exported / "testdata/hrsod_te").iterdir()} == {"imgs", "gts"}
    assert len(list((exported / "testdata/hrsod_te/gts").iterdir())) == len(found)
    for path in found:
        source, (mask,) = masks[path.name]
        assert path.read_bytes() == source.read_bytes()
        pixels = cv2.imread(str(path).replace("imgs", "gts").replace(".jpg", ".png"), cv2.IMREAD_UNCHANGED)
        assert pixels.dtype == np.uint8
        assert set(np.unique(pixels)) <= {0, 255}
        assert np.array_equal(pixels > 128, mask)


@pytest.mark.parametrize("name", ["coco2017_val", "cityscapes"])
def test_other_sets_as_pycocotools_reads_them(name: str, exported: Path, folders: Folders) -> None:
    folder, expected = folders[name]
    root = exported / "testdata" / name
    assert {path.name for path in root.iterdir()} == {"imgs", "annotations.json"}
    coco = read_coco(root / "annotations.json")
    images = {image["source_file_name"]: image for image in coco.loadImgs(coco.getImgIds())}
    assert sorted(images) == sorted(masks_of(expected))
    assert sorted(path.name for path in (root / "imgs").iterdir()) == sorted(i["file_name"] for i in images.values())
    for source, masks in masks_of(expected).items():
        image = images[source]
        assert (root / "imgs" / image["file_name"]).read_bytes() == (folder / source).read_bytes()
        assert (image["height"], image["width"]) == masks[0].shape
        found = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]], iscrowd=None))
        decoded = [coco.annToMask(one).astype(bool) for one in found]
        assert Counter(mask.tobytes() for mask in decoded) == Counter(np.asarray(m, bool).tobytes() for m in masks)
        for one, mask in zip(found, decoded, strict=True):
            ys, xs = np.nonzero(mask)
            x, y = xs.min(), ys.min()
            assert one["bbox"] == [x, y, xs.max() - x + 1, ys.max() - y + 1], "exclusive, as COCO's"
            assert one["area"] == mask.sum()
            assert isinstance(one["segmentation"]["counts"], str)
            assert one["category_id"] in coco.cats


def test_ids_and_categories_are_the_sources_own(exported: Path) -> None:
    table = json.loads((exported / "testdata/coco2017_val/annotations.json").read_text())
    assert table["categories"] == [{"id": 3, "name": "car"}]
    assert [image["id"] for image in table["images"]] == [11, 12]
    assert table["images"][0]["file_name"] == "000000000139.jpg"
    # ASAM's LVISDataset: coco_url.split("/")[-1] below the folder of the images.
    names = [image["coco_url"].split("/")[-1] for image in table["images"]]
    assert all((exported / "testdata/coco2017_val/imgs" / name).is_file() for name in names)
    assert names == [image["file_name"] for image in table["images"]]
    assert {one["id"] for one in table["annotations"]} == {100, 101, 102, 104, 105}
    streets = json.loads((exported / "testdata/cityscapes/annotations.json").read_text())
    assert [image["id"] for image in streets["images"]] == [1]
    assert streets["images"][0]["source_id"].endswith("frankfurt_000000_000294_leftImg8bit")
    assert {"id": 26, "name": "car"} in streets["categories"]


def test_crowds_are_kept(folders: Folders, publish: Run, tmp_path: Path) -> None:
    folder, expected = folders["coco2017_val"]
    out = tmp_path / "dataset"
    assert publish("--evaluation", f"coco2017_val={folder}", "--protocol", "asam", "--out", out).code == 0
    export(out, tmp_path / "sam-1b", workers=1)
    coco = read_coco(tmp_path / "sam-1b/testdata/coco2017_val/annotations.json")
    assert expected.asam is not None
    assert len(coco.anns) == sum(map(len, expected.asam.values()))
    assert [one["id"] for one in coco.loadAnns(coco.getAnnIds(iscrowd=True))] == [103]


def test_beside_archives(demo: DemoArchive, given: list[str], exported: Path, publish: Run, tmp_path: Path) -> None:
    """One folder for both, in any order; what reads the archives in it does not see the sets."""
    ran = publish("--train", demo.archive, "--captions", demo.captions, *given, "--out", tmp_path / "dataset")
    assert ran.code == 0, ran.err
    done = run(tmp_path / "dataset", "--out", tmp_path / "both", "--masks", "none", "--workers", 2)
    assert done.code == 0, done.err
    assert "testdata/hrsod_te  2 images, 2 masks (binary)" in done.out
    assert tree(tmp_path / "both/testdata") == tree(exported / "testdata")
    assert not (tmp_path / "both/.asam_datasets").exists()
    assert find_archives(tmp_path / "both") == [str(tmp_path / "both/sa_000000")]
    shutil.copytree(exported, tmp_path / "other")
    organize([demo.archive], tmp_path / "other", captions=[demo.captions], masks="none", workers=1)
    assert tree(tmp_path / "other") == tree(tmp_path / "both")
    as_json = json.loads(run(tmp_path / "dataset", "--out", tmp_path / "both", "--masks", "none", "--json").out)
    assert {one["dataset"]: one["form"] for one in as_json["sets"]} == dict.fromkeys(SETS, "coco") | {
        "hrsod_te": "binary"
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_from_the_hub(workers: int, given: list[str], exported: Path, publish: Run, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub", xet=False) as hub:
        env = {**hub.environment(tmp_path / "home", xet=False), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        env["PYTHONPATH"] = str(ROOT)
        assert publish(*given, "--repo-id", REPO, env=env).code == 0
        done = run(REPO, "--out", tmp_path / "out", "--workers", workers, env=env)
        assert done.code == 0, done.err
        assert tree(tmp_path / "out") == tree(exported)
        faults = [
            Fault(path="README.md", kind="status", status=503),
            Fault(path="/api/datasets/", kind="drop"),
            Fault(path=r"\.parquet", kind="status", status=503),
        ]
        for fault in faults:
            hub.inject(fault)
        env["HF_HOME"] = str(tmp_path / "fresh")  # nothing of the first run is found in the cache
        again = run(REPO, "--out", tmp_path / "again", "--workers", workers, env=env)
        assert again.code == 0, again.err
        assert all(fault.fired for fault in faults)
        assert tree(tmp_path / "again") == tree(exported)


# ------------------------------------------------------------------------------------------------ again


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.rglob("*") if p.is_file()}


def test_a_second_run_changes_nothing(published: Path, exported: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(exported, tmp_path / "sam-1b"))
    before = snapshot(out)
    export(published, out, workers=2)
    assert snapshot(out) == before
    assert {path.name for path in out.iterdir()} == {"testdata"}


@pytest.fixture(scope="module")
def many(publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two sets with 300 images each: long enough to be killed in the middle."""
    base = tmp_path_factory.mktemp("many")
    mask = np.zeros(SHAPE, bool)
    mask[4:30, 5:40] = True
    names = [f"{number:012}.jpg" for number in range(1, 301)]
    for name in names:
        write_image(base / "coco", f"val2017/{name}")
        write_image(base / "hrsod", f"HRSOD_test/{name}")
        save(base / f"hrsod/HRSOD_test_mask/{Path(name).stem}.png", mask.astype(np.uint8) * 255)
    images = {number: {"file_name": name} for number, name in enumerate(names, 1)}
    write(
        base / "coco/annotations/instances_val2017.json",
        coco_json(images, {number: [(runs(mask), 0)] for number in images}),
    )
    ran = publish(
        "--evaluation", f"coco2017_val={base / 'coco'}", f"hrsod_te={base / 'hrsod'}", "--out", base / "dataset"
    )
    assert ran.code == 0, ran.err
    return base / "dataset"


def test_killed_and_resumed(many: Path, tmp_path: Path) -> None:
    export(many, tmp_path / "whole", workers=1)
    whole, out = tree(tmp_path / "whole"), tmp_path / "sam-1b"
    command = [sys.executable, "-m", "asam_datasets", "export", str(many), "--out", str(out), "--workers", "2"]
    sets = out / "testdata"
    for count, name in ((1, "coco2017_val"), (100, "coco2017_val"), (1, "hrsod_te"), (100, "hrsod_te")):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + 300
        while len(list((sets / name / "imgs").glob("*.jpg"))) < count and time.monotonic() < end:
            time.sleep(0.001)
        kill_and_wait_for_all(process)
        there = {path: content for path, content in tree(out).items() if not path.startswith(".asam_datasets")}
        assert there.items() <= whole.items(), "never a half file"
        for path in (sets / "hrsod_te/imgs").glob("*"):
            assert (sets / "hrsod_te/gts" / f"{path.stem}.png").is_file(), "the mask comes first"
    kept = snapshot(sets)
    export(many, out, workers=1)
    assert tree(out) == whole
    assert kept.items() <= snapshot(sets).items(), "what was finished is kept"


# ------------------------------------------------------------------------------------------------ somebody else's

FOREIGN = [
    "testdata/notes.txt",
    "testdata/hrsod_te/notes.txt",
    "testdata/hrsod_te/imgs/cat.jpg",
    "testdata/hrsod_te/annotations.json",
    "testdata/coco2017_val/gts/000000000139.png",
    "testdata/coco2017_val/imgs",
    "testdata/other/data/cat.jpg",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_that_holds_something_else(name: str, published: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    with pytest.raises(TargetError, match="expected an empty folder or an organised one of these archives, found test"):
        export(published, out, workers=1)
    assert [path for path in out.rglob("*") if path.is_file()] == [out / name]
    assert (out / name).read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    [
        "hrsod_te/imgs/1001_abc_o.jpg",
        "hrsod_te/gts/1001_abc_o.png",
        "coco2017_val/imgs/000000000139.jpg",
        "coco2017_val/annotations.json",
    ],
)
def test_other_bytes_under_a_name_are_not_replaced(name: str, published: Path, exported: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(exported, tmp_path / "sam-1b"))
    (out / "testdata" / name).write_bytes(b"mine")
    with pytest.raises(TargetError, match="expected nothing there, or the bytes that this would write"):
        export(published, out, workers=1)
    assert (out / "testdata" / name).read_bytes() == b"mine"


def test_another_set_beside_it_stays(published: Path, exported: Path, tmp_path: Path) -> None:
    other = tmp_path / "sam-1b/testdata/camo/imgs/a.jpg"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"mine")
    export(published, tmp_path / "sam-1b", workers=1)
    assert other.read_bytes() == b"mine"
    shutil.rmtree(tmp_path / "sam-1b/testdata/camo")
    assert tree(tmp_path / "sam-1b") == tree(exported)


# ------------------------------------------------------------------------------------------------ without images


def test_annotations_only_is_left_out_and_told(folders: Folders, publish: Run, tmp_path: Path) -> None:
    sets = ["--evaluation", *(f"{name}={folders[name][0]}" for name in ("hrsod_te", "coco2017_val"))]
    one = publish(*sets, "--annotations-only", "coco2017_val", "--out", tmp_path / "one")
    assert one.code == 0, one.err
    done = run(tmp_path / "one", "--out", tmp_path / "sam-1b", "--workers", 1)
    assert done.code == 0, done.err
    assert "note       coco2017_val was published without its images and is left out" in done.out
    assert {path.name for path in (tmp_path / "sam-1b/testdata").iterdir()} == {"hrsod_te"}
    # `'sam' not in gt_path` is how ASAM's program tells binary masks from SA-1B.
    assert f"takes a path with `sam` in it for SA-1B, such as {tmp_path / 'sam-1b/testdata'}" in done.out
    assert not any("`sam`" in note for note in export(tmp_path / "one", tmp_path / "plain", workers=1).notes)
    none = publish(*sets, "--annotations-only", "coco2017_val", "hrsod_te", "--out", tmp_path / "none")
    assert none.code == 0, none.err
    with pytest.raises(SourceError, match="expected images, found only annotations of coco2017_val, hrsod_te"):
        export(tmp_path / "none", tmp_path / "nothing", workers=1)
    assert not (tmp_path / "nothing").exists()


# ------------------------------------------------------------------------------------------------ hostile datasets


Rows = list[dict[str, Any]]


def changed(published: Path, tmp_path: Path, name: str, change: Callable[[Rows], object]) -> Path:
    """A copy of the dataset in which the rows of a set are others."""
    copy = Path(shutil.copytree(published, tmp_path / "dataset"))
    (part,) = copy.glob(f"data/evaluation/{name}-*/*.parquet")
    table = pq.read_table(part)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    return copy


HOSTILE = [
    ("../../../a.jpg", "../b.jpg"),
    ("/etc/a.jpg", "/b.jpg"),
    ("x/a.jpg", "y/a.jpg"),
    ("a.jpg", "a.png"),
    ("x/A.jpg", "x/a.jpg"),
    ("a.jpg", "a.jpg"),
    ("..", "."),
    ("a\0b.jpg", "c:\\d\\e.jpg"),
    (".hidden.jpg", "\u202egpj.a"),
    ("n" * 400 + "1.jpg", "n" * 400 + "2.jpg"),
    ("", "gts/"),
]


@pytest.mark.parametrize("names", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("name", ["hrsod_te", "coco2017_val"])
def test_hostile_names(name: str, names: tuple[str, str], published: Path, tmp_path: Path) -> None:
    contents = []

    def rename(rows: Rows) -> None:
        for row, path in zip(rows, names, strict=True):
            row["file_name"] = path
            contents.append(row["image"]["bytes"])

    dataset = changed(published, tmp_path, name, rename)
    out = tmp_path / "in" / "deep" / "sam-1b"
    for _ in range(2):
        export(dataset, out, workers=1)
    root = out / "testdata" / name
    found = [path for path in (root / "imgs").iterdir() if path.is_file()]
    assert sorted(path.read_bytes() for path in found) == sorted(contents)
    assert {path.name for path in root.iterdir()} <= {"imgs", "gts", "annotations.json"}
    assert {path.name for path in out.parent.iterdir()} == {"sam-1b"}
    assert {path.name for path in tmp_path.iterdir()} == {"dataset", "in"}
    if name == "hrsod_te":
        assert {path.stem for path in found} == {path.stem for path in (root / "gts").iterdir()}
    else:
        images = json.loads((root / "annotations.json").read_text())["images"]
        assert [image["source_file_name"] for image in images] == list(names)
        assert [(root / "imgs" / image["file_name"]).read_bytes() for image in images] == contents


def test_a_name_that_asam_misreads(published: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("plain")  # the folder of this test has `sam` in its name
    dataset = changed(published, place, "hrsod_te", lambda rows: rows[1].update(file_name="a_sample.png"))
    (note,) = export(dataset, place / "out", workers=1).notes
    assert "takes a path with `sam` in it for SA-1B, such as hrsod_te/gts/a_sample.png and 0 more" in note


def test_names() -> None:
    assert flat_names(["a/1.jpg", "a/2.jpg"]) == ["1.jpg", "2.jpg"]
    assert flat_names(["a/1.jpg", "b/1.jpg", "b__1.jpg"]) == ["a__1.jpg", "b__1-2.jpg", "b__1.jpg"]
    assert flat_names(["1.jpg", "1.jpg", "1.png"]) == ["1.jpg", "1-2.jpg", "1-3.png"]
    assert flat_names([]) == []
    long = flat_names(["ä" * 300 + ".jpeg"])[0]
    assert len(long.encode()) <= 200
    assert long.endswith(".jpeg")
    assert mask_name("a.b.jpg") == "a.b.png"


def test_names_that_are_cut_at_the_first_dot() -> None:
    """As ASAM names what it writes of an image."""
    paths = [f"x/Regression__Te1_5000_b_2022-08-02 11.16.00__img__00000{number}.png" for number in range(3)]
    names = flat_names([*paths, "1.2.png", "1.3.png", "a.b.png"])
    assert len({name.partition(".")[0] for name in names}) == 6
    assert names[1] == "x__Regression__Te1_5000_b_2022-08-02 11_16_00__img__000001.png"
    assert names[3:] == ["1_2.png", "1_3.png", "a.b.png"], "alone it keeps its name"


BAD: dict[str, tuple[Callable[[Rows], object], str]] = {
    "no image": (lambda rows: rows[0].update(image=None), "image: expected an image, found none"),
    "no bytes": (lambda rows: rows[0]["image"].update(bytes=None), "image: expected an image, found none"),
    "another size": (lambda rows: rows[0].update(height=7), r"expected the image's \[height, width\] \[7, 64\]"),
    "not an image": (lambda rows: rows[0]["image"].update(bytes=b"<html>"), "expected a JPEG, PNG, TIFF, BMP or WebP"),
    "area": (
        lambda rows: rows[0]["annotations"][0].update(area=1),
        r"annotations\[0\].area: expected \d+ pixels, found 1",
    ),
    "inclusive box": (
        lambda rows: rows[0]["annotations"][0]["bbox"].__setitem__(2, 1.0),
        r"annotations\[0\].bbox: expected .* \(exclusive, as COCO's\)",
    ),
    "runs": (
        lambda rows: rows[0]["annotations"][0]["segmentation"].update(counts="0"),
        r"annotations\[0\].segmentation.counts: expected runs that cover",
    ),
    "no annotations": (
        lambda rows: rows[0].update(annotations=None),
        r"expected a row of a published dataset, found: Expected `array`, got `null` - at `\$.annotations`",
    ),
    "no id": (lambda rows: rows[0].update(image_id=None), "image_id: expected a value, found none"),
    "no area": (
        lambda rows: rows[0]["annotations"][0].update(area=None),
        r"annotations\[0\].area: expected a value, found none",
    ),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("name", ["hrsod_te", "coco2017_val"])
def test_bad_rows(name: str, what: str, published: Path, tmp_path: Path) -> None:
    change, expected = BAD[what]
    dataset = changed(published, tmp_path, name, change)
    with pytest.raises(RecordError, match=expected) as raised:
        export(dataset, tmp_path / "out", workers=1)
    assert raised.value.hint
    assert name in raised.value.where


def test_other_tables(published: Path, tmp_path: Path) -> None:
    dataset = changed(published, tmp_path, "hrsod_te", lambda rows: rows.pop())
    with pytest.raises(SourceError, match=r"expected 2 rows as build\.json says, found 1"):
        export(dataset, tmp_path / "out", workers=1)
    (part,) = dataset.glob("data/evaluation/hrsod_te-*/*.parquet")
    for columns, expected in (({"file_name": ["a", "b"]}, "expected the columns image"), ({"a": [1, 2]}, "expected a")):
        pq.write_table(pa.table(columns), part)
        with pytest.raises(SourceError, match=expected):
            export(dataset, tmp_path / "out", workers=1)
    pq.write_table(pa.table({"file_name": [1, None]}), part)
    with pytest.raises(SourceError, match="expected a file name in each row"):
        export(dataset, tmp_path / "out", workers=1)
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(SourceError, match=part.name):
        export(dataset, tmp_path / "out", workers=1)


def test_an_archive_with_the_name_of_the_folder(
    demo: DemoArchive, given: list[str], publish: Run, tmp_path: Path
) -> None:
    shutil.copy(demo.archive, tmp_path / "testdata.tar")
    ran = publish("--train", tmp_path / "testdata.tar", *given, "--out", tmp_path / "dataset")
    assert ran.code == 0, ran.err
    with pytest.raises(SourceError, match="found one named testdata"):
        export(tmp_path / "dataset", tmp_path / "out", workers=1)


# ------------------------------------------------------------------------------------------------ the COCO file


def coco(kinds: Iterable[tuple[int, int | None, str | None]], source_id: str = "x") -> dict[str, Any]:
    annotations = [
        EvaluationAnnotation(number, (0.0, 0.0, 1.0, 1.0), 1, Runs((4, 4), "01?"), kind, name, 0)
        for number, kind, name in kinds
    ]
    content: dict[str, Any] = json.loads(encode_coco("t", ["a"], [Imaged("a", source_id, 4, 4, annotations)]))
    return content


def test_categories() -> None:
    table = coco([(1, None, None), (2, None, None)])
    assert table["categories"] == [{"id": 1, "name": "object"}]
    assert coco([])["categories"] == [{"id": 1, "name": "object"}]
    table = coco([(1, 7, "cat"), (2, 7, "dog"), (3, 2, None), (4, None, "owl"), (5, None, None)])
    assert table["categories"] == [
        {"id": 2, "name": "category 2"},
        {"id": 7, "name": "cat"},
        {"id": 8, "name": "dog"},
        {"id": 9, "name": "owl"},
        {"id": 10, "name": "object"},
    ]
    assert [one["category_id"] for one in table["annotations"]] == [7, 8, 2, 9, 10]


@pytest.mark.parametrize(("ids", "expected"), [([5, 9], [5, 9]), ([5, 5], [1, 2]), ([0, 1], [1, 2]), ([-3, 1], [1, 2])])
def test_annotation_ids(ids: list[int], expected: list[int]) -> None:
    assert [one["id"] for one in coco([(number, 1, "a") for number in ids])["annotations"]] == expected


@pytest.mark.parametrize(
    ("source", "expected"), [("139", 139), ("0", 0), ("007", 1), ("-1", 1), ("٣", 1), ("9" * 30, 1), ("a/b", 1)]
)
def test_image_ids(source: str, expected: int) -> None:
    table = coco([(1, 1, "a")], source)
    assert table["images"][0]["id"] == table["annotations"][0]["image_id"] == expected


def test_several_masks_of_a_binary_set_are_joined(published: Path, tmp_path: Path) -> None:
    def add(rows: Rows) -> None:
        mask = np.zeros(SHAPE, bool)
        mask[:3, :5] = True
        segmentation = runs(mask)
        rows[0]["annotations"].append(
            {
                **rows[0]["annotations"][0],
                "id": 2,
                "bbox": [0.0, 0.0, 5.0, 3.0],
                "area": 15,
                "segmentation": segmentation,
            }
        )
        rows[1]["annotations"].clear()

    dataset = changed(published, tmp_path, "hrsod_te", add)
    export(dataset, tmp_path / "out", workers=1)
    first, second = sorted((tmp_path / "out/testdata/hrsod_te/gts").iterdir())
    assert np.asarray(Image.open(first))[:3, :5].min() == 255
    assert np.asarray(Image.open(first)).sum() > 15 * 255
    assert np.asarray(Image.open(second)).max() == 0
