"""A task for each archive, killed here and there: the parts of one plain publish, sent once, shown by one commit."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives_http import serve
from commands import start_warm
from conftest import ROOT, Ran, run_python
from local_hub import LocalHub, Request

from asam_datasets.demo import write_demo
from asam_datasets.errors import AsamDatasetsError, TargetError
from asam_datasets.publish import PublishOptions, publish
from asam_datasets.scale import read_plan

REPO = "xhk/scale"
COMMAND = ("-c", "from asam_datasets.cli import main; main()", "scale")
NAMES = ("sa_000000", "sa_000001", "sa_000002")


class Cluster:
    """Three archives behind a server, a Hub, and plans for them."""

    def __init__(self, folder: Path, hub: LocalHub, url: str) -> None:
        self.folder, self.hub = folder, hub
        self.env = hub.environment(folder / "home", xet=False)
        self.env |= {"PYTHONPATH": str(ROOT), "ASAM_DATASETS_CACHE": str(folder / "cache")}
        (folder / "links.txt").write_text("".join(f"{name}.tar\t{url}/{name}.tar\n" for name in NAMES))

    def plan(self, run: str, workers: int = 1, more: str = "") -> Path:
        path = self.folder / f"{run}-{workers}.toml"
        path.write_text(
            f'repo_id = "{REPO}"\nrun = "{self.folder / run}"\nwork = "{self.folder / "work"}"\nparts = 2\n{more}\n'
            f'links = "{self.folder / "links.txt"}"\ncaptions = "{self.folder}"\n[machines]\nworkers = {workers}\n'
        )
        return path

    def run(self, plan: Path) -> Ran:
        return run_python(*COMMAND, plan, env=self.env)

    def shown(self) -> set[str]:
        """The folders of builds, without that of the run."""
        return {path.split("/")[3] for path in self.hub.files(REPO) if path.endswith(".parquet")}


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, drawn = tmp_path_factory.mktemp("archives"), tmp_path_factory.mktemp("drawn")
    for number, name in enumerate(NAMES):
        made = write_demo(drawn / name, archive=name, images=3, first_id=number * 10 + 1, height=192, width=200)
        shutil.move(made.archive, folder)
        shutil.move(made.captions, folder)
    return folder


@pytest.fixture
def cluster(tmp_path: Path, archives: Path) -> Iterator[Cluster]:
    for path in archives.glob("*.json"):
        shutil.copy(path, tmp_path)
    with serve(archives) as (url, _), LocalHub(tmp_path / "hub", xet=False) as hub:
        yield Cluster(tmp_path, hub, url)
        assert hub.errors == []


def test_killed_and_resumed_it_is_what_one_publish_makes(cluster: Cluster, archives: Path) -> None:
    hub, run = cluster.hub, cluster.folder / "run"
    plan = cluster.plan("run", 2)

    def kill_a_worker(request: Request) -> None:
        """The one that sends the first part of an archive while no note is there."""
        tasks = list(run.glob("running/archives-*"))
        if request.method == "PUT" and tasks and not list(run.glob("notes/*")):
            hub.on_request = None
            os.kill(json.loads(tasks[0].read_bytes())["pid"], signal.SIGKILL)

    hub.on_request = kill_a_worker
    killed = cluster.run(plan)
    assert killed.code == 1, killed.err
    assert "found that it was killed" in killed.err
    assert hub.on_request is None
    done = len(list(run.glob("notes/*")))
    assert done < len(NAMES)

    def kill_all(request: Request) -> None:
        """When another part arrives."""
        if request.method == "PUT":
            hub.on_request = None
            os.kill(program.pid, signal.SIGKILL)

    plan = cluster.plan("run", 1)
    hub.on_request = kill_all
    with open(os.devnull, "r+") as nothing:
        program = start_warm([*COMMAND, str(plan)], cluster.env, ROOT, (nothing.fileno(),) * 3)
        assert program is not None
        assert program.wait() == -signal.SIGKILL
    assert "README.md" not in hub.files(REPO)

    ran = cluster.run(plan)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Published: 3 archives of r")
    out = cluster.folder / "plain"
    captions = sorted(archives.glob("*-blip2-caption.json"))
    publish(PublishOptions(train=[str(archives)], captions=captions, out=out, parts=2, workers=1))
    assert cluster.shown() == {path.parent.name for path in out.rglob("*.parquet")}
    arrived = [one.path for one in hub.log if one.method == "PUT" and "/lfs/" in one.path and one.performed == 200]
    assert set(Counter(arrived).values()) == {1}
    titles = [commit.title.split()[0] for commit in hub.commits(REPO)]
    assert titles == ["Show", "Add", "Say", "initial"]
    assert not any(path.is_file() for path in (cluster.folder / "work").rglob("*"))

    log = len(hub.log)
    again = cluster.run(plan)
    assert again.code == 0, again.err
    assert len(hub.commits(REPO)) == 4
    assert not any(one.method == "PUT" for one in hub.log[log:])


def test_what_is_published_is_not_replaced_and_a_folder_has_one_plan(cluster: Cluster, archives: Path) -> None:
    words = ["-m", "asam_datasets.publish", "--train", archives / "sa_000001.tar", "--repo-id", REPO, "--yes"]
    assert run_python(*words, "--workers", "1", env=cluster.env).code == 0
    commits = len(cluster.hub.commits(REPO))
    ran = cluster.run(cluster.plan("run"))
    assert ran.code == 1
    assert "expected archives that are not published yet, found 1 that are, such as sa_000001" in ran.err
    ran = cluster.run(cluster.plan("run", more='archives = ["sa_000000"]'))
    assert ran.code == 1
    assert "expected the run of 1 archives for xhk/scale, found one of 3 for xhk/scale" in ran.err
    assert len(cluster.hub.commits(REPO)) == commits


PLANS: dict[str, tuple[str, type[AsamDatasetsError], str]] = {
    "nothing": ("", TargetError, "missing required field `repo_id`"),
    "no toml": ("repo_id = ", TargetError, "expected a plan, found"),
    "unknown": ('repo_id = "a/b"\nrun = "r"\nsource = ["a"]', TargetError, "unknown field `source`"),
    "no source": ('repo_id = "a/b"\nrun = "r"', TargetError, "expected one of `links` and `sources`"),
    "both": ('repo_id = "a/b"\nrun = "r"\nlinks = "l"\nsources = ["a"]', TargetError, "exactly one"),
    "captions": (
        'repo_id = "a/b"\nrun = "r"\nsources = ["a"]\ncaptions = "c"\n[caption]',
        TargetError,
        "one of `captions` and `caption`",
    ),
    "workers": (
        'repo_id = "a/b"\nrun = "r"\nsources = ["a"]\n[machines]\nworkers = 0',
        TargetError,
        "`workers` of at least 1",
    ),
    "kind": ('repo_id = "a/b"\nrun = "r"\nsources = ["a"]\n[machines]\nkind = "pbs"', TargetError, "'pbs'"),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans_that_are_none(tmp_path: Path, name: str) -> None:
    text, kind, said = PLANS[name]
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(kind) as raised:
        read_plan(path)
    assert said in f"{raised.value} {raised.value.hint}"


def test_the_examples_are_plans() -> None:
    examples = sorted((ROOT / "examples" / "scale").glob("*.toml"))
    assert [path.stem for path in examples] == ["hf_jobs", "one_machine", "ray", "slurm"]
    kinds = {path.stem: read_plan(path).machines.kind for path in examples}
    assert kinds == {"hf_jobs": "jobs", "one_machine": "local", "ray": "ray", "slurm": "slurm"}
    staged = read_plan(ROOT / "examples" / "scale" / "slurm.toml").caption
    assert staged
    assert staged.machines
    assert staged.machines.options["gpus_per_task"] == 1
