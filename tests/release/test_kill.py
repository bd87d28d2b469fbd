"""Killed before or after any request of a publish, a dataset is the old one or the new one, and the next run ends it.

By default some of the kill points are tried, and read by one `datasets`. `ASAM_DATASETS_ALL_KILL_POINTS=1` tries all of
them, read by three (half an hour).
"""

import json
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from commands import start_warm
from conftest import ROOT, run_reader
from local_hub import LocalHub
from local_hub.model import Request
from warm import Program

from asam_datasets.demo import write_demo
from asam_datasets.sources import read_captions

ALL = bool(os.environ.get("ASAM_DATASETS_ALL_KILL_POINTS"))
EVERY = 1 if ALL else 12


# Writes down id and caption of every row that stock `datasets` finds, or that it finds none.
READ = """
import json, sys
import datasets
repo_id, target = sys.argv[1:]
if hasattr(datasets.config, "USE_PARQUET_EXPORT"):
    datasets.config.USE_PARQUET_EXPORT = False
try:
    stream = datasets.load_dataset(repo_id, "train", split="train", streaming=True)
    found = {"rows": [[row["image_id"], row["caption"]] for row in stream.select_columns(["image_id", "caption"])]}
except Exception as error:
    found = {"error": f"{type(error).__name__}: {error}"}
with open(target, "w") as file:
    json.dump(found, file)
sys.stderr.flush()
import os
os._exit(0)  # Arrow's threads go on reading behind a stream
"""


# As `-m asam_datasets.publish`, with a commit for every build, as archives of gigabytes make them.
BULK = """
import asam_datasets.release._pace as pace
import asam_datasets.release._repository as repository
repository.SEND_BYTES = pace.COMMIT_BYTES = 1
from asam_datasets.cli import publish_main
publish_main()
"""
OTHERS = ("datasets-3.6.0", "datasets-2.19.2")

Rows = list[list[Any]] | str
"""What stock `datasets` loads: rows of (id, caption), or why it loads nothing."""


