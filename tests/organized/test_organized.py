"""The organised folder, both ways: from archives, from a published dataset, and as a source."""

from __future__ import annotations

import filecmp
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from archives import PACKS, demo_members, edited, pack_folder, pack_tar, put, tree
from by_hand import reindex
from conftest import ROOT, Ran, Run, clean_environment, kill_and_wait_for_all, run_python
from local_hub import LocalHub
from pycocotools import mask as coco

from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import CaptionsError, RecordError, SourceError, TargetError
from asam_datasets.organized import MaskRange, export, organize
from asam_datasets.sources import BadRecords, read_captions
from asam_datasets.sources.sa1b import FolderSource, check_organized, find_archives, find_captions

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def organised(demo: DemoArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as an organised folder; copy it to change it."""
    out = tmp_path_factory.mktemp("organised") / "sam-1b"
    organize([demo.archive], out, captions=[demo.captions], workers=1)
    return out


@pytest.fixture(scope="module")
def published(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo as a published dataset."""
    out = tmp_path_factory.mktemp("published") / "dataset"
    assert publish("--train", demo.archive, "--captions", demo.captions, "--out", out).code == 0
    return out


def run(*arguments: object, env: dict[str, str] | None = None, **options: Any) -> Ran:
    """The command line."""
    return run_python("-m", "asam_datasets", *map(str, arguments), env=env, **options)


# ------------------------------------------------------------------------------------------------ what is written


def test_the_tree(organised: Path, members: dict[str, bytes]) -> None:
    archive = organised / "sa_000000"
    expected = {"sa_000000-blip2-caption.json", "sa_000000-controlnet-train.json", "sa_000000"}
    assert {path.name for path in organised.iterdir()} == expected
    for image_id in range(1, 13):
        for ending in ("jpg", "json"):
            assert (archive / f"sa_{image_id}.{ending}").read_bytes() == members[f"sa_{image_id}.{ending}"]
        annotations = json.loads(members[f"sa_{image_id}.json"])["annotations"]
        found = {path.name for path in (archive / f"sa_{image_id}").iterdir()}
        assert found == {f"segmentation_{n}.png" for n in range(len(annotations))}
    assert len(list(archive.iterdir())) == 12 * 4


class TrainingSet:
    """The organised folder as ASAM's programs read it, written from design.md 3.2 alone: OpenCV and json."""

    def __init__(self, root: str, archive: str) -> None:
        self.root, self.archive = root, archive
        with open(f"{root}/{archive}-blip2-caption.json") as file:
            self.captions = {line["img"]: line["prompt"] for line in map(json.loads, file)}
        with open(f"{root}/{archive}-controlnet-train.json") as file:
            self.pairs = [json.loads(line) for line in file]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        pair = self.pairs[index]
        stem = pair["target"].removesuffix(".jpg")
        with open(f"{self.root}/{stem}.json") as file:
            table = json.load(file)
        masks = [
            cv2.imread(f"{self.root}/{stem}/segmentation_{n}.png", cv2.IMREAD_UNCHANGED)
            for n in range(len(table["annotations"]))
        ]
        return {
            "source": cv2.imread(self.root + "/" + pair["source"]),
            "target": cv2.imread(self.root + "/" + pair["target"]),
            "prompt": pair["prompt"],
            "caption": self.captions[table["image"]["file_name"]],
            "masks": masks,
            "annotations": table["annotations"],
        }


def test_a_program_of_asams_reads_it(organised: Path, demo: DemoArchive) -> None:
    data, captions = TrainingSet(str(organised), "sa_000000"), read_captions([demo.captions])
    assert (len(data), data.captions) == (12, captions)
    seen = 0
    for index in range(len(data)):
        item = data[index]
        assert item["source"].shape == item["target"].shape
        assert item["prompt"] == item["caption"]
        for mask, annotation in zip(item["masks"], item["annotations"], strict=True):
            assert mask.shape == item["target"].shape[:2]
            assert mask.dtype == np.uint8
            assert set(np.unique(mask)) <= {0, 255}
            assert np.array_equal(mask == 255, coco.decode(annotation["segmentation"]) == 1)
            seen += 1
        painted = item["source"].any(axis=2)
        union = np.any([mask == 255 for mask in item["masks"]], axis=0) if item["masks"] else np.zeros_like(painted)
        assert np.array_equal(painted, union)
    assert seen == demo.annotations


def test_the_lists_are_those_that_publish_writes(organised: Path, published: Path) -> None:
    for path in (published / "organized").iterdir():
        assert path.read_bytes() == (organised / path.name).read_bytes()
    assert len(list((published / "organized").iterdir())) == 2


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
@pytest.mark.parametrize("workers", [1, 2])
def test_every_container_gives_the_same(workers: int, pack: Any, tmp_path: Path) -> None:
    members = demo_members(tmp_path / "demo")
    (tmp_path / "in").mkdir()
    (tmp_path / "tar").mkdir()
    organize([pack(tmp_path / "in", members)], tmp_path / "out", workers=workers)
    organize([pack_tar(tmp_path / "tar", members)], tmp_path / "expected", workers=1)
    assert tree(tmp_path / "out") == tree(tmp_path / "expected")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["sa_000000"], "no lists without captions"


@pytest.mark.parametrize(
    ("masks", "expected"),
    [("all", None), ("none", None), ("0:4", range(4)), (":2", range(2)), ("3:5", range(3, 5)), ("900:", range(0))],
)
def test_a_choice_of_masks(
    masks: str, expected: range | None, organised: Path, demo: DemoArchive, tmp_path: Path
) -> None:
    organize([demo.archive], tmp_path / "out", masks=masks, workers=1)
    for image_id in range(1, 13):
        whole, folder = organised / f"sa_000000/sa_{image_id}", tmp_path / f"out/sa_000000/sa_{image_id}"
        if masks == "none":
            assert not folder.exists()
            continue
        chosen = range(len(list(whole.iterdir()))) if expected is None else expected
        names = {f"segmentation_{n}.png" for n in chosen} & {path.name for path in whole.iterdir()}
        assert {path.name for path in folder.iterdir()} == names
        assert all((folder / name).read_bytes() == (whole / name).read_bytes() for name in names)
        assert (folder.with_suffix(".png")).read_bytes() == whole.with_suffix(".png").read_bytes()


@pytest.mark.parametrize("text", ["some", "4:4", "5:2", "-1:3", "1:2:3", "", "0x1:3"])
def test_a_wrong_choice_of_masks(text: str) -> None:
    with pytest.raises(TargetError, match="expected `all`, `none` or a range such as 0:4"):
        MaskRange.from_text(text)


# ------------------------------------------------------------------------------------------------ both ways


def same_trees(one: Path, other: Path) -> bool:
    done = subprocess.run(["diff", "-r", str(one), str(other)], capture_output=True, text=True, check=False)
    print(done.stdout[:2000], done.stderr[:2000])
    return done.returncode == 0


@pytest.mark.parametrize("masks", ["all", "none", "0:4"])
def test_export_equals_organize(masks: str, published: Path, demo: DemoArchive, tmp_path: Path) -> None:
    ran = run("export", published, "--out", tmp_path / "export", "--masks", masks, "--workers", 2, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["archives"][0]["captions"] == 12
    done = run("organize", demo.archive, "--captions", demo.captions, "--out", tmp_path / "organize", "--masks", masks)
    assert done.code == 0, done.err
    assert same_trees(tmp_path / "export", tmp_path / "organize")


def test_export_loses_nothing_of_a_derived_archive(publish: Run, tmp_path: Path) -> None:
    """Fields that are missing, integers for floats, another order of the keys: equal in value, if not in spelling."""
    members = demo_members(tmp_path / "demo")
    table = json.loads(members["sa_2.json"])
    for annotation in table["annotations"][::2]:
        del annotation["crop_box"], annotation["id"]
        annotation["bbox"] = [int(value) for value in annotation["bbox"]]
    table["annotations"] = [dict(sorted(one.items())) for one in table["annotations"]]
    members["sa_2.json"] = json.dumps(table, indent=1).encode()
    source = pack_tar(tmp_path, members)
    assert publish("--train", source, "--out", tmp_path / "dataset").code == 0
    export(tmp_path / "dataset", tmp_path / "out", workers=1)
    for name, content in members.items():
        found = (tmp_path / "out" / "sa_000000" / name).read_bytes()
        assert found == content or (name == "sa_2.json" and json.loads(found) == table)


def test_export_from_the_hub(demo: DemoArchive, organised: Path, publish: Run, tmp_path: Path) -> None:
    repo = "xhk/ASAM-Datasets"
    with LocalHub(tmp_path / "hub", xet=False) as hub:
        env = {**hub.environment(tmp_path / "home", xet=False), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        ran = publish("--train", demo.archive, "--captions", demo.captions, "--repo-id", repo, env=env)
        assert ran.code == 0, ran.err
        hub.clear_log()
        done = run("export", repo, "--out", tmp_path / "out", "--workers", 1, env=env)
        assert done.code == 0, done.err
        assert same_trees(tmp_path / "out", organised)
        assert {request.method for request in hub.log} <= {"GET", "HEAD", "POST"}
        missing = run("export", "xhk/another", "--out", tmp_path / "none", env=env)
        assert missing.code == 1
        assert (
            "xhk/another: expected a dataset made by asam_datasets, found no such folder and no repository"
            in missing.err
        )
        assert not (tmp_path / "none").exists()


def test_publish_from_the_folder_equals_publish_from_the_archive(
    organised: Path, published: Path, publish: Run, tmp_path: Path
) -> None:
    assert find_archives(organised) == [str(organised / "sa_000000")]
    lists = find_captions(organised)
    assert [path.name for path in lists] == ["sa_000000-blip2-caption.json", "sa_000000-controlnet-train.json"]
    assert find_captions(organised / "sa_000000") == lists
    for name, source in (("top", organised), ("archive", organised / "sa_000000")):
        assert publish("--train", source, "--captions", *lists, "--out", tmp_path / name).code == 0
        assert same_trees(tmp_path / name / "data", published / "data")


def test_organize_the_organised_folder(organised: Path, tmp_path: Path) -> None:
    """Captions are found by themselves, and the copy is the same."""
    organize([organised], tmp_path / "copy", workers=1)
    assert same_trees(tmp_path / "copy", organised)


def test_folders_of_masks_are_not_archives(tmp_path: Path) -> None:
    """The masks of image 226381 lie in `sa_226381/`, which is a name that archives have."""
    demo = write_demo(tmp_path / "in", images=2, first_id=226_381, height=200, width=240)
    organize([demo.archive], tmp_path / "out", captions=[demo.captions], workers=1)
    archive = tmp_path / "out" / "sa_000000"
    assert find_archives(archive) == find_archives(tmp_path / "out") == [str(archive)]
    assert len(find_captions(archive)) == 2
    assert len(FolderSource(archive, "sa_000000").index(BadRecords()).records) == 2


def test_a_folder_of_archives_in_two_forms(organised: Path, demo: DemoArchive, tmp_path: Path) -> None:
    shutil.copytree(organised, tmp_path / "sam-1b")
    shutil.copy(demo.archive, tmp_path / "sam-1b" / "sa_000001.tar")
    with pytest.raises(SourceError, match=r"found both \(sa_000001.tar and sa_000000\)"):
        find_archives(tmp_path / "sam-1b")
    assert find_captions(demo.archive) == []
    assert find_captions("https://example.org/sa_000000") == []


def test_several_archives_share_a_folder(demo: DemoArchive, organised: Path, publish: Run, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "in", archive="sa_000001", images=3, first_id=50, height=200, width=240)
    out = tmp_path / "sam-1b"
    organize([demo.archive], out, captions=[demo.captions], workers=1)
    organize([second.archive], out, captions=[second.captions], workers=1)
    assert len(find_archives(out)) == 2
    assert len(find_captions(out)) == 4
    organize([demo.archive, second.archive], tmp_path / "both", captions=[demo.captions, second.captions], workers=2)
    assert same_trees(out, tmp_path / "both")
    sources = ["--train", demo.archive, second.archive, "--captions", demo.captions, second.captions]
    assert publish(*sources, "--out", tmp_path / "dataset").code == 0
    export(tmp_path / "dataset", tmp_path / "export", workers=2)
    assert same_trees(out, tmp_path / "export")


# ------------------------------------------------------------------------------------------------ the check


def changed(out: Path, name: str, change: Callable[[Path], object]) -> list[tuple[str, str]]:
    change(out / "sa_000000" / name)
    source = FolderSource(out / "sa_000000", "sa_000000")
    return [(one.member, one.problem) for one in check_organized(source, source.index(BadRecords()).records)]


def flip_pixels(path: Path) -> None:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    pixels[:2, :3] = 255 - pixels[:2, :3]
    cv2.imwrite(str(path), pixels)


def scale(path: Path) -> None:
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[::2, ::2])


def rewrite(path: Path) -> None:
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED), [cv2.IMWRITE_PNG_COMPRESSION, 9])


