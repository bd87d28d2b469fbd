"""Streams from the Hub: what is fetched, what a fault costs, what going on costs."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from archives import Members, tar_bytes
from conftest import ROOT, Run, run_python
from local_hub import Fault, LocalHub, Request

from asam_datasets.demo import draw_record

REPO = "xhk/ASAM-Datasets"
RECORDS, PARTS = 400, 4


@dataclass
class Served:
    """A dataset of 400 images of 1 MB on a local Hub, and where its clients keep things."""

    hub: LocalHub
    folder: Path

    def run(self, program: list[str], name: str) -> str:
        """Run a client with a cache of its own; its output."""
        env = {**self.hub.environment(self.folder / name), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *program], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout + done.stderr

    def epoch(self, name: str, **job: Any) -> dict[str, Any]:
        """What one rank sees of an epoch."""
        out = self.folder / f"{name}-out"
        out.mkdir()
        defaults = {"dataset": REPO, "rank": 0, "world_size": 1, "workers": 1, "batch_size": 4, "epochs": 1}
        (out / "job.json").write_text(json.dumps({**defaults, "window": 8, "out": str(out), **job}))
        self.run(["tests/support/stream_ranks.py", str(out / "job.json")], name)
        result: dict[str, Any] = json.loads((out / "rank-0.json").read_text())
        return result

    def fetched(self) -> Iterator[tuple[str, int, int]]:
        """File, first byte and end of each range that was asked for."""
        for request in self.hub.log:
            if request.method == "GET" and request.path.endswith(".parquet") and request.status == 206:
                first, last = map(int, str(request.range).removeprefix("bytes=").split("-"))
                yield request.path.partition("/data/")[2], first, last + 1


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Iterator[Served]:
    """See `Served`. An image is of 1 MB because of comments that no decoder looks at, and has so many masks that their
    column is larger than a hole that Arrow reads over (8 KiB), in each row group."""
    folder = tmp_path_factory.mktemp("served")
    drawn = [draw_record(number, height=256, width=256, masks=60, seed=0) for number in range(1, 6)]
    noise = random.Random(0)
    members: Members = {}
    for image_id in range(1, RECORDS + 1):
        jpeg, text = drawn[image_id % 5]
        comments = b"".join(b"\xff\xfe\xff\xff" + noise.randbytes(0xFFFF - 2) for _ in range(16))
        table = json.loads(text)
        table["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
        members[f"sa_{image_id}.jpg"] = jpeg[:2] + comments + jpeg[2:]
        members[f"sa_{image_id}.json"] = json.dumps(table).encode()
    archive = folder / "sa_000000.tar"
    archive.write_bytes(tar_bytes(members))
    with LocalHub(folder / "hub") as hub:
        env = {**hub.environment(folder / "home"), "ASAM_DATASETS_CACHE": str(folder / "cache")}
        done = publish("--train", archive, "--parts", str(PARTS), "--repo-id", REPO, env=env)
        assert done.code == 0, done.err
        archive.unlink()
        yield Served(hub, folder)


@pytest.fixture(scope="module")
def chunks(served: Served) -> dict[str, list[dict[str, tuple[int, int]]]]:
    """First byte and end of each column of each row group, by file."""
    found = {}
    for path in served.hub.files(REPO):
        if path.endswith(".parquet"):
            footer = pq.ParquetFile(io.BytesIO(served.hub.read_bytes(REPO, path))).metadata
            groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
            found[path.removeprefix("data/")] = [
                {
                    column.path_in_schema: (
                        column.data_page_offset,
                        column.data_page_offset + column.total_compressed_size,
                    )
                    for column in (group.column(number) for number in range(group.num_columns))
                }
                for group in groups
            ]
    assert sum(map(len, found.values())) >= 12  # more than a worker holds
    return found


def overlap(served: Served, chunks: dict[str, list[dict[str, tuple[int, int]]]], column: str) -> dict[Any, int]:
    """How many bytes of a column were fetched, by file and row group."""
    counts: dict[Any, int] = {}
    for path, first, end in served.fetched():
        for number, group in enumerate(chunks[path]):
            start, stop = group[column]
            counts[path, number] = counts.get((path, number), 0) + max(0, min(stop, end) - max(start, first))
    return counts


def test_an_epoch_fetches_each_byte_once_and_no_masks(served: Served, chunks: Any) -> None:
    served.hub.clear_log()
    (batches,) = served.epoch("plain")["epochs"]
    assert sorted(image_id for batch in batches for image_id in batch["ids"]) == list(range(1, RECORDS + 1))
    assert not any(overlap(served, chunks, "masks.list.element.bytes").values())
    assert not any(overlap(served, chunks, "conditioning_image.bytes").values())
    images = overlap(served, chunks, "image.bytes")
    for (path, number), count in images.items():
        start, stop = chunks[path][number]["image.bytes"]
        assert count == stop - start, (path, number)
    assert len(images) == sum(map(len, chunks.values()))
    peak = max(batch["peak_mb"][0] for batch in batches)
    assert 200 < peak < 1000, peak  # with a window of eight row groups of 32 MiB

    served.hub.clear_log()
    served.epoch("ids", columns=["image_id"])
    assert sum(end - first for _, first, end in served.fetched()) < 4 * 2**20


def test_footers_are_read_once(served: Served) -> None:
    """And not in each epoch again."""
    sizes = {path.removeprefix("data/"): len(served.hub.read_bytes(REPO, path)) for path in served.hub.files(REPO)}
    served.hub.clear_log()
    first, second = served.epoch("footers", workers=0, epochs=2, columns=["image_id"])["epochs"]
    assert sum(len(batch["ids"]) for batch in (*first, *second)) == 2 * RECORDS
    assert sum(end == sizes[path] for path, _, end in served.fetched()) == PARTS


FORKED = """
import os, signal, threading
from asam_datasets.published import Footers
footers, is_reading, done = Footers(), threading.Event(), threading.Event()

