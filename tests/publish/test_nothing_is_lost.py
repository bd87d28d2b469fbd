"""What people do in a hurry: whatever they run, nothing that is visible goes without a word."""

import contextlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import Run, clean_environment
from huggingface_hub import HfApi
from local_hub import LocalHub

from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import TargetError
from asam_datasets.machine import only_writer_in
from asam_datasets.publish import PublishOptions
from asam_datasets.publish import publish as run
from asam_datasets.published._layout import _FRONT_MATTER, front_matter

REPO = "xhk/ASAM-Datasets"
OWN_TITLE, OWN_KEY = "# My masks, with *care*\n", 'my_key: [1, "zwei", 3]  # as I like it\n'
OWN_INTRO, OWN_END = "\nSome words of mine, schön gesagt.  \n\n", "\n## Thanks\n\nto everybody\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("small"), images=4, height=200, width=240)


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [
        row
        for path in sorted(out.glob("data/train/*/*.parquet"))
        for row in pq.read_table(path, columns=["image_id", "caption", "archive"]).to_pylist()
    ]


def snapshot(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def test_captions_stay_when_they_are_not_given_again(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert publish("--train", small.archive, "--captions", small.captions, "--out", out).code == 0
    before = snapshot(out)
    again = publish("--train", small.archive, "--out", out)
    assert again.code == 0, again.err
    assert "unchanged" in again.out
    assert snapshot(out) == before


def test_captions_of_some_images_leave_the_others(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """Also where the caption file of the dataset is gone: they are in the parts."""
    out, some = tmp_path / "out", tmp_path / "some.json"
    assert publish("--train", small.archive, "--captions", small.captions, "--out", out).code == 0
    before = {row["image_id"]: row["caption"] for row in rows_of(out)}
    some.write_text(json.dumps({"img": "sa_2.jpg", "prompt": "another one"}) + "\n")
    (out / "organized/sa_000000-blip2-caption.json").unlink()
    ran = publish("--train", small.archive, "--captions", some, "--out", out)
    assert ran.code == 0, ran.err
    assert {row["image_id"]: row["caption"] for row in rows_of(out)} == {**before, 2: "another one"}


def test_captions_go_when_somebody_says_so(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    base = ("--train", small.archive, "--out", out)
    assert publish(*base, "--captions", small.captions).code == 0
    before = snapshot(out)
    asked = publish(*base, "--no-captions")
    assert asked.code == 1
    assert "sa_000000: captions 4 → 0" in asked.err
    assert "expected --yes to take away what is published" in asked.err
    assert snapshot(out) == before
    assert publish(*base, "--no-captions", "--yes").code == 0
    assert {row["caption"] for row in rows_of(out)} == {None}
    both = publish(*base, "--no-captions", "--captions", small.captions)
    assert both.code == 1
    assert "expected --no-captions alone, found it with --captions" in both.err


def unpacked(archive: DemoArchive, folder: Path) -> Path:
    folder.mkdir(parents=True)
    shutil.unpack_archive(archive.archive, folder)
    return folder


def test_another_archive_of_the_same_name(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """`A/images` and `B/images` are both called `images`."""
    other = write_demo(tmp_path / "drawn", images=4, first_id=1, seed=7, height=200, width=240)
    a, b = unpacked(small, tmp_path / "A/images"), unpacked(other, tmp_path / "B/images")
    out = tmp_path / "out"
    assert publish("--train", a, "--out", out).code == 0
    before = snapshot(out)
    asked = publish("--train", b, "--out", out)
    assert asked.code == 1
    assert "images: records 4 → 4 (from another source, or changed)" in asked.err
    assert "another name keeps both: --train NAME=PATH" in asked.err
    assert snapshot(out) == before
    named = publish("--train", f"more={b}", "--out", out)
    assert named.code == 0, named.err
    assert sorted({row["archive"] for row in rows_of(out)}) == ["images", "more"]
    assert publish("--train", b, "--out", out, "--yes").code == 0
    assert len(rows_of(out)) == 8
    wrong = publish("--train", f"x={tmp_path}", "--out", out)
    assert wrong.code == 1


def test_fewer_records_are_asked_for_and_more_are_not(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    ids, out = tmp_path / "ids.txt", tmp_path / "out"
    ids.write_text("1\n3\n")
    base = ("--train", small.archive, "--out", out)
    assert publish(*base, "--ids", ids).code == 0
    grown = publish(*base)
    assert grown.code == 0, grown.err
    before = snapshot(out)
    asked = publish(*base, "--ids", ids)
    assert asked.code == 1
    assert "sa_000000: records 4 → 2" in asked.err
    only = publish(*base, "--annotations-only", "sa_000000")
    assert only.code == 1
    assert "sa_000000: images 4 → 0" in only.err
    assert "from another source" not in only.err
    assert snapshot(out) == before


def test_a_stream_that_turns_out_to_be_less(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """What it holds is known when it was read: then somebody is asked, before anything that is visible changes."""
    import gzip

    out, folder = tmp_path / "out", tmp_path / "less"
    assert publish("--train", small.archive, "--out", out).code == 0
    before = {name: content for name, content in snapshot(out).items() if not name.startswith(".")}
    fewer = write_demo(folder, images=2, height=200, width=240)
    fewer.archive.write_bytes(gzip.compress(fewer.archive.read_bytes()))
    asked = publish("--train", fewer.archive, "--out", out)
    assert asked.code == 1
    assert "sa_000000: records 4 → 2" in asked.err
    assert {name: content for name, content in snapshot(out).items() if not name.startswith(".")} == before


def test_from_python_nothing_goes_unless_somebody_agrees(small: DemoArchive, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(PublishOptions([str(small.archive)], captions=[small.captions], out=out, workers=1))
    with pytest.raises(TargetError, match=r"captions 4 → 0"):
        run(PublishOptions([str(small.archive)], no_captions=True, out=out, workers=1))
    plans = []
    run(PublishOptions([str(small.archive)], no_captions=True, out=out, workers=1), confirm=plans.append)
    assert [(loss.what, loss.before, loss.after) for loss in plans[0].losses] == [("captions", 4, 0)]


def owned(readme: str) -> str:
    """A card after its owner was there."""
    text = re.sub(r"(?m)^# .*\n", OWN_TITLE + OWN_INTRO, readme, count=1).replace("---\n", "---\n" + OWN_KEY, 1)
    return re.sub(r"(?m)^pretty_name: .*$", "pretty_name: Masks of mine", text) + OWN_END


def check_owned(readme: str) -> None:
    assert OWN_TITLE + OWN_INTRO in readme
    assert readme.endswith(OWN_END)
    assert f"---\n{OWN_KEY}" in readme
    assert "pretty_name: Masks of mine\n" in readme
    assert readme.count("\n# ") == 1
    front = front_matter(readme)
    assert front["my_key"] == [1, "zwei", 3]
    assert readme.count("<!-- asam-datasets:begin") == readme.count("<!-- asam-datasets:end -->") == 1


def test_the_owners_words_on_the_card_of_a_folder(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "b", archive="sa_000001", images=2, first_id=50, height=200, width=240)
    out = tmp_path / "out"
    assert publish("--train", small.archive, "--out", out).code == 0
    card = out / "README.md"
    card.write_text(owned(card.read_text()))
    for more in (["--captions", small.captions], ["--train", second.archive], ["--remove", "sa_000001", "--yes"]):
        source = () if "--train" in more or "--remove" in more else ("--train", small.archive)
        ran = publish(*source, *more, "--out", out)
        assert ran.code == 0, ran.err
        check_owned(card.read_text())
    assert "sa_000001" not in card.read_text()
    assert publish("--train", small.archive, "--out", out).out.count("unchanged") == 1


def test_the_owners_words_on_the_card_of_a_repository(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "b", archive="sa_000001", images=2, first_id=50, height=200, width=240)
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        base = ("--repo-id", REPO)
        assert publish("--train", small.archive, *base, env=env).code == 0
        text = owned(hub.read_bytes(REPO, "README.md").decode())
        HfApi(endpoint=hub.url, token="hf_test").upload_file(
            path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=REPO, repo_type="dataset"
        )
        before = len(hub.commits(REPO))
        same = publish("--train", small.archive, *base, env=env)
        assert same.code == 0, same.err
        assert len(hub.commits(REPO)) == before, "what the owner wrote is no reason for a commit"
        for more in (["--train", second.archive], ["--remove", "sa_000001", "--yes"]):
            ran = publish(*more, *base, env=env)
            assert ran.code == 0, ran.err
            check_owned(hub.read_bytes(REPO, "README.md").decode())


def test_the_words_of_a_foreign_card_stay(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """It is asked for, as what it shows goes out of sight; its text and its own keys stay."""
    foreign = "---\nlicense: mit\npretty_name: Old\nconfigs:\n- {config_name: x, data_files: x}\n---\n# Old\n\nhello\n"
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        api = HfApi(endpoint=hub.url, token="hf_test")
        api.create_repo(REPO, repo_type="dataset", private=True)
        api.upload_file(path_or_fileobj=foreign.encode(), path_in_repo="README.md", repo_id=REPO, repo_type="dataset")
        base = ("--train", small.archive, "--repo-id", REPO)
        assert publish(*base, env=env).code == 1
        assert publish(*base, "--yes", env=env).code == 0
        readme = hub.read_bytes(REPO, "README.md").decode()
    front = front_matter(readme)
    assert (front["pretty_name"], front["license"]) == ("Old", "other")
    assert [config["config_name"] for config in front["configs"]] == ["train", "controlnet", "sam"]
    assert "# Old\n\nhello\n\n<!-- asam-datasets:begin" in readme


def test_a_tag_that_is_taken_is_told_before_anything_is_built(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "b", archive="sa_000001", images=2, first_id=50, height=200, width=240)
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        base = ("--repo-id", REPO, "--tag", "v1")
        assert publish("--train", small.archive, *base, env=env).code == 0
        late = publish("--train", second.archive, *base, env=env)
        assert late.code == 1
        assert "expected a new tag, found that v1 names another version already" in late.err
        assert "images/s" not in late.err, "nothing was built"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize(
    "text",
    [
        "---|a: 1|---|x|", "---|a: 1|---", " |---|a: 1|--- |x|", "--- |a: 1|---|", "---|a: 1|", "x|---|a: 1|---|", "",
        "---|a: 1|b: 2|---|---|c: 3|---|", "---|---|", "----|a: 1|---|", "---|a: 1|----|b: 2|---|",
    ],
)  # fmt: skip
def test_front_matter_is_where_the_hub_finds_it(text: str, end: str) -> None:
    from huggingface_hub.repocard import REGEX_YAML_BLOCK

    readme = text.replace("|", end)
    theirs = REGEX_YAML_BLOCK.search(readme)
    ours = _FRONT_MATTER.match(readme)
    assert (theirs and theirs[2]) == (ours and ours[1])


@pytest.mark.parametrize(
    "text",
    ["&a [*a]", "a: 2026-02-30", "[" * 5000, "a: " + "9" * 5000, "a: !!int x", "5", "{a: &x [1], b: [*x, *x]}"],
    ids=["itself", "date", "brackets", "number", "type", "scalar", "references"],
)
def test_yaml_of_anybodys_making(text: str) -> None:
    """It is a value, or the one error that says that it is none."""
    with contextlib.suppress(yaml.YAMLError):
        front_matter(f"---\n{text}\n---\n")


def test_fields_that_the_source_left_out_are_counted_and_told(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    folder = unpacked(small, tmp_path / "images")
    path = folder / "sa_1.json"
    record = json.loads(path.read_text())
    for number, one in enumerate(record["annotations"]):
        del one["predicted_iou"], one["stability_score"]
        if number < 2:
            del one["crop_box"]
    path.write_text(json.dumps(record))
    count = len(record["annotations"])
    out = tmp_path / "out"
    ran = publish("--train", folder, "--out", out)
    assert ran.code == 0, ran.err
    both = "masks have no predicted_iou and stability_score, which are null"
    assert re.search(rf"warning +images: {count} of \d+ {both}\n", ran.out), ran.out
    assert re.search(r"warning +images: 2 of \d+ masks have no crop_box, which is null\n", ran.out), ran.out
    card = (out / "README.md").read_text()
    assert f"; {count} masks have no `predicted_iou` and `stability_score`, which are null" in card
    assert "; 2 masks have no `crop_box`, which is null" in card
    assert "The images are in it unchanged, byte for byte." in card
    again = publish("--train", folder, "--out", out)
    assert "unchanged" in again.out
    assert "have no predicted_iou" in again.out
    assert "have no" not in publish("--train", small.archive, "--out", tmp_path / "whole").out
    assert "byte for byte, and so is every field of SA-1B's JSON." in (tmp_path / "whole" / "README.md").read_text()


def test_another_user_with_another_cache_is_at_work(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    """The one that was first wins; before, both removed the other's unfinished work, and were told to make room."""
    env = clean_environment(tmp_path / "home", ASAM_DATASETS_CACHE=str(tmp_path / "other"))
    out = tmp_path / "new/out"
    with only_writer_in(out):
        done = publish("--train", small.archive, "--out", out, env=env)
    assert done.code == 1
    assert f"error: {out}: expected to be the only writer, found another process at work" in done.err
    assert not out.parent.exists(), "made for the lock"
    assert publish("--train", small.archive, "--out", out, env=env).code == 0