def as_ones(path: Path) -> None:
    cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) // 255)


CHANGES: dict[str, tuple[str, Callable[[Path], object], list[tuple[str, str]]]] = {
    "nothing": ("sa_1.png", lambda path: None, []),
    "compressed otherwise": ("sa_1/segmentation_2.png", rewrite, []),
    "map compressed otherwise": ("sa_1.png", rewrite, []),
    "other pixels": ("sa_1/segmentation_2.png", flip_pixels, [("sa_1/segmentation_2.png", "found 6 other pixels")]),
    "ones": ("sa_1/segmentation_2.png", as_ones, [("sa_1/segmentation_2.png", "expected 0 and 255")]),
    "smaller": ("sa_1/segmentation_2.png", scale, [("sa_1/segmentation_2.png", "expected 300 × 420 (height × width)")]),
    "other map": ("sa_1.png", flip_pixels, [("sa_1.png", "found 6 other pixels")]),
    "smaller map": ("sa_1.png", scale, [("sa_1.png", "found 150 × 210 (height × width) with 3 channels")]),
    "a mask less": ("sa_1/segmentation_2.png", Path.unlink, [("sa_1", "1 missing (such as segmentation_2.png)")]),
    "a mask more": ("sa_1/segmentation_99.png", Path.touch, [("sa_1", "1 other (such as segmentation_99.png)")]),
    "no mask": ("sa_1/segmentation_2.png", lambda p: p.write_bytes(b"x"), [("sa_1/segmentation_2.png", "1 bytes")]),
    "no masks at all": ("sa_1", shutil.rmtree, []),
}


