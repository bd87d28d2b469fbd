"""`fetch`: images by their ids, from a folder and from the Hub, where bytes and requests are counted."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from archives import Members, tar_bytes, tree
from conftest import ROOT, Ran, Run, run_python
from evaluation_trees import TREES
from local_hub import Fault, LocalHub, Request

from asam_datasets.demo import DemoArchive, draw_record
from asam_datasets.errors import SourceError, TargetError
from asam_datasets.organized import export, fetch

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")
REPO, RECORDS = "xhk/ASAM-Datasets", 256
IDS = random.Random(0).sample(range(1, RECORDS + 1), 24)


@dataclass
class Served:
    """A dataset on a local Hub and in a folder, its originals, and what all of it is when it is exported."""

    hub: LocalHub
    folder: Path
    members: Members
    homes: int = field(default=0)

    def environment(self) -> dict[str, str]:
        """That of a client with an empty cache."""
        self.homes += 1
        home = self.folder / f"home-{self.homes}"
        return {**self.hub.environment(home), "ASAM_DATASETS_CACHE": str(home / "cache"), "PYTHONPATH": str(ROOT)}

    def fetch(self, ids: Sequence[object], out: Path, *more: str | Path) -> Ran:
        """Run the verb, with its log alone."""
        listed = self.folder / "ids.json"
        listed.write_text(json.dumps(ids))
        self.hub.clear_log()
        command = ("fetch", REPO, "--ids", listed, "--out", out, *more)
        return run_python("-m", "asam_datasets", *command, env=self.environment())

    def ranges(self) -> list[Request]:
        """The reads of parts."""
        return [one for one in self.hub.log if one.method == "GET" and one.path.endswith(".parquet")]

    def bytes_of(self, ids: Sequence[int]) -> int:
        """What images take."""
        return sum(len(self.members[f"sa_{one}.jpg"]) for one in ids)

    def check(self, out: Path, ids: Sequence[int], exported: Path) -> None:
        """Compare a folder with the originals and with what `export` writes."""
        found, expected = tree(out / "sa_000000"), tree(exported / "sa_000000")
        stems = {f"sa_{one}" for one in ids}
        assert found == {name: value for name, value in expected.items() if name.split("/")[0].split(".")[0] in stems}
        for one in ids:
            assert (out / f"sa_000000/sa_{one}.jpg").read_bytes() == self.members[f"sa_{one}.jpg"]
        for name in ("blip2-caption", "controlnet-train"):
            lines = (exported / f"sa_000000-{name}.json").read_text().splitlines()
            mine = [line for line in lines if any(f"{stem}.jpg" in line for stem in stems)]
            assert (out / f"sa_000000-{name}.json").read_text().splitlines() == mine


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Iterator[Served]:
    """256 images of 60 to 200 kB, several in a page of their part: comments that no decoder looks at."""
    folder = tmp_path_factory.mktemp("served")
    drawn, noise = (
        [draw_record(number, height=64, width=64, masks=2, seed=0) for number in range(1, 6)],
        random.Random(0),
    )
    members: Members = {}
    for image_id in range(1, RECORDS + 1):
        jpeg, text = drawn[image_id % 5]
        comments = [noise.randbytes(noise.randint(15_000, 50_000)) for _ in range(4)]
        comments = [b"\xff\xfe" + (len(one) + 2).to_bytes(2, "big") + one for one in comments]
        table = json.loads(text)
        table["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
        members[f"sa_{image_id}.jpg"] = jpeg[:2] + b"".join(comments) + jpeg[2:]
        members[f"sa_{image_id}.json"] = json.dumps(table).encode()
    archive, captions = folder / "sa_000000.tar", folder / "captions.json"
    archive.write_bytes(tar_bytes(members))
    lines = [{"img": f"sa_{one}.jpg", "prompt": f"image {one}"} for one in range(1, RECORDS + 1)]
    captions.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    done = publish("--train", archive, "--captions", captions, "--parts", "4", "--out", folder / "dataset")
    assert done.code == 0, done.err
    archive.unlink()
    with LocalHub(folder / "hub") as hub:
        hub.put_folder(REPO, folder / "dataset")
        yield Served(hub, folder, members)
        assert not hub.errors


@pytest.fixture(scope="module")
def exported(served: Served) -> Path:
    """The whole dataset, by `export`."""
    export(served.folder / "dataset", served.folder / "exported", workers=1)
    return served.folder / "exported"


# ------------------------------------------------------------------------------------------------ the Hub


def test_images_cost_their_bytes_and_little_else(served: Served, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = served.fetch([*IDS, 10**6, "sa_77777.jpg", IDS[3]], out)
    assert done.code == 1, done.err
    assert "24 images of 26 ids, 0 of them there before; 24 captions" in done.out
    assert "1 ids came again" in done.out
    assert "MISSING    2 ids: 1000000, 77777; all of them in" in done.out
    assert (out / "missing-ids.txt").read_text() == "1000000\n77777\n"
    served.check(out, IDS, exported)
    log = [one for one in served.hub.log if one.method == "GET"]
    assert sum(one.bytes_out for one in log) <= 1.25 * served.bytes_of(IDS)  # with README, index, footers, annotations
    requests = served.hub.count_requests()
    assert requests["api"] == 2, "for the commit, and whether it is there: nothing is listed"
    assert requests["resolvers"] <= 4 + 4 + 10 * len(IDS)
    assert len({(one.path, one.range) for one in served.ranges()}) == len(served.ranges()), "nothing is read twice"


def test_what_is_there_is_not_fetched_again(served: Served, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert served.fetch(IDS[:6], out).code == 0
    again = served.fetch(IDS[:6], out)
    assert again.code == 0
    assert "6 images of 6 ids, 6 of them there before" in again.out
    assert served.ranges() == []
    more = served.fetch(IDS[:8], out)
    assert "8 images of 8 ids, 6 of them there before; 8 captions" in more.out
    assert sum(one.bytes_out for one in served.ranges()) <= 1.6 * served.bytes_of(IDS[6:8])
    served.check(out, IDS[:8], exported)
    export(served.folder / "dataset", out, workers=1)  # completes it
    assert tree(out) == tree(exported)


def test_a_killed_fetch_goes_on(served: Served, exported: Path, tmp_path: Path) -> None:
    """Killed when some images are there: each is whole, and those are not fetched again."""
    out, listed = tmp_path / "out", tmp_path / "ids"
    listed.write_text("\n".join(map(str, IDS)))
    command = [
        sys.executable,
        "-m",
        "asam_datasets",
        "fetch",
        REPO,
        "--ids",
        str(listed),
        "--out",
        str(out),
        "--at-once",
        "1",
    ]
    with subprocess.Popen(
        command, env=served.environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as run:

        def kill(request: Request) -> None:
            if len(list(out.glob("sa_000000/*.jpg"))) >= 5:
                run.kill()

        served.hub.on_request = kill
        run.wait()
        served.hub.on_request = None
    assert run.returncode < 0
    there = [int(path.stem.removeprefix("sa_")) for path in out.glob("sa_000000/*.jpg")]
    assert 5 <= len(there) < len(IDS)
    for one in there:
        assert (out / f"sa_000000/sa_{one}.jpg").read_bytes() == served.members[f"sa_{one}.jpg"]
    done = served.fetch(IDS, out)
    assert done.code == 0, done.err
    assert f"{len(there)} of them there before; 24 captions" in done.out
    left = served.bytes_of([one for one in IDS if one not in there])
    assert sum(one.bytes_out for one in served.ranges()) <= 1.25 * left
    served.check(out, IDS, exported)


def test_faults_cost_no_image(served: Served, exported: Path, tmp_path: Path) -> None:
    parts = r"/resolve/.*\.parquet"
    faults = [
        Fault(r"/api/datasets/", kind="drop"),
        Fault(parts, "GET", "drop", times=2, skip=3),
        Fault(parts, "GET", "cut", times=2, skip=20),
        Fault(parts, "GET", "status", status=503, times=2, skip=40),
        Fault(parts, "GET", "status", status=429, retry_after=0, times=2, skip=50),
    ]
    for fault in faults:
        served.hub.inject(fault)
    done = served.fetch(IDS, tmp_path / "out")
    assert done.code == 0, done.err
    assert not served.hub.faults_left
    served.check(tmp_path / "out", IDS, exported)


def test_so_many_reads_are_under_way(served: Served, tmp_path: Path) -> None:
    """Footers of four parts are asked for before one of them is answered."""
    all_here, waiting = threading.Event(), set[str]()

    def wait(request: Request) -> None:
        if request.path.endswith(".parquet") and not all_here.is_set():
            waiting.add(request.path)
            if len(waiting) == 4:
                all_here.set()
            assert all_here.wait(60)

    served.hub.on_request = wait
    try:
        done = served.fetch(IDS, tmp_path / "out", "--at-once", "4", "--masks", "none")
    finally:
        served.hub.on_request = None
    assert done.code == 0, done.err
    assert all_here.is_set()


# ------------------------------------------------------------------------------------------------ folders


def test_from_a_folder_by_several_processes(served: Served, exported: Path, tmp_path: Path) -> None:
    done = fetch(served.folder / "dataset", IDS, tmp_path / "out", workers=2)
    assert (done.images, done.fetched, done.captions, done.missing, done.missing_ids) == (24, 24, 24, 0, None)
    served.check(tmp_path / "out", IDS, exported)


def test_nothing_there(served: Served, tmp_path: Path) -> None:
    done = fetch(served.folder / "dataset", [0, 999], tmp_path / "out")
    assert (done.images, done.missing, done.first_missing) == (0, 2, ["0", "999"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["missing-ids.txt"]
    fetch(served.folder / "dataset", [1], tmp_path / "out")
    assert not (tmp_path / "out/missing-ids.txt").exists()


def test_what_is_there_is_never_replaced(served: Served, tmp_path: Path) -> None:
    place = tmp_path / "out/sa_000000"
    place.mkdir(parents=True)
    (place / "sa_1.jpg").write_bytes(b"mine")
    with pytest.raises(TargetError, match="found something else"):
        fetch(served.folder / "dataset", [1], tmp_path / "out")
    assert (place / "sa_1.jpg").read_bytes() == b"mine"
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes").write_text("mine")
    with pytest.raises(TargetError, match="found notes"):
        fetch(served.folder / "dataset", [1], tmp_path / "other")


def test_a_list_with_other_captions_is_not_replaced(served: Served, tmp_path: Path) -> None:
    fetch(served.folder / "dataset", [1], tmp_path / "out")
    path = tmp_path / "out/sa_000000-blip2-caption.json"
    text = path.read_text() + '{"img": "sa_2.jpg", "prompt": "of somebody else"}\n'
    path.write_text(text)
    with pytest.raises(TargetError, match="expected the captions that are written now, found 1 others"):
        fetch(served.folder / "dataset", [2], tmp_path / "out")
    assert path.read_text() == text


# ------------------------------------------------------------------------------------------------ other configs


@pytest.fixture(scope="module")
def sets(demo: DemoArchive, tmp_path_factory: pytest.TempPathFactory, publish: Run) -> tuple[Path, Path]:
    """A dataset of a binary set, one with a COCO file, and adversarial samples; and all of it exported."""
    folder = tmp_path_factory.mktemp("sets")
    sources = []
    for name in ("hrsod_te", "coco2017_val"):
        (folder / name).mkdir()
        TREES[name](folder / name)
        sources.append(f"{name}={folder / name}")
    samples = folder / "adversarial"
    for name in ("adv", "record"):
        (samples / name).mkdir(parents=True)
    organised = folder / "organised"
    export_demo(demo, organised, publish, folder)
    for number in (1, 2, 3):
        shutil.copy(organised / f"sa_000000/sa_{number}.jpg", samples / f"adv/sa_{number}.jpg")
        (samples / f"record/sa_{number}.txt").write_text("0.25")
    command = ("--train", demo.archive, "--evaluation", *sources, "--adversarial", samples, "--out", folder / "dataset")
    done = publish(*command)
    assert done.code == 0, done.err
    export(folder / "dataset", folder / "exported", workers=1, masks="none")
    return folder / "dataset", folder / "exported"


def export_demo(demo: DemoArchive, out: Path, publish: Run, folder: Path) -> None:
    done = publish("--train", demo.archive, "--out", folder / "plain")
    assert done.code == 0, done.err
    fetch(folder / "plain", [1, 2, 3], out, masks="none")


def same_below(folder: Path, whole: Path) -> set[str]:
    """What lies in a folder, of which all is as in another one; COCO files aside."""
    found, expected = tree(folder), tree(whole)
    names = {name for name in found if not name.startswith(".") and not name.endswith(".json")}
    assert {name: found[name] for name in names} == {name: expected[name] for name in names}
    return {name for name in names if found[name] != "folder"}


def test_evaluation_sets_by_id_and_by_file(sets: tuple[Path, Path], tmp_path: Path) -> None:
    dataset, whole = sets
    coco = json.loads((whole / "testdata/coco2017_val/annotations.json").read_text())
    image = coco["images"][1]
    wanted = [image["source_id"], "no such image"]
    done = fetch(dataset, wanted, tmp_path / "coco", config="coco2017_val")
    assert (done.images, done.first_missing) == (1, ["no such image"])
    (tmp_path / "coco/missing-ids.txt").unlink()
    assert same_below(tmp_path / "coco", whole) == {f"testdata/coco2017_val/imgs/{image['file_name']}"}
    mine = json.loads((tmp_path / "coco/testdata/coco2017_val/annotations.json").read_text())
    assert mine["images"] == [image]
    assert mine["annotations"] == [one for one in coco["annotations"] if one["image_id"] == image["id"]]

    both = [image["source_file_name"], image["source_id"]]
    done = fetch(dataset, both, tmp_path / "by-name", config="evaluation")
    assert (done.asked, done.images, done.missing) == (2, 1, 0)
    assert tree(tmp_path / "by-name/testdata") == tree(tmp_path / "coco/testdata")

    (part,) = dataset.glob("data/evaluation/hrsod_te-*/part-000.parquet")
    row = pq.read_table(part, columns=["image_id", "file_name"]).to_pylist()[0]
    done = fetch(dataset, [row["image_id"]], tmp_path / "binary", config="hrsod_te")
    assert done.images == 1
    name = Path(row["file_name"])
    expected = {f"testdata/hrsod_te/imgs/{name.name}", f"testdata/hrsod_te/gts/{name.stem}.png"}
    assert same_below(tmp_path / "binary", whole) == expected
    assert fetch(dataset, [row["image_id"]], tmp_path / "binary", config="hrsod_te").fetched == 0


def test_adversarial_samples(sets: tuple[Path, Path], tmp_path: Path) -> None:
    dataset, whole = sets
    done = fetch(dataset, [3, "sa_1.png", 9], tmp_path / "out", config="adversarial")
    assert (done.images, done.fetched, done.first_missing) == (2, 2, ["9"])
    (tmp_path / "out/missing-ids.txt").unlink()
    expected = {f"adversarial/{name}" for one in (1, 3) for name in (f"adv/sa_{one}.jpg", f"record/sa_{one}.txt")}
    assert same_below(tmp_path / "out", whole) == expected
    assert fetch(dataset, [1, 2], tmp_path / "out", config="adversarial").fetched == 1


def test_images_that_were_not_published_are_one_sentence(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    done = publish("--train", demo.archive, "--annotations-only", "sa_000000", "--out", tmp_path / "dataset")
    assert done.code == 0, done.err
    with pytest.raises(SourceError, match="expected images, found only annotations of sa_000000"):
        fetch(tmp_path / "dataset", [1], tmp_path / "out")
    assert os.listdir(tmp_path) == ["dataset"] or not (tmp_path / "out").exists()


def test_arguments(many: Path, tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ids": []}, "ids: expected image ids, found none"),
        ({"ids": [1], "config": "trian"}, "expected one of the configs"),
        ({"ids": [1], "at_once": 0}, "at_once: expected 1 to 64, found 0"),
    ]
    for options, message in wrong:
        with pytest.raises(SourceError, match=message):
            fetch(many, options.pop("ids"), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
