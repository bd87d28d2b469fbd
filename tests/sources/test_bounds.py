"""Small inputs that would fill memory or disk: each ends early, in one sentence that names the file."""

from __future__ import annotations

import functools
import gzip
import io
import json
import os
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import ENDING, Members, entry, tar_bytes, tiny_members
from archives_http import Conduct, serve

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.sources import BadRecords
from asam_datasets.sources.evaluation import _hdf5
from asam_datasets.sources.sa1b import StreamSource, open_source, read_record


def stream(tmp_path: Path, content: bytes) -> StreamSource:
    path = tmp_path / "sa_000000.tar"
    path.write_bytes(content)
    source = open_source(path)
    assert isinstance(source, StreamSource)
    return source


# ------------------------------------------------------------------------------------------------ archives


def record_of(annotations: bytes, count: int) -> Members:
    """A record whose JSON has `count` of these."""
    tiny = tiny_members(1)
    head = json.dumps({**json.loads(tiny["sa_1.json"]), "annotations": []})[:-2].encode()
    return {**tiny, "sa_1.json": head + b",".join([annotations] * count) + b"]}"}


def test_json_of_millions_of_annotations(tmp_path: Path) -> None:
    """5.5 million of them, in 721 kB of gzip, took 4.2 GB; these would take a fifteenth of it."""
    one = b'{"segmentation":{"size":[1,1],"counts":"1"}}'
    source = stream(tmp_path, gzip.compress(tar_bytes(record_of(one, 400_000)), 1))
    with pytest.raises(RecordError, match=r"sa_1\.json: expected at most 16777216 bytes, found 18\d{6}"):
        list(source.records(BadRecords()))
    bad = BadRecords("skip")
    with pytest.raises(SourceError, match="expected pairs of sa_N"):
        list(source.records(bad))
    assert bad.rejects[0].member == "sa_1.json"


def test_more_annotations_than_any_image_has(tmp_path: Path) -> None:
    one = b'{"segmentation":{"size":[1,1],"counts":"1"}}'
    (raw,) = stream(tmp_path, gzip.compress(tar_bytes(record_of(one, 70_000)), 1)).records(BadRecords())
    with pytest.raises(RecordError, match=r"sa_1\.json: \$\.annotations: expected at most 65536 .*, found 70000"):
        read_record(raw, None)


def test_members_are_as_large_as_images_can_be(tmp_path: Path) -> None:
    source = stream(tmp_path, gzip.compress(tar_bytes({"sa_1.jpg": bytes(2**26 + 1), "sa_1.json": b"{}"}), 1))
    with pytest.raises(RecordError, match=r"sa_1\.jpg: expected at most 67108864 bytes, found 67108865"):
        list(source.records(BadRecords()))


def test_gzip_that_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Halves of records wait for the other half: 1.5 MB of zeros became 1.4 GB in TMPDIR."""
    spools: list[int] = []

    def spool() -> Any:
        file = real()
        spools.append(os.dup(file.fileno()))
        return file

    real = tempfile.TemporaryFile
    monkeypatch.setattr(tempfile, "TemporaryFile", spool)
    size = 2**23
    halves = b"".join(entry(f"sa_{n}.jpg", size_bytes=size)[:512] + bytes(size) for n in range(1, 20))
    packed = gzip.compress(halves + ENDING, 1)
    assert len(packed) < 2**20
    with pytest.raises(SourceError, match=r"sa_000000.tar: .*: \d+ bytes of gzip data grew to \d+, as no images do"):
        list(stream(tmp_path, packed).records(BadRecords()))
    assert sum(os.fstat(number).st_size for number in spools) < 100 * len(packed)
    for number in spools:
        os.close(number)


def test_gzip_of_real_text_is_none_of_these(tmp_path: Path) -> None:
    """JSON that is mostly the same, ten times as much as a real one."""
    one = json.dumps(
        {"segmentation": {"size": [1, 1], "counts": "01"}, "bbox": [1.0, 2.0, 3.0, 4.0], "area": 12}
    ).encode()
    members = {}
    for number in range(1, 31):
        tiny = record_of(one, 10_000)
        members |= {f"sa_{number}.jpg": tiny["sa_1.jpg"], f"sa_{number}.json": tiny["sa_1.json"]}
    content = tar_bytes(members)
    assert len(content) > 2**24
    assert len(list(stream(tmp_path, gzip.compress(content, 9)).records(BadRecords()))) == 30


@contextmanager
def endless(chunked: bool) -> Iterator[tuple[str, list[int]]]:
    """A server that answers a range with bytes that do not end. Yields its address and what it sent."""
    sent: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(10**10))
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(206)
            self.send_header("Content-Range", "bytes 0-9999999999/10000000000")
            name, value = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(10**10))
            self.send_header(name, value)
            self.end_headers()
            with_size = b"100000\r\n%s\r\n" if chunked else b"%s"
            self.close_connection = True
            try:
                while True:
                    self.wfile.write(with_size % bytes(2**20))
                    sent.append(2**20)
            except OSError:
                pass

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", sent
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("chunked", [True, False])
def test_an_answer_without_end(chunked: bool) -> None:
    with endless(chunked) as (address, sent):
        source = open_source(f"{address}/sa_000000.tar?secret=1")
        assert isinstance(source, StreamSource)
        with pytest.raises(
            SourceError, match=r"/sa_000000.tar: expected an answer of at most \d+ bytes, found"
        ) as caught:
            list(source.records(BadRecords()))
        assert "secret" not in str(caught.value)
    assert sum(sent) < 64 * 2**20


@pytest.mark.parametrize(("etag", "what"), [(True, "ETag"), (False, "size")])
def test_an_archive_that_is_replaced_between_two_ranges(tmp_path: Path, etag: bool, what: str) -> None:
    def archive(fill: bytes, size: int) -> bytes:
        return tar_bytes({f"sa_{number}{end}": fill * size for number in range(1, 5) for end in (".jpg", ".json")})

    path = tmp_path / "sa_000000.tar"
    path.write_bytes(archive(b"old ", 2**20))
    with serve(tmp_path, Conduct(etag=etag)) as (address, requests):
        records = open_source(f"{address}/sa_000000.tar?secret=1").records(BadRecords())
        assert next(records).jpeg.startswith(b"old")
        asked = len(requests)
        path.write_bytes(archive(b"new ", 2**20 + 2**10 * (not etag)))
        expected = rf"/sa_000000.tar: expected one version of the file to its end, found another \({what} "
        with pytest.raises(SourceError, match=expected) as caught:
            list(records)
    assert "secret" not in str(caught.value)
    assert len(requests) == asked + 1  # another try would give the same


# ------------------------------------------------------------------------------------------------ HDF5

SIDES = (23, 31)


def hdf5(**settings: Any) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("dataset", data=np.arange(23 * 31, dtype=np.int32).reshape(SIDES), **settings)
    return content.getvalue()


def hdf5_bomb(chunk: tuple[int, int]) -> bytes:
    """A map of 23 × 31 whose one chunk unpacks to 3.9 GB, whatever it says of itself."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        values = file.create_dataset(
            "dataset", SIDES, np.int32, maxshape=(None, None), chunks=chunk, compression="gzip"
        )
        values.id.write_direct_chunk((0, 0), packed_zeros())
    return content.getvalue()


