"""What people write who call us from Python, and what they are told: no error of Python's own out of our insides, and
nothing done that was not meant."""

from __future__ import annotations

import os
import sys
import tarfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import tar_bytes, tiny_members

from asam_datasets import masks, show
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import (
    SKIP,
    AsamDatasetsError,
    ModelError,
    RecordError,
    SegmentationError,
    SourceError,
    TargetError,
)
from asam_datasets.evaluate import EvaluateOptions
from asam_datasets.formats import export_form
from asam_datasets.organized import organize
from asam_datasets.preview import preview
from asam_datasets.publish import PublishOptions, plan, publish
from asam_datasets.published import open_dataset, rows, verify


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("drawn"), images=4, height=192, width=192)


@pytest.fixture(scope="module")
def dataset(archive: DemoArchive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "out"
    publish(PublishOptions(archive.archive, captions=archive.captions, out=out, workers=1))
    return out


def options(archive: DemoArchive, out: Path, **more: Any) -> PublishOptions:
    return PublishOptions(**{"train": archive.archive, "out": out, "workers": 1, **more})


def ids_of(dataset: Path, split: str = "train") -> list[int]:
    config = open_dataset(dataset).config("sam")
    (build,) = config.builds
    return [row["image_id"] for row in rows(dataset, [1, 2, 3, 4])] if split in build.splits else []


def test_lists_may_be_anything_that_gives_names(archive: DemoArchive, tmp_path: Path) -> None:
    given: Iterator[Path] = archive.archive.parent.glob("*.tar")  # which gives them once
    done = publish(options(archive, tmp_path / "out", train=given, captions=(one for one in [archive.captions])))
    assert (done.rows, done.captions) == (4, 4)
    more = {"ids": (one for one in [1, "sa_2.jpg", np.int64(3)]), "validation": [3]}
    done = publish(options(archive, tmp_path / "some", **more))
    assert sorted(ids_of(tmp_path / "some")) == [1, 2, 3]
    assert (done.rows, [build.splits for build in open_dataset(tmp_path / "some").builds]) == (
        3,
        [("train", "validation")],
    )
    assert publish(options(archive, tmp_path / "none", captions=None, evaluation=None)).captions == 0


@pytest.mark.parametrize("word", ["Raise", "ignore", None, True])
def test_only_the_word_skip_skips(word: Any, tmp_path: Path) -> None:
    members = tiny_members(3)
    name = next(name for name in members if name.endswith(".json"))
    (tmp_path / "sa_000000.tar").write_bytes(tar_bytes({**members, name: b"{"}))
    with pytest.raises(SourceError, match=f"on_bad_record: expected raise or skip, found {word!r}"):
        publish(PublishOptions(tmp_path / "sa_000000.tar", out=tmp_path / "out", on_bad_record=word))
    with pytest.raises(SourceError, match=f"expected raise or skip, found {word!r}"):
        organize(tmp_path / "sa_000000.tar", tmp_path / "folder", on_bad_record=word)
    assert os.listdir(tmp_path) == ["sa_000000.tar"]


@pytest.mark.parametrize("answer", [False, "", 0])
def test_who_does_not_agree_keeps_what_is_there(answer: Any, archive: DemoArchive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(options(archive, out, captions=archive.captions))
    before = (out / "README.md").read_bytes()
    with pytest.raises(TargetError, match="expected an agreement to the plan, found"):
        publish(options(archive, out, no_captions=True), confirm=lambda planned: answer)
    assert (out / "README.md").read_bytes() == before
    for agreed in (True, None):
        done = publish(options(archive, out, no_captions=True), confirm=lambda planned, agreed=agreed: agreed)  # type: ignore[misc]
        assert done.captions == 0


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"protocol": "ASAM"}, "protocol: expected default or asam, found 'ASAM'"),
        ({"parts": "3"}, "expected parts of at least 1, found '3'"),
        ({"workers": 2.0}, "expected workers of at least 1, found 2.0"),
        ({"title": 5}, "title: expected text, found 5"),
        ({"license": 5}, "license: expected text, found 5"),
        ({"train": 5}, "train: expected paths or names, one or a list of them, found 5"),
        ({"evaluation": [("mine", "own")]}, "evaluation: expected paths or names"),
        ({"annotations_only": True}, "annotations_only: expected paths or names"),
        ({"ids": [None]}, "expected an image id, found 'None'"),
        ({"validation": [None]}, "expected an image id, found 'None'"),
        ({"validation": []}, "expected image ids, found none"),
    ],
)
def test_what_publish_cannot_use(more: dict[str, Any], message: str, archive: DemoArchive, tmp_path: Path) -> None:
    with pytest.raises(AsamDatasetsError, match=message) as caught:
        plan(options(archive, tmp_path / "out", **more))
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_publish_of_something_else(archive: DemoArchive, tmp_path: Path) -> None:
    for act in (publish, plan):
        with pytest.raises(SourceError, match=r"expected PublishOptions, found 'sa\.tar'") as caught:
            act("sa.tar")  # type: ignore[operator]
        assert "PublishOptions(" in caught.value.hint
    with pytest.raises(SourceError, match="confirm: expected a function of the plan, found True"):
        publish(options(archive, tmp_path / "out"), confirm=True)  # type: ignore[arg-type]


