"""`SA1B` as a builder: imported with the current `datasets`, and as a loading script of 3.6."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from archives_http import serve
from conftest import ROOT, clean_environment, run_python, run_reader

from asam_datasets.demo import DemoArchive

IMPORTED = """
import json, sys, hashlib
from builders.sa1b import SA1B
import datasets

def main():
    location, captions, config, cache = sys.argv[1:5]
    make = lambda: SA1B(config_name=config, data_dir=location, captions=[captions], cache_dir=cache)
    stream = make().as_streaming_dataset(split="train")
    builder = make()
    builder.download_and_prepare(num_proc=2 if location.endswith("tar") and "://" not in location else None)
    table = builder.as_dataset(split="train")
    rows = {}
    for kind, dataset in (("stream", stream), ("map", table)):
        dataset = dataset.cast_column("image", datasets.Image(decode=False))
        rows[kind] = [describe(row) for row in dataset]
    print(json.dumps({"rows": rows, "columns": table.column_names}))

def describe(row):
    return [row["caption"], hashlib.sha256(row["image"]["bytes"]).hexdigest(), len(row.get("masks", ())),
            row.get("annotations")]

if __name__ == "__main__":
    main()
"""

SCRIPT = """
import json, sys
from datasets import load_dataset

location, captions, config, script = sys.argv[1:5]
seen = {}
for streaming in (False, True):
    dataset = load_dataset(script, config, data_dir=location, captions=[captions], split="train",
                           streaming=streaming, trust_remote_code=True)
    seen[str(streaming)] = [row["caption"] for row in dataset]
print(json.dumps(seen))
"""


def run(reader: str, code: str, *args: str | Path, home: Path) -> Any:
    program = home.parent / "program.py"
    program.write_text(code)
    env = clean_environment(home)
    ran = run_reader(reader, program, *args, env=env, package=True) if reader else run_python(program, *args, env=env)
    assert ran.code == 0, ran.err[-3000:]
    return json.loads(ran.out.splitlines()[-1])


@pytest.fixture
def folder(members: dict[str, bytes], tmp_path: Path) -> Path:
    path = tmp_path / "sa_000000"
    path.mkdir()
    for name, content in members.items():
        (path / name).write_bytes(content)
    return path


def test_imported_from_tar_folder_and_url(
    demo: DemoArchive, members: dict[str, bytes], folder: Path, tmp_path: Path
) -> None:
    captions = [json.loads(line)["prompt"] for line in demo.captions.read_text().splitlines()]
    names = sorted((name for name in members if name.endswith("jpg")), key=lambda name: int(name[3:-4]))
    jpegs = [hashlib.sha256(members[name]).hexdigest() for name in names]
    with serve(demo.archive.parent) as (url, _):
        for number, (location, config) in enumerate(
            [(str(demo.archive), "train"), (str(folder), "controlnet"), (f"{url}/sa_000000.tar", "sam")]
        ):
            cache = tmp_path / f"cache{number}"
            seen = run("", IMPORTED, location, demo.captions, config, cache, home=tmp_path / "home")
            for rows in seen["rows"].values():
                assert [row[:2] for row in rows] == [list(pair) for pair in zip(captions, jpegs, strict=True)]
                for name, row in zip(names, rows, strict=True):
                    annotations = json.loads(members[name.replace("jpg", "json")])["annotations"]
                    assert row[2] == (len(annotations) if config == "train" else 0)
                    assert row[3] == (None if config == "controlnet" else annotations)
            assert len(seen["columns"]) == {"train": 10, "controlnet": 3, "sam": 7}[config]


def test_as_a_loading_script_of_datasets_3_6(demo: DemoArchive, tmp_path: Path) -> None:
    captions = [json.loads(line)["prompt"] for line in demo.captions.read_text().splitlines()]
    for config in ("train", "controlnet", "sam"):
        script = ROOT / "builders/sa1b.py"
        seen = run("scripts-3.6.0", SCRIPT, demo.archive, demo.captions, config, script, home=tmp_path / "home")
        assert seen == {"False": captions, "True": captions}


def test_the_wheel_carries_builders_and_card(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"asam_datasets/builders/sa1b.py", "asam_datasets/dataset_card.md", "asam_datasets/py.typed"} <= set(names)
    assert "asam_datasets/sources/evaluation/catalog.toml" in names
    page = {f"asam_datasets/preview/page/{file.name}" for file in (ROOT / "asam_datasets/preview/page").iterdir()}
    assert {f"asam_datasets/preview/page/{name}" for name in ("page.html", "page.css", "page.js")} <= page <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]
