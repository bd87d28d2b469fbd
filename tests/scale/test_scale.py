"""A task for each archive, killed here and there: the parts of one plain publish, sent once, shown by one commit."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archives_http import serve
from commands import start_warm
from conftest import ROOT, Ran, run_python
from local_hub import LocalHub, Request

from asam_datasets.demo import write_demo
from asam_datasets.errors import AsamDatasetsError, SourceError, TargetError
from asam_datasets.publish import PublishOptions, publish
from asam_datasets.scale import CaptionStage, Machines, ScalePlan, do_archive, read_plan
from asam_datasets.scale._datatrove import executor, in_queue, submit
from asam_datasets.scale._run import open_run
from asam_datasets.scale._scale import do_stages

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
        return {path.split("/")[2].rpartition("-")[0] for path in self.hub.files(REPO) if path.endswith(".parquet")}


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
    reader, writer = os.pipe()
    with open(os.devnull) as nothing, open(reader, "rb", buffering=0) as output:
        program = start_warm([*COMMAND, str(plan)], cluster.env, ROOT, (nothing.fileno(), writer, writer))
        os.close(writer)
        assert program is not None
        assert program.wait() == -signal.SIGKILL
        while select.select([output], [], [], 60)[0]:
            if not output.read(2**16):  # no process of it is left
                break
        else:
            pytest.fail("a process of the killed run is still there")
    assert "README.md" not in hub.files(REPO)

    ran = cluster.run(plan)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Published: 3 archives of r")
    out = cluster.folder / "plain"
    captions = sorted(archives.glob("*-blip2-caption.json"))
    publish(PublishOptions(train=[str(archives)], captions=captions, out=out, parts=2, workers=1))
    assert cluster.shown() == {path.parent.name.rpartition("-")[0] for path in out.rglob("*.parquet")}
    arrived = [one.path for one in hub.log if one.method == "PUT" and "/lfs/" in one.path and one.performed == 200]
    assert set(Counter(arrived).values()) == {1}
    titles = [commit.title.split()[0] for commit in hub.commits(REPO)]
    assert titles == ["Show", "Add", "Say", "initial"]
    assert not any(path.is_file() for path in (cluster.folder / "work").rglob("*"))
    # A thousand archives have more of them than one commit may hold.
    (shown,) = [one.operations for one in hub.log if one.title and one.title.startswith("Show")]
    assert not any(path.startswith("organized/") for _, path in shown)
    for path in out.glob("organized/*"):
        assert hub.read_bytes(REPO, f"organized/{path.name}") == path.read_bytes()

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
    "kinds": (
        'repo_id = "a/b"\nrun = "r"\nsources = ["a"]\n[machines]\nkind = "slurm"\n[caption.machines]\nkind = "ray"',
        TargetError,
        "machines of one kind in the plan, found 'slurm' and 'ray'",
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


def test_an_archive_waits_for_its_captions_and_clears_what_others_left(
    tmp_path: Path, archives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASAM_DATASETS_CACHE", str(tmp_path / "cache"))
    plan = ScalePlan(
        repo_id=REPO,
        run=str(tmp_path / "run"),
        sources=[str(archives)],
        work=str(tmp_path / "work"),
        caption=CaptionStage(machines=Machines(kind="slurm")),
        machines=Machines(kind="slurm"),
    )
    run = open_run(plan.run, REPO, NAMES)
    for name in NAMES[1:]:
        left = tmp_path / "work" / run.name / name / "left.tar"
        left.parent.mkdir(parents=True)
        left.touch()
    run.write(f"notes/{NAMES[2]}.json", b"")  # done elsewhere
    with pytest.raises(SourceError, match=f"expected captions of {NAMES[0]}, found none"):
        do_archive(plan, 0)
    assert [path.parent.name for path in (tmp_path / "work").rglob("*.tar")] == [NAMES[1]]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"partition": "cpu"}, "missing 1 required positional argument: 'time'"), ({"tim": 1}, "argument 'tim'")],
)
def test_options_that_an_executor_does_not_take(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(TargetError, match=f"expected options of SlurmPipelineExecutor, found: .*{said}"):
        executor(Machines(kind="slurm", options=options), None, 1, str(tmp_path), "job")


def test_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was submitted, so nothing is noted."""
    monkeypatch.setenv("PATH", str(tmp_path))
    noted: list[str] = []
    machines = Machines(kind="slurm", options={"partition": "cpu", "time": "1:00"})
    stages = [executor(machines, len, 1, str(tmp_path / name), name) for name in ("first", "second")]
    with pytest.raises(TargetError, match="expected the commands of Slurm, found no sbatch"):
        submit(stages, noted.extend)
    assert noted == []
    with pytest.raises(SourceError, match="expected squeue to say what is in the queue"):
        in_queue(["1"])


def test_a_task_that_failed_is_not_waited_for(tmp_path: Path) -> None:
    """Ray's executor ends as if nothing had been."""
    run = open_run(str(tmp_path / "run"), REPO, NAMES)
    stages = [executor(Machines(), len, 3, str(tmp_path / name), name) for name in ("first", "second")]
    begun: list[int] = []
    for number, stage in enumerate(stages):
        stage.run = lambda number=number: begun.append(number)
    stages[0].mark_rank_as_completed(1)
    with pytest.raises(SourceError, match="found 2 that failed: sa_000000, sa_000002"):
        do_stages(run, stages)
    assert begun == [0]


def test_the_examples_are_plans() -> None:
    examples = sorted((ROOT / "examples" / "scale").glob("*.toml"))
    assert [path.stem for path in examples] == ["hf_jobs", "one_machine", "ray", "slurm"]
    kinds = {path.stem: read_plan(path).machines.kind for path in examples}
    assert kinds == {"hf_jobs": "jobs", "one_machine": "local", "ray": "ray", "slurm": "slurm"}
    staged = read_plan(ROOT / "examples" / "scale" / "slurm.toml").caption
    assert staged
    assert staged.machines
    assert staged.machines.options["gpus_per_task"] == 1
