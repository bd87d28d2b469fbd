"""Who may see what: private by default, the gate before the first byte, licenses, branches, tags, pull requests."""

import contextlib
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Run
from datasets import load_dataset
from huggingface_hub import HfApi
from local_hub import Fault, LocalHub
from local_hub.model import Request

from asam_datasets.builds import Build, Part
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.errors import RightsError, spelled
from asam_datasets.published._layout import front_matter
from asam_datasets.release import Access, Words
from asam_datasets.release._card import Showing, render_card
from asam_datasets.rights import SA1B, Holding, Rights, check_public, needs_gate

REPO = "xhk/ASAM-Datasets"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("small"), images=3, height=200, width=240)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub") as hub:
        yield hub
        assert hub.errors == []


@pytest.fixture
def env(hub: LocalHub, tmp_path: Path) -> dict[str, str]:
    return {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}


def first_upload(log: list[Request]) -> int:
    return next(n for n, request in enumerate(log) if "xet-write-token" in request.path or "/lfs/" in request.path)


def test_private_is_the_default_and_comes_before_the_data(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    ran = publish("--train", small.archive, "--repo-id", REPO, env=env)
    assert ran.code == 0, ran.err
    assert "private: only you" in ran.err
    assert hub.settings(REPO) == {"private": True, "gated": False}


def test_public_needs_the_terms_and_puts_the_gate_first(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    seen: list[tuple[str, object]] = []

    def watch(request: Request) -> None:
        if REPO in hub.repositories():
            seen.append((request.path, hub.settings(REPO)))

    refused = publish("--train", small.archive, "--repo-id", REPO, "--public", "--yes", env=env)
    assert refused.code == 1
    assert "sa_000000 (SA-1B Dataset Research License: only to readers who accept its terms)" in refused.err
    for way in ("--accept-sa1b-terms", "--private", "--annotations-only sa_000000", "leave them out"):
        assert way in refused.err
    asked = publish("--train", small.archive, "--repo-id", REPO, "--public", "--accept-sa1b-terms", env=env)
    assert asked.code == 1
    assert "expected --yes to show it to everyone" in asked.err
    assert hub.repositories() == []

    hub.on_request = watch
    ran = publish("--train", small.archive, "--repo-id", REPO, "--public", "--accept-sa1b-terms", "--yes", env=env)
    hub.on_request = None
    assert ran.code == 0, ran.err
    assert hub.settings(REPO) == {"private": False, "gated": "auto"}
    at = next(n for n, (path, _) in enumerate(seen) if "xet-write-token" in path)
    assert all(
        settings == {"private": True, "gated": "auto"} for path, settings in seen[at:] if "/settings" not in path
    )
    assert all(settings["private"] for _, settings in seen), "public comes last of all"  # type: ignore[index]
    front = front_matter(hub.read_bytes(REPO, "README.md").decode())
    assert "SA-1B" in front["extra_gated_prompt"]
    assert len([kind for kind in front["extra_gated_fields"].values() if kind == "checkbox"]) == 2
    assert "SA-1B Dataset Research License" in hub.read_bytes(REPO, "LICENSE.md").decode()
    license = next(n for n, request in enumerate(hub.log) if ("file", "LICENSE.md") in request.operations)
    assert license < first_upload(hub.log)


def test_a_public_repository_without_a_gate_is_refused_too(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    """Its owner said nothing about who may see it, and everyone may already."""
    HfApi(endpoint=hub.url, token="hf_test").create_repo(REPO, repo_type="dataset", private=False)
    ran = publish("--train", small.archive, "--repo-id", REPO, env=env)
    assert ran.code == 1
    assert "--private" in ran.err
    made_private = publish("--train", small.archive, "--repo-id", REPO, "--private", env=env)
    assert made_private.code == 0, made_private.err
    assert hub.settings(REPO)["private"]
    settings = next(n for n, request in enumerate(hub.log) if request.path.endswith("/settings"))
    assert settings < first_upload(hub.log)


def test_annotations_only_needs_no_gate(
    hub: LocalHub,
    env: dict[str, str],
    small: DemoArchive,
    publish: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    ran = publish("--train", small.archive, "--out", out, "--annotations-only", "sa_000000")
    assert ran.code == 0, ran.err
    rows = load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache-a"))
    assert [row["image"] for row in rows] == [None, None, None]
    assert all(row["conditioning_image"] is not None for row in rows)
    assert sum(len(row["masks"]) for row in rows) == small.annotations
    ran = publish(
        "--train", small.archive, "--repo-id", REPO, "--annotations-only", "sa_000000", "--public", "--yes", env=env
    )
    assert ran.code == 0, ran.err
    assert hub.settings(REPO) == {"private": False, "gated": False}
    assert "annotations only" in hub.read_bytes(REPO, "LICENSE.md").decode()
    # ... and with the images it is no longer allowed.
    assert publish("--train", small.archive, "--repo-id", REPO, env=env).code == 1


@pytest.mark.parametrize(
    ("redistributable", "images", "terms", "allowed"),
    [
        ("yes", True, False, True),
        ("no", True, True, False),
        ("unknown", True, True, False),
        ("no", False, False, True),
        ("gated", True, False, False),
        ("gated", True, True, True),
        ("gated", False, False, True),
    ],
)
def test_what_everyone_may_be_shown(redistributable: str, images: bool, terms: bool, allowed: bool) -> None:
    held = [
        Holding("fine", Rights("CC BY 4.0", "", "yes"), True),
        Holding("camo", Rights("its own", "", redistributable), images),  # type: ignore[arg-type]
    ]
    if allowed:
        check_public(held, terms_accepted=terms)
        assert needs_gate(held) == (redistributable == "gated" and images)
        return
    with pytest.raises(RightsError) as raised:
        check_public(held, terms_accepted=terms)
    assert "camo (its own" in str(raised.value)
    assert "fine" not in str(raised.value)
    assert 'annotations_only="camo"' in spelled(raised.value.hint)


def test_a_branch_and_a_tag(hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run) -> None:
    ran = publish("--train", small.archive, "--repo-id", REPO, "--revision", "next", "--tag", "v1.0", env=env)
    assert ran.code == 0, ran.err
    assert f'load_dataset("{REPO}", split="train", revision="next")' in ran.out
    assert "README.md" not in hub.files(REPO)
    assert "README.md" in hub.files(REPO, "next")
    assert hub.tags(REPO) == {"v1.0": hub.branches(REPO)["next"]}
    taken = publish("--train", small.archive, "--captions", small.captions, "--repo-id", REPO, "--tag", "v1.0", env=env)
    assert taken.code == 1
    assert "v1.0 names another version already" in taken.err


def test_a_tag_is_not_moved_and_a_branch_is_made_of_what_is_there(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    base = ("--train", small.archive, "--repo-id", REPO)
    assert publish(*base, "--tag", "v1.0", env=env).code == 0
    head = hub.commits(REPO)[0].sha
    moved = publish(*base, "--captions", small.captions, "--tag", "v1.0", env=env)
    assert moved.code == 1
    assert "v1.0 names another version already" in moved.err
    assert hub.commits(REPO)[0].sha == head, "refused before anything was sent"
    assert publish(*base, "--tag", "v1.0", env=env).code == 0, "the same again"
    assert publish(*base, "--revision", "v2", env=env).code == 0
    assert hub.branches(REPO)["v2"] == head


def test_the_history_of_a_repository_counts(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    """Photographs on `main`, none on the branch that is published: everyone could still load `main`."""
    base = ("--train", small.archive, "--repo-id", REPO)
    assert publish(*base, env=env).code == 0
    only = ("--annotations-only", "sa_000000", "--public", "--yes")
    for more in ((), ("--revision", "clean")):
        refused = publish(*base, *only, *more, env=env)
        assert refused.code == 1
        assert "expected a history of sets that everyone may be shown" in refused.err
        assert hub.settings(REPO) == {"private": True, "gated": False}
    ran = publish(*base, *only, "--accept-sa1b-terms", env=env)
    assert ran.code == 0, ran.err
    assert hub.settings(REPO) == {"private": False, "gated": "auto"}


def test_a_card_of_somebody_else(hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run) -> None:
    """Made in the browser, with a license and nothing else: replaced when somebody says so, behind the placeholder."""
    api = HfApi(endpoint=hub.url, token="hf_test")
    api.create_repo(REPO, repo_type="dataset", private=True)
    api.upload_file(
        path_or_fileobj=b"---\nlicense: mit\n---\n# Mine\n", path_in_repo="README.md", repo_id=REPO, repo_type="dataset"
    )
    refused = publish("--train", small.archive, "--repo-id", REPO, env=env)
    assert refused.code == 1
    assert "was not made by asam_datasets" in refused.err
    assert "expected --yes" in refused.err
    before = len(hub.commits(REPO))
    ran = publish("--train", small.archive, "--repo-id", REPO, "--yes", env=env)
    assert ran.code == 0, ran.err
    first = hub.commits(REPO)[-before - 1]
    assert ("file", ".huggingface.yaml") in first.operations
    assert ".huggingface.yaml" not in hub.files(REPO)


REWRITTEN = {
    "CRLF": lambda text: text.replace(b"\n", b"\r\n"),
    "BOM": lambda text: b"\xef\xbb\xbf" + text,
    "both": lambda text: b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"),
}


@pytest.mark.filterwarnings("ignore:Warnings while validating metadata")  # of a byte order mark
@pytest.mark.parametrize("rewrite", REWRITTEN.values(), ids=REWRITTEN)
def test_a_card_that_an_editor_rewrote_is_still_ours(
    rewrite: Callable[[bytes], bytes], small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    """In a folder and on the Hub: what it shows is unchanged, its own line ends come back, and nothing is lost."""
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        check_rewritten(hub, publish, env, rewrite, small, tmp_path)


def check_rewritten(
    hub: LocalHub,
    publish: Run,
    env: dict[str, str],
    rewrite: Callable[[bytes], bytes],
    small: DemoArchive,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    places = (("--train", small.archive, "--out", out), ("--train", small.archive, "--repo-id", REPO))
    for place in places:
        first = publish(*place, env=env)
        assert first.code == 0, first.err
    readme = (out / "README.md").read_bytes()
    (out / "README.md").write_bytes(rewrite(readme))
    on_hub = hub.read_bytes(REPO, "README.md")
    HfApi(endpoint=hub.url, token="hf_test").upload_file(
        path_or_fileobj=rewrite(on_hub), path_in_repo="README.md", repo_id=REPO, repo_type="dataset"
    )
    hub.clear_log()
    for place in places:
        again = publish(*place, env=env)
        assert again.code == 0, again.err
        assert re.search(r"sa_000000 +unchanged", again.err), again.err
    assert (out / "README.md").read_bytes() == readme
    assert hub.read_bytes(REPO, "README.md") == on_hub
    (commit,) = [request for request in hub.log if request.operations]
    assert commit.operations == [("file", "README.md")]
    assert front_matter(rewrite(readme).decode()) == front_matter(readme.decode()) != {}


def test_a_pull_request_that_goes_on_in_the_same_one(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    """By somebody who may not write here; the first try dies at the release commit."""
    hub.add_user("hf_guest", "guest")
    only = ("--annotations-only", "sa_000000")
    opened = publish("--train", small.archive, "--repo-id", REPO, "--public", "--yes", *only, env=env)
    assert opened.code == 0, opened.err
    before = hub.commits(REPO)
    guest = {**env, "HF_TOKEN": "hf_guest"}
    base = ("--train", small.archive, "--captions", small.captions, "--repo-id", REPO, *only)
    refused = publish(*base, env=guest)
    assert refused.code == 1
    assert "--create-pr" in refused.err
    fault = hub.inject(Fault(r"/commit/refs/pr/1", "POST", "status", status=400, times=99, skip=1))
    assert publish(*base, "--create-pr", env=guest).code == 1
    assert fault.fired
    hub.clear_faults()
    ran = publish(*base, "--create-pr", env=guest)
    assert ran.code == 0, ran.err
    assert 'revision="refs/pr/1"' in ran.out
    assert {number: request.status for number, request in hub.pull_requests(REPO).items()} == {1: "open"}
    assert hub.commits(REPO) == before
    assert b"3 captions" in hub.read_bytes(REPO, "README.md", "refs/pr/1")


def test_behind_a_gate_a_stranger_is_told_so(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    hub.add_user("hf_guest", "guest")
    base = ("--train", small.archive, "--repo-id", REPO, "--accept-sa1b-terms")
    assert publish(*base, "--public", "--yes", env=env).code == 0
    refused = publish(*base, "--create-pr", env={**env, "HF_TOKEN": "hf_guest"})
    assert refused.code == 1
    assert "Traceback" not in refused.err
    assert "expected a token that got through the gate" in refused.err


def test_removing_is_explicit_and_confirmed(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    second = write_demo(tmp_path / "b", archive="sa_000001", images=2, first_id=50, height=200, width=240)
    both = ("--train", small.archive, second.archive, "--captions", small.captions, "--repo-id", REPO)
    assert publish(*both, env=env).code == 0
    asked = publish("--repo-id", REPO, "--remove", "sa_000000", env=env)
    assert asked.code == 1
    assert re.search(r"sa_000000 +removed +3 ", asked.err), asked.err
    assert "expected --yes to take away what is published" in asked.err
    assert any("sa_000000" in path for path in hub.files(REPO))
    ran = publish("--repo-id", REPO, "--remove", "sa_000000", "--yes", env=env)
    assert ran.code == 0, ran.err
    assert not any("sa_000000" in path for path in hub.files(REPO))
    wrong = publish("--repo-id", REPO, "--remove", "sa_999999", "--yes", env=env)
    assert wrong.code == 1
    assert "expected one of sa_000001, found sa_999999" in wrong.err
    everything = publish("--repo-id", REPO, "--remove", "sa_000001", "--yes", env=env)
    assert everything.code == 1


def test_the_same_in_a_folder(small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "b", archive="sa_000001", images=2, first_id=50, height=200, width=240)
    out = tmp_path / "out"
    assert publish("--train", small.archive, second.archive, "--out", out).code == 0
    assert publish("--out", out, "--remove", "sa_000000").code == 1
    assert publish("--out", out, "--remove", "sa_000000", "--yes").code == 0
    assert [path.name.split("-")[0] for path in (out / "data/train").glob("*")] == ["sa_000001"]
    for option in ("--public", "--create-pr", "--tag=v1"):
        refused = publish("--train", small.archive, "--out", out, option)
        assert refused.code == 1
        assert "with --repo-id only" in refused.err


def test_a_publish_that_changes_nothing_is_cheap(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    base = ("--train", small.archive, "--captions", small.captions, "--repo-id", REPO)
    assert publish(*base, env=env).code == 0
    hub.clear_log()
    plan = json.loads(publish(*base, "--dry-run", "--json", env=env).out)["plan"]
    assert [build["state"] for build in plan["builds"]] == ["unchanged"]
    assert plan["transfer_bytes"] == 0
    assert plan["footprint"]["plan"] == "a free account"
    hub.clear_log()
    ran = publish(*base, env=env)
    assert ran.code == 0
    assert len(hub.log) < 20
    assert {request.method for request in hub.log} <= {"GET", "HEAD"}


def test_fifty_archives_make_few_commits(hub: LocalHub, env: dict[str, str], publish: Run, tmp_path: Path) -> None:
    archives = [
        write_demo(tmp_path / f"{n}", archive=f"sa_{n:06d}", images=1, first_id=100 * n + 1, height=192, width=192)
        for n in range(50)
    ]
    ran = publish("--train", *[one.archive for one in archives], "--repo-id", REPO, env=env)
    assert ran.code == 0, ran.err
    commits = [request for request in hub.log if request.operations]
    print(f"{len(commits)} commits, {len(hub.log)} requests for 50 archives")
    assert len(commits) == 3
    assert len(hub.log) < 100
    hub.clear_log()
    assert publish("--train", *[one.archive for one in archives], "--repo-id", REPO, env=env).code == 0
    assert not [request for request in hub.log if request.operations]


def test_the_card_of_a_very_large_dataset_stays_small() -> None:
    """1000 archives of 32 parts each: what SA-1B has."""
    part = Part("part-000.parquet", 350, [350], 350 * 10**6, "0" * 64, "0" * 64, 35000, 350, {"image": 10**8})
    builds = [
        Build(2, "train", f"sa_{n:06d}", f"{n:016x}", 0, True, SA1B, [part] * 32, run="r000000000000")
        for n in range(1000)
    ]
    paths = frozenset(build.path for build in builds)
    showing = Showing(paths, frozenset({"r000000000000"}), "data/index-0123456789abcdef.json.gz")
    card = render_card(builds, showing, location=REPO, words=Words("SA-1B"), gated=True)
    front = card.split("---\n")[1]
    assert yaml.safe_load(front)["dataset_info"][0]["splits"][0]["num_examples"] == 1000 * 32 * 350
    print(f"{len(front):,} bytes of YAML, {len(card):,} of card")
    assert len(card.encode()) < 20_000


def test_access_is_said_in_words() -> None:
    assert str(Access(True)).startswith("private")
    assert "gate" in str(Access(False, "manual"))
    assert str(Access(False)) == "public: everyone"


def test_the_token_is_nowhere(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    secret = "hf_SecretSecretSecretSecret"
    hub.add_user(secret, "xhk")
    hub.inject(Fault(r"/commit/", "POST", "status", status=400, times=99, skip=1))
    ran = publish("--train", small.archive, "--repo-id", REPO, env={**env, "HF_TOKEN": secret})
    assert ran.code == 1
    hub.clear_faults()
    ran2 = publish("--train", small.archive, "--repo-id", REPO, env={**env, "HF_TOKEN": secret})
    assert ran2.code == 0
    assert secret not in ran.out + ran.err + ran2.out + ran2.err
    for path in (tmp_path / "cache").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    for path in hub.files(REPO):
        assert secret.encode() not in hub.read_bytes(REPO, path)


def test_new_captions_transfer_little(hub: LocalHub, env: dict[str, str], publish: Run, tmp_path: Path) -> None:
    """By Xet's own store: what is new of a build whose captions alone changed."""
    demo = write_demo(tmp_path / "demo", images=12, height=1500, width=2250)
    assert publish("--train", demo.archive, "--parts", "1", "--repo-id", REPO, env=env).code == 0
    before = hub.stored_bytes(REPO)
    ran = publish("--train", demo.archive, "--captions", demo.captions, "--parts", "1", "--repo-id", REPO, env=env)
    assert ran.code == 0, ran.err
    new = hub.stored_bytes(REPO) - before
    print(f"{new:,} bytes of {before:,} are new: {new / before:.1%}")
    assert new < 0.05 * before


def test_a_disk_that_fills_up(hub: LocalHub, env: dict[str, str], small: DemoArchive, tmp_path: Path) -> None:
    """The largest file that the process may write is 20 kB: what a full disk does, in a test."""
    command = [sys.executable, "-m", "asam_datasets.publish", "--train", str(small.archive), "--repo-id", REPO]
    full = subprocess.run(
        [*command, "--workers", "1"],
        env={**env, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert full.returncode == 1, full.stderr
    assert "expected to be able to write, found: File too large" in full.stderr
    assert "Make room" in full.stderr
    assert hub.repositories() == []
    again = subprocess.run(command, env={**env, "PYTHONPATH": str(ROOT)}, capture_output=True, check=False)
    assert again.returncode == 0


def test_stopped_by_hand(hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run) -> None:
    """Ctrl-C in the middle of the upload: one line, and the next run goes on."""
    command = [sys.executable, "-m", "asam_datasets.publish", "--train", str(small.archive), "--repo-id", REPO]
    run = subprocess.Popen(
        command,
        env={**env, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores it
    )

    def stop(request: Request) -> None:
        if "/preupload/" in request.path and any("LICENSE.md" in path for path in hub.files(REPO)):
            hub.on_request = None
            # The answer waits until it has stopped. Python loses a signal inside a destructor, so there is a second
            # one; but late, for one that meets the clearing up after the first would end that too.
            for _ in range(3):
                run.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.wait(timeout=60)
                    break

    hub.on_request = stop
    _, err = run.communicate(timeout=300)
    assert run.returncode == 130
    assert "stopped; finished work is kept" in err
    assert "Traceback" not in err
    assert "README.md" not in hub.files(REPO)
    assert publish("--train", small.archive, "--repo-id", REPO, env=env).code == 0


def test_a_gate_alone_is_no_acknowledgement(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run
) -> None:
    api = HfApi(endpoint=hub.url, token="hf_test")
    api.create_repo(REPO, repo_type="dataset", private=False)
    api.update_repo_settings(REPO, gated="manual", repo_type="dataset")
    refused = publish("--train", small.archive, "--repo-id", REPO, env=env)
    assert refused.code == 1
    assert "--accept-sa1b-terms" in refused.err
    ran = publish("--train", small.archive, "--repo-id", REPO, "--accept-sa1b-terms", "--yes", env=env)
    assert ran.code == 0, ran.err
    assert hub.settings(REPO) == {"private": False, "gated": "manual"}
    again = publish("--train", small.archive, "--captions", small.captions, "--repo-id", REPO, env=env)
    assert again.code == 0, "acknowledged once, behind the gate that is still there"


def test_what_somebody_adds_meanwhile_is_not_made_public(
    hub: LocalHub, env: dict[str, str], small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    """One publishes annotations for everyone; right before its release commit another adds photographs, privately."""
    second = write_demo(tmp_path / "b", archive="sa_000001", images=2, first_id=50, height=200, width=240)
    only = ("--annotations-only", "sa_000000", "--public", "--yes")
    other = {**env, "ASAM_DATASETS_CACHE": str(tmp_path / "other"), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    landed = []

    def meddle(request: Request) -> None:
        if "/commit/" in request.path and any(path.endswith(".parquet") for path in hub.files(REPO)):
            hub.on_request = None
            landed.append(publish("--train", second.archive, "--repo-id", REPO, env=other).code)

    hub.on_request = meddle
    ran = publish("--train", small.archive, "--repo-id", REPO, *only, env=env)
    assert landed == [0]
    assert ran.code == 1
    assert "sa_000001 (SA-1B" in ran.err
    assert hub.settings(REPO)["private"]
    shown = front_matter(hub.read_bytes(REPO, "README.md").decode())["configs"][0]["data_files"][0]["path"]
    assert len(shown) == 1, "what the other one published is what is shown"