def test_one_id_needs_no_list(dataset: Path) -> None:
    for one in (2, "2", "sa_2.jpg", np.int64(2), [np.int64(2)]):
        assert [row["image_id"] for row in rows(dataset, one)] == [2]  # type: ignore[arg-type]
    for wrong in ("", "sa_1.jpg," * 60):  # too long for the name of a file
        with pytest.raises(SourceError, match="expected an image id, found"):
            rows(dataset, wrong)
    assert [list(row) for row in rows(dataset, [1], columns=(name for name in ["image_id"]))] == [["image_id"]]  # type: ignore[arg-type]
    with pytest.raises(SourceError, match=r"expected an image id, found 'ids\.txt'"):
        rows(dataset, "ids.txt")
    with pytest.raises(SourceError, match="expected a list of image ids, found None"):
        rows(dataset, None)  # type: ignore[arg-type]


def test_rows_and_workers_of_other_types(dataset: Path, tmp_path: Path) -> None:
    assert preview(dataset, out=tmp_path / "one.png", rows=3).start == 3
    for wrong in (range(3), (0, 3), None, 2.5):
        with pytest.raises(SourceError, match="expected a range such as 0:12, or one number, found"):
            preview(dataset, out=tmp_path / "sheet.png", rows=wrong)  # type: ignore[arg-type]
    assert verify(dataset, deep=True, workers=None).is_good
    for number in (0, 1.5):
        with pytest.raises(SourceError, match=f"expected workers of at least 1, found {number}"):
            verify(dataset, deep=True, workers=number)  # type: ignore[arg-type]
    with pytest.raises(TargetError, match="expected `all`, `none` or a range such as 0:4, found 4"):
        organize("sa.tar", tmp_path / "folder", masks=4)  # type: ignore[arg-type]
    assert EvaluateOptions(configs="hrsod_te").configs == ("hrsod_te",)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="expected points of at least 0, found '3'"):
        EvaluateOptions(points="3")  # type: ignore[arg-type]
    with pytest.raises(TargetError, match=r"form: expected one of .* found 'COCO'"):
        export_form(dataset, tmp_path / "coco", form="COCO")
    record = next(iter(rows(dataset, 1)))
    assert show(record, panels="masks").size[0] < show(record).size[0]  # type: ignore[arg-type]


def test_a_file_is_not_asked_for_on_the_hub(archive: DemoArchive, dataset: Path) -> None:
    for place in (archive.archive, dataset / "README.md"):
        with pytest.raises(SourceError, match="expected a dataset made by asam_datasets, found a file"):
            open_dataset(place)


