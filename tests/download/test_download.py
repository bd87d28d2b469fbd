"""Archives by a list of links, from a real server that does what content networks do: byte for byte, or a sentence."""

from __future__ import annotations

import email.utils
import io
import os
import random
import resource
import signal
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from archives_http import Conduct, serve
from commands import start_warm
from conftest import ROOT, run_python
from typer.testing import CliRunner

from asam_datasets.cli import app
from asam_datasets.download import Downloaded, choose_links, download, read_links
from asam_datasets.errors import SourceError, TargetError
from asam_datasets.progress import Listener

SECRET = "oh=00_AfB&oe=6563ABCD"


def make_tar(path: Path, seed: int) -> bytes:
    """A tar of some hundred kilobytes."""
    noise = random.Random(seed)
    with tarfile.open(path, "w") as tar:
        for number in range(4):
            for name, size in ((f"sa_{number}.jpg", 60_000), (f"sa_{number}.json", 400)):
                member = tarfile.TarInfo(name)
                member.size = size
                tar.addfile(member, io.BytesIO(noise.randbytes(size)))
    return path.read_bytes()


class Net:
    """A folder of archives behind a server, and the list of their links."""

    def __init__(self, folder: Path) -> None:
        self.served, self.out, self.links = folder / "served", folder / "out", folder / "links.txt"
        self.served.mkdir()
        self.contents = {f"sa_00000{n}.tar": make_tar(self.served / f"sa_00000{n}.tar", n) for n in range(3)}
        self.conduct = Conduct()
        self.said: list[str] = []

    def write_links(self, url: str) -> None:
        lines = [f"{name}\t{url}/{name}?{SECRET}" for name in self.contents]
        self.links.write_text("\n".join(["file_name\tcdn_link", *lines, ""]))

    def fetch(self, *archives: str, at_once: int = 4) -> Downloaded:
        listener = Listener(on_stage=self.said.append)
        return download(self.links, self.out, archives=archives, at_once=at_once, listener=listener)

    def change(self, name: str, seed: int, cut: int = 0) -> None:
        """Put another archive there under the same name."""
        content = make_tar(self.served / name, seed)
        self.contents[name] = content[: len(content) - cut]
        (self.served / name).write_bytes(self.contents[name])

    def require(self, *names: str) -> None:
        """These are there, byte for byte, and nothing else is."""
        assert sorted(path.name for path in self.out.iterdir()) == sorted(names)
        for name in names:
            assert (self.out / name).read_bytes() == self.contents[name], name


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    monkeypatch.setenv("ASAM_DATASETS_WAITS", "0,0,0")
    monkeypatch.setenv("ASAM_DATASETS_CACHE", str(tmp_path / "cache"))
    net = Net(tmp_path)
    with serve(net.served, net.conduct) as (url, _):
        net.write_links(url)
        yield net


ONE = "sa_000001"
FILE = "sa_000001.tar"


def test_all_are_fetched_once(net: Net) -> None:
    done = net.fetch()
    net.require(*net.contents)
    assert [(one.name, one.state, one.size_bytes) for one in done.archives] == [
        (name.removesuffix(".tar"), "downloaded", len(content)) for name, content in net.contents.items()
    ]
    assert done.bytes == net.conduct.sent_bytes == sum(map(len, net.contents.values()))
    again = net.fetch()
    assert {one.state for one in again.archives} == {"there"}
    assert len(net.conduct.asked) == 3
    net.require(*net.contents)


def test_cut_connections_are_resumed(net: Net) -> None:
    net.conduct.cut_after, net.conduct.cuts = 50_000, 4
    net.fetch(ONE)
    net.require(FILE)
    assert [one.range for one in net.conduct.asked] == [None, *(f"bytes={n}-" for n in range(50_000, 250_000, 50_000))]
    assert len({one.condition for one in net.conduct.asked[1:]}) == 1
    assert net.conduct.asked[1].condition
    assert net.conduct.sent_bytes == len(net.contents[FILE])
    assert "going on after 0.1 MB" in "\n".join(net.said)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_server_without_ranges(net: Net, chunked: bool) -> None:
    net.conduct.ranges, net.conduct.cut_after, net.conduct.cuts, net.conduct.chunked = False, 50_000, 2, chunked
    net.fetch(ONE)
    net.require(FILE)
    assert len(net.conduct.asked) == 3