@pytest.mark.parametrize(("name", "change", "expected"), CHANGES.values(), ids=CHANGES)
def test_decoded_files_that_disagree(
    name: str, change: Callable[[Path], object], expected: list[tuple[str, str]], organised: Path, tmp_path: Path
) -> None:
    shutil.copytree(organised, tmp_path / "sam-1b")
    found = changed(tmp_path / "sam-1b", name, change)
    assert [member for member, _ in found] == [member for member, _ in expected]
    assert all(said in problem for (_, problem), (_, said) in zip(found, expected, strict=True))


# ------------------------------------------------------------------------------------------------ resuming


def test_killed_and_resumed(demo: DemoArchive, organised: Path, tmp_path: Path) -> None:
    out = tmp_path / "sam-1b"
    arguments = ["organize", demo.archive, "--captions", demo.captions, "--out", out, "--workers", 2]
    command = [sys.executable, "-m", "asam_datasets", *map(str, arguments)]
    for images in (1, 4, 7):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        end = time.monotonic() + 300
        while len(list(out.glob("sa_000000/*.jpg"))) < images and time.monotonic() < end:
            time.sleep(0.001)
        kill_and_wait_for_all(process)
        for jpeg in out.glob("sa_000000/*.jpg"):
            whole = organised / "sa_000000" / jpeg.name
            assert jpeg.read_bytes() == whole.read_bytes()
            compared = filecmp.dircmp(jpeg.with_suffix(""), whole.with_suffix(""))
            half = [*compared.left_only, *compared.right_only, *compared.diff_files]
            assert not half, "never a half folder"
    ran = run(*arguments)
    assert ran.code == 0, ran.err
    assert same_trees(out, organised)


