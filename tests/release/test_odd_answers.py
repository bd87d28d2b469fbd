"""Answers of another shape than the Hub's, on every route that is asked: one sentence of ours, and no traceback."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from local_hub import Fault, LocalHub

from asam_datasets.errors import AsamDatasetsError
from asam_datasets.published import HubClient, PublishedRepository, check_permission, visible_builds
from asam_datasets.release import Access, Destination
from asam_datasets.release._history import past_holdings
from asam_datasets.release._pull_request import PULL_REQUEST, find_pull_request, start_pull_request, submit_pull_request
from asam_datasets.release._remote_state import read_state
from asam_datasets.release._settings import read_access, set_access
from asam_datasets.release._tag import find_tag, make_tag

# The client library's own.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

REPO = "xhk/ASAM-Datasets"
SHA = "0123456789" * 4
PORTAL = b"<!DOCTYPE html><html><head><title>Hotel WiFi</title></head><body>Please log in</body></html>"
NUMBERS = itertools.count()
DEEP = b"[" * 100_000 + b"]" * 100_000
SHAPES = {
    "html": PORTAL,
    "nothing": b"",
    "cut": b'{"name": "xh',
    "no utf-8": b'"\xff\xfe"',
    "null": b"null",
    "true": b"true",
    "number": b"1e999",
    "text": b'"hello"',
    "empty list": b"[]",
    "list of null": b"[null]",
    "list of lists": b"[[1]]",
    "list of empty": b"[{}]",
    "empty object": b"{}",
    "object of null": json.dumps(
        dict.fromkeys(("name", "orgs", "auth", "sha", "files", "branches", "tags", "commitOid", "objects", "num"))
    ).encode(),
    "object of objects": json.dumps(
        {name: {"a": 1} for name in ("name", "orgs", "auth", "sha", "files", "branches", "commitOid", "objects", "num")}
    ).encode(),
    "deep": DEEP,
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHub]:
    with LocalHub(tmp_path_factory.mktemp("hub"), xet=False) as hub, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        api = HfApi(endpoint=hub.url, token="hf_test")
        api.create_repo(REPO, repo_type="dataset")
        api.upload_file(path_or_fileobj=b"\0" * 100, path_in_repo="data/a.parquet", repo_id=REPO, repo_type="dataset")
        api.create_pull_request(REPO, PULL_REQUEST, repo_type="dataset")
        yield hub
        assert hub.errors == []


@pytest.fixture
def client(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubClient]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    yield HubClient(REPO, api=HfApi(endpoint=hub.url, token="hf_test"), waits_s=(0.0,))
    hub.clear_faults()


def upload(client: HubClient, folder: Path) -> None:
    (folder / "b.parquet").write_bytes(b"\0" + folder.name.encode())
    client.commit("m", {"data/b.parquet": folder / "b.parquet"}, revision="main", parent=client.head("main"))


def read_part(client: HubClient) -> object:
    published = PublishedRepository(client, client.head("main"))
    return client.call("reading", lambda: published.open("data/a.parquet", 100).read(4))


def new_request(client: HubClient) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asam_datasets.release._pull_request.find_pull_request", lambda client, author: None)
        return start_pull_request(client, "xhk")


def commit(client: HubClient, _: Path) -> object:
    files = {"README.md": b"---\na: %d\n---\n" % next(NUMBERS)}
    return client.commit("m", files, revision="main", parent=client.head("main"))


Call = Callable[[HubClient, Path], object]
# Where answers come from: the route, what asks it, and whether nothing in its answer matters.
ROUTES: dict[str, tuple[str, str, Call, bool]] = {
    "account": ("GET", "/whoami-v2$", lambda client, _: check_permission(client, may_propose=False), False),
    "head": ("GET", "/api/datasets/[^/]+/[^/]+(/revision/main)?$", lambda client, _: client.head("main"), False),
    "access": ("GET", "/api/datasets/[^/]+/[^/]+$", lambda client, _: read_access(client), False),
    "state": ("GET", "/tree/", lambda client, _: read_state(client, Destination(), "xhk"), False),
    "listing": ("GET", "/tree/", lambda client, _: client.list_files("main"), False),
    "read": ("GET", "/resolve/", lambda client, _: client.read(".gitattributes", "main"), True),
    "read head": ("HEAD", "/resolve/", lambda client, _: client.read(".gitattributes", "main"), False),
    "references": ("GET", "/refs$", lambda client, _: find_tag(client, "v1", SHA), False),
    "history": ("GET", "/commits/", lambda client, _: past_holdings(client), False),
    "requests": ("GET", "/discussions$", lambda client, _: find_pull_request(client, "xhk"), False),
    "new request": ("POST", "/discussions$", lambda client, _: new_request(client), False),
    "request": ("GET", "/discussions/1$", lambda client, _: submit_pull_request(client, "refs/pr/1"), False),
    "status": ("POST", "/discussions/1/status$", lambda client, _: submit_pull_request(client, "refs/pr/1"), True),
    "create": (
        "POST", "/repos/create$", lambda client, _: client.call("making", client.api.create_repo, REPO), True,
    ),
    "settings": ("PUT", "/settings$", lambda client, _: set_access(client, Access(False), Access(True)), True),
    "branch": (
        "POST", "/branch/",
        lambda client, _: client.call("b", client.api.create_branch, REPO, branch="b", repo_type="dataset"), True,
    ),
    "tag": ("POST", "/tag/", lambda client, _: make_tag(client, "v1", "main"), True),
    "preupload": ("POST", "/preupload/", upload, False),
    "lfs batch": ("POST", "/objects/batch$", upload, False),
    "lfs object": ("PUT", "^/lfs/", upload, True),
    "card check": ("POST", "/validate-yaml$", commit, True),
    "commit": ("POST", "/commit/", commit, False),
    "part": ("GET", "/(revision|tree)/", lambda client, _: read_part(client), False),
}  # fmt: skip


def outcome(call: Call, client: HubClient, folder: Path) -> AsamDatasetsError | None:
    """How it ended: well, or with an error of ours; any other goes through."""
    error = None
    try:
        call(client, folder)
    except AsamDatasetsError as raised:
        error = raised
    if error is not None:
        text = str(error)
        assert "\n" not in text
        assert len(text) < 400, text
        assert "hf_test" not in text + error.hint
        assert error.hint
    return error


@pytest.mark.parametrize("route", ROUTES)
def test_every_shape_of_an_answer(route: str, hub: LocalHub, client: HubClient, tmp_path: Path) -> None:
    method, path, call, indifferent = ROUTES[route]
    for shape, body in SHAPES.items():
        hub.clear_faults()
        fault = hub.inject(Fault(path, method, "status", 99, 200, body=body))
        ended = outcome(call, client, tmp_path)
        assert fault.fired, (route, shape)
        if shape == "html" and not indifferent:
            assert ended is not None, "a login page was taken for an answer"
            assert "proxy" in ended.hint or route == "read head"


LISTINGS = {
    "out": [{"path": "../../etc/passwd"}],
    "inside out": [{"path": "data/../../x"}],
    "absolute": [{"path": "/etc/passwd"}],
    "empty": [{"path": ""}],
    "double": [{"path": "a//b"}],
    "windows": [{"path": "a\\..\\b"}],
    "nul": [{"path": "a\0b"}],
    "escape": [{"path": "a\x1b[2J"}],
    "number": [{"path": 7}],
    "size": [{"path": "a", "size": -1}],
    "huge": [{"path": "a", "size": 2**70}],
    "no size": [{"path": "a", "size": None}],
    "real": [{"path": "a", "size": 1.5}],
    "id": [{"path": "a", "oid": None}],
    "sha256": [{"path": "a", "lfs": {"oid": "../x", "size": 1, "pointerSize": 1}}],
    "folder": [{"type": "directory", "path": "../x"}],
}


@pytest.mark.parametrize("listing", LISTINGS)
def test_listings_that_cannot_be(listing: str, hub: LocalHub, client: HubClient) -> None:
    entries = [{"type": "file", "oid": SHA, "size": 1, **entry} for entry in LISTINGS[listing]]
    hub.inject(Fault("/tree/", "GET", "status", 9, 200, body=json.dumps(entries).encode()))
    error = outcome(lambda client, _: client.list_files("main"), client, Path())
    assert error is not None
    assert "from the Hub, found" in str(error)


def test_a_listing_of_too_many(hub: LocalHub, client: HubClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asam_datasets.published._answers.MOST_FILES", 1000)
    entries = [{"type": "file", "oid": SHA, "size": 1, "path": f"{number}.txt"} for number in range(600)]
    for number in range(2):
        link = {"Link": f'<{hub.url}/api/datasets/{REPO}/tree/main?cursor={number}>; rel="next"'}
        hub.inject(Fault("/tree/", "GET", "status", 1, 200, body=json.dumps(entries).encode(), headers=link))
    error = outcome(lambda client, _: client.list_files("main"), client, Path())
    assert error is not None
    assert "at most 1,000 entries" in str(error)


def test_a_repository_of_which_nobody_says_whether_it_is_private(hub: LocalHub, client: HubClient) -> None:
    """Null is not public: what is checked against the rights hangs on it."""
    info = {"id": REPO, "sha": SHA, "private": None, "gated": False, "disabled": False, "downloads": 0, "likes": 0}
    body = json.dumps({**info, "tags": [], "siblings": []}).encode()
    hub.inject(Fault("/api/datasets/", "GET", "status", 9, 200, body=body))
    error = outcome(lambda client, _: read_access(client), client, Path())
    assert error is not None
    assert "private" in str(error)


@pytest.mark.parametrize("shape", SHAPES)
def test_readmes_and_manifests_of_any_shape(shape: str, hub: LocalHub, client: HubClient) -> None:
    """What is read as a file may be a page of another server, too."""
    readme = b"---\nconfigs:\n- config_name: train\n  data_files:\n  - split: train\n    path: [%s]\n---\n"
    build = b"data/train/sa_000000-0123456789abcdef"
    files = {"README.md": SHAPES[shape], f"{build.decode()}/build.json": SHAPES[shape]}
    for head in (SHAPES[shape], readme % (build + b"/*.parquet")):
        files["README.md"] = head

        class Local(PublishedRepository):
            def read(self, path: str) -> bytes | None:
                return files.get(path)

        ended = outcome(lambda client, _, kind=Local: visible_builds(kind(client, SHA, {})), client, Path())  # type: ignore[misc]
        assert ended is not None
