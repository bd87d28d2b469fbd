"""The command line of `publish` on good input: plan, subset, several archives, removal of what is stale, the card."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT, Run, clean_environment, run_python

from asam_datasets.demo import DemoArchive, write_demo

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def ids_in(out: Path) -> list[int]:
    """Image ids of all visible rows, in the order of the README."""
    front = yaml.safe_load((out / "README.md").read_text().split("---\n")[1])
    (train,) = [config for config in front["configs"] if config["config_name"] == "train"]
    files = [file for pattern in train["data_files"][0]["path"] for file in sorted(out.glob(pattern))]
    return [row for file in files for row in pq.read_table(file, columns=["image_id"])["image_id"].to_pylist()]


def test_a_dry_run_prints_the_plan_and_touches_nothing(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = publish("--train", demo.archive, "--captions", demo.captions, "--out", out, "--dry-run")
    assert ran.code == 0, ran.err
    assert re.search(r"sa_000000 +new +12 +1 +\d+\.\d kB", ran.out), ran.out
    assert not out.exists()
    planned = json.loads(publish("--train", demo.archive, "--out", out, "--dry-run", "--json").out)
    assert planned["rows"] == 12
    assert planned["plan"]["configs"] == ["train", "controlnet", "sam"]
    assert not out.exists()


def test_results_on_stdout_and_talk_on_stderr(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    ran = publish("--train", demo.archive, "--out", tmp_path / "out")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.out.splitlines()[-3:]] == ["Load", "from", "dataset"]
    assert "images/s" in ran.err
    assert "12/12" in ran.err


def test_several_archives_a_subset_and_an_archive_added_later(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "2", archive="sa_000001", images=4, first_id=50, height=200, width=240)
    third = write_demo(tmp_path / "3", archive="sa_000002", images=2, first_id=80, height=200, width=240)
    ids, out = tmp_path / "sa_images_ids.txt", tmp_path / "out"
    ids.write_text("3\n51\n4\n99999\n")
    ran = publish("--train", demo.archive, second.archive, "--ids", ids, "--out", out, fresh=True)
    assert ran.code == 0, ran.err
    assert ids_in(out) == [3, 4, 51]
    assert "99999" in ran.out
    assert "1 of the ids" in ran.out

    old = {path.name for path in (out / "data/train").glob("*")}
    assert publish("--train", third.archive, "--captions", third.captions, "--out", out).code == 0
    assert ids_in(out) == [3, 4, 51, 80, 81]
    assert old < {path.name for path in (out / "data/train").glob("*")}

    assert publish("--train", second.archive, demo.archive, "--out", out).code == 0
    assert ids_in(out) == [*range(1, 13), *range(50, 54), 80, 81]
    assert not old & {path.name for path in (out / "data/train").glob("*")}, "stale builds are deleted"
    lines = (out / "organized/sa_000002-controlnet-train.json").read_text().splitlines()
    assert json.loads(lines[0]) | {"prompt": ""} == {
        "source": "sa_000002/sa_80.png",
        "target": "sa_000002/sa_80.jpg",
        "prompt": "",
    }


def test_a_folder_of_tars_is_all_of_them(publish: Run, tmp_path: Path) -> None:
    for number in (0, 1):
        first = 1 + 10 * number
        write_demo(tmp_path / "in", archive=f"sa_00000{number}", images=2, first_id=first, height=200, width=240)
    assert publish("--train", tmp_path / "in", "--out", tmp_path / "out").code == 0
    assert ids_in(tmp_path / "out") == [1, 2, 11, 12]


def test_the_card(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert publish("--train", demo.archive, "--captions", demo.captions, "--out", out).code == 0
    text = (out / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert (front["license"], front["size_categories"]) == ("other", ["n<1K"])
    assert front["license_name"]
    assert front["license_link"].startswith("https://")
    assert [config.get("default") for config in front["configs"]] == [True, None, None]
    assert f"| 12 | {demo.annotations} | 12 |" in text
    assert "inclusive" in text
    assert "$" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_the_recipes_of_the_card_run(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    assert publish("--train", demo.archive, "--captions", demo.captions, "--out", tmp_path / "out").code == 0
    recipes = re.findall(r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(), re.DOTALL)
    assert len(recipes) == 3
    for recipe in recipes:
        run_recipe(recipe, tmp_path)


def test_the_snippets_of_the_readme_and_the_docs_run(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    assert publish("--train", demo.archive, "--captions", demo.captions, "--out", tmp_path / "demo-dataset").code == 0
    pages = [ROOT / "README.md", ROOT / "docs/index.md", *sorted((ROOT / "docs/jobs").glob("*.md"))]
    snippets = [code for page in pages for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]
    shutil.copy(demo.archive, tmp_path / "sa_000000.tar")
    shutil.copy(demo.captions, tmp_path / "sa_000000-blip2-caption.json")
    assert len(set(snippets)) == 6  # those of README are on their pages too
    for snippet in set(snippets):
        run_recipe(snippet, tmp_path)


def run_recipe(code: str, folder: Path) -> None:
    ran = run_python("-c", code, cwd=folder, env=clean_environment(folder / "home"))
    assert ran.code == 0, f"{code}\n{ran.err[-2000:]}"


def test_a_second_publisher_is_refused(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "asam_datasets.publish", "--train", str(demo.archive), "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as first:
        assert first.stderr
        assert "Looking at" in first.stderr.readline()
        first.send_signal(signal.SIGSTOP)  # it must not be done before the other one looks
        second = publish("--train", demo.archive, "--out", out)
        first.send_signal(signal.SIGCONT)
        first.stderr.read()
    assert first.returncode == 0
    assert second.code == 1
    assert f"found process {first.pid} on " in second.err
