"""A Hub that says no, or nothing: one sentence, exit code 1, no repository, and never a word about the token."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from archives import ZEROS, Members, pack_gzip, pack_tar, tar_bytes, tiny_members, tree
from conftest import run_python
from local_hub import Fault, LocalHub

from asam_datasets.errors import TargetError
from asam_datasets.release import RepositoryTarget

SECRET = "hf_SecretSecretSecretSecretSecret"
REPO = "xhk/ASAM-Datasets"
WRITES = ("POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Outcome:
    """What a run of the program showed."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def error(self) -> str:
        """The one line that says what is wrong, after checking that it is the only one."""
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert "Traceback" not in self.err
        assert len(errors) == 1, self.err
        assert self.out == ""
        assert self.code == 1
        return errors[0]

    @property
    def hint(self) -> str:
        """The line that says what to do about it, empty when there is none."""
        hints = [line for line in self.err.splitlines() if line.startswith("hint: ")]
        assert len(hints) <= 1, self.err
        return "".join(hints)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """A Hub where the token `SECRET` is `xhk`, who may write."""
    with LocalHub(tmp_path / "hub") as hub:
        hub.add_user(SECRET, "xhk")
        yield hub
        assert hub.errors == []


@pytest.fixture(scope="module")
def members() -> Members:
    return tiny_members(3)


def publish(environment: Mapping[str, str], tmp_path: Path, *arguments: object) -> Outcome:
    """Run the real program in an empty folder, with a cache and a temporary folder of its own."""
    here, system = tmp_path / "here", tmp_path / "system"
    here.mkdir(exist_ok=True)
    system.mkdir(exist_ok=True)
    own = {"ASAM_DATASETS_CACHE": str(tmp_path / "cache"), "TMPDIR": str(system)}
    started = time.monotonic()
    command = ("-m", "asam_datasets.publish", "--workers", "1", *map(str, arguments))
    ran = run_python(*command, env={**environment, **own}, cwd=here)
    assert SECRET not in ran.out + ran.err
    assert "Bearer" not in ran.out + ran.err
    return Outcome(ran.code, ran.out, ran.err, time.monotonic() - started)


def check_nothing_happened(hub: LocalHub, tmp_path: Path) -> None:
    assert hub.repositories() == []
    assert [request.path for request in hub.log if request.method in WRITES] == []
    assert tree(tmp_path / "here") == {}
    assert tree(tmp_path / "cache") == {}


def test_a_repo_id_that_is_not_one(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, "--train", source, "--repo-id", "ASAM")
    assert "expected namespace/name" in outcome.error
    assert "found 'ASAM'" in outcome.error
    assert outcome.hint
    assert hub.log == []
    check_nothing_happened(hub, tmp_path)


NO_IDS = ["ASAM-Datasets", "xhk/a/b", "xhk/ASAM Datasets", "xhk/", "/a", "", "xhk/..", "xhk/a\nb", "xhk/-a"]
ADDRESSES = ["https://huggingface.co/datasets/xhk/a", "datasets/xhk/a"]


@pytest.mark.parametrize("repo_id", [*NO_IDS, *ADDRESSES, "xhk/" + 200 * "a"])
def test_other_repo_ids_that_are_none(repo_id: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError) as raised:
        RepositoryTarget(repo_id, tmp_path / "cache")
    assert str(raised.value) == f"repo_id: expected namespace/name, such as xhk/ASAM-Datasets, found {repo_id!r}"
    assert raised.value.hint
    assert "\n" not in raised.value.hint
    assert not (tmp_path / "cache").exists()


