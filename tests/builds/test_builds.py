"""The same input gives the same bytes; a killed run goes on; memory does not grow with the archive."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from archives_http import serve
from conftest import ROOT, Run, be_nice, clean_environment, kill_and_wait_for_all

from asam_datasets.builds import ArchiveRecipe, Options, build, count_parts, decode_build, look_over, part_ranges
from asam_datasets.demo import DemoArchive, write_demo
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import open_source
from asam_datasets.tables import MAX_ROW_GROUP_BYTES, TRAIN, arrow_schema, features_json
from asam_datasets.workers import Workers

PARTS = ("--parts", "4")


def build_of(out: Path) -> Any:
    """The only build of a dataset folder, with its parts verified against their digests."""
    (path,) = (out / "data/train").glob("*/build.json")
    build = decode_build(path.read_bytes(), str(path))
    assert path.parent.name.startswith(f"{build.folder}-r")
    for part in build.parts:
        content = (path.parent / part.file).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (part.sha256, part.size_bytes)
    return build


@pytest.fixture(scope="module")
def reference(demo: DemoArchive, publish: Run, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("reference") / "out"
    assert (
        publish("--train", demo.archive, "--captions", demo.captions, "--out", out, *PARTS, "--workers", "1").code == 0
    )
    return build_of(out)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_bytes(
    workers: int, demo: DemoArchive, reference: Any, publish: Run, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ran = publish("--train", demo.archive, "--captions", demo.captions, "--out", out, *PARTS, "--workers", workers)
    assert ran.code == 0, ran.err
    assert build_of(out) == reference


def test_folder_gzip_and_urls_give_the_same_bytes(
    demo: DemoArchive, reference: Any, publish: Run, members: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "folder" / "sa_000000"
    (folder / "deeper").mkdir(parents=True)
    for name, content in members.items():
        (folder / ("deeper" if "_1" in name else ".") / name).write_bytes(content)
    zipped = tmp_path / "gzip" / "sa_000000.tar"
    zipped.parent.mkdir()
    with tarfile.open(zipped, "w:gz") as tar:
        for name in sorted(members, key=lambda name: hashlib.md5(name.encode()).digest()):
            tar.add(folder / ("deeper" if "_1" in name else ".") / name, f"./some/where/{name}")
    with serve(demo.archive.parent) as (url, requests):
        for number, source in enumerate([folder, zipped, f"{url}/sa_000000.tar", f"{url}/flaky/sa_000000.tar?token=x"]):
            out = tmp_path / f"out{number}"
            ran = publish(
                "--train", source, "--captions", demo.captions, "--out", out, *PARTS, "--workers", 1 + number % 2
            )
            assert ran.code == 0, ran.err
            assert build_of(out) == reference
        assert any("flaky" in path for path in requests)


def test_a_url_that_is_not_there(publish: Run, demo: DemoArchive, tmp_path: Path) -> None:
    with serve(demo.archive.parent) as (url, _):
        ran = publish("--train", f"{url}/sa_000099.tar", "--out", tmp_path / "out", "--workers", "1")
    assert (ran.code, ran.out) == (1, "")
    assert "/sa_000099.tar: expected an archive, found nothing there" in ran.err
    assert not (tmp_path / "out").exists()


def test_killed_at_any_moment_and_run_again(demo: DemoArchive, reference: Any, publish: Run, tmp_path: Path) -> None:
    """kill -9 when the first, second, ... file appears; what is visible is nothing, and the next run completes it."""
    resumed = 0
    for moment in range(1, 5):
        out = tmp_path / f"out{moment}"
        command = [sys.executable, "-m", "asam_datasets.publish", "--train", demo.archive, "--out", out]
        command += ["--captions", demo.captions, *PARTS, "--workers", "2"]
        running = subprocess.Popen(
            list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, preexec_fn=be_nice
        )
        while running.poll() is None and len(list(out.glob(".asam_datasets/*/part-*.json"))) < moment:
            time.sleep(0.001)
        kill_and_wait_for_all(running)
        if not (out / "README.md").exists():
            finished = {path: path.stat().st_mtime_ns for path in out.glob(".asam_datasets/*/part-*.parquet")}
            resumed += bool(finished)
        ran = publish("--train", demo.archive, "--captions", demo.captions, "--out", out, *PARTS, "--workers", "2")
        assert ran.code == 0, ran.err
        assert build_of(out) == reference
        assert not (out / ".asam_datasets").exists()
        assert sorted(path.name for path in out.iterdir()) == ["LICENSE.md", "README.md", "assets", "data", "organized"]
    assert resumed, "no run was killed with finished parts; the test shows nothing"


def test_publishing_again_renders_nothing_and_changes_nothing(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert publish("--train", demo.archive, "--out", out).code == 0
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    again = publish("--train", demo.archive, "--out", out, "--json")
    assert again.code == 0, again.err
    changes = json.loads(again.out)["changes"]
    assert (changes["added"], changes["commits"]) == ([], 0)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_golden_parts() -> None:
    """The bytes of a part on disk. They hold for the versions in constraints.txt; `python tests/golden.py` prints
    new ones when a library or the format was changed on purpose."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests/golden.py"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert json.loads(done.stdout) == json.loads((ROOT / "tests/golden.json").read_text())


