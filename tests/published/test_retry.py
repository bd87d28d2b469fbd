"""One policy for trying again: which failures pass, how long it waits, and what of it can be set."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import hf_xet
import pyarrow as pa
import pytest
from huggingface_hub import HfApi
from local_hub import Fault, LocalHub

from asam_datasets.errors import HubError, TargetError
from asam_datasets.published import HubClient, open_dataset
from asam_datasets.published._retry import is_network, may_pass, retry_after_s
from asam_datasets.retry import WAITS_S, WAITS_VARIABLE, RetryPolicy

REPO = "xhk/ASAM-Datasets"
CAS = "ReqwestMiddleware Error: error sending request for url (http://127.0.0.1:1/xorbs/default/6c3c)"
PASSING = [  # as hf_xet 1.1.10, 1.4.3 and 1.8.0 said it to a server that was not there
    RuntimeError(f"Data processing error: CAS service error : {CAS}"),
    RuntimeError("Data processing error: Client error: Request middleware error: error sending request for url (x)"),
    RuntimeError("Data processing error: File reconstruction error: CAS Client Error: Request error: x"),
    RuntimeError("Task error: Network error: Request middleware error: error sending request for url (x)"),
    RuntimeError("Previous task error: Rate limited: Request error: HTTP status client error (429 Too Many Requests)"),
    ConnectionError("Network error: Request middleware error: error sending request for url (x)"),
    TimeoutError("Timeout: Request error: operation timed out"),
]
STAYING = [
    RuntimeError("cannot cast string to int64"),
    RuntimeError("Caspian network of xet"),
    RuntimeError("Data processing error: I/O error: No such file or directory (os error 2)"),
    RuntimeError("Data integrity error: hash mismatch in CAS object"),
    RuntimeError("Task error: I/O error: CAS cache on a full disk"),
    NotImplementedError("Data processing error: CAS service error : x"),
    pa.ArrowInvalid("Could not cast to network type"),
    OSError("I/O error: I/O error: No such file or directory (os error 2)"),
    HubError("expected an answer of the Hub, found none (ConnectionError)"),
    TargetError("Data processing error: CAS service error : x"),
]


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_what_may_pass(error: Exception) -> None:
    assert is_network(error)
    assert may_pass(error)


@pytest.mark.parametrize("error", STAYING, ids=str)
def test_what_does_not(error: Exception) -> None:
    assert not may_pass(error)


def test_arrows_cast_is_not_the_network() -> None:
    """As it really is raised; tried once and told as it is."""
    lines: list[str] = []
    client = HubClient(REPO, lines.append, waits_s=(0.0, 0.0))
    with pytest.raises(pa.ArrowException, match="cast"):
        client.call("casting", pa.array([None, "a"]).cast, pa.list_(pa.int32()))
    assert lines == []


@pytest.mark.filterwarnings("ignore:hf_xet.upload_bytes:DeprecationWarning")
def test_xet_without_its_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library: a server that is not there passes, a file that is not there does not."""
    monkeypatch.setenv("HF_XET_CLIENT_RETRY_MAX_ATTEMPTS", "1")
    with socket.socket() as closed:  # bound and not listening: whoever connects is refused
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        token = ("token", int(time.time()) + 3600)
        with pytest.raises((RuntimeError, ConnectionError)) as away:
            hf_xet.upload_bytes([os.urandom(2000)], dead, token, None, None, "dataset")
        with pytest.raises(Exception, match="refused") as unreached:  # whichever library it is that speaks HTTP
            HfApi(endpoint=dead, token="hf_test").whoami()
    assert may_pass(away.value), away.value
    assert may_pass(unreached.value), unreached.value
    with (
        contextlib.suppress(AttributeError),  # before 1.5 there were no sessions
        pytest.raises((RuntimeError, OSError)) as gone,
        hf_xet.XetSession().new_upload_commit(endpoint="local:///nowhere") as commit,
    ):
        commit.start_upload_file("/nowhere/at/all", sha256=hf_xet.COMPUTE_SHA256)
    assert not may_pass(gone.value), gone.value


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub") as hub:
        yield hub
        assert hub.errors == []


def test_api_and_pauses_are_arguments(hub: LocalHub) -> None:
    api = HfApi(endpoint=hub.url, token="hf_test")
    api.create_repo(REPO, repo_type="dataset")
    lines: list[str] = []
    client = HubClient(REPO, lines.append, api=api, waits_s=(0.25, 0.01, 0.01))
    assert client.url == f"{hub.url}/datasets/{REPO}"
    hub.inject(Fault(f"/api/datasets/{REPO}", kind="status", status=503, times=2))
    started = time.monotonic()
    assert client.head("main") == hub.commits(REPO)[0].sha
    assert 0.25 <= time.monotonic() - started < 5
    assert lines == [
        "reading the repository: the Hub answered 503; trying again in 0.25 s (1 of 2)",
        "reading the repository: the Hub answered 503; trying again in 0.01 s (2 of 2)",
    ]
    lines.clear()
    hub.inject(Fault(f"/api/datasets/{REPO}", kind="status", status=503, times=99))
    with pytest.raises(HubError, match="503"):
        client.head("main")
    assert [line[-8:] for line in lines] == ["(1 of 3)", "(2 of 3)", "(3 of 3)"], "it had answered once"


