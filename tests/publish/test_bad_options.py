"""Captions, lists of ids, the target, usage and the network: what is wrong with them is said in one clear sentence."""

import gzip
import http.server
import json
import os
import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from archives import (
    ENDING,
    Members,
    Pack,
    edited,
    entries,
    entry,
    pack_gzip,
    pack_tar,
    put,
    tiny_members,
    tree,
)
from bad_input import (
    A,
    Run,
    build_of,
    check_refused,
    each_pack,
    files,
    ids_by_part,
    ids_of,
    parts_of,
    rejects_of,
    run_process,
)
from bad_input import _own_temporary_folder as _own_temporary_folder
from bad_input import captions as captions
from bad_input import digest_without as digest_without
from bad_input import members as members
from bad_input import published as published
from bad_input import run as run
from by_hand import as_last_release

# ------------------------------------------------------------------------------------------------ captions and ids


BAD_CAPTIONS: dict[str, tuple[bytes, str]] = {
    "cut line": (b'{"img": "sa_1.jpg", "prompt": "a"}\n{"img": "sa_2.jp', "line 2"),
    "not JSON": (b"sa_1.jpg a photo\n", "line 1"),
    "no prompt": (b'{"img": "sa_1.jpg"}\n', "line 1"),
    "null prompt": (b'{"img": "sa_1.jpg", "prompt": null}\n', "line 1"),
    "not UTF-8": (b'{"img": "sa_1.jpg", "prompt": "caf\xe9"}\n', "line 1"),
    "half a surrogate": (b'{"img": "sa_1.jpg", "prompt": "\\ud800"}\n', "line 1"),
    "in UTF-16": ('{"img": "sa_1.jpg", "prompt": "a"}\n'.encode("utf-16"), "line 1"),
    "two for one": (
        b'{"img": "sa_1.jpg", "prompt": "a dog"}\n{"img": "sa_2.jpg", "prompt": "b"}\n'
        b'{"img": "sa_1.jpg", "prompt": "a cat"}\n',
        "line 3",
    ),
}


