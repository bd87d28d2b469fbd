"""The config `adversarial`: ASAM's samples with the masks of their originals in their own size."""

import hashlib
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import Run, clean_environment, run_python, run_reader
from PIL import Image
from pycocotools import mask as coco
from reading import READERS

from asam_datasets.builds import decode_build
from asam_datasets.demo import DemoArchive
from asam_datasets.errors import RecordError, SourceError, TargetError
from asam_datasets.organized import export

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

SIDE = 256
READ = """
import hashlib, json, sys
import datasets, numpy as np
if hasattr(datasets.config, "USE_PARQUET_EXPORT"):
    datasets.config.USE_PARQUET_EXPORT = False
for streaming in (False, True):
    rows = datasets.load_dataset(sys.argv[1], "adversarial", split="train", streaming=streaming)
    seen = [
        {
            "image": hashlib.sha256(row["image"]["bytes"]).hexdigest(),
            "masks": [hashlib.sha256(np.asarray(m).astype(np.uint8).tobytes()).hexdigest() for m in row["masks"]],
            "annotations": row["annotations"],
            "rest": [row["caption"], row["worst_iou"], row["image_id"], row["file_name"], row["archive"]],
        }
        for row in rows.cast_column("image", datasets.Image(decode=False))
    ]
    print(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def samples(members: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the generator leaves for three images: squeezed to a square, as ASAM does."""
    folder = tmp_path_factory.mktemp("adversarial")
    for name in ("adv", "record", "pair"):
        (folder / name).mkdir()
    for number in (1, 2, 5):
        with Image.open(io.BytesIO(members[f"sa_{number}.jpg"])) as image:
            image.resize((SIDE, SIDE)).save(folder / f"adv/sa_{number}.png")
        (folder / f"record/sa_{number}.txt").write_text(f"0.{number}5\n")
    return folder


@pytest.fixture(scope="module")
def published(samples: Path, demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "out"
    ran = publish(
        "--train", demo.archive, "--captions", demo.captions, "--adversarial", samples, "--out", out, "--workers", "2"
    )
    assert ran.code == 0, ran.err
    return out


@pytest.mark.parametrize("reader", READERS)
def test_rows(
    reader: str, published: Path, samples: Path, members: dict[str, bytes], demo: DemoArchive, tmp_path: Path
) -> None:
    ran = run_reader(reader, "-c", READ, published, env=clean_environment(tmp_path))
    assert ran.code == 0, ran.err[-2000:]
    ways = [json.loads(line) for line in ran.out.splitlines()]
    assert ways[0] == ways[1]
    captions = {line["img"]: line["prompt"] for line in map(json.loads, demo.captions.read_text().splitlines())}
    assert [row["rest"][2] for row in ways[0]] == [1, 2, 5]
    for row in ways[0]:
        check(row, samples, members, captions)


def check(row: dict[str, Any], samples: Path, members: dict[str, bytes], captions: dict[str, str]) -> None:
    caption, worst, number, name, archive = row["rest"]
    assert (name, archive, worst) == (f"sa_{number}.png", "sa_000000", float(f"0.{number}5"))
    assert caption == captions[f"sa_{number}.jpg"]
    assert row["image"] == hashlib.sha256((samples / "adv" / name).read_bytes()).hexdigest()
    original = json.loads(members[f"sa_{number}.json"])["annotations"]
    assert [a["id"] for a in row["annotations"]] == [a["id"] for a in original]
    for mine, digest, theirs in zip(row["annotations"], row["masks"], original, strict=True):
        full = Image.fromarray(coco.decode(theirs["segmentation"]))
        small = np.asarray(full.resize((SIDE, SIDE), Image.Resampling.NEAREST))
        assert digest == hashlib.sha256(small.tobytes()).hexdigest()
        assert (coco.decode(mine["segmentation"]) == small).all()
        assert mine["area"] == small.sum()
        assert mine["bbox"] == (list(coco.toBbox(mine["segmentation"])) if small.any() else [0, 0, 0, 0])


def test_again_and_verified(published: Path, samples: Path, demo: DemoArchive, publish: Run) -> None:
    before = {path: path.stat().st_mtime_ns for path in published.rglob("*") if path.is_file()}
    again = publish("--train", demo.archive, "--captions", demo.captions, "--adversarial", samples, "--out", published)
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in published.rglob("*") if path.is_file()} == before
    kept = publish("--train", demo.archive, "--captions", demo.captions, "--out", published)
    assert kept.code == 0
    assert "kept" in kept.err
    assert run_python("-m", "asam_datasets", "verify", "--deep", published).code == 0
    text = (published / "README.md").read_text()
    assert "3 images" in text
    assert len(re.findall("<!--.*?-->", text)) == 2, "the ends of our block, and nothing of the template"


