"""An archive is built while the one before it is sent."""

from __future__ import annotations

import time
from pathlib import Path

from conftest import ROOT, run_python
from local_hub import LocalHub, Request

from asam_datasets.demo import write_demo

REPO = "xhk/overlap"
# Small builds wait for more to be worth a request; here each is. The last archive waits until something is sent.
PUBLISH = """
import os, time
import asam_datasets.publish._run as run
import asam_datasets.release._repository as repository
repository.SEND_BYTES = 1
build = run._build

def wait_and_build(survey, *more):
    deadline = time.monotonic() + 60
    while survey.recipe.name == "sa_000002" and not os.path.exists("sent"):
        assert time.monotonic() < deadline, "nothing was sent while archives were left to build"
        time.sleep(0.02)
    return build(survey, *more)

run._build = wait_and_build
from asam_datasets.cli import main
main()
"""


def test_the_next_archive_is_built_while_one_is_sent(tmp_path: Path) -> None:
    archives = [
        write_demo(tmp_path / name, archive=name, images=2, first_id=number * 10 + 1, height=192, width=200).archive
        for number, name in enumerate(("sa_000000", "sa_000001", "sa_000002"))
    ]
    cache, met = tmp_path / "cache", []

    def wait_for_the_next(request: Request) -> None:
        """Nothing of the first archive arrives before the second one lies there whole."""
        if "/preupload/" not in request.path or not list(cache.glob("*/data/train/sa_000000-*")) or met:
            return
        deadline = time.monotonic() + 60
        while not (found := list(cache.glob("*/data/train/sa_000001-*"))) and time.monotonic() < deadline:
            time.sleep(0.02)
        met.append(bool(found))
        (tmp_path / "sent").touch()

    with LocalHub(tmp_path / "hub") as hub:
        hub.on_request = wait_for_the_next
        env = hub.environment(tmp_path / "home") | {"ASAM_DATASETS_CACHE": str(cache), "PYTHONPATH": str(ROOT)}
        words = ["publish", "--repo-id", REPO, "--workers", "1", "--yes", "--train", *archives]
        ran = run_python("-c", PUBLISH, *words, env=env, cwd=tmp_path)
        assert ran.code == 0, ran.err
        assert met == [True]
        uploads = [commit for commit in hub.commits(REPO) if commit.title.startswith("Add the parts")]
        assert len(uploads) == 1  # and one commit names them all
        assert not list(cache.rglob("*.parquet"))
        assert hub.errors == []


FEW = """
import asam_datasets.release._releasing as releasing
releasing.COMMIT_MOST_FILES = 4
from asam_datasets.cli import main
main()
"""


def test_caption_lists_of_many_archives_are_no_part_of_the_release_commit(tmp_path: Path) -> None:
    """520 captioned archives were a release commit of 1,043 files, which the Hub refuses."""
    demos = [
        write_demo(tmp_path / name, archive=name, images=1, first_id=number * 10 + 1, height=192, width=200)
        for number, name in enumerate(("sa_000000", "sa_000001", "sa_000002"))
    ]
    with LocalHub(tmp_path / "hub") as hub:
        env = hub.environment(tmp_path / "home") | {"PYTHONPATH": str(ROOT)}
        words = ["--train", *(demo.archive for demo in demos), "--captions", *(demo.captions for demo in demos)]
        ran = run_python("-c", FEW, "publish", "--repo-id", REPO, "--workers", "1", "--yes", *words, env=env)
        assert ran.code == 0, ran.err
        release, *before = hub.commits(REPO)
        released = {path.partition("/")[0] for _, path in release.operations}
        assert released == {"README.md", "data", "assets", ".huggingface.yaml"}
        lists = [commit for commit in before if commit.title == "Add caption lists"]
        assert [len(commit.operations) for commit in lists] == [2, 4]
        assert sum(path.startswith("organized/") for path in hub.files(REPO)) == 6
        assert hub.errors == []
