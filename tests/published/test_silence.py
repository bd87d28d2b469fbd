"""A Hub that is silent, slow, endless or too large: every call ends, and says so while it waits."""

from __future__ import annotations

import gzip
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from bad_servers import Answer, BadServer, bad_server, say
from huggingface_hub import HfApi
from huggingface_hub.utils import _http, get_session
from local_hub import Fault, LocalHub

from asam_datasets.errors import HubError
from asam_datasets.published import HubClient, PublishedRepository, check_permission
from asam_datasets.published import _bounds as bounds
from asam_datasets.release import Destination
from asam_datasets.release._remote_state import read_state

REPO = "xhk/ASAM-Datasets"
SHA = "0123456789" * 4
ENOUGH_S = 30.0
"""Far more than a call takes that ends, and far less than one that does not."""


@pytest.fixture(autouse=True)
def same_factory() -> Iterator[None]:
    """What a test sets is not what the next one speaks through."""
    before = _http._GLOBAL_CLIENT_FACTORY
    yield
    huggingface_hub.set_client_factory(before)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds of a minute, in less than a second."""
    monkeypatch.setattr(bounds, "SILENCE_S", 0.4)
    monkeypatch.setattr(bounds, "COMMIT_S", 0.4)
    monkeypatch.setattr(bounds, "TELL_S", 0.2)
    monkeypatch.setattr(bounds, "_watcher", None)  # that of other tests may sleep for seconds
    monkeypatch.setattr(bounds, "CALL_S", 2.0)
    monkeypatch.setattr(bounds, "PAGES", 50)
    monkeypatch.setattr(bounds, "ANSWER_BYTES", 2**20)


def client_of(url: str, said: list[str], waits_s: tuple[float, ...] = (0.01,)) -> HubClient:
    return HubClient(REPO, said.append, api=HfApi(endpoint=url, token="hf_test"), waits_s=waits_s)


def read_part(client: HubClient) -> bytes:
    return PublishedRepository(client, SHA, {}).open("data/part-000.parquet", 10).read(4)


CALLS: dict[str, Callable[[HubClient, Path], object]] = {
    "whoami": lambda client, _: check_permission(client, may_propose=False),
    "head": lambda client, _: client.head("main"),
    "state": lambda client, _: read_state(client, Destination(), "xhk"),
    "listing": lambda client, _: client.list_files(SHA),
    "read": lambda client, _: client.read("README.md", SHA),
    "create": lambda client, _: client.call("creating", client.api.create_repo, REPO, repo_type="dataset"),
    "commit": lambda client, _: client.commit("m", {"a.txt": b"a"}, revision="main", parent=SHA),
    "upload": lambda client, folder: client.commit("m", {"data/a.txt": folder / "a.txt"}, revision="main", parent=SHA),
    "part": lambda client, _: client.call("reading", lambda: read_part(client)),
}


def silent(server: BadServer) -> Answer:
    return lambda handler: (server.over.wait(), None)[1]


def trickle(server: BadServer) -> Answer:
    """A byte of the body at a time, each before the silence is one."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in {"ETag": f'"{SHA}"', "X-Repo-Commit": SHA, "Content-Length": "100000"}.items():
            handler.send_header(name, value)
        handler.end_headers()
        while handler.command != "HEAD" and not server.over.wait(0.1):
            handler.wfile.write(b" ")

    return answer


def trickled_head(server: BadServer) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not server.over.wait(0.1):
            handler.wfile.write(b"x")

    return answer