def test_a_server_without_ranges_that_always_breaks_comes_to_an_end(net: Net) -> None:
    net.conduct.ranges, net.conduct.cut_after, net.conduct.cuts = False, 50_000, 100
    size = len(net.contents[FILE])
    with pytest.raises(SourceError, match=rf"the connection ended after 50,000 of {size:,} bytes"):
        net.fetch(ONE)
    assert len(net.conduct.asked) <= 6


@pytest.mark.parametrize("etag", [False, True])
@pytest.mark.parametrize("conditions", [False, True])
def test_bytes_of_two_versions_are_never_mixed(net: Net, etag: bool, conditions: bool) -> None:
    """Another file lies there when the download goes on."""
    net.conduct.etag, net.conduct.conditions = etag, conditions
    net.conduct.claims = len(net.contents[FILE]) + 1
    with pytest.raises(SourceError):
        net.fetch(ONE)
    assert (net.out / f"{FILE}.part").stat().st_size == len(net.contents[FILE])
    net.conduct.claims = None
    net.change(FILE, 7, cut=0)
    net.contents[FILE] += bytes(512)
    (net.served / FILE).write_bytes(net.contents[FILE])
    if not etag:  # then only the size tells
        net.contents[FILE] += bytes(512)
        (net.served / FILE).write_bytes(net.contents[FILE])
    net.fetch(ONE)
    net.require(FILE)


def test_a_wrong_size_is_told_and_what_came_is_kept(net: Net) -> None:
    size = len(net.contents[FILE])
    net.conduct.claims = size + 5
    with pytest.raises(SourceError, match=rf"the connection ended after {size:,} of {size + 5:,} bytes") as raised:
        net.fetch(ONE)
    assert SECRET not in str(raised.value)
    assert sorted(path.name for path in net.out.iterdir()) == [f"{FILE}.part", f"{FILE}.part.json"]


@pytest.mark.parametrize("cut", [10_400, 60_000])
def test_an_archive_that_is_cut_at_its_source_is_not_taken(net: Net, cut: int) -> None:
    net.change(FILE, 1, cut=cut)
    with pytest.raises(SourceError, match=r"expected a complete tar .*") as raised:
        net.fetch(ONE)
    assert "removed" in raised.value.hint
    assert list(net.out.iterdir()) == []
    net.change(FILE, 1)
    net.fetch(ONE)
    net.require(FILE)


def test_expired_links_stop_all_and_new_ones_go_on(net: Net) -> None:
    """A connection breaks, and meanwhile the links expire."""
    net.conduct.cut_after, net.conduct.cuts = 50_000, 1

    def expire(text: str) -> None:
        net.said.append(text)
        if "trying again" in text:
            net.conduct.refusals = [(403, {})] * 9

    with pytest.raises(SourceError) as raised:
        download(net.links, net.out, at_once=1, listener=Listener(on_stage=expire))
    assert "has expired or is refused (status 403)" in str(raised.value)
    assert "ai.meta.com/datasets/segment-anything-downloads" in raised.value.hint
    assert SECRET not in f"{raised.value} {raised.value.hint} {net.said}"
    assert {one.path for one in net.conduct.asked} == {"/sa_000000.tar"}
    assert (net.out / "sa_000000.tar.part").stat().st_size == 50_000
    net.conduct.refusals = []
    net.conduct.asked.clear()
    net.fetch()
    net.require(*net.contents)
    assert next(one for one in net.conduct.asked if one.path == "/sa_000000.tar").range == "bytes=50000-"


