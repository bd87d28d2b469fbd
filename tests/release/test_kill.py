"""Killed before or after any request of a publish, a dataset is the old one or the new one, and the next run ends it.

By default some of the kill points are tried; `ASAM_DATASETS_ALL_KILL_POINTS=1` tries all of them (some minutes).
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import start_warm
from conftest import ROOT
from local_hub import LocalHub
from local_hub.model import Request
from warm import Program

from asam_datasets.demo import write_demo
from asam_datasets.sources import read_captions

ALL = bool(os.environ.get("ASAM_DATASETS_ALL_KILL_POINTS"))
EVERY = 1 if ALL else 9


# Writes down id and caption of every row that stock `datasets` finds, or that it finds none.
READ = """
import json, sys
import datasets
repo_id, target = sys.argv[1:]
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

    def publish(self, args: Sequence[str], env: Mapping[str, str]) -> int:
        """Run the command line to its end."""
        self.start("-m", "asam_datasets.publish", *args, env=env)
        return self.wait()

    def rows(self, repo_id: str) -> list[list[Any]] | str:
        """What stock `datasets` loads: rows of (id, caption), or why it loads nothing."""
        self._rows.unlink(missing_ok=True)
        self.start("-c", READ, repo_id, str(self._rows), env={})
        assert self.wait() == 0, self.output()
        found = json.loads(self._rows.read_text())
        return found.get("rows") or str(found["error"])

    def output(self) -> str:
        """What the last child printed."""
        return self._output.read_text()


@dataclass
class Stage:
    """A hub with a published first version, and the command that publishes the second."""

    hub: LocalHub
    forks: Forks
    folder: Path
    first: list[str]
    second: list[str]
    old: list[list[object]]
    new: list[list[object]]
    xet: bool

    def env(self, name: str) -> dict[str, str]:
        return {"ASAM_DATASETS_CACHE": str(self.folder / "cache" / name)}

    def uploads(self) -> Counter[str]:
        """How often each large file arrived by LFS."""
        return Counter(r.path for r in self.hub.log if r.method == "PUT" and "/lfs/" in r.path and r.performed == 200)


@pytest.fixture(scope="module", params=[True, False], ids=["xet", "lfs"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("kill")
    a = write_demo(folder / "a", images=4, height=200, width=240)
    b = write_demo(folder / "b", archive="sa_000001", images=3, first_id=50, height=200, width=240)
    captions = read_captions([a.captions, b.captions])
    ids = sorted(int(name[3:-4]) for name in captions)
    first = ["--train", str(a.archive), "--parts", "2", "--workers", "1"]
    second = ["--train", str(a.archive), str(b.archive), "--captions", str(a.captions), str(b.captions)]
    second += ["--parts", "2", "--workers", "1", "--tag", "v2"]
    with LocalHub(folder / "hub", xet=request.param) as hub:
        forks = Forks(hub.environment(folder / "home", xet=request.param), folder)
        old = [[n, None] for n in ids if n < 50]
        new = [[n, captions[f"sa_{n}.jpg"]] for n in ids]
        made = Stage(hub, forks, folder, first, second, old, new, request.param)
        assert forks.publish([*first, "--repo-id", "xhk/base"], made.env("base")) == 0, forks.output()
        assert forks.rows("xhk/base") == old
        yield made


def kill_at(stage: Stage, repo_id: str, args: Sequence[str], number: int, after: bool) -> bool:
    """Publish and kill the process at its `number`-th request; False when it had ended before."""
    seen = 0

    def hook(_: Request) -> None:
        nonlocal seen
        if seen == number:
            os.kill(stage.forks.pid, signal.SIGKILL)
        seen += 1

    stage.forks.start(
        "-m", "asam_datasets.publish", *args, "--repo-id", repo_id, env=stage.env(repo_id.replace("/", "-"))
    )
    if after:
        stage.hub.after_request = hook
    else:
        stage.hub.on_request = hook
    code = stage.forks.wait()
    stage.hub.on_request = stage.hub.after_request = None
    assert code in (0, -signal.SIGKILL), stage.forks.output()
    return code != 0


def run_through(stage: Stage, args: Sequence[str], old: object, prefix: str, base: str | None) -> int:
    """Try kill points until the publish runs through; the number of points tried."""
    whole = stage.hub.duplicate(base, f"{prefix}-whole") if base else f"xhk/{prefix}-whole"
    stage.hub.clear_log()
    assert stage.forks.publish([*args, "--repo-id", whole], stage.env(f"{prefix}-whole")) == 0, stage.forks.output()
    requests = len(stage.hub.log)
    stored = stage.hub.stored_bytes(whole)
    tried = 0
    for number in range(0, requests, EVERY):
        for after in (False, True):
            name = f"{prefix}-{number}-{'after' if after else 'before'}"
            repo_id = stage.hub.duplicate(base, name) if base else f"xhk/{name}"
            stage.hub.clear_log()
            killed = kill_at(stage, repo_id, args, number, after)
            log = stage.hub.log
            found = stage.forks.rows(repo_id)
            assert found == stage.new or (found == old if base else isinstance(found, str)), (name, log[-3:], found)
            env = stage.env(repo_id.replace("/", "-"))
            assert stage.forks.publish([*args, "--repo-id", repo_id], env) == 0, (name, stage.forks.output())
            assert stage.forks.rows(repo_id) == stage.new, name
            assert [count for count in stage.uploads().values() if count > 1] == [], name
            if stage.xet:
                # An index has the random name of its run in it, and packs into some bytes more or less.
                assert abs(stage.hub.stored_bytes(repo_id) - stored) < 64, name
            assert stage.hub.tags(repo_id) == {"v2": stage.hub.commits(repo_id)[0].sha}, name
            assert ".huggingface.yaml" not in stage.hub.files(repo_id), name
            folders = {path.rpartition("/")[0] for path in stage.hub.files(repo_id) if path.endswith(".parquet")}
            assert len(folders) == 2, (name, folders)
            tried += killed
    assert not stage.hub.errors
    return tried


def test_a_second_version(stage: Stage) -> None:
    tried = run_through(stage, stage.second, stage.old, "second", "xhk/base")
    print(f"{tried} kill points of a second version")
    assert tried >= (60 if ALL else 8)


def test_a_first_version(stage: Stage) -> None:
    tried = run_through(stage, stage.second, None, "first", None)
    print(f"{tried} kill points of a first version")
    assert tried >= (60 if ALL else 8)