@pytest.mark.parametrize("answer", [silent, trickle, trickled_head], ids=lambda answer: answer.__name__)
@pytest.mark.parametrize("call", CALLS)
def test_every_call_ends(
    call: str, answer: Callable[[BadServer], Answer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer is trickled_head and call != "head":
        pytest.skip("the same for all, and it takes the whole of a call's time")
    (tmp_path / "a.txt").write_bytes(b"a")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    started = time.monotonic()
    with bad_server(answer) as server, pytest.raises(HubError) as raised:
        CALLS[call](client_of(server.url, said), tmp_path)
    assert time.monotonic() - started < ENOUGH_S
    assert re.search("found none", str(raised.value)), raised.value
    assert "network" in raised.value.hint
    assert [line for line in said if "still waiting, for 0 s now" in line]


def endless_pages(server: BadServer) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        page = [{"type": "file", "path": f"{len(server.requests)}.txt", "oid": SHA, "size": 1}]
        link = f'<{server.url}{handler.path}>; rel="next"'
        say(handler, json.dumps(page).encode(), Link=link)

    return answer


def endless_body(server: BadServer) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        headers = {"ETag": f'"{SHA}"', "X-Repo-Commit": SHA, "Content-Length": str(2**20)}
        for name, value in headers.items():
            if name != "Content-Length" or handler.command == "HEAD":
                handler.send_header(name, value)
        handler.end_headers()
        while handler.command != "HEAD" and not server.over.is_set():
            handler.wfile.write(b"[" + b" " * 2**16)

    return answer


def whole_file(server: BadServer) -> Answer:
    """Ranges are not its thing."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        info = {"id": REPO, "sha": SHA, "private": False, "disabled": False, "gated": False, "tags": []}
        numbers = {"downloads": 0, "likes": 0, "siblings": []}
        listed = [{"type": "file", "path": "data/part-000.parquet", "oid": SHA, "size": 10}]
        api: object = listed if "/tree/" in handler.path else {**info, **numbers}
        say(handler, json.dumps(api).encode() if "/api/" in handler.path else b"0123456789")

    return answer


def bomb(server: BadServer) -> Answer:
    body = gzip.compress(b"[" + b" " * 2**22)
    return lambda handler: say(handler, body, Content_Encoding="gzip")


@pytest.mark.parametrize(("answer", "call", "found"), [
    (endless_pages, "listing", "expected at most 50 pages, found more"),
    (endless_body, "listing", "expected at most 1,048,576 bytes, found more"),
    (endless_body, "whoami", "expected at most 1,048,576 bytes, found more"),
    (endless_body, "read", "expected at most 10,485,760 bytes, found more"),
    (whole_file, "part", "expected bytes 0 to 3, found the whole file"),
    (bomb, "listing", "expected at most 1,048,576 bytes, found more"),
])  # fmt: skip
def test_what_has_no_end(
    answer: Callable[[BadServer], Answer], call: str, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(bounds, "CALL_S", ENOUGH_S)  # not time ends it
    monkeypatch.setattr(bounds, "SILENCE_S", ENOUGH_S)
    with bad_server(answer) as server, pytest.raises(HubError) as raised:
        CALLS[call](client_of(server.url, []), tmp_path)
    assert found in str(raised.value)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 11 * 2**20


def test_the_client_of_others_is_as_it_was(tmp_path: Path) -> None:
    """A program's own requests wait as long as before, and a factory that it sets is kept."""
    marker = {"x-mine": "1"}

    def factory() -> Any:
        made = bounds_free()
        made.headers.update(marker)
        return made

    bounds_free = type(get_session())
    with LocalHub(tmp_path / "hub") as hub:
        client = client_of(hub.url, [])
        client.api.create_repo(REPO, repo_type="dataset")
        client.head("main")
        hub.inject(Fault(r"/api/", kind="slow", delay_s=0.9))
        assert client.api.repo_info(REPO, repo_type="dataset").sha, "longer than our silence, and not our call"
        huggingface_hub.set_client_factory(factory)
        hub.inject(Fault(r"/api/", kind="slow", delay_s=0.9, times=2))
        with pytest.raises(HubError, match="found none"):
            client_of(hub.url, []).head("main")
        assert get_session().headers["x-mine"] == "1"


def test_a_pause_is_no_silence(tmp_path: Path) -> None:
    """A Hub that asks to wait is waited for, longer than a call may take, and the other calls are not told of it."""
    said: list[str] = []
    with LocalHub(tmp_path / "hub") as hub:
        client = client_of(hub.url, said, (0.01, 0.01))
        client.api.create_repo(REPO, repo_type="dataset")
        hub.inject(Fault(r"/tree/", kind="status", status=429, retry_after=3))
        client.call("outer", lambda: (client.list_files("main"), client.list_files("main")))
    assert [line for line in said if "trying again in 3 s" in line]
    assert not [line for line in said if line.startswith("outer")]


def test_a_fork_has_no_calls_of_its_parent() -> None:
    with bounds.bounded("waiting", "http://127.0.0.1", lambda text: None):
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(len(bounds._active)))
        thread.start()
        thread.join()
        assert seen == [1]
        bounds._begin_in_fork()
        assert bounds._active == []