class Forks:
    """Runs the publisher and a reader many times: `start` a child, `wait` for it; `pid` is the child's."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        self._env = {**env, "PYTHONPATH": str(ROOT)}
        self._output = folder / "output.txt"
        self._rows = folder / "rows.json"
        self._child: Program | None = None
        self.pid = 0

    def start(self, *command: str, env: Mapping[str, str]) -> None:
        """Start a child."""
        with self._output.open("wb") as output, open(os.devnull) as nothing:
            streams = (nothing.fileno(), output.fileno(), output.fileno())
            self._child = start_warm(command, {**self._env, **env}, ROOT, streams)
        assert self._child, "the hub has another port than this process's"
        self.pid = self._child.pid

    def wait(self) -> int:
        """The exit status of the child; negative for a signal."""
        assert self._child
        return self._child.wait()

    def rows(self, repo_id: str) -> Rows:
        """What stock `datasets` loads."""
        self._rows.unlink(missing_ok=True)
        self.start("-c", READ, repo_id, str(self._rows), env={})
        assert self.wait() == 0, self.output()
        return self._found()

    def rows_with(self, environment: str, repo_id: str) -> Rows:
        """The same of another version of it."""
        self._rows.unlink(missing_ok=True)
        ran = run_reader(environment, "-c", READ, repo_id, self._rows, env=self._env)
        assert self._rows.exists(), ran.err
        return self._found()

    def _found(self) -> Rows:
        found = json.loads(self._rows.read_text())
        return found.get("rows") or str(found["error"])

    def output(self) -> str:
        """What the last child printed."""
        return self._output.read_text()


class Plan(NamedTuple):
    """A publish that is killed: its program and its words, the repository that it starts from, and what it makes."""

    program: Sequence[str]
    words: Sequence[str]
    base: str | None
    old: Rows | None
    new: Rows
    builds: int
    tag: str | None = None


PUBLISH = ("-m", "asam_datasets.publish")


@dataclass
class Stage:
    """A Hub with some published datasets, archives, and the captions of all images."""

    hub: LocalHub
    forks: Forks
    folder: Path
    archives: list[str]
    captions: dict[str, str]
    caption_files: list[str]
    seen: dict[Any, Rows]
    xet: bool

    def env(self, name: str) -> dict[str, str]:
        return {"ASAM_DATASETS_CACHE": str(self.folder / "cache" / name.replace("/", "-"))}

    def publish(self, plan: Plan, repo_id: str) -> None:
        """To its end."""
        self.forks.start(*plan.program, *plan.words, "--repo-id", repo_id, env=self.env(repo_id))
        assert self.forks.wait() == 0, (repo_id, self.forks.output())

    def rows(self, *archives: int, captioned: bool = True) -> list[list[Any]]:
        """The rows of some archives."""
        ids = sorted(int(name[3:-4]) for name in self.captions)
        some = [number for number in ids if number // 50 in archives]
        return [[number, self.captions[f"sa_{number}.jpg"] if captioned else None] for number in some]

    def uploads(self) -> Counter[str]:
        """How often each large file arrived by LFS."""
        return Counter(r.path for r in self.hub.log if r.method == "PUT" and "/lfs/" in r.path and r.performed == 200)

    def check_others(self, repo_id: str, found: Rows) -> None:
        """Other versions of `datasets` find the same; asked once of what differs by the names of runs alone."""
        files = self.hub.files(repo_id)
        parts = {_plain(path): entry.oid for path, entry in files.items() if path.endswith(".parquet")}
        readme = _plain(self.hub.read_bytes(repo_id, "README.md").decode()) if "README.md" in files else ""
        hidden = ".huggingface.yaml" in files
        for environment in OTHERS:
            key = (environment, frozenset(parts.items()), readme.replace(repo_id, ""), hidden)
            if key not in self.seen:
                self.seen[key] = self.forks.rows_with(environment, repo_id)
            other = self.seen[key]
            assert other == found or (isinstance(other, str) and isinstance(found, str)), (environment, repo_id, other)


def _plain(text: str) -> str:
    return re.sub(r"index-[0-9a-f]{16}|\br[0-9a-f]{12}\b", "-", text)


@pytest.fixture(scope="module", params=[True, False], ids=["xet", "lfs"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("kill")
    demos = [
        write_demo(
            folder / f"{number}",
            archive=f"sa_{number:06}",
            images=4 if number == 0 else 2 + number % 2,
            first_id=max(50 * number, 1),
            height=200,
            width=240,
        )
        for number in range(4)
    ]
    captions = read_captions([demo.captions for demo in demos])
    with LocalHub(folder / "hub", xet=request.param) as hub:
        forks = Forks(hub.environment(folder / "home", xet=request.param), folder)
        archives, files = [str(demo.archive) for demo in demos], [str(demo.captions) for demo in demos]
        yield Stage(hub, forks, folder, archives, captions, files, {}, request.param)


def kill_at(stage: Stage, plan: Plan, repo_id: str, number: int, after: bool) -> bool:
    """Publish and kill the process at its `number`-th request; False when it had ended before."""
    seen = 0

    def hook(_: Request) -> None:
        nonlocal seen
        if seen == number:
            os.kill(stage.forks.pid, signal.SIGKILL)
        seen += 1

    stage.forks.start(*plan.program, *plan.words, "--repo-id", repo_id, env=stage.env(repo_id))
    if after:
        stage.hub.after_request = hook
    else:
        stage.hub.on_request = hook
    code = stage.forks.wait()
    stage.hub.on_request = stage.hub.after_request = None
    assert code in (0, -signal.SIGKILL), stage.forks.output()
    return code != 0


def run_through(stage: Stage, plan: Plan, prefix: str, every: int = EVERY) -> int:
    """Try kill points, each `every`-th request, until the publish runs through; the number of points tried."""

    def place(name: str) -> str:
        return stage.hub.duplicate(plan.base, f"{prefix}-{name}") if plan.base else f"xhk/{prefix}-{name}"

    whole = place("whole")
    stage.hub.clear_log()
    stage.publish(plan, whole)
    requests = len(stage.hub.log)
    stored = stage.hub.stored_bytes(whole)
    tried = 0
    for number in range(0, requests, every):
        for after in (False, True):
            name = f"{number}-{'after' if after else 'before'}"
            repo_id = place(name)
            stage.hub.clear_log()
            killed = kill_at(stage, plan, repo_id, number, after)
            log = stage.hub.log
            found = stage.forks.rows(repo_id)
            is_old = isinstance(found, str) if plan.old is None else found == plan.old
            assert found == plan.new or is_old, (name, log[-3:], found)
            if ALL and repo_id in stage.hub.repositories():
                stage.check_others(repo_id, found)
            if "--remove" not in plan.words or found == plan.old:  # a name that is gone already is told as a wrong one
                stage.publish(plan, repo_id)
            assert stage.forks.rows(repo_id) == plan.new, name
            assert [count for count in stage.uploads().values() if count > 1] == [], name
            if stage.xet:
                # An index has the random names of runs in it, and packs into some bytes more or less.
                assert abs(stage.hub.stored_bytes(repo_id) - stored) < 256, name
            if plan.tag:
                assert stage.hub.tags(repo_id) == {plan.tag: stage.hub.commits(repo_id)[0].sha}, name
            assert ".huggingface.yaml" not in stage.hub.files(repo_id), name
            folders = {path.rpartition("/")[0] for path in stage.hub.files(repo_id) if path.endswith(".parquet")}
            assert len(folders) == plan.builds, (name, folders)
            tried += killed
    assert not stage.hub.errors
    print(f"{tried} kill points of {prefix}, {len(stage.seen)} readings by other versions")
    return tried


def train(stage: Stage, *archives: int, captioned: bool = True) -> list[str]:
    """The words that publish some archives."""
    words = ["--parts", "2", "--workers", "1", "--yes", "--train", *(stage.archives[number] for number in archives)]
    return [*words, "--captions", *(stage.caption_files[number] for number in archives)] if captioned else words


@pytest.fixture(scope="module")
def base(stage: Stage) -> str:
    """A dataset of one archive without captions."""
    rows = stage.rows(0, captioned=False)
    stage.publish(Plan(PUBLISH, train(stage, 0, captioned=False), None, None, rows, 1), "xhk/base")
    assert stage.forks.rows("xhk/base") == rows
    return "xhk/base"


def test_a_second_version(stage: Stage, base: str) -> None:
    """It replaces the archive, and adds another."""
    words = [*train(stage, 0, 1), "--tag", "v2"]
    old, new = stage.rows(0, captioned=False), stage.rows(0, 1)
    assert run_through(stage, Plan(PUBLISH, words, base, old, new, 2, "v2"), "second") >= (60 if ALL else 8)


def test_a_first_version(stage: Stage) -> None:
    words = [*train(stage, 0, 1), "--tag", "v2"]
    plan = Plan(PUBLISH, words, None, None, stage.rows(0, 1), 2, "v2")
    assert run_through(stage, plan, "first") >= (60 if ALL else 8)


@pytest.fixture(scope="module")
def bulk(stage: Stage) -> Plan:
    """A first version of four archives, each with a commit of its own."""
    return Plan(("-c", BULK), train(stage, 0, 1, 2, 3), None, None, stage.rows(0, 1, 2, 3), 4)


@pytest.mark.skipif(not ALL, reason="tried with all kill points: ASAM_DATASETS_ALL_KILL_POINTS=1")
def test_a_first_version_in_many_commits(stage: Stage, bulk: Plan) -> None:
    assert run_through(stage, bulk, "bulk") >= 60


def test_one_of_a_run_replaced_and_one_removed(stage: Stage, bulk: Plan) -> None:
    """Of four archives that one pattern shows, one gets other captions, and then one is taken away."""
    if not (ALL or stage.xet):
        pytest.skip("tried by LFS with all kill points")
    stage.publish(bulk, "xhk/bulk")
    assert "**" in stage.hub.read_bytes("xhk/bulk", "README.md").decode()
    other = stage.folder / "other.json"
    again = [[number, f"{caption}, again"] for number, caption in stage.rows(1)]
    other.write_text(json.dumps({f"sa_{number}.jpg": caption for number, caption in again}))
    replaced = [*train(stage, 1, captioned=False), "--captions", str(other)]
    mixed = [*stage.rows(0, 2, 3), *again]  # one pattern shows what is left of the first run, and one the new run
    plans = {
        "replaced": Plan(PUBLISH, replaced, "xhk/bulk", bulk.new, mixed, 4),
        "removed": Plan(PUBLISH, ["--remove", "sa_000002", "--yes"], "xhk/bulk", bulk.new, stage.rows(0, 1, 3), 3),
    }
    for name, plan in plans.items():
        assert run_through(stage, plan, name, 1 if ALL else 2 * EVERY) >= (20 if ALL else 2)