@pytest.mark.parametrize("policy", ["raise", "skip"])
@pytest.mark.parametrize(("content", "line"), BAD_CAPTIONS.values(), ids=BAD_CAPTIONS)
def test_a_bad_caption_file(
    content: bytes, line: str, policy: str, run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source, path = pack_tar(tmp_path, members), tmp_path / "captions.json"
    path.write_bytes(content)
    arguments = ["--train", source, "--captions", path, "--on-bad-record", policy]
    outcome = check_refused(run, tmp_path, published, *arguments)
    assert outcome.error.startswith(f"error: {path}: {line}: expected ")
    assert " found " in outcome.error
    assert outcome.hint


def test_a_missing_caption_file(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack_tar(tmp_path, members)
    for path in (tmp_path / "none.json", tmp_path):
        outcome = check_refused(run, tmp_path, published, "--train", source, "--captions", path)
        assert outcome.error.startswith(f"error: {path}: expected ")
        assert outcome.hint


UNKNOWN = ["sa_77.jpg", "sa_007.jpg", "sa_7.png", "cat.jpg", f"sa_{10**20}.jpg", "sa_٣.jpg", "a/sa_1.jpg"]


@each_pack
@pytest.mark.parametrize("name", UNKNOWN)
def test_a_caption_of_an_unknown_image(
    name: str,
    pack: Pack,
    run: Run,
    members: Members,
    tmp_path: Path,
    captions: Path,
    digest_without: Callable[..., str],
) -> None:
    """Record 7 is in the archive, so that `sa_007.jpg` nearly is its image."""
    source = pack(tmp_path, members | tiny_members(1, first_id=7))
    path, out = tmp_path / "captions.json", tmp_path / "out"
    path.write_text(captions.read_text() + json.dumps({"img": name, "prompt": "a photo"}) + "\n")
    outcome = run("--train", source, "--captions", path, "--out", out)
    assert outcome.code == 1
    assert name in outcome.error
    assert outcome.hint
    assert {path.name for path in out.glob("*")} <= {".asam_datasets"}
    outcome = run("--train", source, "--captions", path, "--out", out, "--on-bad-record", "skip", "--json")
    assert outcome.code == 0
    assert (json.loads(outcome.out)["captions"], json.loads(outcome.out)["rejected"]) == (6, 1)
    assert [reject["member"] for reject in rejects_of(out)] == [name]
    assert "left out" not in (out / "README.md").read_text("utf-8")


def test_captions_as_editors_leave_them(run: Run, members: Members, tmp_path: Path, captions: Path) -> None:
    """A byte-order mark, CRLF, blank lines, the same line twice, a caption of an image that `--ids` leaves out."""
    source, path, ids = pack_tar(tmp_path, members), tmp_path / "captions.json", tmp_path / "ids.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(captions.read_bytes().splitlines() * 2))
    ids.write_text("1\n2\n3\n")
    outcome = run("--train", source, "--captions", path, "--ids", ids, "--out", tmp_path / "out", "--json")
    assert (outcome.code, json.loads(outcome.out)["captions"]) == (0, 3)


BAD_IDS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", ""),
    "blank": (b"\n \n", ""),
    "words": (b"1\ntwo\n", "line 2"),
    "a decimal": (b"1.0\n", "line 1"),
    "below zero": (b"-1\n", "line 1"),
    "two on a line": (b"1 2\n", "line 1"),
    "superscript": ("1\n²\n".encode(), "line 2"),
    "not UTF-8": (b"\xff\xfe1\0", ""),
    "beyond int64": (b"1\n" + b"9" * 30 + b"\n", "line 2"),
    "beyond what Python parses": (b"9" * 5000, "line 1"),
    "the table of links": (b"file_name\tcdn_link\nsa_000000.tar\thttps://x\n", "line 1"),
}


@pytest.mark.parametrize(("content", "line"), BAD_IDS.values(), ids=BAD_IDS)
def test_a_bad_list_of_ids(
    content: bytes, line: str, run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source, path = pack_tar(tmp_path, members), tmp_path / "ids.txt"
    path.write_bytes(content)
    outcome = check_refused(run, tmp_path, published, "--train", source, "--ids", path)
    assert outcome.error.startswith(f"error: {path}: {line}")
    assert "expected" in outcome.error
    assert "found" in outcome.error
    assert outcome.hint


def test_a_missing_list_of_ids(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack_tar(tmp_path, members)
    for path in (tmp_path / "none.txt", tmp_path):
        outcome = check_refused(run, tmp_path, published, "--train", source, "--ids", path)
        assert outcome.error.startswith(f"error: {path}: expected ")
        assert outcome.error.count(str(path)) == 1
        assert outcome.hint


@each_pack
def test_ids_that_no_archive_has_are_reported(
    pack: Pack, run: Run, members: Members, tmp_path: Path, digest_without: Callable[..., str]
) -> None:
    source, path, out = pack(tmp_path, members), tmp_path / "ids.txt", tmp_path / "out"
    path.write_text("77\n6\n5\n1\n\n3\n1\n99\n")
    outcome = run("--train", source, "--ids", path, "--parts", 2, "--out", out)
    assert outcome.code == 0
    assert "2 of the ids asked for: 77, 99" in outcome.out
    assert ids_by_part(out) == [[1, 3], [5, 6]]
    assert build_of(out).name == digest_without(2, 4)
    assert json.loads(run("--train", source, "--ids", path, "--out", out, "--json").out)["missing_ids"] == [77, 99]


@each_pack
def test_ids_that_select_nothing(pack: Pack, run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source, path = pack(tmp_path, members), tmp_path / "ids.txt"
    path.write_text("77\n")
    outcome = check_refused(run, tmp_path, published, "--train", source, "--ids", path)
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "--ids" in outcome.error + outcome.hint


def test_a_bad_record_that_is_not_asked_for(run: Run, members: Members, tmp_path: Path) -> None:
    source, path, out = pack_tar(tmp_path, members | {"sa_2.json": b"{"}), tmp_path / "ids.txt", tmp_path / "out"
    path.write_text("1\n3\n")
    assert run("--train", source, "--ids", path, "--out", out).code == 0
    assert ids_of(out) == [1, 3]


# ------------------------------------------------------------------------------------------------ the target


def test_out_is_a_file(run: Run, members: Members, tmp_path: Path) -> None:
    source, out = pack_tar(tmp_path, members), tmp_path / "file"
    out.write_text("mine")
    before = tree(tmp_path)
    for place in (out, out / "below"):
        outcome = run("--train", source, "--out", place)
        assert outcome.code == 1
        assert outcome.error.startswith(f"error: {place}: expected a folder")
        assert outcome.hint
        assert tree(tmp_path) == before


def test_out_holds_something_else(run: Run, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    others = {
        "an image": {"holiday.jpg": b"x"},
        "a readme": {"README.md": b"# Mine\n"},
        "another dataset": {"README.md": b"---\nconfigs:\n- config_name: default\n  data_files: x\n---\n"},
        "broken YAML": {"README.md": b"---\nconfigs: [\n---\n"},
        "no text": {"README.md": b"\xff\xfe\xff"},
        "a list": {"README.md": b"---\n- a\n- b\n---\n"},
        "paths that are numbers": {
            "README.md": b"---\nconfigs:\n- config_name: train\n  data_files:\n  - path: [1]\n---\n"
        },
        "paths that leave": {
            "README.md": b"---\nconfigs:\n- config_name: train\n  data_files:\n  - path: [../../x/*]\n---\n"
        },
        "data of somebody": {"data/train.csv": b"a,b\n"},
    }
    for number_of_case, (name, contents) in enumerate(others.items()):
        out = tmp_path / f"out-{number_of_case}"
        for path, content in contents.items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_bytes(content)
        before = tree(out)
        outcome = run("--train", source, "--out", out)
        assert (name, outcome.code) == (name, 1)
        assert outcome.error.startswith(f"error: {out}")
        assert outcome.hint
        assert tree(out) == before


def _other_content(index: Path) -> None:
    index.write_bytes(gzip.compress(gzip.decompress(index.read_bytes()).replace(b'"rejected":0', b'"rejected":1')))


INDEX_DAMAGES: dict[str, Callable[[Path], object]] = {
    "no index": lambda index: index.unlink(),
    "a cut index": lambda index: index.write_bytes(index.read_bytes()[:50]),
    "no gzip": lambda index: index.write_bytes(b"{}"),
    "another index": _other_content,
    "bytes behind it": lambda index: index.write_bytes(index.read_bytes() + b"x"),
}


@pytest.mark.parametrize("damage", INDEX_DAMAGES.values(), ids=INDEX_DAMAGES)
def test_an_index_that_was_changed_by_hand(
    damage: Callable[[Path], object], run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    shutil.copytree(published, out)
    (index,) = out.glob("data/index-*.json.gz")
    damage(index)
    before = files(out)
    outcome = run("--train", source, "--out", out)
    assert outcome.code == 1
    assert "index" in outcome.error
    assert outcome.hint
    assert files(out) == before


def test_parts_of_a_kept_build_are_gone(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    """What this run brings anew heals; what it would show on without having it is refused."""
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    shutil.copytree(published, out)
    (part, *_) = sorted(out.glob("data/train/*/part-*.parquet"))
    content = part.read_bytes()
    part.unlink()
    other = tmp_path / "sa_000077"
    other.mkdir()
    shutil.unpack_archive(source, other)
    before = files(out)
    refused = run("--train", other, "--out", out)
    assert refused.code == 1
    assert "expected all parts of data/train/" in refused.error
    assert files(out) == before
    assert run("--train", published.parent / "sa_000009.tar", "--out", out).code == 0
    assert part.read_bytes() == content


DAMAGES: dict[str, Callable[[Path], object]] = {
    "no build.json": lambda build: (build / "build.json").unlink(),
    "cut build.json": lambda build: (build / "build.json").write_bytes((build / "build.json").read_bytes()[:50]),
    "build.json of another version": lambda build: (build / "build.json").write_text('{"format": 9}'),
    "no build at all": lambda build: shutil.rmtree(build),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_dataset_that_was_changed_by_hand(
    damage: Callable[[Path], object], run: Run, members: Members, tmp_path: Path, published: Path
) -> None:
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    shutil.copytree(published, out)
    as_last_release(out)  # without an index, every build.json is read
    damage(next((out / "data" / "train").iterdir()))
    before = files(out)
    outcome = run("--train", source, "--out", out)
    assert outcome.code == 1
    assert "build.json" in outcome.error
    assert outcome.hint
    assert files(out) == before


def test_a_part_that_is_gone_is_made_again(run: Run, members: Members, tmp_path: Path) -> None:
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    assert run("--train", source, "--out", out).code == 0
    before = tree(out)
    (part,) = parts_of(out)
    part.unlink()
    assert run("--train", source, "--out", out).code == 0
    assert tree(out) == before


def test_a_disk_that_is_full(members: Members, tmp_path: Path, published: Path) -> None:
    """No file may be larger than 64 kB here, as if the disk had no more room."""
    source, out = pack_tar(tmp_path, members), tmp_path / "out"
    shutil.copytree(published, out)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))

    outcome = run_process(["--train", source, "--out", out, "--workers", 1], preexec_fn=limit)
    assert outcome.code == 1
    assert str(out) in outcome.error
    assert outcome.hint
    assert tree(out) == tree(published)


def test_rejects_that_cannot_be_written(run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack_tar(tmp_path, members | {"sa_2.json": b"{"})
    (tmp_path / "taken").mkdir()
    for path in (tmp_path / "taken", Path(source) / "below"):
        arguments = ["--train", source, "--on-bad-record", "skip", "--rejects", path]
        outcome = check_refused(run, tmp_path, published, *arguments)
        assert str(path) in outcome.error
        assert outcome.hint


# ------------------------------------------------------------------------------------------------ usage


WRONG_USAGE: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "no target": ([], ("--out", "--repo-id")),
    "two targets": (["--out", "{tmp}/out", "--repo-id", "a/b"], ("--out", "--repo-id")),
    "no parts": (["--out", "{tmp}/out", "--parts", "0"], ("--parts", "0")),
    "parts below zero": (["--out", "{tmp}/out", "--parts", "-3"], ("--parts", "-3")),
    "no workers": (["--out", "{tmp}/out", "--workers", "0"], ("--workers", "0")),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage(arguments: list[str], said: tuple[str, ...], run: Run, members: Members, tmp_path: Path) -> None:
    source = pack_tar(tmp_path, members)
    before = tree(tmp_path)
    outcome = run("--train", source, *(argument.format(tmp=tmp_path) for argument in arguments))
    assert outcome.code in (1, 2)
    assert outcome.out == ""
    assert all(word in outcome.err for word in said)
    assert "Traceback" not in outcome.err
    assert tree(tmp_path) == before


@pytest.mark.parametrize("arguments", [["--parts", "many"], ["--on-bad-record", "ignore"], ["--nonsense"]])
def test_arguments_that_do_not_parse(arguments: list[str], run: Run, members: Members, tmp_path: Path) -> None:
    outcome = run("--train", pack_tar(tmp_path, members), "--out", tmp_path / "out", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert arguments[0] in outcome.err
    assert not (tmp_path / "out").exists()


@each_pack
def test_more_parts_than_records(pack: Pack, run: Run, members: Members, tmp_path: Path, published: Path) -> None:
    source = pack(tmp_path, members)
    outcome = check_refused(run, tmp_path, published, "--train", source, "--parts", 7)
    assert "(6)" in outcome.error
    assert "--parts 7" in outcome.error
    assert outcome.hint


@pytest.mark.parametrize(
    "arguments", [["--parts", "7"], ["--out", "{tmp}/file"], ["--captions", "{tmp}/none.json"]], ids=lambda a: a[0]
)
def test_a_dry_run_finds_what_the_run_would_stop_at(
    arguments: list[str], run: Run, members: Members, tmp_path: Path
) -> None:
    source = pack_tar(tmp_path, members)
    (tmp_path / "file").write_text("mine")
    before = tree(tmp_path)
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    outcome = run("--train", source, "--out", tmp_path / "out", *given, "--dry-run")
    assert outcome.code == 1
    assert outcome.error
    assert tree(tmp_path) == before


# ------------------------------------------------------------------------------------------------ the network


@dataclass
class Site:
    """A web server that answers with the first bytes of a file, and then no more."""

    url: str
    requests: list[str]


@pytest.fixture
def failing_site() -> Iterator[Callable[[bytes, int], Site]]:
    """`failing_site(content, limit)`: every answer ends `limit` bytes into the content, by a lost connection."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(content: bytes, limit: int) -> Site:
        requests: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._answer(b"", len(content), 200)

            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                requests.append(wanted)
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, stop = int(first or 0), min(int(last or len(content)) + 1, len(content))
                if wanted and start >= limit:
                    self._answer(b"", 0, 503)
                else:
                    self._answer(content[start : min(stop, limit)], stop - start, 206 if wanted else 200)

            def _answer(self, body: bytes, length: int, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(length))
                self.send_header("Accept-Ranges", "bytes")
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Site(f"http://127.0.0.1:{server.server_address[1]}", requests)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def refusing_site() -> Iterator[Callable[[int], str]]:
    """`refusing_site(status)`: the address of a web server that has this one answer."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(status: int) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_error(status)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("policy", ["raise", "skip"])
def test_a_lost_connection_is_not_a_truncated_archive(
    policy: str, members: Members, tmp_path: Path, failing_site: Callable[[bytes, int], Site]
) -> None:
    """Even with `skip`: what the network withholds is in the archive, and must not be left out of the dataset."""
    pieces = entries(members)
    padding = entry("notes.bin", bytes(24 * 2**20))  # more than is read ahead
    content = b"".join([*pieces[:6], padding, *pieces[6:], ENDING])
    site = failing_site(content, len(content) * 9 // 10)
    source, out = f"{site.url}/sa_000000.tar", tmp_path / "out"
    arguments = ["--train", f"{source}?token=hunter2", "--out", out, "--workers", 1, "--on-bad-record", policy]
    outcome = run_process(arguments, timeout_s=300)
    assert outcome.code == 1
    assert outcome.error.startswith(f"error: {source}: ")
    assert outcome.error.count(site.url) == 1
    assert "end-of-archive" not in outcome.error
    assert "etwork" in outcome.hint
    assert "hunter2" not in outcome.out + outcome.err
    assert not out.exists()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_an_address_that_is_refused(
    status: int, run: Run, tmp_path: Path, published: Path, refusing_site: Callable[[int], str]
) -> None:
    source = f"{refusing_site(status)}/sa_000000.tar"
    outcome = check_refused(run, tmp_path, published, "--train", f"{source}?token=hunter2")
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert ("nothing there" in outcome.error) == (status == 404)
    assert str(status) in outcome.error or status == 404
    assert "hunter2" not in outcome.error + outcome.hint
    assert outcome.hint


def test_a_password_in_an_address_is_not_repeated(run: Run, tmp_path: Path, published: Path) -> None:
    outcome = check_refused(run, tmp_path, published, "--train", "http://me:hunter2@127.0.0.1:9/sa_000000.tar")
    assert "127.0.0.1:9/sa_000000.tar" in outcome.error
    assert "hunter2" not in outcome.err


def test_an_archive_on_a_hub_that_is_not_there(tmp_path: Path) -> None:
    environment = {**os.environ, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    source = "hf://datasets/nobody/nothing/sa_000000.tar"
    outcome = run_process(["--train", source, "--out", tmp_path / "out", "--workers", 1], env=environment)
    assert outcome.code == 1
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "etwork" in outcome.hint
    assert not (tmp_path / "out").exists()


def test_a_host_that_is_not_there(run: Run, tmp_path: Path, published: Path) -> None:
    source = "http://127.0.0.1:9/sa_000000.tar"
    outcome = check_refused(run, tmp_path, published, "--train", f"{source}?X-Amz-Signature=hunter2")
    assert outcome.error.startswith(f"error: {source}: expected ")
    assert "nothing there" not in outcome.error  # nobody knows what is there
    assert "hunter2" not in outcome.error + outcome.hint
    assert outcome.hint


# ------------------------------------------------------------------------------------------------ the real command line


def test_the_real_command_line_with_two_workers(members: Members, tmp_path: Path) -> None:
    """The same promise across process borders: errors come home, and nothing stays behind."""
    spoiled = edited(members, "sa_2.json", put(f"{A}.segmentation.counts", "~"))
    source, out = pack_tar(tmp_path, spoiled), tmp_path / "out"
    outcome = run_process(["--train", source, "--out", out, "--workers", 2])
    assert outcome.code == 1
    assert outcome.error.startswith(f"error: {source}: sa_2.json: $.{A}.segmentation.counts: expected ")
    assert outcome.hint
    assert not out.exists()


def test_two_workers_leave_out_what_one_does(
    members: Members, tmp_path: Path, digest_without: Callable[..., str]
) -> None:
    spoiled = edited(members, "sa_2.json", put(f"{A}.segmentation.counts", "~"))
    for pack in (pack_tar, pack_gzip):
        folder = tmp_path / pack.__name__
        folder.mkdir()
        out = folder / "out"
        arguments = ["--train", pack(folder, spoiled), "--out", out, "--parts", 2, "--workers", 2]
        outcome = run_process([*arguments, "--on-bad-record", "skip"])
        assert outcome.code == 0
        assert build_of(out).name == digest_without(2)
        assert len(rejects_of(out)) == 1