def test_bad_samples(samples: Path, demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    alone = publish("--adversarial", samples, "--out", tmp_path / "out", "--remove", "x")
    assert alone.code == 1
    assert "--train with the originals" in alone.err
    copy = Path(shutil.copytree(samples, tmp_path / "copy"))
    shutil.copy(copy / "adv/sa_1.png", copy / "adv/sa_777.png")
    (copy / "record/sa_777.txt").write_text("0.5")
    base = ("--train", demo.archive, "--adversarial", copy, "--out", tmp_path / "out")
    unknown = publish(*base)
    assert unknown.code == 1
    assert "expected the original sa_777.jpg in one of the archives" in unknown.err
    assert not (tmp_path / "out/README.md").exists()
    skipped = publish(*base, "--on-bad-record", "skip")
    assert skipped.code == 0, skipped.err
    assert "sa_777" in (tmp_path / "out/rejects.jsonl").read_text()


def test_export_and_publish_again(published: Path, samples: Path, publish: Run, tmp_path: Path) -> None:
    """The folder is ASAM's, and gives the same parts again."""
    out = tmp_path / "folder"
    done = run_python("-m", "asam_datasets", "export", published, "--out", out, "--masks", "none", "--workers", "1")
    assert done.code == 0, done.err
    assert "adversarial  3 images, each with its record" in done.out
    assert "0 masks of " in done.out
    assert "have no caption" not in done.out
    assert "sa_000000: 1 of 12 images have no annotation; ASAM's loader divides by their number" in done.out
    for name in ("adv", "record"):
        assert {path.name for path in (out / "adversarial" / name).iterdir()} == {
            path.name for path in (samples / name).iterdir()
        }
    for path in (samples / "adv").iterdir():
        assert (out / "adversarial/adv" / path.name).read_bytes() == path.read_bytes()
    assert (out / "adversarial/record/sa_2.txt").read_text() == "0.25", "as the generator writes it"
    assert not (out / ".asam_datasets").exists()
    again = publish("--train", out, "--adversarial", out / "adversarial", "--out", tmp_path / "again")
    assert again.code == 0, again.err
    assert {path.name for path in (tmp_path / "again/data").glob("*/*")} == {
        path.name for path in (published / "data").glob("*/*")
    }
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.is_file()}
    assert export(published, out, masks="none", workers=1).samples == 3
    assert {path: path.stat().st_mtime_ns for path in out.glob("*/**/*") if path.is_file()} == before
    (out / "adversarial/record/mine.txt").write_text("mine")
    with pytest.raises(TargetError, match=r"found adversarial/record/mine\.txt"):
        export(published, out, masks="none", workers=1)


Change = Callable[[list[dict[str, Any]]], object]
BAD: dict[str, tuple[Change, str]] = {
    "a name": (
        lambda rows: rows[0].update(file_name="../sa_1.png"),
        r"expected sa_1.png \(or .jpg\), found '../sa_1.png'",
    ),
    "another id": (lambda rows: rows[0].update(image_id=7), r"expected sa_7.png \(or .jpg\), found 'sa_1.png'"),
    "a name of zeros": (lambda rows: rows[0].update(file_name="sa_01.png"), r"found 'sa_01.png'"),
    "twice": (lambda rows: rows[1].update(rows[0]), "expected one sample of each image, found 1 again"),
    "no IoU": (lambda rows: rows[0].update(worst_iou=None), "worst_iou: expected a value, found none"),
    "an IoU of 2": (lambda rows: rows[0].update(worst_iou=2.0), "expected one number from 0 to 1, found '2.0'"),
    "no image": (lambda rows: rows[0].update(image=None), "image: expected an image, found none"),
    "another kind": (lambda rows: rows[0].update(file_name="sa_1.jpg"), "expected a whole JPEG"),
    "another size": (lambda rows: rows[0].update(width=7), "expected 256 × 7"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_rows_are_not_exported(what: str, published: Path, tmp_path: Path) -> None:
    change, expected = BAD[what]
    copy = Path(shutil.copytree(published, tmp_path / "in/dataset"))
    shutil.rmtree(copy / "data/train")
    front = yaml.safe_load((copy / "README.md").read_text().split("---\n")[1])
    front["configs"] = [config for config in front["configs"] if config["config_name"] == "adversarial"]
    (copy / "README.md").write_text(f"---\n{json.dumps(front)}\n---\n")
    (part,) = copy.glob("data/adversarial/*/*.parquet")
    table = pq.read_table(part)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    with pytest.raises((RecordError, SourceError), match=expected) as raised:
        export(copy, tmp_path / "in/out", workers=1)
    assert raised.value.hint
    assert {path.name for path in tmp_path.iterdir()} == {"in"}


def test_export_says_what_has_no_caption(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    some = tmp_path / "some.json"
    some.write_text(json.dumps({"img": "sa_2.jpg", "prompt": "one"}) + "\n")
    assert publish("--train", demo.archive, "--captions", some, "--out", tmp_path / "out").code == 0
    bare = run_python("-m", "asam_datasets", "export", tmp_path / "out", "--out", tmp_path / "bare", "--workers", "1")
    assert "sa_000000: 11 of 12 images have no caption, and are in no list" in bare.out
    assert "11 images without a caption: sa_1.jpg, sa_3.jpg" in bare.out
    (manifest,) = (tmp_path / "out").rglob("build.json")
    for lists in (tmp_path / "bare").glob("*.json"):
        lists.unlink()
    (tmp_path / "bare/sa_000000/sa_5.jpg").unlink()  # what is missing is exported again, and counted as before
    again = export(tmp_path / "out", tmp_path / "bare", workers=1)
    assert list(again.report.missing) == [1, *range(3, 13)]
    (archive,) = again.archives
    assert (archive.images, archive.captions, archive.bare) == (12, 1, 1)
    assert archive.masks == archive.annotations == decode_build(manifest.read_bytes(), "").annotations
