"""The card: its owner's words, what a run says of the dataset, statistics, figures, sheets, and `info`."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import Run, run_python
from huggingface_hub import HfApi
from local_hub import LocalHub
from msgspec import UNSET

from asam_datasets.builds import BUILD_FILE, MEASURES, Statistics, decode_build, encode_build, wrong_build
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import RightsError, SourceError, TargetError
from asam_datasets.info import info
from asam_datasets.publish import PublishOptions, plan
from asam_datasets.publish import publish as run
from asam_datasets.published import open_dataset
from asam_datasets.published._layout import front_matter
from asam_datasets.release import Words
from asam_datasets.release._figure import THEMES, draw_figure
from asam_datasets.release._license import is_our_license
from asam_datasets.release._owner import card_changes, compose
from asam_datasets.rights import SA1B, parse_license

REPO = "xhk/drawn"
ABOUT = "## What this is\n\nDrawn *pictures*, schön.\n"
OWN_KEY, OWN_INTRO, OWN_END = 'my_key: [1, "zwei"]  # mine\n', "\nSome words of mine.  \n", "\n## Thanks\n\nto all\n"
OWN_LICENSE = "# My terms\n\nBe kind.\n"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> list[DemoArchive]:
    folder = tmp_path_factory.mktemp("archives")
    return [
        write_demo(folder, archive=f"sa_{n:06}", images=3, first_id=10 * n + 1, seed=n, height=200 + 40 * n, width=240)
        for n in range(3)
    ]


def options(out: Path, *archives: DemoArchive, **more: Any) -> PublishOptions:
    return PublishOptions([str(one.archive) for one in archives], out=out, workers=1, **more)


def owned(readme: str) -> str:
    """A card after its owner was there."""
    text = re.sub(r"(?m)^(# .*\n)", r"\1" + OWN_INTRO, readme, count=1).replace("---\n", "---\n" + OWN_KEY, 1)
    return text + OWN_END


def check_owned(readme: str, title: str) -> None:
    assert f"\n# {title}\n{OWN_INTRO}" in readme
    assert readme.endswith(OWN_END)
    assert readme.startswith("---\n" + OWN_KEY)
    assert readme.count("asam-datasets:about-begin") == 1
    assert f"-->\n{ABOUT.strip()}\n<!-- asam-datasets:about-end -->" in readme
    assert readme.count("<!-- asam-datasets:begin") == 1


def assets_of(out: Path) -> set[str]:
    return {path.name for path in (out / "assets").glob("*")}


def named(readme: str) -> set[str]:
    """The files in `assets/` that a card shows."""
    return set(re.findall(r"assets/([\w.-]+)", readme))


def test_what_was_said_once_stays_in_a_folder(archives: list[DemoArchive], tmp_path: Path) -> None:
    out, about = tmp_path / "out", tmp_path / "about.md"
    about.write_text(ABOUT)
    run(options(out, archives[0], title="Drawn", about=about, license="CC0-1.0"))
    card = out / "README.md"
    assert (front_matter(card.read_text())["pretty_name"], front_matter(card.read_text())["license"]) == (
        "Drawn",
        "cc0-1.0",
    )
    card.write_text(owned(card.read_text()))
    (out / "LICENSE.md").write_text(OWN_LICENSE)
    (out / "assets/logo.png").write_bytes(b"mine")
    (out / "assets/asam-notes.md").write_text("mine")
    run(options(out, archives[0], archives[1], license="cc0-1.0"))
    run(options(out, archives[0]))
    run(PublishOptions(out=out, workers=1, remove=["sa_000001"]), confirm=lambda planned: None)
    readme = card.read_text()
    check_owned(readme, "Drawn")
    front = front_matter(readme)
    assert (front["license"], front["my_key"]) == ("cc0-1.0", [1, "zwei"])
    assert (out / "LICENSE.md").read_text() == OWN_LICENSE
    assert is_our_license((out / "LICENSES-of-the-sets.md").read_bytes())
    assert "[LICENSES-of-the-sets.md](LICENSES-of-the-sets.md)" in readme
    assert named(readme) | {"logo.png", "asam-notes.md"} == assets_of(out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    done = run(options(out, archives[0]))
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert done.changes.commits == 0
    (out / "LICENSE.md").unlink()
    run(options(out, archives[0]))
    assert is_our_license((out / "LICENSE.md").read_bytes())
    assert not (out / "LICENSES-of-the-sets.md").exists()


def test_what_was_said_once_stays_on_the_hub(archives: list[DemoArchive], publish: Run, tmp_path: Path) -> None:
    about = tmp_path / "about.md"
    about.write_text(ABOUT)
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        base = ("--repo-id", REPO)
        said = ("--title", "Drawn", "--about", about, "--license", "cc0-1.0")
        ran = publish("--train", archives[0].archive, *base, *said, env=env)
        assert ran.code == 0, ran.err
        api = HfApi(endpoint=hub.url, token="hf_test")
        for path, content in {
            "README.md": owned(hub.read_bytes(REPO, "README.md").decode()).encode(),
            "LICENSE.md": OWN_LICENSE.encode(),
            "assets/logo.png": b"mine",
        }.items():
            api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=REPO, repo_type="dataset")
        more = publish("--train", archives[1].archive, *base, "--license", "cc0-1.0", env=env)
        assert more.code == 0, more.err
        assert "LICENSE.md: somebody's own stays; the list goes to LICENSES-of-the-sets.md" in more.err
        first = set(named(hub.read_bytes(REPO, "README.md").decode()))
        gone = publish("--remove", "sa_000000", "--yes", *base, env=env)
        assert gone.code == 0, gone.err
        readme = hub.read_bytes(REPO, "README.md").decode()
        check_owned(readme, "Drawn")
        assert hub.read_bytes(REPO, "LICENSE.md").decode() == OWN_LICENSE
        assert hub.read_bytes(REPO, "assets/logo.png") == b"mine"
        there = {path.partition("/")[2] for path in hub.files(REPO) if path.startswith("assets/")}
        assert there == named(readme) | {"logo.png"}
        assert first & named(readme) == set(), "what was there before is gone in the same commit"
        assert any("-sheet-" in name for name in first)
        assert not any("-sheet-" in name for name in there), "parts of an archive that are on the Hub alone have none"
        commits = len(hub.commits(REPO))
        hub.clear_log()
        same = publish("--train", archives[1].archive, *base, env=env)
        assert same.code == 0, same.err
        assert len(hub.commits(REPO)) == commits, "nothing to do"
        assert hub.count_requests()["api"] <= 6
        hub.clear_log()
        found = info_of({**env, **hub.environment(tmp_path / "another home")})
        assert (found["title"], found["rows"], found["archives"]) == ("Drawn", 3, 1)
        resolved = [request.path for request in hub.log if "/resolve/" in request.path]
        assert {path.rpartition("/")[2][:6] for path in resolved} == {"README", "index-"}
        assert len(hub.log) <= 5, hub.log


def info_of(env: dict[str, str]) -> dict[str, Any]:
    ran = run_python("-c", "from asam_datasets.cli import main; main()", "info", REPO, "--json", env=env)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_a_conflict_is_in_the_plan(archives: list[DemoArchive], publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    base = ("--train", archives[0].archive, "--out", out)
    assert publish(*base, "--title", "One").code == 0
    card = out / "README.md"
    second = publish(*base, "--title", "Two")
    assert second.code == 0
    assert "title: One → Two" in second.err
    assert "pretty_name: Two\n" in card.read_text()
    card.write_text(card.read_text().replace("# Two\n", "# Mine\n"))
    again = publish(*base, "--title", "Two")
    assert again.code == 0, "said before: what somebody wrote since stays"
    assert "title: Mine stays; Two" in again.err
    before = card.read_text()
    asked = publish(*base, "--title", "Three")
    assert asked.code == 1
    assert "title: somebody wrote it, and it goes: Mine → Three" in asked.err
    assert card.read_text() == before
    assert publish(*base, "--title", "Three", "--yes").code == 0
    assert "# Three\n" in card.read_text()


@pytest.mark.parametrize(
    ("found", "written", "told"),
    [
        ("## Citation", "## Quotation", "text inside our block: somebody wrote it, and it goes"),
        ("license: other", "license: mit", "license in the YAML: somebody wrote it, and it goes: mit → other"),
    ],
)
def test_edits_of_what_is_ours_are_not_lost_without_a_word(
    archives: list[DemoArchive], publish: Run, tmp_path: Path, found: str, written: str, told: str
) -> None:
    out = tmp_path / "out"
    base = ("--train", archives[0].archive, "--out", out)
    assert publish(*base).code == 0
    card = out / "README.md"
    clean = card.read_text()
    card.write_text(clean.replace(found, written))
    asked = publish(*base)
    assert asked.code == 1
    assert told in asked.err
    assert written in card.read_text()
    with pytest.raises(TargetError, match="of the card"):
        run(options(out, archives[0]))
    assert publish(*base, "--yes").code == 0
    assert card.read_text() == clean


def test_yaml_written_in_another_way_is_no_conflict() -> None:
    ours = {"license": "other", "configs": [{"config_name": "train"}], "asam_datasets": {"index": "i"}}
    card = compose(Words("D"), "text", ours, {}, frozenset(), None)
    front = yaml.safe_load(card.split("---\n")[1])
    other = "---\n" + yaml.safe_dump(front, default_flow_style=False, indent=4) + "---\n" + card.split("---\n", 2)[2]
    assert card_changes(Words("D"), {"license": "other"}, other) == []
    assert card_changes(Words("D"), {"license": "other"}, other.replace("license: other", "license: mit"))[0].state == (
        "lost"
    )


def test_about_and_its_owner() -> None:
    def made(existing: str | None, about: str | None) -> str:
        return compose(Words("D", None, about), "ours", {}, {}, frozenset(), existing)

    first = made(None, "one")
    assert "# D\n\n<!-- asam-datasets:about-begin" in first
    assert made(first, None) == first == made(first, "one")
    edited = first.replace("\none\n", "\nmy own\n")
    assert "\nmy own\n" in made(edited, None)
    assert made(edited, "one") == edited, "said again"
    assert [one.state for one in card_changes(Words("D", None, "two"), {}, edited)] == ["lost"]
    assert [one.state for one in card_changes(Words("D", None, "two"), {}, first)] == ["replaced"]
    assert "\ntwo\n" in made(first, "two")
    assert "# D" in made("---\na: 1\n---\nhello\n", "x") or "hello" in made("---\na: 1\n---\nhello\n", "x")
    code = "---\na: 1\n---\n```sh\n# no title\n```\n"
    assert card_changes(Words("D", "T"), {}, code) == []
    assert "# no title\n" in compose(Words("D", "T"), "ours", {}, {}, frozenset(), code)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"title": "a\nb"}, "title in one line"),
        ({"title": " "}, "title in one line"),
        ({"title": "a <!-- asam-datasets:end -->"}, "title in one line"),
        ({"license": ""}, "name of a license"),
        ({"license": "mine", "license_link": "javascript:1"}, "web page"),
        ({"license_link": "https://example.org"}, "license_link"),
    ],
)
def test_words_that_are_none(archives: list[DemoArchive], tmp_path: Path, wrong: dict[str, Any], told: str) -> None:
    with pytest.raises((TargetError, SourceError, RightsError), match=told):
        options(tmp_path / "out", archives[0], **wrong)


@pytest.mark.parametrize("content", [b"\xff", b"", b"x" * 70_000, b"<!-- asam-datasets:end -->", None])
def test_texts_that_are_none(archives: list[DemoArchive], tmp_path: Path, content: bytes | None) -> None:
    about = tmp_path / "about.md"
    if content is not None:
        about.write_bytes(content)
    with pytest.raises(TargetError, match=r"expected (text|a Markdown file)"):
        plan(options(tmp_path / "out", archives[0], about=about))
    assert not (tmp_path / "out").exists()


def test_the_card_alone_can_be_changed(archives: list[DemoArchive], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(TargetError, match="a dataset whose card can be changed"):
        plan(PublishOptions(out=out, title="New"))
    run(options(out, archives[0]))
    run(PublishOptions(out=out, title="New", workers=1))
    assert "\n# New\n" in (out / "README.md").read_text()


def test_a_license_reaches_everything_and_no_part(archives: list[DemoArchive], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(options(out, archives[0]))
    parts = {path: path.read_bytes() for path in out.rglob("*.parquet")}
    readme = (out / "README.md").read_text()
    assert "SA-1B Dataset Research License" in readme
    assert not [name for name in assets_of(out) if "sheet" in name], "behind a gate: nobody sees it before"
    planned = plan(options(out, archives[0], license="My terms", license_link="https://example.org/terms"))
    assert planned.licenses == ["sa_000000: SA-1B Dataset Research License → My terms"]
    assert [one.state for one in planned.builds] == ["unchanged"]
    run(options(out, archives[0], license="My terms", license_link="https://example.org/terms"))
    readme = (out / "README.md").read_text()
    assert "What is SA-1B's" not in readme
    assert "[My terms](https://example.org/terms)" in readme
    assert "## My terms" in (out / "LICENSE.md").read_text()
    front = front_matter(readme)
    assert (front["license"], front["license_link"]) == ("other", "LICENSE.md")
    assert {path: path.read_bytes() for path in out.rglob("*.parquet")} == parts
    (build,) = open_dataset(out).builds
    (manifest,) = out.rglob(BUILD_FILE)
    assert (
        decode_build(manifest.read_bytes(), "").rights
        == build.rights
        == parse_license("My terms", "https://example.org/terms")
    )
    assert not [name for name in assets_of(out) if "sheet" in name], "nobody knows whether they may be shown"
    run(options(out, archives[0], license="mit"))
    assert len([name for name in assets_of(out) if "sheet" in name]) == 1
    assert named((out / "README.md").read_text()) == assets_of(out)
    assert "license_link" not in front_matter((out / "README.md").read_text())
    run(options(out, archives[0], license="sa-1b"))
    assert open_dataset(out).builds[0].rights == SA1B
    assert not [name for name in assets_of(out) if "sheet" in name]


def test_the_sheet_is_the_same_wherever_it_is_drawn(archives: list[DemoArchive], tmp_path: Path) -> None:
    """Out of parts just made, and out of a folder that shows them."""
    new, old = tmp_path / "new", tmp_path / "old"
    run(options(new, archives[0], license="cc0-1.0"))
    run(options(old, archives[0]))
    run(options(old, archives[0], archives[1], license="cc0-1.0"))
    sheets = [next(out.glob("assets/*-sheet-*.webp")) for out in (new, old)]
    assert sheets[0].name == sheets[1].name
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    run(PublishOptions(out=old, workers=1, remove=["sa_000000"]), confirm=lambda planned: None)
    (other,) = old.glob("assets/*-sheet-*.webp")
    assert other.name != sheets[0].name, "that of the archive that is left"


def recount(rows: Sequence[dict[str, Any]]) -> dict[str, dict[int, int]]:
    """The histograms, by the rule of the bins and nothing else: whole numbers and fractions."""

    def place(name: str, value: Fraction | float, scale: int = 1) -> int:
        return sum(value >= (Fraction(edge, scale) if scale > 1 else edge) for edge in MEASURES[name].edges)

    found: dict[str, Counter[int]] = {name: Counter() for name in MEASURES}
    for row in rows:
        height, width = row["height"], row["width"]
        found["masks"][place("masks", len(row["annotations"]))] += 1
        found["side"][place("side", max(height, width))] += 1
        found["shape"][0 if width > height else 1 if width < height else 2] += 1
        for one in row["annotations"]:
            found["share"][place("share", Fraction(one["area"], height * width), 100_000)] += 1
            found["iou"][place("iou", one["predicted_iou"])] += 1
    return {name: dict(counts) for name, counts in found.items() if counts}


def rows_of(out: Path) -> list[dict[str, Any]]:
    columns = ["height", "width", "annotations"]
    shown = [out / build.path for build in open_dataset(out).builds]
    return [
        row
        for folder in shown
        for path in folder.glob("*.parquet")
        for row in pq.read_table(path, columns=columns).to_pylist()
    ]


def total_of(out: Path) -> dict[str, dict[int, int]]:
    """What `info` says, by the number of the bin."""
    (statistics,) = info(out).statistics
    names = {measure.title: name for name, measure in MEASURES.items()}
    return {
        names[one.title]: {number: count for number, (_, count) in enumerate(one.bins) if count}
        for one in statistics.histograms
    }


def test_statistics_are_exact_after_adding_and_removing(archives: list[DemoArchive], tmp_path: Path) -> None:
    out, alone = tmp_path / "out", tmp_path / "alone"
    run(options(out, archives[0], parts=2))
    assert total_of(out) == recount(rows_of(out))
    run(options(out, archives[1], archives[2]))
    assert total_of(out) == recount(rows_of(out))
    assert len(rows_of(out)) == 9
    run(PublishOptions(out=out, workers=1, remove=["sa_000001"]), confirm=lambda planned: None)
    assert total_of(out) == recount(rows_of(out))
    run(options(alone, archives[0], archives[2], parts=1))
    assert total_of(alone) == total_of(out), "however it is cut"
    for path in out.rglob(BUILD_FILE):
        build = decode_build(path.read_bytes(), "")
        assert build.statistics is not UNSET
        assert build in [msgspec.structs.replace(one, run=UNSET) for one in open_dataset(out).builds]
    figures = [(out / "assets" / name).read_bytes() for name in assets_of(out)]
    assert len(figures) == 2
    assert sorted(figures) == sorted((alone / "assets" / name).read_bytes() for name in assets_of(alone))


def without_statistics(out: Path) -> None:
    """As an earlier release left it: every manifest alone, and no index."""
    for path in out.rglob(BUILD_FILE):
        build = decode_build(path.read_bytes(), "")
        path.write_bytes(encode_build(msgspec.structs.replace(build, statistics=UNSET)))
    card = out / "README.md"
    card.write_text(re.sub(r"(?ms)^asam_datasets:.*?(?=^---)", "", card.read_text()))
    for path in out.glob("data/index-*"):
        path.unlink()
    shutil.rmtree(out / "assets")


def test_builds_of_an_earlier_release_are_not_counted(archives: list[DemoArchive], tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(options(out, archives[0]))
    without_statistics(out)
    assert info(out).statistics[0].counted == 0
    run(options(out, archives[1]))
    readme = (out / "README.md").read_text()
    assert "Statistics of 1 of 2 archives" in readme
    assert sum(total_of(out)["masks"].values()) == 3
    run(options(out, archives[0]))
    assert (out / "README.md").read_text() == readme, "unchanged is unchanged"


@pytest.mark.parametrize(
    "wrong",
    [
        Statistics({"masks": {0: 4}}),
        Statistics({"masks": {99: 1}}),
        Statistics({"masks": {-1: 1}}),
        Statistics({"iou": {0: 10**6}}),
        Statistics({"other": {0: 1}}),
        Statistics({}, {"a": -1}),
        Statistics({}, {"a": 10**6}),
        Statistics({}, {"a" * 101: 1}),
        Statistics({}, {str(n): 0 for n in range(301)}),
        Statistics({}, {}, (1, -1)),
    ],
)
def test_statistics_of_anybodys_making(archives: list[DemoArchive], tmp_path: Path, wrong: Statistics) -> None:
    if not (built := getattr(test_statistics_of_anybodys_making, "built", None)):
        run(options(tmp_path / "out", archives[0]))
        (built,) = open_dataset(tmp_path / "out").builds
        test_statistics_of_anybodys_making.built = built  # type: ignore[attr-defined]
    assert wrong_build(built) == ""
    assert wrong_build(msgspec.structs.replace(built, statistics=wrong))


def test_a_figure_is_well_formed_whatever_it_is_told() -> None:
    names = {'<script>"&': 3, "\x00\x1b[2J": 2, "a" * 90: 1, "]]>": 1}
    counted = Statistics({"masks": {3: 1}, "share": {15: 2}, "iou": {0: 1, 16: 1}, "side": {0: 1}}, names, (4, 9))
    for theme in THEMES:
        content = draw_figure(counted, theme)
        root = ElementTree.fromstring(content)
        assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "title", "rect", "line", "text"}
        assert content == draw_figure(counted, theme)
        assert len(content) < 10_000


def test_the_text_of_info(archives: list[DemoArchive], tmp_path: Path) -> None:
    run(options(tmp_path / "out", archives[0], captions=[archives[0].captions], title="Drawn", license="cc0-1.0"))
    ran = run_python("-c", "from asam_datasets.cli import main; main()", "info", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Drawn\n")
    assert re.search(r"controlnet +train +3 ", ran.out)
    assert "sa_000000: cc0-1.0 (images may be given on)" in ran.out
    assert re.search(r"train: Masks per image\n.*█", ran.out)


def test_titles_say_what_is_in_it(archives: list[DemoArchive], tmp_path: Path) -> None:
    out = tmp_path / "my-leaves"
    run(options(out, archives[0], license="cc-by-4.0"))
    readme = (out / "README.md").read_text()
    assert "\n# my-leaves\n" in readme
    assert "hotograph" not in readme.split("## Citation")[0]
    assert "SA-1B" not in front_matter(readme)["tags"]
    assert "language" not in front_matter(readme), "there are no captions"
