"""The recipes, run as they stand: beside a folder `demo-dataset`, and a tiny SAM where the name of a real one leads."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import shutil
from pathlib import Path

import pytest
from conftest import ROOT, Run

from asam_datasets.demo import DemoArchive

torch = pytest.importorskip("torch", reason="pip install asam_datasets[train]")
pytest.importorskip("transformers", reason="pip install asam_datasets[caption]")

from tiny_models import make_sam  # noqa: E402

RECIPES = ROOT / "examples/recipes"
# What a recipe needs beyond what tests need, and what it says.
NEEDS = {"hf_trainer": "accelerate", "with_albumentations": "albumentations", "torchvision_v2": "torchvision"}
SAID = {
    "plain_dataloader": r"epoch 1 \(\d, 3, 256, 256\) \(\d+, 4\)$",
    "stock_datasets": r"1 \(\d+, 300, 420\) \[[\d. ]+\] = \d+ to \d+",
    "map_style": r"epoch 1 \[\[\d+",
    "filters_and_mixtures": r"\d+ records; \[[\d, ]+\] masks in the first of them\n\[[01, ]+\]$",
    "validation_split": r"\d+ and \d+ held out: \[\d+",
    "elastic_resume": re.escape(str(list(range(1, 13)))) + "$",
    "global_order": r"\[\[\d+, \d+, \d+, \d+\], ",
    "hf_trainer": "",
    "with_albumentations": r"'masks': \(4, 8, 256, 256\)",
    "torchvision_v2": r"'masks': \(4, 8, 256, 256\)",
    "controlnet": r"\(4, 3, 256, 256\) \(4, 3, 256, 256\) ",
}


@pytest.fixture(scope="module")
def folder(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place to run them."""
    base = tmp_path_factory.mktemp("recipes")
    given = ("--train", demo.archive, "--captions", demo.captions)
    assert publish(*given, "--out", base / "demo-dataset").code == 0
    made = make_sam(base / "sam", seed=3, side=128)
    shutil.copytree(made, base / "facebook/sam-vit-base")
    return base


def test_each_recipe_is_run_and_found() -> None:
    names = {path.stem for path in RECIPES.glob("*.py")}
    assert names == set(SAID)
    table = (RECIPES / "README.md").read_text()
    assert all(f"]({name}.py)" in table for name in names)
    for link in re.findall(r"\]\(([^)#]+)\)", table):
        assert (RECIPES / link).exists(), link


@pytest.mark.parametrize("name", sorted(SAID))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_recipe(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = NEEDS.get(name, "torch")
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    runpy.run_path(str(RECIPES / f"{name}.py"), run_name="__main__")
    out = capsys.readouterr().out.strip()
    assert re.search(SAID[name], out), out
    if name == "hf_trainer":
        places = [json.loads(Path(f"tuned-hf/checkpoint-{step}/place.json").read_text()) for step in (2, 4)]
        given = [[worker for rank in one["past"][-1]["places"] for worker in rank] for one in places]
        # 12 images, four a step: after two steps the eighth of the first epoch; after two more the fourth of the second
        assert given == [[[0, 8]], [[1, 4]]]