def test_a_busy_server_is_waited_for(net: Net) -> None:
    soon = email.utils.formatdate(time.time() + 0.5, usegmt=True)
    net.conduct.refusals = [(429, {"Retry-After": "0.25"}), (503, {"Retry-After": soon})]
    net.fetch(ONE)
    net.require(FILE)
    assert f"downloading {FILE}: the server answered 429; trying again in 0.25 s (1 of 3)" in net.said
    assert any("the server answered 503; trying again in 0" in text for text in net.said)


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (500, 4), (429, 4)])
def test_one_that_fails_does_not_stop_the_others(net: Net, status: int, asked: int) -> None:
    net.conduct.refusals = [(status, {})] * asked
    with pytest.raises(SourceError, match=f"the server answered {status}"):
        net.fetch(at_once=1)
    net.require("sa_000001.tar", "sa_000002.tar")
    assert len(net.conduct.asked) == asked + 2
    net.fetch()
    net.require(*net.contents)


def test_a_full_disk_is_told_and_gone_on_from(net: Net) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(TargetError, match="expected to be able to write"):
            net.fetch(ONE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    have = (net.out / f"{FILE}.part").stat().st_size
    assert 0 < have <= 100_000
    net.fetch(ONE)
    net.require(FILE)
    assert net.conduct.asked[-1].range == f"bytes={have}-"


def test_a_disk_that_is_too_small_is_told_before_it_is_full(net: Net) -> None:
    net.conduct.claims = 10**15
    with pytest.raises(TargetError, match=r"expected 1,000,000,000,000,000 bytes of free disk for sa_000000.tar"):
        net.fetch(at_once=1)
    assert len(net.conduct.asked) == 1


def test_killed_and_gone_on(net: Net) -> None:
    """`kill -9` in the middle of a file, then the same command."""
    net.conduct.hold_after = 120_000
    command = ["-m", "asam_datasets.cli", "download", str(net.links), "--archives", ONE, "--out", str(net.out)]
    command[:2] = ["-c", "from asam_datasets.cli import main; main()"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with open(os.devnull, "r+") as nothing:
        streams = (nothing.fileno(),) * 3
        program = start_warm(command, environment, ROOT, streams)
        assert program is not None
        assert net.conduct.is_holding.wait(60)
        part = net.out / f"{FILE}.part"
        deadline = time.monotonic() + 60
        while not (part.is_file() and part.stat().st_size == 120_000):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(program.pid, signal.SIGKILL)
        assert program.wait() == -signal.SIGKILL
    net.conduct.hold_after = 0
    ran = run_python(*command, env=environment)
    assert (ran.code, ran.out.splitlines()[0]) == (0, f"Downloaded to {net.out}")
    net.require(FILE)
    assert net.conduct.asked[-1].range == "bytes=120000-"
    assert net.conduct.sent_bytes == len(net.contents[FILE])


def test_killed_before_the_name(net: Net) -> None:
    """All bytes are there, only the rename is not: nothing is asked for."""
    net.fetch(ONE)
    whole = len(net.contents[FILE])
    (net.out / FILE).rename(net.out / f"{FILE}.part")
    (net.out / f"{FILE}.part.json").write_text(f'{{"size": {whole}, "validator": null}}')
    net.fetch(ONE)
    net.require(FILE)
    assert len(net.conduct.asked) == 1


@pytest.mark.parametrize("note", [None, "not json", '{"size": 3}'])
def test_a_part_of_unknown_making_begins_anew(net: Net, note: str | None) -> None:
    net.out.mkdir()
    (net.out / f"{FILE}.part").write_bytes(b"something else")
    if note is not None:
        (net.out / f"{FILE}.part.json").write_text(note)
    net.fetch(ONE)
    net.require(FILE)


def test_a_file_that_another_program_left_is_not_taken_for_whole(net: Net) -> None:
    net.out.mkdir()
    (net.out / FILE).write_bytes(net.contents[FILE][:-10_400])
    with pytest.raises(SourceError, match="does not end as a tar does"):
        net.fetch(ONE)
    (net.out / FILE).write_bytes(net.contents[FILE])
    (net.out / f"{FILE}.aria2").touch()
    with pytest.raises(SourceError, match="aria2 has not finished it"):
        net.fetch(ONE)
    assert net.conduct.asked == []
    (net.out / f"{FILE}.aria2").unlink()
    assert [one.state for one in net.fetch(ONE).archives] == ["there"]


NAMES = [f"sa_{number:06}" for number in range(30)]
CHOICES = {
    "sa_000003": [3],
    "sa_000003.tar": [3],
    "sa_000003-000005": [3, 4, 5],
    "sa_000003-sa_000005": [3, 4, 5],
    "sa_000008-000011": [8, 9, 10, 11],
    "sa_000003 sa_000002-000004 sa_000003": [3, 2, 4],
    "": list(range(30)),
}


@pytest.mark.parametrize(("words", "numbers"), CHOICES.items(), ids=CHOICES)
def test_names_and_ranges(tmp_path: Path, words: str, numbers: list[int]) -> None:
    path = tmp_path / "links.txt"
    path.write_text("﻿file_name\tcdn_link\r\n\r\n" + "".join(f"{n}.tar\thttps://x/{n}?a=1\r\n" for n in NAMES))
    links = read_links(path)
    chosen = choose_links(links, words.split(), "links.txt")
    assert [link.name for link in chosen] == [NAMES[number] for number in numbers]
    assert chosen[0].url == f"https://x/{chosen[0].name}?a=1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sa_000030", r"such as sa_000000, found 'sa_000030'"),
        ("sa_000028-000031", r"found 'sa_000030'"),
        ("sa_000005-000003", r"from a smaller to a larger number, found 'sa_000005-000003'"),
        ("sa_000000-999999999", r"from a smaller to a larger number"),
        ("sa_000003-sb_000005", r"from a smaller to a larger number"),
    ],
)
def test_what_the_list_does_not_have(tmp_path: Path, words: str, said: str) -> None:
    path = tmp_path / "links.txt"
    path.write_text("".join(f"{name}.tar\thttps://x/{name}\n" for name in NAMES))
    with pytest.raises(SourceError, match=said):
        choose_links(read_links(path), words.split(), "links.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected links, found none"),
        ("file_name\tcdn_link\n", "expected links, found none"),
        ("<html>\n", "line 1: expected a file name, a tab and a link"),
        ("a.tar\thttps://x/a\nb.tar\n", "line 2: expected a file name, a tab and a link"),
        ("a.tar\tfile:///etc/passwd\n", "line 1: expected a file name, a tab and a link"),
        ("../a.tar\thttps://x/a\n", r"expected the name of a file, such as sa_000000.tar, found '../a.tar'"),
        ("a.tar\thttps://x/a\na.tar\thttps://x/b\n", "line 2: expected one link for each file, found two for a.tar"),
    ],
)
def test_lists_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "links.txt"
    path.write_text(text)
    with pytest.raises(SourceError, match=said):
        read_links(path)
    with pytest.raises(SourceError, match="found: No such file"):
        read_links(tmp_path / "nothing.txt")


def test_the_command_line(net: Net, tmp_path: Path) -> None:
    words = ["download", str(net.links), "--out", str(net.out), "--archives", "sa_000000-000001", "sa_000002"]
    shown = CliRunner().invoke(app, [*words, "--aria2"])
    assert shown.output.splitlines()[::3] == [line.split()[1] for line in net.links.read_text().splitlines()[1:]]
    assert shown.output.splitlines()[1:3] == ["  out=sa_000000.tar", f"  dir={net.out}"]
    assert net.conduct.asked == []
    shown = CliRunner().invoke(app, [*words, "--json"])
    assert shown.exit_code == 0
    net.require(*net.contents)