def read():
    is_reading.set()
    done.wait()

threading.Thread(target=footers.get, args=("part", read)).start()
is_reading.wait()
child = os.fork()
if not child:
    signal.alarm(60)
    print(footers.get("part", lambda: "its own"), flush=True)
    os._exit(0)
status = os.waitpid(child, 0)[1]
done.set()
print(status)
"""


def test_a_forked_process_waits_for_no_thread_that_it_has_not() -> None:
    ran = run_python("-W", "ignore", "-c", FORKED, fresh=True)
    assert ran.out.split("\n")[:2] == ["its own", "0"], ran.err


def test_an_epoch_survives_faults(served: Served) -> None:
    """Connections that close before, and in the middle of, an answer, 503 and 429: each record once, in its order."""
    (expected,) = served.epoch("calm", workers=2, columns=["image_id", "image"])["epochs"]
    parts, api = r"/resolve/.*\.parquet", r"/api/datasets/"
    faults = [
        Fault(api, kind="drop"),
        Fault(api, kind="status", status=503, skip=1),
        Fault(parts, "GET", "drop", times=2, skip=4),
        Fault(parts, "GET", "cut", times=2, skip=9),
        Fault(parts, "GET", "status", status=503, times=2, skip=14),
        Fault(parts, "GET", "status", status=429, retry_after=1, times=2, skip=19),
        Fault(r"README.md|build.json", "*", "drop"),
    ]
    for fault in faults:
        served.hub.inject(fault)
    (batches,) = served.epoch("faults", workers=2, columns=["image_id", "image"])["epochs"]
    assert [batch["ids"] for batch in batches] == [batch["ids"] for batch in expected]
    assert all(fault.spent for fault in faults), [fault for fault in faults if not fault.spent]


def test_a_hub_that_does_not_come_back_is_one_sentence(served: Served) -> None:
    refusing = Fault(r"/resolve/.*\.parquet", "GET", "status", status=403, times=10**6)
    served.hub.inject(refusing)
    try:
        with pytest.raises(AssertionError, match=r"expected the Hub to accept the request.*status 403"):
            served.epoch("refused", workers=0)
    finally:
        refusing.times = 0


LEFT = """
from asam_datasets.training import open_stream
for _ in range(3):
    rows = iter(open_stream("xhk/ASAM-Datasets", "sam", window=2))
    print(next(rows)["image_id"])
