"""A second split: held out by share or by list, kept by later runs, read by everybody."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Run, run_python
from datasets import load_dataset

from asam_datasets.builds import Validation, read_validation
from asam_datasets.demo import DemoArchive
from asam_datasets.errors import SourceError
from asam_datasets.published import open_dataset, verify
from asam_datasets.training import open_stream


@pytest.fixture(scope="module")
def halves(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("halves") / "out"
    ran = publish("--train", demo.archive, "--out", out, "--validation", "0.5", "--parts", "2", "--workers", "1")
    assert ran.code == 0, ran.err
    return out


def names(dataset: Path, split: str, config: str = "sam") -> list[str]:
    """What stock `datasets` finds in a split."""
    rows: Any = load_dataset(str(dataset), config, split=split, streaming=True)
    return [row["file_name"] for row in rows.select_columns(["file_name"])]


def test_stock_readers_find_both_splits(halves: Path, demo: DemoArchive) -> None:
    held_out, train = names(halves, "validation"), names(halves, "train")
    assert len(train) + len(held_out) == demo.images
    assert not set(train) & set(held_out)
    assert min(len(train), len(held_out)) > 0
    front = yaml.safe_load((halves / "README.md").read_text().split("---\n")[1])
    assert {config["config_name"] for config in front["configs"]} == {"train", "controlnet", "sam"}
    for info in front["dataset_info"]:
        told = {one["name"]: one["num_examples"] for one in info["splits"]}
        assert told == {"train": len(train), "validation": len(held_out)}
        assert info["dataset_size"] == sum(one["num_bytes"] for one in info["splits"])
    assert f"{len(held_out)} of them are held out as the split `validation`" in (halves / "README.md").read_text()
    report = verify(str(halves), deep=True)
    assert report.is_good, report.findings
    assert report.records == demo.images


@pytest.mark.parametrize("environment", ["datasets-2.19.2", "datasets-3.6.0"])
def test_older_readers(environment: str, halves: Path) -> None:
    code = (
        "import sys, datasets\n"
        "for split in ('train', 'validation'):\n"
        "    rows = datasets.load_dataset(sys.argv[1], 'sam', split=split, streaming=True)\n"
        "    print([row['file_name'] for row in rows])"
    )
    python = Path(__file__).parents[2] / ".venvs" / environment / "bin" / "python"
    ran = run_python("-c", code, halves, python=(str(python), "-W", "ignore"), imports=("datasets",))
    assert ran.out.splitlines() == [str(names(halves, "train")), str(names(halves, "validation"))], ran.err


def test_the_same_images_however_it_is_built(
    halves: Path, demo: DemoArchive, members: dict[str, bytes], publish: Run, tmp_path: Path
) -> None:
    """A folder and two workers; and an image stays on its side without the others."""
    (tmp_path / "sa_000000").mkdir()
    for name, content in members.items():
        (tmp_path / "sa_000000" / name).write_bytes(content)
    given = ["--train", tmp_path / "sa_000000", "--validation", "0.5", "--workers", "2"]
    assert publish(*given, "--parts", "2", "--out", tmp_path / "same").code == 0
    same, as_before = (open_dataset(path).builds[0].folder for path in (tmp_path / "same", halves))
    assert same == as_before
    some = names(halves, "validation")[:2] + names(halves, "train")[:2]
    (tmp_path / "ids.txt").write_text("\n".join(name[3:-4] for name in some))
    assert publish(*given, "--ids", tmp_path / "ids.txt", "--out", tmp_path / "some").code == 0
    assert sorted(names(tmp_path / "some", "validation")) == sorted(some[:2])


def test_what_a_later_run_says_nothing_about_stays(
    halves: Path, demo: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = publish("--train", demo.archive, "--out", out, "--validation", "0.5", "--dry-run")
    held_out = len(names(halves, "validation"))
    assert f"{held_out} of 12 records are held out as the split validation" in first.out
    assert publish("--train", demo.archive, "--out", out, "--validation", "0.5").code == 0
    again = publish("--train", demo.archive, "--out", out)
    assert "unchanged" in again.out, again.err
    captioned = publish("--train", demo.archive, "--captions", demo.captions, "--out", out)
    assert captioned.code == 0, captioned.err
    assert names(out, "validation") == names(halves, "validation")
    asked = publish("--train", demo.archive, "--out", out, "--validation", "0")
    assert asked.code == 1
    assert f"sa_000000: records of the split validation {held_out} → 0" in asked.err
    assert names(out, "validation") == names(halves, "validation")
    assert publish("--train", demo.archive, "--out", out, "--validation", "0", "--yes").code == 0
    assert len(names(out, "train")) == 12
    with pytest.raises(ValueError, match="validation"):
        names(out, "validation")
    more = publish("--train", demo.archive, "--out", out, "--validation", "0.5")
    assert more.code == 1
    assert f"sa_000000: records of the split train 12 → {12 - held_out}" in more.err


def test_a_stream_is_asked_for_as_well(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """What it holds is known when it was read, and so is what its splits lose."""
    packed = tmp_path / "sa_000000.tar.gz"
    packed.write_bytes(gzip.compress(demo.archive.read_bytes(), 1))
    out = tmp_path / "out"
    assert publish("--train", packed, "--out", out, "--validation", "0.5").code == 0
    held_out = names(out, "validation")
    kept = publish("--train", packed, "--captions", demo.captions, "--out", out)
    assert (kept.code, names(out, "validation")) == (0, held_out), kept.err
    for share, split, after in (("0", "validation", 0), ("0.99", "train", 0)):
        asked = publish("--train", packed, "--out", out, "--validation", share)
        before = len(names(out, split))
        assert asked.code == 1
        assert f"records of the split {split} {before} → {after}" in asked.err
        assert names(out, "validation") == held_out


def test_a_list_of_names_and_ids(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    listed = tmp_path / "held_out.txt"
    listed.write_text("sa_2.jpg\n 5 \n\nsa_99.jpg\n")
    out = tmp_path / "out"
    assert publish("--train", demo.archive, "--out", out, "--validation", listed).code == 0
    assert sorted(names(out, "validation")) == ["sa_2.jpg", "sa_5.jpg"]
    for split in ("train", "validation"):
        stream = open_stream(out, "sam", split=split, rank=0, world_size=1)
        assert sorted(record["file_name"] for record in stream) == sorted(names(out, split))
    assert len(open_stream(out, "sam", rank=0, world_size=1)) == 10, "the first split if none is named"
    with pytest.raises(SourceError, match="expected one of the splits train, validation of sam, found 'test'"):
        open_stream(out, "sam", split="test")


def test_exports_keep_them_apart(halves: Path, tmp_path: Path) -> None:
    ran = run_python("-m", "asam_datasets", "export", halves, "--format", "yolo", "--out", tmp_path / "yolo")
    assert ran.code == 0, ran.err
    data = yaml.safe_load((tmp_path / "yolo/data.yaml").read_text())
    assert (data["train"], data["val"]) == (["sa_000000/images"], ["sa_000000-validation/images"])
    for name, split in (("sa_000000", "train"), ("sa_000000-validation", "validation")):
        assert len(list((tmp_path / "yolo" / name / "images").iterdir())) == len(names(halves, split))
    again = run_python("-m", "asam_datasets", "export", halves, "--format", "yolo", "--out", tmp_path / "yolo")
    assert again.code == 0, again.err
    info = json.loads(run_python("-m", "asam_datasets", "info", halves, "--json").out)
    assert info["configs"][0]["rows"] == {split: len(names(halves, split)) for split in ("train", "validation")}


def test_what_is_no_share_and_no_list(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    for text, found in (("1.5", "expected a share from 0 to below 1, found 1.5"), ("nan", "found nan")):
        ran = publish("--train", demo.archive, "--out", tmp_path / "out", "--validation", text)
        assert (ran.code, found in ran.err) == (1, True), ran.err
    given = ("--train", demo.archive, "--out", tmp_path / "out", "--validation")
    expected = "expected a share such as 0.1, or a file with a name or an image id on each line"
    assert f"{expected}, found no file missing.txt" in publish(*given, "missing.txt").err
    (tmp_path / "other.txt").write_text("sa_77.jpg\n")
    none = publish(*given, tmp_path / "other.txt")
    assert "expected names or ids of images of these archives, found none of 1, such as 'sa_77.jpg'" in none.err
    (tmp_path / "empty.txt").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\0")
    for name in ("empty.txt", "pipe", "bytes.txt", "."):
        refused = publish(*given, tmp_path / name)
        assert (refused.code, "Traceback" in refused.err) == (1, False), (name, refused.err)
    alone = publish("--evaluation", "x=y", "--out", tmp_path / "out", "--validation", "0.1")
    assert "expected --train with the archives that --validation is about" in alone.err
    assert not (tmp_path / "out").exists()


def test_a_share_is_about_that_of_all() -> None:
    from asam_datasets.sources.sa1b import RawRecord

    records = [RawRecord("a", "a", number, f"sa_{number}.jpg", "", b"", b"") for number in range(20_000)]
    assert abs(sum(map(read_validation(0.1).holds, records)) - 2_000) < 150
    assert not any(map(Validation().holds, records))