def test_no_token(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    outcome = publish(hub.environment(tmp_path / "home", None), tmp_path, "--train", source, "--repo-id", REPO)
    assert outcome.error.startswith(f"error: {REPO}: expected a token for the Hub, found none")
    assert "hf auth login" in outcome.hint
    assert "HF_TOKEN" in outcome.hint
    check_nothing_happened(hub, tmp_path)


def test_an_unknown_token(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source, token = pack_tar(tmp_path, members), SECRET.replace("Secret", "Unknown")
    outcome = publish(hub.environment(tmp_path / "home", token), tmp_path, "--train", source, "--repo-id", REPO)
    assert f"{hub.url}/datasets/{REPO}: " in outcome.error
    assert "expected " in outcome.error
    assert "401" in outcome.error
    assert "token" in outcome.hint
    assert token not in outcome.err
    check_nothing_happened(hub, tmp_path)


@pytest.mark.parametrize("token", ["not a token", "hf_é", "hf_a\nhf_b"])
def test_a_token_that_is_none(token: str, hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    outcome = publish(hub.environment(tmp_path / "home", token), tmp_path, "--train", source, "--repo-id", REPO)
    assert "token" in outcome.error + outcome.hint
    assert token not in outcome.err
    check_nothing_happened(hub, tmp_path)


def test_a_token_that_may_only_read(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source, token = pack_tar(tmp_path, members), "hf_reader"
    hub.add_user(token, "xhk", "read")
    outcome = publish(hub.environment(tmp_path / "home", token), tmp_path, "--train", source, "--repo-id", REPO)
    assert outcome.error.startswith(f"error: {hub.url}/datasets/{REPO}: expected a token that may write")
    assert "read" in outcome.error
    assert "write permission" in outcome.hint
    check_nothing_happened(hub, tmp_path)


def test_the_namespace_of_somebody_else(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    environment = hub.environment(tmp_path / "home", SECRET)
    outcome = publish(environment, tmp_path, "--train", source, "--repo-id", "meta/SA-1B")
    assert outcome.error.startswith(f"error: {hub.url}/datasets/meta/SA-1B: expected a token that may write to meta")
    assert "xhk" in outcome.error
    assert outcome.hint
    check_nothing_happened(hub, tmp_path)


def test_the_hub_refuses_when_it_comes_to_writing(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    """A fine-grained token is only found out by the first write."""
    source = pack_tar(tmp_path, members)
    hub.inject(Fault("/api/repos/create", kind="status", status=403, times=99))
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, "--train", source, "--repo-id", REPO)
    assert f"{hub.url}/datasets/{REPO}: " in outcome.error
    assert "403" in outcome.error
    assert "may not write" in outcome.hint
    assert hub.repositories() == []


def test_no_network(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    with socket.socket() as closed:  # bound and not listening: whoever connects is refused
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        environment = {**hub.environment(tmp_path / "home", SECRET), "HF_ENDPOINT": endpoint}
        outcome = publish(environment, tmp_path, "--train", source, "--repo-id", REPO)
    assert outcome.error.startswith(f"error: {endpoint}: expected an answer of the Hub, found none")
    assert "etwork" in outcome.hint
    assert outcome.err.count("trying again") <= 2
    assert outcome.seconds < 120
    check_nothing_happened(hub, tmp_path)


def test_a_name_that_nobody_resolves(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    environment = {**hub.environment(tmp_path / "home", SECRET), "HF_ENDPOINT": "http://hub.invalid"}
    outcome = publish(environment, tmp_path, "--train", source, "--repo-id", REPO)
    assert outcome.error.startswith("error: http://hub.invalid: expected an answer of the Hub, found none")
    assert outcome.err.count("trying again") <= 2
    assert outcome.seconds < 120


def test_offline_by_wish(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    environment = {**hub.environment(tmp_path / "home", SECRET), "HF_HUB_OFFLINE": "1"}
    outcome = publish(environment, tmp_path, "--train", source, "--repo-id", REPO)
    assert "HF_HUB_OFFLINE" in outcome.error + outcome.hint
    assert outcome.hint
    check_nothing_happened(hub, tmp_path)


def test_a_hub_that_always_fails(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    hub.inject(Fault("/api/whoami-v2", kind="status", status=500, times=10_000))
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, "--train", source, "--repo-id", REPO)
    assert f"{hub.url}/datasets/{REPO}: " in outcome.error
    assert "500" in outcome.error
    assert outcome.hint
    assert outcome.err.count("trying again") <= 6
    assert outcome.seconds < 120
    check_nothing_happened(hub, tmp_path)


def test_a_connection_that_always_breaks(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    hub.inject(Fault("/api/whoami-v2", kind="drop", times=10_000))
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, "--train", source, "--repo-id", REPO)
    assert outcome.error.startswith(f"error: {hub.url}: expected an answer of the Hub, found none")
    assert outcome.hint
    check_nothing_happened(hub, tmp_path)


BAD_SOURCES: dict[str, Callable[[Members], bytes]] = {
    "bad record": lambda members: tar_bytes({**members, "sa_2.json": b"{"}),
    "orphan": lambda members: tar_bytes({**members, "sa_9.jpg": b"x"}),
    "truncated": lambda members: tar_bytes(members)[: -4 * len(ZEROS)],
}


@pytest.mark.parametrize("make", BAD_SOURCES.values(), ids=BAD_SOURCES)
def test_a_bad_archive_makes_no_repository(
    make: Callable[[Members], bytes], hub: LocalHub, members: Members, tmp_path: Path
) -> None:
    source = tmp_path / "sa_000000.tar"
    source.write_bytes(make(members))
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, "--train", source, "--repo-id", REPO)
    assert outcome.error.startswith(f"error: {source}: ")
    assert outcome.hint
    check_nothing_happened(hub, tmp_path)


def test_an_unknown_caption_makes_no_repository(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    """What a stream holds is known only when it was read, which is no reason to upload it first."""
    captions = tmp_path / "captions.json"
    captions.write_text('{"img": "sa_77.jpg", "prompt": "a photo"}\n')
    arguments = ["--train", pack_gzip(tmp_path, members), "--captions", captions, "--repo-id", REPO]
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, *arguments)
    assert "sa_77.jpg" in outcome.error
    assert hub.repositories() == []


def test_a_stopped_first_publish_shows_no_archive(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    """Parts in a repository without a README of ours are a dataset for `load_dataset`, with half of the archives."""
    good, bad = tmp_path / "sa_000001.tar", tmp_path / "sa_000002.tar"
    good.write_bytes(tar_bytes(members))
    bad.write_bytes(tar_bytes({**tiny_members(2, first_id=50), "sa_51.json": b"{"}))
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, "--train", good, bad, "--repo-id", REPO)
    assert outcome.error.startswith(f"error: {bad}: sa_51.json: ")
    shown = {path for repo in hub.repositories() for path in hub.files(repo)}
    assert "README.md" in shown or not any(path.endswith(".parquet") for path in shown)


def test_a_bad_record_leaves_a_published_dataset_alone(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source, environment = tmp_path / "sa_000000.tar", hub.environment(tmp_path / "home", SECRET)
    source.write_bytes(tar_bytes(members))
    assert publish(environment, tmp_path, "--train", source, "--repo-id", REPO).code == 0
    files, commits = hub.files(REPO), hub.commits(REPO)
    source.write_bytes(tar_bytes({**members, "sa_2.json": b"{"}))
    outcome = publish(environment, tmp_path, "--train", source, "--repo-id", REPO, "--yes")
    assert outcome.error.startswith(f"error: {source}: sa_2.json: ")
    assert (hub.files(REPO), hub.commits(REPO)) == (files, commits)


def test_skipped_records_are_listed_beside_the_caller(hub: LocalHub, members: Members, tmp_path: Path) -> None:
    source = tmp_path / "sa_000000.tar"
    source.write_bytes(tar_bytes({**members, "sa_2.json": b"{"}))
    arguments = ["--train", source, "--repo-id", REPO, "--on-bad-record", "skip"]
    outcome = publish(hub.environment(tmp_path / "home", SECRET), tmp_path, *arguments)
    assert outcome.code == 0
    assert "rejected   1" in outcome.out
    assert list(tree(tmp_path / "here")) == ["rejects.jsonl"]
    assert "left out" in hub.read_bytes(REPO, "README.md").decode()