"""


def test_a_stream_that_is_left_ends_in_order(served: Served) -> None:
    """Arrow's own threads would abort a Python that ends while one of them reads: one run in two, with 8 parts."""
    for attempt in range(6):
        assert len(served.run(["-c", LEFT], f"left-{attempt}").splitlines()) == 3


GO_ON = """
import json, sys
from asam_datasets.training import open_stream
stream = open_stream("xhk/ASAM-Datasets", "sam", seed=3)
if len(sys.argv) > 1:
    stream.load_state_dict(json.loads(sys.argv[1]))
    print(next(iter(stream))["image_id"])
else:
    for number, record in enumerate(stream, 1):
        if number == 360:
            print(json.dumps(stream.state_dict()))
        if number == 361:
            print(record["image_id"])
            break
"""


def test_going_on_at_90_percent_costs_two_row_groups(served: Served, chunks: Any) -> None:
    state, expected = served.run(["-c", GO_ON], "whole").splitlines()[:2]
    served.hub.clear_log()
    assert served.run(["-c", GO_ON, state], "resumed").splitlines()[0] == expected
    groups = {place for place, count in overlap(served, chunks, "image.bytes").items() if count}
    assert 1 <= len(groups) <= 2
    largest = max(end - first for _, first, end in served.fetched())
    assert sum(end - first for _, first, end in served.fetched()) < 2.2 * largest


FILTERED = """
import json, random
from asam_datasets.training import Filter, open_stream
ids = random.Random(1).sample(range(1, 401), 20)
stream = open_stream("xhk/ASAM-Datasets", "sam", where=Filter(image_ids=ids))
print(json.dumps([sorted(ids), sorted(record["image_id"] for record in stream)]))
"""


def test_a_filter_fetches_what_passes(served: Served, chunks: Any) -> None:
    """5 % of the records, here and there: at most 8 % of the bytes of all images, whatever else is read for it."""
    served.hub.clear_log()
    wanted, found = json.loads(served.run(["-c", FILTERED], "filtered").splitlines()[0])
    assert found == wanted
    all_bytes = sum(stop - start for groups in chunks.values() for start, stop in (g["image.bytes"] for g in groups))
    assert sum(end - first for _, first, end in served.fetched()) <= 0.08 * all_bytes
    assert sum(overlap(served, chunks, "image.bytes").values()) >= 0.05 * 0.99 * all_bytes


READ_AHEAD = """
import sys
from asam_datasets.training import open_stream
seen = []
for read_ahead in (3, 1):
    stream = open_stream(sys.argv[1], "sam", rank=0, world_size=1, window=0, read_ahead=read_ahead)
    records = iter(stream)
    seen.append(([next(records)["image_id"] for _ in range(40)], stream.state_dict()))
    records.close()
print(seen[0] == seen[1])
"""


def test_reads_are_under_way_at_once(served: Served) -> None:
    """The Hub answers none of three reads of row groups before all of them were asked for."""
    together, ranges = threading.Barrier(3), 0
    lock = threading.Lock()

    def wait(request: Request) -> None:
        nonlocal ranges
        if request.method != "GET" or not request.path.endswith(".parquet"):
            return
        first, last = map(int, str(request.range).removeprefix("bytes=").split("-"))
        if last - first < 2**22:  # a footer, or small columns
            return
        with lock:
            ranges += 1
            is_early = ranges <= 3
        if is_early:
            together.wait(60)

    served.hub.on_request = wait
    try:
        same = served.run(["-c", READ_AHEAD, REPO], "ahead")
    finally:
        served.hub.on_request = None
    assert not together.broken
    assert ranges >= 3
    assert same == "True\n"