def test_the_folder_of_the_user(archive: DemoArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    demo = write_demo("~/demo", images=1, height=192, width=192)
    publish(
        PublishOptions("~/demo/sa_000000.tar", captions="~/demo/sa_000000-blip2-caption.json", out="~/out", workers=1)
    )
    preview("~/out", out="~/sheet.png")
    assert demo.archive == tmp_path / "demo" / "sa_000000.tar"
    assert sorted(one for one in os.listdir(tmp_path) if one != ".cache") == ["demo", "out", "sheet.png"]


@pytest.mark.parametrize("name", ["~", "~root"])
def test_a_folder_called_so_is_not_the_folder_of_the_user(
    name: str, archive: DemoArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text that somebody gives is expanded; what is found in a folder is not, or a home would be published."""
    home, work = tmp_path / "home", tmp_path / "work"
    with tarfile.open(archive.archive) as tar:
        tar.extractall(home, filter="data")
    (work / name).mkdir(parents=True)
    (work / f"{name}-blip2-caption.json").write_text("")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    for act in (lambda: plan(PublishOptions(".", out="out", workers=1)), lambda: organize(".", "out", workers=1)):
        with pytest.raises(SourceError, match=f"expected a name of letters, .* found '{name}'"):
            act()


def test_a_path_that_is_called_so(archive: DemoArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `Path` is taken as it is, which also is what a shell has left of an argument."""
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("ASAM_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(work)
    for out in (Path("~/deeper"), "./~two"):
        publish(options(archive, out))
        assert verify(out, deep=True).is_good
        assert len(ids_of(out)) == 4
    assert (sorted(os.listdir(work)), os.listdir(home)) == (["~", "~two"], [])
    organize(archive.archive, Path("~three"), workers=1)
    assert (work / "~three").is_dir()


def test_an_empty_path_is_not_the_folder_one_is_in(archive: DemoArchive, tmp_path: Path) -> None:
    for more in ({"train": ""}, {"train": [archive.archive, ""]}, {"captions": ""}, {"remove": [""]}):
        with pytest.raises(SourceError, match="expected paths or names, one or a list of them, found"):
            options(archive, tmp_path / "out", **more)
    with pytest.raises(SourceError, match="expected paths or names"):
        organize("", tmp_path / "folder")
    with pytest.raises(TargetError, match="expected to be able to write, found: File name too long"):
        plan(options(archive, tmp_path / ("x" * 300)))
    for more in ({"train": "a\0.tar"}, {"about": "a\0"}):
        with pytest.raises(SourceError, match="which has a null character"):
            plan(options(archive, tmp_path / "out", **more))


def test_a_mask_in_a_wrong_form() -> None:
    array = np.zeros((4, 6), np.uint8)
    array[1:3, 2:5] = 7
    good = masks.encode(array)
    assert np.array_equal(masks.decode(good), array > 0)
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: masks.decode({}), "expected COCO RLE, a `size` and compressed `counts`, found {}"),  # type: ignore[typeddict-item]
        (lambda: masks.decode({"size": [4, 6]}), "expected COCO RLE"),  # type: ignore[typeddict-item]
        (lambda: masks.decode({**good, "size": None}), "expected COCO RLE"),  # type: ignore[typeddict-item]
        (lambda: masks.decode({**good, "counts": [4, 20]}), "expected COCO RLE"),  # type: ignore[typeddict-item]
        (lambda: masks.decode([[1, 1, 3, 1, 3, 3]]), "expected COCO RLE"),  # type: ignore[arg-type]
        (lambda: masks.decode({"segmentation": good, "area": 6}), "expected COCO RLE"),  # type: ignore[typeddict-unknown-key]
        (lambda: masks.decode(good, value=300), "value: expected 0 to 255, found 300"),
        (lambda: masks.decode(good, 8), r"shape: expected \(height, width\) in pixels, found 8"),  # type: ignore[arg-type]
        (lambda: masks.decode(good, (8, 8, 3)), r"shape: expected \(height, width\)"),  # type: ignore[arg-type]
        (lambda: masks.decode_batch([good, {"segmentation": good}]), r"segmentations\[1\]: expected COCO RLE"),  # type: ignore[typeddict-item,list-item]
        (lambda: masks.encode(array[0]), r"expected booleans or integers \(height, width\), found uint8 \(6,\)"),
        (lambda: masks.encode(array * 0.5), r"expected booleans or integers \(height, width\), found float64 \(4, 6\)"),
    ]
    for act, message in wrong:
        with pytest.raises(SegmentationError, match=message):
            act()
    assert masks.decode_batch(iter([good, good])).shape == (2, 4, 6)
    sized = {"size": np.array([4, 6]), "counts": good["counts"]}  # as `with_format("numpy")` gives it
    assert np.array_equal(masks.decode(sized), array > 0)  # type: ignore[arg-type]


def test_a_hint_is_shown_as_python_spells_it(tmp_path: Path) -> None:
    error = RecordError("expected an image, found none", where="x", hint=f"Give {SKIP}.")
    assert (error.hint, error.args[2]) == ('Give on_bad_record="skip".',) * 2
    assert "\ue000" not in repr(error)
    if sys.version_info >= (3, 11):
        assert traceback.format_exception(error)[-1] == 'Give on_bad_record="skip".\n'
