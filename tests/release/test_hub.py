"""Publishing onto a local Hub over real HTTP, with Xet and without, and loading from it with stock `datasets`."""

import io
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT, Run, read_with
from huggingface_hub import HfApi
from local_hub import LocalHub
from reading import READERS, check_rows

from asam_datasets.demo import DemoArchive, write_demo

REPO = "xhk/ASAM-Datasets"

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.mark.parametrize("xet", [True, False], ids=["xet", "lfs"])
def test_publish_load_and_publish_again(xet: bool, demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub", xet=xet) as hub:
        env = {**hub.environment(tmp_path / "home", xet=xet), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        base = ("--train", demo.archive, "--captions", demo.captions, "--repo-id", REPO)
        first = publish(*base, env=env, fresh=True)
        assert first.code == 0, first.err
        assert f'load_dataset("{REPO}", split="train")' in first.out
        assert hub.settings(REPO)["private"]

        commits = [request for request in hub.log if request.operations]
        with_readme = [n for n, request in enumerate(commits) if ("file", "README.md") in request.operations]
        assert with_readme == [len(commits) - 1], [request.operations for request in commits]
        # Without a README, `load_dataset` would take the half of the data that is there.
        assert ("file", ".huggingface.yaml") in commits[0].operations
        assert ("deletedFile", ".huggingface.yaml") in commits[-1].operations
        assert not any(path.endswith(".parquet") for _, path in commits[-1].operations)
        (puts,) = [sum(request.method == "PUT" and "lfs" in request.path for request in hub.log)]
        assert (puts == 0) == xet

        reader = READERS[-1] if xet else READERS[0]
        seen = read_with(reader, REPO, tmp_path / "seen.json", hub.environment(tmp_path / "reader", xet=xet))
        check_rows(seen, demo.archive, demo.captions)
        if not xet:
            seen = read_with(READERS[1], REPO, tmp_path / "3.json", hub.environment(tmp_path / "3", xet=xet))
            check_rows(seen, demo.archive, demo.captions)

        before, stored = hub.commits(REPO), hub.stored_bytes(REPO)
        hub.clear_log()
        again = publish("--train", demo.archive, "--captions", demo.captions, "--repo-id", REPO, env=env)
        assert again.code == 0, again.err
        assert "unchanged" in again.out
        assert hub.commits(REPO) == before
        assert hub.stored_bytes(REPO) == stored
        assert {request.method for request in hub.log} <= {"GET", "HEAD"}
        assert not (tmp_path / "cache" / "xhk--ASAM-Datasets").exists(), "finished parts are not kept twice"


def test_new_captions_replace_the_build_in_one_commit(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    second = write_demo(tmp_path / "second", archive="sa_000001", images=3, first_id=100, height=200, width=240)
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        assert publish("--train", demo.archive, second.archive, "--repo-id", REPO, env=env).code == 0
        old = {Path(path).parent.name for path in hub.files(REPO) if path.endswith(".parquet")}
        assert sorted(name.rsplit("-", 2)[0] for name in old) == ["sa_000000", "sa_000001"]
        assert not [path for path in hub.files(REPO) if path.startswith("organized/")]

        ran = publish("--train", demo.archive, "--captions", demo.captions, "--repo-id", REPO, env=env)
        assert ran.code == 0, ran.err
        new = {Path(path).parent.name for path in hub.files(REPO) if path.endswith(".parquet")}
        assert len(new & old) == 1, "the archive that was not given again stays as it was"
        released = hub.commits(REPO)[0].operations
        assert [kind for kind, _ in released].count("deletedFolder") == 1
        assert ("file", "README.md") in released
        assert (
            hub.read_bytes(REPO, "organized/sa_000000-blip2-caption.json").splitlines()[0].startswith(b'{"img":"sa_1')
        )


def test_someone_elses_commit_in_between_is_joined(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        assert publish("--train", demo.archive, "--repo-id", REPO, env=env).code == 0
        before = len(hub.commits(REPO))

        def meddle(request: object) -> None:
            if "/commit/" in getattr(request, "path", "") and len(hub.commits(REPO)) == before:
                hub.on_request = None
                HfApi(endpoint=hub.url, token="hf_test").upload_file(
                    path_or_fileobj=b"hello", path_in_repo="notes.txt", repo_id=REPO, repo_type="dataset"
                )

        hub.on_request = meddle
        ran = publish("--train", demo.archive, "--captions", demo.captions, "--repo-id", REPO, env=env)
        assert ran.code == 0, ran.err
        assert hub.read_bytes(REPO, "notes.txt") == b"hello"
        assert b"12 captions" in hub.read_bytes(REPO, "README.md")


def test_the_view_sam_transfers_no_mask_bytes(publish: Run, tmp_path: Path) -> None:
    """Byte ranges asked for by stock streaming, laid over the column chunks of the files."""
    demo = write_demo(tmp_path / "demo", images=8, height=700, width=900)
    with LocalHub(tmp_path / "hub") as hub:
        env = {**hub.environment(tmp_path / "home"), "ASAM_DATASETS_CACHE": str(tmp_path / "cache")}
        assert publish("--train", demo.archive, "--parts", "1", "--repo-id", REPO, env=env).code == 0
        hub.clear_log()
        done = subprocess.run(
            [ROOT / ".venvs/datasets-latest/bin/python", "-c", STREAM_SAM],
            env=hub.environment(tmp_path / "reader"),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == "8"
        (path,) = [path for path in hub.files(REPO) if path.endswith(".parquet")]
        chunks = column_chunks(hub.read_bytes(REPO, path))
        fetched = dict.fromkeys(chunks, 0)
        for request in hub.log:
            if request.method == "GET" and request.path.endswith(".parquet"):
                start, stop = map(int, str(request.range).removeprefix("bytes=").split("-"))
                for name, (first, last) in chunks.items():
                    fetched[name] += max(0, min(last, stop + 1) - max(first, start))
        assert fetched["masks.list.element.bytes"] == 0
        assert fetched["image.bytes"] >= chunks["image.bytes"][1] - chunks["image.bytes"][0]


STREAM_SAM = f"""
from datasets import load_dataset
stream = load_dataset("{REPO}", "sam", split="train", streaming=True, storage_options={{"hf": {{"block_size": 2**14}}}})
print(sum(1 for _ in stream))
"""


def column_chunks(content: bytes) -> dict[str, tuple[int, int]]:
    """First byte and end of each column of a file with one row group."""
    group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return {c.path_in_schema: (c.data_page_offset, c.data_page_offset + c.total_compressed_size) for c in columns}