def test_files_keep_the_contract(demo: DemoArchive, publish: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert publish("--train", demo.archive, "--out", out, "--parts", "4").code == 0
    build = build_of(out)
    assert [part.rows for part in build.parts] == [3, 3, 3, 3]
    for part in build.parts:
        (path,) = (out / "data/train").glob(f"{build.folder}-*/{part.file}")
        file = pq.ParquetFile(path)
        assert file.schema_arrow == arrow_schema(TRAIN)
        features = json.loads(file.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        assert features == features_json(TRAIN)
        assert "List" not in json.dumps(features)
        for number in range(file.metadata.num_row_groups):
            group = file.metadata.row_group(number)
            assert group.total_byte_size <= MAX_ROW_GROUP_BYTES
            for column in (group.column(index) for index in range(group.num_columns)):
                image = column.path_in_schema.endswith("bytes")
                assert column.compression == ("UNCOMPRESSED" if image else "ZSTD"), column.path_in_schema
                assert "PLAIN" in column.encodings
                assert column.has_offset_index


def test_parts_are_a_power_of_two_and_equal() -> None:
    assert count_parts(11_186, 11 * 10**9) == 32
    assert [count_parts(rows, rows * 10**6) for rows in (1, 7, 8, 16, 64, 1000, 11_186)] == [1, 1, 1, 2, 8, 16, 32]
    for rows in (1, 5, 64, 1001, 11_186):
        for parts in (1, 2, 16, 32):
            sizes = [len(piece) for piece in part_ranges(rows, parts)]
            assert sum(sizes) == rows
            assert max(sizes) - min(sizes) <= 1


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    """Peak of the process and of its workers for an archive and one four times as large (same images, other ids)."""
    peaks = []
    for images in (32, 128):
        archive = tmp_path / f"from{images}" / "sa_000000.tar"
        multiply(write_demo(tmp_path / "demo", images=4, height=700, width=1000).archive, archive, images)
        done = subprocess.run(
            # A process inherits the peak of the one that started it, and pytest may be large: a shell is in between.
            [
                "sh",
                "-c",
                '"$@"; exit $?',
                "sh",
                sys.executable,
                ROOT / "tests/support/peak.py",
                archive,
                tmp_path / f"{images}",
            ],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**clean_environment(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
        )
        peaks.append(json.loads(done.stdout))
    (small, large) = peaks
    assert max(*small.values(), *large.values()) < 2**30
    for who in ("parent", "worker"):
        assert large[who] < small[who] + 64 * 2**20, (small, large)


def multiply(source: Path, target: Path, images: int) -> None:
    """An archive of many images out of one of few: the same members under other ids."""
    target.parent.mkdir(parents=True)
    with tarfile.open(source) as tar:
        pairs: dict[int, dict[str, bytes]] = {}
        for member in tar:
            stem, ending = Path(member.name).name.split(".")
            pairs.setdefault(int(stem[3:]), {})[ending] = tar.extractfile(member).read()  # type: ignore[union-attr]
    originals = list(pairs.values())
    with tarfile.open(target, "w") as tar:
        for image_id in range(1, images + 1):
            record = json.loads(originals[image_id % len(originals)]["json"])
            record["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
            contents = {"jpg": originals[image_id % len(originals)]["jpg"], "json": json.dumps(record).encode()}
            for ending, content in contents.items():
                scratch = target.with_suffix(".member")
                scratch.write_bytes(content)
                tar.add(scratch, f"./sa_{image_id}.{ending}")
                os.unlink(scratch)


class Counting(Workers):
    """Two workers, and how many tasks they were given."""

    taken = 0

    def run(self, work: Any, tasks: Any, **more: Any) -> Any:
        def counted() -> Iterator[Any]:
            for task in tasks:
                self.taken += 1
                yield task

        return super().run(work, counted(), **more)


def test_parts_that_are_given_away_bound_the_disk(demo: DemoArchive, tmp_path: Path) -> None:
    """One for each worker, however long it takes to give one away."""
    workers, held = Counting(2, lambda records: None), list[int]()
    options = Options({}, None, 6)
    try:
        build(
            look_over(ArchiveRecipe(open_source(str(demo.archive))), options), options, target=tmp_path / "data",
            work=tmp_path / "work", bad=BadRecords(), workers=workers,
            on_part=lambda path, part: held.append(workers.taken - len(held)),
        )  # fmt: skip
    finally:
        workers.close()
    assert len(held) == 6
    assert max(held) == 2, "one for each worker"
