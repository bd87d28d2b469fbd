"""Evaluation sets in a dataset: beside an archive and alone, in every version of `datasets`, again, and removed."""

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Run, clean_environment, run_python, run_reader
from evaluation_trees import OWN, TREES, Tree
from local_hub import LocalHub
from PIL import Image
from reading import READERS

from asam_datasets.demo import DemoArchive
from asam_datasets.published import front_matter

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

SETS = {"hrsod_te": "test", "coco2017_val": "validation", "cityscapes": "validation"}  # three layouts
REPO = "xhk/ASAM-Datasets"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Tree]]:
    base = tmp_path_factory.mktemp("sets")
    made = {}
    for name in SETS:
        (base / name).mkdir()
        made[name] = (base / name, TREES[name](base / name))
    return made


@pytest.fixture(scope="module")
def given(folders: dict[str, tuple[Path, Tree]]) -> list[str]:
    return ["--evaluation", *(f"{name}={folder}" for name, (folder, _) in folders.items())]


@pytest.fixture(scope="module")
def published(demo: DemoArchive, given: list[str], publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "out"
    ran = publish("--train", demo.archive, *given, "--out", out)
    assert ran.code == 0, ran.err
    assert re.search(r"dropped +3 images", ran.out), ran.out
    assert "hrsod_te" in ran.out
    assert "expected 400 images with objects, found 2" in ran.out
    return out


def mask_digest(mask: Any) -> str:
    return hashlib.sha256(np.asarray(mask).astype(np.uint8).tobytes()).hexdigest()


def check_set(rows: list[dict[str, Any]], name: str, folder: Path, tree: Tree) -> None:
    assert tree.default is not None
    assert [row["names"][1] for row in rows] == sorted(tree.default)
    for row in rows:
        path = row["names"][1]
        assert row["image"] == hashlib.sha256((folder / path).read_bytes()).hexdigest()
        assert row["names"][2] == name
        expected = tree.default[path]
        assert sorted(row["masks"]) == sorted(map(mask_digest, expected))
        assert sorted(a["area"] for a in row["annotations"]) == sorted(int(mask.sum()) for mask in expected)
        assert all(a["segmentation"]["size"] == row["size"] for a in row["annotations"])


@pytest.mark.parametrize("reader", READERS)
def test_every_version_of_datasets_reads_them(
    reader: str, published: Path, folders: dict[str, tuple[Path, Tree]], tmp_path: Path
) -> None:
    output = tmp_path / "seen.json"
    script = ROOT / "tests/support/readers/read_configs.py"
    env = clean_environment(tmp_path / "home")
    ran = run_reader(reader, script, published, output, "evaluation", *SETS, env=env)
    assert ran.code == 0, ran.err[-3000:]
    seen = json.loads(output.read_text())
    for mode in ("map", "streaming"):
        assert list(seen[f"evaluation {mode}"]) == ["test"]
        together = seen[f"evaluation {mode}"]["test"]
        assert {row["names"][2] for row in together} == set(SETS)
        for name, split in SETS.items():
            assert list(seen[f"{name} {mode}"]) == [split]
            assert seen[f"{name} {mode}"][split] == [row for row in together if row["names"][2] == name]
            check_set(seen[f"{name} {mode}"][split], name, *folders[name])


def test_the_card_has_them(published: Path) -> None:
    text = (published / "README.md").read_text()
    front = front_matter(text)
    assert [config["config_name"] for config in front["configs"]] == [
        "train", "controlnet", "sam", "cityscapes", "coco2017_val", "hrsod_te", "evaluation",
    ]  # fmt: skip
    assert [config for config in front["configs"] if config.get("default")] == [front["configs"][0]]
    assert front["license_link"] == "LICENSE.md"
    license = (published / "LICENSE.md").read_text()
    assert "no distribution of the data" in license
    assert "SA-1B Dataset Research License" in license
    rows = {info["config_name"]: info["splits"] for info in front["dataset_info"]}
    assert {split["name"]: split["num_examples"] for split in rows["evaluation"]} == {"test": 5}
    assert len(re.findall("<!--.*?-->", text)) == 2, "the ends of our block, and nothing of the template"
    assert "$" not in text.split("## Citation")[0].replace("$.annotations", "")
    assert re.search(r"`coco2017_val` \| \[COCO 2017 validation\].* instance \| the set's own \| 2 \| 5 \| 1 \|", text)


def test_again_and_with_the_other_protocol(
    given: list[str], publish: Run, tmp_path: Path, folders: dict[str, tuple[Path, Tree]]
) -> None:
    """Only sets: `evaluation` is the default config. The same again changes nothing; ASAM's reading changes two."""
    out = tmp_path / "out"
    assert publish(*given, "--out", out).code == 0
    front = front_matter((out / "README.md").read_text())
    assert front["configs"][0]["config_name"] == "evaluation"
    assert front["configs"][0]["default"] is True
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = publish(*given, "--out", out)
    assert again.code == 0, again.err
    assert len(re.findall(r"unchanged +data/evaluation/", again.out)) == 3
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before
    asked = publish(*given, "--protocol", "asam", "--out", out)
    assert asked.code == 1, "another reading takes the place of what is visible"
    assert "coco2017_val: records" in asked.err
    other = publish(*given, "--protocol", "asam", "--out", out, "--yes")
    assert other.code == 0, other.err
    assert sorted(re.findall(r"new +data/evaluation/(\w+)-", other.out)) == ["cityscapes", "coco2017_val"]
    assert "as ASAM's loaders read it" in (out / "README.md").read_text()
    shown = {path.name.rsplit("-", 2)[0] for path in (out / "data/evaluation").glob("*")}
    assert shown == set(SETS)
    gone = publish("--out", out, "--remove", "cityscapes", "--yes")
    assert gone.code == 0, gone.err
    assert not list((out / "data/evaluation").glob("cityscapes-*"))


def test_same_bytes_for_any_number_of_workers(given: list[str], publish: Run, tmp_path: Path) -> None:
    names = []
    for workers in (1, 2, 4):
        assert publish(*given, "--out", tmp_path / f"{workers}", "--workers", workers).code == 0
        names.append(sorted(path.name for path in (tmp_path / f"{workers}/data/evaluation").glob("*")))
    assert names[0] == names[1] == names[2]


def test_on_the_hub_with_rights(given: list[str], publish: Run, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        refused = publish(*given, "--repo-id", REPO, "--public", "--yes", env=env)
        assert refused.code == 1
        for name in SETS:
            assert f"{name} (" in refused.err
        assert "counts as no" in refused.err
        assert publish(*given, "--repo-id", REPO, env=env).code == 0
        hub.clear_log()
        assert publish(*given, "--repo-id", REPO, env=env).code == 0
        assert not [request for request in hub.log if request.operations]
        only = ("--annotations-only", *SETS, "--public", "--yes")
        late = publish(*given, "--repo-id", REPO, *only, env=env)
        assert late.code == 1
        assert "expected a history of sets" in late.err
        ran = publish(*given, "--repo-id", "xhk/new", *only, env=env)
        assert ran.code == 0, ran.err
        assert hub.settings("xhk/new") == {"private": False, "gated": False}


def test_a_wrong_folder_and_a_wrong_id(publish: Run, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.txt").write_text("?")
    wrong = publish("--evaluation", f"hrsod_te={tmp_path / 'here'}", "--out", tmp_path / "out")
    assert wrong.code == 1
    assert "found a.txt" in wrong.err
    assert "catalog show hrsod_te" in wrong.err
    unknown = publish("--evaluation", f"hrsod={tmp_path / 'here'}", "--out", tmp_path / "out")
    assert unknown.code == 1
    assert "expected a set of the catalog, found 'hrsod'" in unknown.err
    assert "Did you mean hrsod_te?" in unknown.err
    assert not (tmp_path / "out").exists()


def test_a_bad_image_is_skipped_and_told(folders: dict[str, tuple[Path, Tree]], publish: Run, tmp_path: Path) -> None:
    folder, tree = folders["hrsod_te"]
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert tree.default
    bad = sorted(tree.default)[0]
    (copy / bad).write_bytes(b"no image")
    stopped = publish("--evaluation", f"hrsod_te={copy}", "--out", tmp_path / "out")
    assert stopped.code == 1
    assert bad in stopped.err
    assert not (tmp_path / "out").exists()
    for _ in range(2):
        ran = publish("--evaluation", f"hrsod_te={copy}", "--out", tmp_path / "out", "--on-bad-record", "skip")
        assert ran.code == 0, ran.err
        rejects = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
        assert [reject["member"] for reject in rejects] == [bad]


def test_what_official_code_passes_over_is_said(publish: Run, tmp_path: Path) -> None:
    """STREETS: a region that is no polygon. WoodScape: annotations that have not exactly one tag."""
    sets = ("streets", "woodscape")
    for name in sets:
        TREES[name](tmp_path / name)
    ran = publish("--evaluation", *(f"{name}={tmp_path / name}" for name in sets), "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "streets: 1 region is no mask, as the set's official code passes over it\n" in ran.out
    assert "woodscape: 2 regions are no masks, as the set's official code passes over them\n" in ran.out


def test_a_set_of_ones_own(publish: Run, tmp_path: Path) -> None:
    for folder in ("img", "gt"):
        (tmp_path / "mine" / folder).mkdir(parents=True)
    Image.new("RGB", (20, 10), (200, 10, 10)).save(tmp_path / "mine/img/a.jpg")
    mask = np.zeros((10, 20), np.uint8)
    mask[2:5, 3:9] = 255
    Image.fromarray(mask).save(tmp_path / "mine/gt/a.png")
    toml = tmp_path / "mine.toml"
    toml.write_text(OWN)
    ran = publish("--evaluation", f"mine={tmp_path / 'mine'}", "--catalog", toml, "--out", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "1 records, 1 masks" in ran.out
    kept = publish("--evaluation", f"mine={tmp_path / 'mine'}", "--out", tmp_path / "out")
    assert kept.code == 1
    assert "--catalog mine.toml" in kept.err


@pytest.mark.parametrize("way", ["imported", "script"])
def test_the_builder(way: str, folders: dict[str, tuple[Path, Tree]], tmp_path: Path) -> None:
    folder, tree = folders["coco2017_val"]
    env = clean_environment(tmp_path / "home")
    if way == "imported":
        ran = run_python("-c", IMPORTED, folder, tmp_path / "cache", env=env)
    else:
        ran = run_reader("scripts-3.6.0", "-c", SCRIPT, folder, tmp_path / "cache", env=env, package=True)
    assert ran.code == 0, ran.err[-3000:]
    assert tree.default
    expected = [[path, len(tree.default[path])] for path in sorted(tree.default)]
    assert json.loads(ran.out.splitlines()[-1]) == [expected, expected]


IMPORTED = """
import json, sys
from builders.segmentation_evaluation import SegmentationEvaluation
builder = SegmentationEvaluation(config_name="coco2017_val", data_dir=sys.argv[1], cache_dir=sys.argv[2])
builder.download_and_prepare(num_proc=1)
rows = [builder.as_dataset(split="validation"), builder.as_streaming_dataset(split="validation")]
print(json.dumps([[[row["file_name"], len(row["masks"])] for row in way] for way in rows]))
"""
SCRIPT = """
import json, sys
from datasets import load_dataset
more = dict(data_dir=sys.argv[1], split="validation", trust_remote_code=True, cache_dir=sys.argv[2])
rows = [load_dataset("builders/segmentation_evaluation.py", "coco2017_val", streaming=s, **more) for s in (False, True)]
print(json.dumps([[[row["file_name"], len(row["masks"])] for row in way] for way in rows]))
"""