def test_pauses_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WAITS_VARIABLE, raising=False)
    assert tuple(RetryPolicy.from_environment().waits_s) == WAITS_S
    monkeypatch.setenv(WAITS_VARIABLE, "")
    assert tuple(RetryPolicy.from_environment().waits_s) == WAITS_S
    monkeypatch.setenv(WAITS_VARIABLE, " 0.5, 3")
    assert tuple(HubClient(REPO).retry.waits_s) == (0.5, 3.0)
    assert tuple(HubClient(REPO, waits_s=()).retry.waits_s) == ()


@pytest.mark.parametrize("text", ["1,x", "1;2", "nan", "-1", "1,inf", ","])
def test_pauses_that_are_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WAITS_VARIABLE, text)
    for attempt in (RetryPolicy.from_environment, lambda: HubClient(REPO), lambda: open_dataset(REPO)):
        with pytest.raises(TargetError) as raised:
            attempt()
        assert str(raised.value) == (
            f"{WAITS_VARIABLE}: expected seconds with commas between, such as 1,2,4, found {text!r}"
        )
        assert "environment variable" in raised.value.hint
    assert HubClient(REPO, waits_s=(1.0,)).retry.waits_s == (1.0,)


def test_the_policy_ends() -> None:
    lines: list[str] = []
    policy = RetryPolicy((0.0, 0.0, 0.0), lines.append).first(2)
    assert [policy.pause("looking", "nothing there", attempt) for attempt in range(3)] == [True, True, False]
    assert lines == [
        "looking: nothing there; trying again in 0 s (1 of 2)",
        "looking: nothing there; trying again in 0 s (2 of 2)",
    ]
    started = time.monotonic()
    assert policy.pause("looking", "too many", 0, at_least_s=0.2)
    assert time.monotonic() - started >= 0.2


@pytest.mark.skipif(not hasattr(hf_xet, "XetAuthenticationError"), reason="since 1.5")
def test_a_token_that_xet_refuses_is_said_so() -> None:
    told = HubClient(REPO).explain(hf_xet.XetAuthenticationError("Authentication error: secret"))
    assert isinstance(told, HubError)
    assert "token" in str(told)
    assert "secret" not in str(told)


@pytest.mark.parametrize(("headers", "path", "status", "wait_s"), [
    ({"RateLimit": '"api";r=0;t=170'}, "/api/datasets/a/b", 429, 171),
    ({"RateLimit": '"fixed window";"resolvers"; r=0; t=55'}, "/datasets/a/b/resolve/main/x", 429, 56),
    ({"RateLimit": '"api";r=0;t=300'}, "/api/datasets/a/b", 429, 301),
    ({"RateLimit": '"api";r=0;t=999999'}, "/api/datasets/a/b", 429, 301),
    ({"RateLimit": '"api";r=12;t=170'}, "/api/datasets/a/b", 429, 0),
    ({"RateLimit": '"api";r=0;t=170'}, "/api/datasets/a/b", 503, 0),
    ({"RateLimit": "hello", "Retry-After": "7"}, "/api/datasets/a/b", 429, 7),
    ({"Retry-After": "99999999999"}, "/api/datasets/a/b", 429, 301),
    ({"Retry-After": "1800"}, "/api/datasets/a/b/commit/main", 429, 1800),
    ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, "/api/datasets/a/b/commit/main", 429, 600),
    ({"RateLimit": '"api";r=0;t=170'}, "/api/datasets/a/b/commit/main", 429, 171),
    ({}, "/api/datasets/a/b/commit/main", 429, 600),
    ({}, "/api/datasets/a/b/commit/main", 503, 0),
    ({}, "/api/datasets/a/b", 429, 0),
])  # fmt: skip
def test_how_long_the_hub_asks_to_wait(headers: dict[str, str], path: str, status: int, wait_s: float) -> None:
    """A window to its end; the quota of commits, of which nothing is said, ten minutes at a time."""
    error = Exception()
    request = SimpleNamespace(url=f"https://huggingface.co{path}")
    error.response = SimpleNamespace(status_code=status, headers=headers, request=request)  # type: ignore[attr-defined]
    assert retry_after_s(error, 600.0) == wait_s


def test_a_window_is_waited_out_and_told(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    api = HfApi(endpoint=hub.url, token="hf_test")
    api.create_repo(REPO, repo_type="dataset")
    lines: list[str] = []
    slept: list[float] = []
    monkeypatch.setattr("asam_datasets.retry.time.sleep", slept.append)
    client = HubClient(REPO, lines.append, api=api)
    hub.inject(Fault(r"/tree/", kind="status", status=429, rate_limit=170, times=2))
    assert client.list_files("main")
    assert slept == [171, 171]
    assert lines[0].startswith("listing the files: the Hub answered 429; trying again in 171 s, at ")
    assert lines[0].endswith(" UTC (1 of 6)"), "its first word, and no reason to give up early"
    hub.inject(Fault(r"/commit/", kind="status", status=429))
    client.commit("m", {"a.txt": b"a"}, revision="main", parent=client.head("main"))
    assert slept[2:] == [600]
    monkeypatch.setenv(WAITS_VARIABLE, "0.1,0.3,0.2")
    assert RetryPolicy.from_environment().quota_s == 0.3