def test_a_second_run_changes_nothing(demo: DemoArchive, organised: Path, tmp_path: Path) -> None:
    shutil.copytree(organised, tmp_path / "sam-1b")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "sam-1b").rglob("*.png")}
    organize([demo.archive], tmp_path / "sam-1b", captions=[demo.captions], workers=1)
    assert same_trees(tmp_path / "sam-1b", organised)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "sam-1b").rglob("*.png")} == before


def test_masks_are_added_later(demo: DemoArchive, organised: Path, tmp_path: Path) -> None:
    out = tmp_path / "sam-1b"
    organize([demo.archive], out, masks="none", workers=1)
    organize([demo.archive], out, captions=[demo.captions], workers=1)
    assert same_trees(out, organised)
    with pytest.raises(TargetError, match=r"expected a folder of these 1 masks, found \d+ files"):
        organize([demo.archive], out, masks="0:1", workers=1)
    assert same_trees(out / "sa_000000", organised / "sa_000000")


@pytest.mark.parametrize("verb", ["organize", "export"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(
    verb: str, workers: int, demo: DemoArchive, organised: Path, published: Path, tmp_path: Path
) -> None:
    """No file may be larger than 12 kB here, as if the disk had no more room; some images have room."""
    out = tmp_path / "sam-1b"
    source = [demo.archive, "--captions", demo.captions] if verb == "organize" else [published]
    arguments = [verb, *source, "--out", out, "--workers", workers]
    limit = sorted(path.stat().st_size for path in organised.glob("sa_000000/*.j*"))[-3]
    done = run(*arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    assert done.code == 1
    assert done.err.count("error: ") == 1
    assert "expected to be able to write, found: File too large" in done.err
    assert "Traceback" not in done.err
    assert "hint: Make room" in done.err
    kept = {path: path.stat().st_ino for path in out.glob("sa_000000/*.jpg")}
    for path in out.rglob("*.*"):
        twin = organised / path.relative_to(out)
        assert path.is_dir() or ".asam_datasets" in path.parts or path.read_bytes() == twin.read_bytes()
    again = run(*arguments)
    assert again.code == 0, again.err
    assert same_trees(out, organised)
    assert {path: path.stat().st_ino for path in kept} == kept, "what was finished is kept"


# ------------------------------------------------------------------------------------------------ somebody else's


FOREIGN = ["notes.txt", "data/train/part-000.parquet", "sa_000000/readme.txt", "sa_000000/sa_77.jpg", "photos/cat.jpg"]


@pytest.mark.parametrize("verb", ["organize", "export"])
@pytest.mark.parametrize("name", FOREIGN)
def test_a_folder_that_holds_something_else(
    name: str, verb: str, demo: DemoArchive, published: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("mine")
    before = tree(out)
    write = partial(organize, [demo.archive]) if verb == "organize" else partial(export, published)
    with pytest.raises(TargetError) as raised:
        write(out, workers=1)
    assert "expected an empty folder or an organised one of these archives, found " in str(raised.value)
    assert Path(name).name in str(raised.value) or name.split("/")[0] in str(raised.value)
    if verb == "organize" or not name.endswith("sa_77.jpg"):  # of a part, ids are known when it was read
        assert tree(out) == before
    assert (out / name).read_text() == "mine"


def test_a_file_in_the_way(demo: DemoArchive, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TargetError, match="expected a folder, found a file"):
        organize([demo.archive], tmp_path / "file", workers=1)


def test_other_bytes_under_a_name_are_not_replaced(demo: DemoArchive, organised: Path, tmp_path: Path) -> None:
    out = tmp_path / "sam-1b"
    shutil.copytree(organised, out)
    for name in ("sa_3.jpg", "sa_3.json", "sa_3.png", "sa_3/segmentation_1.png"):
        path = out / "sa_000000" / name
        content = path.read_bytes()
        path.write_bytes(b"mine")
        with pytest.raises(TargetError, match=f"{name}: expected nothing there, or the bytes that this would write"):
            organize([demo.archive], out, workers=1)
        assert path.read_bytes() == b"mine"
        path.write_bytes(content)


def test_other_captions_are_not_replaced(demo: DemoArchive, organised: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "sam-1b", tmp_path / "other.json"
    shutil.copytree(organised, out)
    other.write_text('{"img": "sa_1.jpg", "prompt": "something else"}\n')
    with pytest.raises(TargetError, match="expected the captions that are written now, found 12 others"):
        organize([demo.archive], out, captions=[other], workers=1)
    assert same_trees(out / "sa_000000-blip2-caption.json", organised / "sa_000000-blip2-caption.json")
    organize([demo.archive], out, workers=1)
    assert same_trees(out, organised), "a run without captions leaves those that are there"


def test_a_second_writer_is_refused(demo: DemoArchive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "asam_datasets", "organize", str(demo.archive), "--out", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as first:
        assert first.stderr
        assert "Looking at" in first.stderr.readline()
        first.send_signal(signal.SIGSTOP)  # it must not be done before the other one looks
        with pytest.raises(TargetError, match=f"expected to be the only writer, found process {first.pid} on "):
            organize([demo.archive], out, workers=1)
        first.send_signal(signal.SIGCONT)
        first.stderr.read()
    assert first.returncode == 0


# ------------------------------------------------------------------------------------------------ bad input


def test_captions_of_another_archive(demo: DemoArchive, tmp_path: Path) -> None:
    captions = tmp_path / "captions.json"
    captions.write_text('{"img": "sa_1.jpg", "prompt": "a"}\n{"img": "sa_777.jpg", "prompt": "b"}\n')
    with pytest.raises(CaptionsError, match=r"found 1 captions of images that are in no archive: sa_777.jpg"):
        organize([demo.archive], tmp_path / "out", captions=[captions], workers=1)
    assert not (tmp_path / "out").exists()
    options: dict[str, Any] = {"captions": [captions], "workers": 1, "on_bad_record": "skip"}
    done = organize([demo.archive], tmp_path / "out", **options)
    assert (done.rejected, list(done.report.unknown), len(done.report.missing)) == (1, ["sa_777.jpg"], 11)
    assert len((tmp_path / "out" / "sa_000000-controlnet-train.json").read_text().splitlines()) == 1
    with pytest.raises(CaptionsError, match="expected a caption for every image, found 11 images without one"):
        organize([demo.archive], tmp_path / "more", **options, require_captions=True)


@pytest.mark.parametrize("pack", PACKS.values(), ids=PACKS)
def test_a_bad_record(pack: Any, tmp_path: Path) -> None:
    members = demo_members(tmp_path / "demo")
    bad = edited(members, "sa_2.json", put("annotations[1].segmentation.counts", "~"))
    source = pack(tmp_path, bad)
    with pytest.raises(RecordError, match=r"sa_2.json: \$.annotations\[1\].segmentation.counts"):
        organize([source], tmp_path / "out", workers=1)
    done = organize([source], tmp_path / "out", workers=1, on_bad_record="skip")
    assert (done.archives[0].images, done.rejected) == (5, 1)
    assert not list((tmp_path / "out/sa_000000").glob("sa_2*"))
    (reject,) = [json.loads(line) for line in (tmp_path / "out/rejects.jsonl").read_text().splitlines()]
    assert reject["member"].endswith("sa_2.json")
    if pack is not pack_folder:
        shutil.rmtree(tmp_path / "out")
        organize([pack(tmp_path, members)], tmp_path / "out", workers=1)
        assert not (tmp_path / "out/rejects.jsonl").exists()


def test_no_dataset_to_export(published: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for location in (tmp_path / "none", tmp_path / "empty", "one-word"):
        with pytest.raises(SourceError) as raised:
            export(location, tmp_path / "out", workers=1)
        assert str(location) in str(raised.value)
        assert raised.value.hint
    shutil.copytree(published, tmp_path / "dataset")
    (tmp_path / "dataset" / "README.md").write_text("---\nconfigs: []\n---\n")
    with pytest.raises(SourceError, match="expected a dataset made by asam_datasets, found a README without"):
        export(tmp_path / "dataset", tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda part: part.write_bytes(part.read_bytes()[:-100]),
    "gone": Path.unlink,
    "no Parquet": lambda part: part.write_bytes(b"<html>"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_part(damage: Callable[[Path], object], published: Path, tmp_path: Path) -> None:
    shutil.copytree(published, tmp_path / "dataset")
    part = sorted((tmp_path / "dataset").rglob("*.parquet"))[-1]
    damage(part)
    with pytest.raises(SourceError) as raised:
        export(tmp_path / "dataset", tmp_path / "out", workers=1)
    assert part.name in str(raised.value)
    assert " found" in str(raised.value)


def test_an_image_that_is_there_twice(published: Path, tmp_path: Path) -> None:
    """Its files would be written once, and counted twice."""
    import pyarrow.parquet as pq

    shutil.copytree(published, tmp_path / "dataset")
    part = min((tmp_path / "dataset").rglob("*.parquet"))
    table = pq.read_table(part)
    pq.write_table(table.take([0, 0, *range(2, len(table))]), part)
    with pytest.raises(SourceError, match="sa_000000: expected each image once, found image id 1 again"):
        export(tmp_path / "dataset", tmp_path / "out", masks="none", workers=1)


def test_a_dataset_that_would_write_elsewhere(published: Path, tmp_path: Path) -> None:
    """A repository may hold anything: names of files in it are checked before they become paths."""
    import pyarrow.parquet as pq

    shutil.copytree(published, tmp_path / "dataset")
    part = min((tmp_path / "dataset").rglob("*.parquet"))
    table = pq.read_table(part)
    names = ["../../sa_1.jpg", *table["file_name"].to_pylist()[1:]]
    pq.write_table(table.set_column(table.schema.get_field_index("file_name"), "file_name", [names]), part)
    with pytest.raises(SourceError, match=r"expected an image sa_1.jpg in the row of image id 1, found '\.\./\.\./"):
        export(tmp_path / "dataset", tmp_path / "out", workers=1)
    build = next((tmp_path / "dataset").rglob("build.json"))
    build.write_text(build.read_text().replace('"sa_000000"', '"../x"'))
    reindex(tmp_path / "dataset")
    with pytest.raises(SourceError, match=r"found an index that is none"):
        export(tmp_path / "dataset", tmp_path / "out", workers=1)
    assert not (tmp_path / "x").exists()


def test_offline(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path / "home", HF_HUB_OFFLINE="1")
    done = run("export", "xhk/ASAM-Datasets", "--out", tmp_path / "out", env=environment)
    assert done.code == 1
    assert "/datasets/xhk/ASAM-Datasets: " in done.err
    assert "Traceback" not in done.err
    assert "There is no folder" not in done.err
    (tmp_path / "data").mkdir()
    missing = run("export", "data/out", "--out", tmp_path / "out", env=environment, cwd=tmp_path)
    assert missing.code == 1
    lines = [line for line in missing.err.splitlines() if "data/out" in line]
    assert "There is no folder data/out: asking the Hub" in lines[1], "before it asks"
    assert "/datasets/data/out: " in lines[2]
