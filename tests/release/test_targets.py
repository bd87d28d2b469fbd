"""Where datasets go, step by step: the state of a repository that every step passes on, and what a release removes."""

from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi
from local_hub import LocalHub

from asam_datasets.builds import Build, Built, Part, in_run
from asam_datasets.errors import RightsError, TargetError
from asam_datasets.published import PLACEHOLDER, README, HubClient, Visible, front_matter, is_index
from asam_datasets.release import (
    Access,
    Changes,
    Destination,
    FolderTarget,
    ReleaseMaker,
    RepositoryTarget,
    Target,
    Words,
    render_license,
)
from asam_datasets.release._license import LICENSE
from asam_datasets.release._opening import Request, open_repository
from asam_datasets.release._release import Release, There
from asam_datasets.release._remote_state import RemoteState, read_again, read_state
from asam_datasets.rights import SA1B

REPO = "xhk/ASAM-Datasets"
PART = Part("part-000.parquet", 1, [1], 10, "0" * 64, "0" * 64, 0, 0, {"image": 10})


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub") as hub:
        yield hub
        assert hub.errors == []


def build(number: int, digest: str) -> Build:
    return Build(2, "train", f"sa_{number:06d}", digest * 16, 0, True, SA1B, [PART])


def test_a_state_is_read_as_a_whole_and_a_step_gives_the_next(hub: LocalHub) -> None:
    api = HfApi(endpoint=hub.url, token="hf_test")
    client = HubClient(REPO, api=api, waits_s=())
    to_branch = Destination(revision="v", tag="v1")
    assert read_state(client, to_branch, "xhk") == RemoteState("v")
    with pytest.raises(TargetError, match="expected a repository to open a pull request on"):
        read_state(client, Destination(create_pr=True), "xhk")
    api.create_repo(REPO, repo_type="dataset", private=True)
    before = read_state(client, to_branch, "xhk")
    assert before == RemoteState(
        "v", Access(True), hub.commits(REPO)[0].sha, before.files, needs_branch=True, is_tagged=False
    )
    assert list(before.files) == [".gitattributes"]

    terms = render_license([]).encode()
    changes, request = Changes(), Request(Access(True, "auto"), terms, to_branch, "xhk")
    opened = open_repository(client, before, request, changes)
    assert before.needs_branch, "what was read stays as it was"
    with pytest.raises(FrozenInstanceError):
        before.head = ""  # type: ignore[misc]
    assert hub.settings(REPO) == {"private": True, "gated": "auto"}
    assert opened.holds(LICENSE, terms)
    assert PLACEHOLDER in opened.files
    assert (opened.head, changes.commits) == (hub.branches(REPO)["v"], 1)
    assert read_state(client, to_branch, "xhk") == opened == read_again(client, opened)

    hub.clear_log()
    assert open_repository(client, opened, request, changes) == opened, "all of it is so already"
    assert {one.method for one in hub.log} == {"GET"}
    assert changes.commits == 1
    api.update_repo_settings(REPO, private=False, repo_type="dataset")
    with pytest.raises(RightsError, match="somebody made it public meanwhile"):
        open_repository(client, opened, request, changes)


def test_a_tag_is_part_of_the_state(hub: LocalHub) -> None:
    api = HfApi(endpoint=hub.url, token="hf_test")
    client = HubClient(REPO, api=api, waits_s=())
    api.create_repo(REPO, repo_type="dataset", private=True)
    api.create_tag(REPO, tag="v1", repo_type="dataset")
    tagged = read_state(client, Destination(tag="v1"), "xhk")
    assert tagged.is_tagged
    assert replace(tagged, is_tagged=False) == read_state(client, Destination(tag="v2"), "xhk")
    api.upload_file(path_or_fileobj=b"x", path_in_repo="notes.txt", repo_id=REPO, repo_type="dataset")
    with pytest.raises(TargetError, match="v1 names another version already"):
        read_state(client, Destination(tag="v1"), "xhk")


R = [f"r{number:012}" for number in range(3)]
"""Names of runs."""


def made(
    built: list[Build], current: list[Build], paths: list[str], removed: frozenset[str] = frozenset(), **there: bool
) -> Release:
    """The release of a run that brings some builds."""
    none = np.empty(0, np.int64)
    maker = ReleaseMaker([Built(one, None, none, none) for one in built], R[1], removed, {}, REPO, Words("Title"))
    where = {"alone": False, "at_once": True, **there}
    return maker.make(Visible(tuple(current), frozenset({R[0]})), There(paths, **where))


