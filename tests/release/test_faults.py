"""Every route goes wrong once in every way, and the publish completes; what stays wrong ends with a sentence."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Run
from local_hub import Fault, LocalHub, Request

from asam_datasets.demo import DemoArchive, write_demo

REPO = "xhk/ASAM-Datasets"
KINDS = {
    "drop": Fault(kind="drop"),
    "lost answer": Fault(kind="lost_answer"),
    "429": Fault(kind="status", status=429, retry_after=1),
    "500": Fault(kind="status", status=500),
    "502": Fault(kind="status", status=502),
    "503": Fault(kind="status", status=503),
    "504": Fault(kind="status", status=504),
    "slow": Fault(kind="slow", delay_s=1.0),
}
# Where a client meets them: each once, in the middle of everything else.
ROUTES = {
    "account": ("GET", r"/whoami-v2$"),
    "create": ("POST", r"/repos/create$"),
    "repository": ("GET", r"/api/datasets/[^/]+/[^/]+(/revision/main)?$"),
    "settings": ("PUT", r"/settings$"),
    "branch": ("POST", r"/branch/"),
    "listing": ("GET", r"/tree/"),
    "preupload": ("POST", r"/preupload/"),
    "xet token": ("GET", r"/xet-write-token/"),
    "lfs batch": ("POST", r"/objects/batch$"),
    "lfs object": ("PUT", r"^/lfs/"),
    "commit": ("POST", r"/commit/"),
    "card check": ("POST", r"/validate-yaml$"),
    "references": ("GET", r"/refs$"),
    "tag": ("POST", r"/tag/"),
    "download head": ("HEAD", r"/resolve/"),
    "download": ("GET", r"/resolve/"),
}
ONLY_XET, ONLY_LFS = {"xet token"}, {"lfs batch", "lfs object"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> DemoArchive:
    return write_demo(tmp_path_factory.mktemp("small"), images=3, height=200, width=240)


@pytest.fixture
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub", xet=getattr(request, "param", True)) as hub:
        yield hub
        assert hub.errors == []


def environment(hub: LocalHub, folder: Path, *, xet: bool = True) -> dict[str, str]:
    return {**hub.environment(folder / "home", xet=xet), "ASAM_DATASETS_CACHE": str(folder / "cache")}


@pytest.mark.parametrize("hub", [True, False], ids=["xet", "lfs"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_every_route_fails_once(kind: str, hub: LocalHub, small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    xet = hub._state.xet
    routes = {name: where for name, where in ROUTES.items() if name not in (ONLY_LFS if xet else ONLY_XET)}
    faults = {}
    for name, (method, path) in routes.items():
        model = KINDS[kind]
        fault = Fault(path, method, model.kind, 1, model.status, model.retry_after, model.delay_s)
        faults[name] = hub.inject(fault)
    base = ("--train", small.archive, "--repo-id", REPO, "--workers", "1")
    env = {**environment(hub, tmp_path, xet=xet), "ASAM_DATASETS_WAITS": "0.1,0.1,0.1,0.1,0.1,0.1"}
    ran = publish(*base, "--gated", "manual", "--revision", "v", "--tag", "v1", env=env)
    assert ran.code == 0, ran.err
    assert "Traceback" not in ran.err
    again = publish(*base, "--tag", "v2", env=env)  # downloads, and the main branch
    assert again.code == 0, again.err
    assert [name for name, fault in faults.items() if not fault.spent] == []
    for revision in ("v", "main"):
        files = hub.files(REPO, revision)
        assert len([path for path in files if path.endswith(".parquet")]) == 1
        assert ".huggingface.yaml" not in files
    flips = [commit for commit in hub.commits(REPO) if ("file", "README.md") in commit.operations]
    assert len(flips) == 1, "a commit whose answer was lost is not made twice"
    assert hub.settings(REPO) == {"private": True, "gated": "manual"}
    assert sorted(hub.tags(REPO)) == ["v1", "v2"]


def test_a_retry_is_told_and_waits_as_long_as_the_hub_says(
    hub: LocalHub, small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    hub.inject(Fault(r"/commit/", "POST", "status", status=429, retry_after=3))
    ran = publish("--train", small.archive, "--repo-id", REPO, env=environment(hub, tmp_path))
    assert ran.code == 0, ran.err
    assert "committing: the Hub answered 429; trying again in 3 s (1 of 6)" in ran.err


def test_a_token_that_expires_in_between(hub: LocalHub, small: DemoArchive, publish: Run, tmp_path: Path) -> None:
    hub.inject(Fault(r"/preupload/|/xet-write-token/", "*", "status", times=99, status=401, skip=1))
    env = environment(hub, tmp_path)
    ran = publish("--train", small.archive, "--repo-id", REPO, env=env)
    assert ran.code == 1
    assert "refused with status 401" in ran.err
    assert f"continue: python -m asam_datasets.publish --train {small.archive} --repo-id {REPO}" in ran.err
    assert "README.md" not in hub.files(REPO)
    hub.clear_faults()
    ran = publish("--train", small.archive, "--repo-id", REPO, env=env)
    assert ran.code == 0, ran.err


def test_a_hub_that_stays_broken_ends_the_publish(
    hub: LocalHub, small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    """No retry loop without end; what the first version showed stays."""
    env = environment(hub, tmp_path)
    assert publish("--train", small.archive, "--repo-id", REPO, env=env).code == 0
    readme = hub.read_bytes(REPO, "README.md")
    hub.inject(Fault(r"/commit/", "POST", "status", times=10**6, status=400))
    ran = publish("--train", small.archive, "--captions", small.captions, "--repo-id", REPO, env=env)
    assert (ran.code, ran.out) == (1, "")
    assert len(re.findall("^error: ", ran.err, re.MULTILINE)) == 1
    assert hub.read_bytes(REPO, "README.md") == readme


def test_somebody_publishes_while_the_repository_is_made(
    hub: LocalHub, small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    """All of another's publish, between the look that found no repository and the request that makes it."""
    second = write_demo(tmp_path / "b", archive="sa_000001", images=3, first_id=50, height=200, width=240)
    others = []

    def publish_another(request: Request) -> None:
        if request.path.endswith("/repos/create"):
            hub.on_request = None
            env = {**environment(hub, tmp_path / "b"), "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "asam_datasets.publish", "--train", str(second.archive)]
            others.append(subprocess.run([*command, "--repo-id", REPO], env=env, check=False).returncode)

    hub.on_request = publish_another
    ours = publish("--train", small.archive, "--repo-id", REPO, env=environment(hub, tmp_path / "a"))
    assert (ours.code, others) == (0, [0]), ours.err
    shown = hub.read_bytes(REPO, "README.md").decode()
    assert "`sa_000000`" in shown
    assert "`sa_000001`" in shown


def test_two_publishers_at_once_on_two_machines(
    hub: LocalHub, small: DemoArchive, publish: Run, tmp_path: Path
) -> None:
    """Two caches and two lock folders: nothing but the Hub is between them. Both land, and nothing is lost."""
    second = write_demo(tmp_path / "b", archive="sa_000001", images=3, first_id=50, height=200, width=240)
    runs = []
    for number, archive in enumerate((small.archive, second.archive)):
        machine = tmp_path / f"machine-{number}"
        (machine / "tmp").mkdir(parents=True)
        env = {**environment(hub, machine), "TMPDIR": str(machine / "tmp"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "asam_datasets.publish", "--train", str(archive), "--repo-id", REPO]
        runs.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    ended = [(run.communicate(timeout=500), run.returncode) for run in runs]
    assert [code for _, code in ended] == [0, 0], ended
    shown = hub.read_bytes(REPO, "README.md").decode()
    assert "`sa_000000`" in shown
    assert "`sa_000001`" in shown
    parts = [path for path in hub.files(REPO) if path.endswith(".parquet")]
    folders = {path.split("/")[2].rsplit("-", 2)[0] for path in parts}
    assert folders == {"sa_000000", "sa_000001"}