@functools.cache
def packed_zeros() -> bytes:
    """3.9 GB of zeros as zlib has them: blocks of zeros are the same again and again."""
    packer = zlib.compressobj(9)
    start = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + 232 * again + b"\3\0" + bytes(4)  # the checksum is not reached


def peak_bytes() -> int:
    """The most memory that the child had."""
    child = _hdf5._running()
    with open(f"/proc/{child.pid}/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("chunk", [(31_000, 31_000), SIDES])
def test_a_chunk_of_gigabytes(chunk: tuple[int, int]) -> None:
    data = hdf5_bomb(chunk)
    assert len(data) < 2**22
    with pytest.raises(RecordError, match="here: expected a readable HDF5 file, found one that fails with: "):
        _hdf5.read_map(data, "dataset", SIDES, "here")
    assert peak_bytes() < 1.2 * 2**30
    assert _hdf5.read_map(hdf5(chunks=(8, 8)), "dataset", SIDES, "here").sum() == 23 * 31 * (23 * 31 - 1) // 2


def test_the_death_of_the_child_is_one_sentence() -> None:
    """Whatever of the library ends it; the next file is read by another one."""
    good = hdf5()
    _hdf5.read_map(good, "dataset", SIDES, "here")
    child = _hdf5._running()
    child.kill()
    child.wait()
    assert _hdf5.read_map(good, "dataset", SIDES, "here").shape == SIDES
    child = _hdf5._running()
    os.kill(child.pid, 19)  # it is at work and answers no more
    threading.Timer(0.3, os.kill, (child.pid, 11)).start()
    threading.Timer(0.4, os.kill, (child.pid, 18)).start()
    with pytest.raises(
        RecordError, match=r"^here: expected a readable HDF5 file, found one that ends the .*signal 11"
    ) as caught:
        _hdf5.read_map(good, "dataset", SIDES, "here")
    assert "on_bad_record" in caught.value.hint
    assert _hdf5.read_map(good, "dataset", SIDES, "here").shape == SIDES


def test_a_file_that_takes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hdf5, "_SECONDS", 0.2)
    os.kill(_hdf5._running().pid, 19)
    with pytest.raises(RecordError, match="found one that ends the library"):
        _hdf5.read_map(hdf5(), "dataset", SIDES, "here")


@pytest.mark.parametrize("seed", range(2))
def test_mutated_hdf5_is_a_map_or_one_sentence(seed: int) -> None:
    draw = np.random.default_rng(seed)
    files = [hdf5(), hdf5(chunks=(8, 8), compression="gzip"), hdf5(chunks=(8, 8), shuffle=True, compression="lzf")]
    good = 0
    for number in range(150):
        data = bytearray(files[number % 3])
        for place in draw.integers(0, len(data), draw.choice((1, 2, 8))):
            data[place] = draw.choice((0, 127, 255))
        try:
            good += _hdf5.read_map(bytes(data), "dataset", SIDES, "here").shape == SIDES
        except RecordError as error:
            good += not str(error).startswith("here: expected ")
    assert 0 < good < 150