def test_what_goes_with_a_release() -> None:
    """What was visible and is not, what is left over of names of this run; the rest when nobody else is at work."""
    old, other, kept = (in_run(build(number, digest), R[0]) for number, digest in ((0, "a"), (1, "c"), (2, "d")))
    new = in_run(build(0, "b"), R[1])
    captions, index = "organized/sa_000000-blip2-caption.json", "data/index-0123456789abcdef.json.gz"
    there = [f"{one.path}/{PART.file}" for one in (old, new, other, kept)]
    there += [
        captions,
        index,
        "organized/sa_000001-blip2-caption.json",
        "organized/notes.json",
        "data/train/mine/a.txt",
    ]
    release = made([new], [old, kept], there)
    assert [path for path, _ in release.ordered] == [
        "LICENSE.md", next(filter(is_index, release.files)), f"{new.path}/build.json", "README.md"
    ]  # fmt: skip
    assert (release.folders, release.removed) == ([old.path], sorted([captions, index]))
    assert made([new], [old, kept], there, alone=True).folders == [old.path, other.path]
    assert made([], [kept], [f"{other.path}/"], alone=True).folders == [other.path], "a folder stands for its files"
    gone = made([], [old, kept], there, frozenset({"sa_000000"}))
    assert (gone.folders, gone.builds) == ([old.path, new.path], [kept]), "of names of this run, shown or not"


def shown(readme: bytes) -> list[str]:
    """The patterns of the default config."""
    patterns: list[str] = front_matter(readme.decode())["configs"][0]["data_files"][0]["path"]
    return patterns


def test_patterns_are_the_fewest_that_show_no_half() -> None:
    a, b, c = (in_run(build(number, "a"), R[0]) for number in range(3))
    d, legacy = in_run(build(3, "d"), R[1]), build(4, "e")
    listing = "data/train/**/-none-*.parquet"
    everything = [f"{one.path}/" for one in (a, b, c)]
    whole = f"data/train/*-{R[0]}/**/part-*.parquet"
    assert shown(made([], [a, b, c], everything).files[README]) == [whole]
    more = made([d], [a, b, c], [*everything, f"{d.path}/"])
    assert shown(more.files[README]) == [listing, whole, f"{d.path}/**/part-*.parquet"], "a single one by its name"
    assert more.closed == {R[0], R[1]}
    # What goes in the same commit leaves one pattern; what goes after README is not to be shown until it is gone.
    for at_once in (True, False):
        less = made([], [a, b, c], everything, frozenset({a.name}), at_once=at_once)
        assert shown(less.settled) == [whole]
        names = [listing, f"{b.path}/**/part-*.parquet", f"{c.path}/**/part-*.parquet"]
        assert shown(less.files[README]) == (shown(less.settled) if at_once else names)
    # At a run that is not closed somebody may be at work, and a stranger's leftover is not shown.
    by_name = [listing, *(f"{one.path}/**/part-*.parquet" for one in (a, b))]
    at_work = [in_run(one, R[2]) for one in (a, b)]
    names = [listing, *(f"{one.path}/**/part-*.parquet" for one in at_work)]
    assert shown(made([], at_work, [f"{one.path}/" for one in at_work]).files[README]) == names
    stranger = in_run(build(9, "f"), R[0])
    there = [f"{one.path}/" for one in (a, b, stranger)]
    assert shown(made([], [a, b], there).files[README]) == by_name
    assert shown(made([legacy], [], []).files[README]) == [f"{legacy.path}/**/part-*.parquet"]


def test_both_targets_fulfil_the_protocol(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    targets: list[Target] = [FolderTarget(tmp_path / "out"), RepositoryTarget(REPO, tmp_path / "cache")]
    members = {name for name in vars(Target) if not name.startswith("_")}
    assert {"candidates", "past_holdings", "is_remote", "needs_proof"} < members
    for target in targets:
        assert all(hasattr(target, name) for name in members)
    assert [target.is_remote for target in targets] == [False, True]
    assert targets[0].readers(Access(True)) == "who may read the folder"
    assert targets[1].readers(Access(True)) == str(Access(True))
    assert targets[0].past_holdings() == targets[1].past_holdings() == []
