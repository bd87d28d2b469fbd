"""The token goes to the Hub and nowhere else: not to the next page, not by redirects, nor where uploads are told."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from bad_servers import Answer, BadServer, bad_server, say
from huggingface_hub import HfApi

from asam_datasets.errors import HubError
from asam_datasets.published import HubClient, check_permission

SECRET = "hf_SecretSecretSecretSecretSecret"
REPO = "xhk/ASAM-Datasets"
SHA = "0123456789" * 4


def client_of(hub: BadServer) -> HubClient:
    return HubClient(REPO, api=HfApi(endpoint=hub.url, token=SECRET), waits_s=())


def tokens_of(server: BadServer) -> set[str]:
    return {headers["authorization"] for _, _, headers in server.requests if "authorization" in headers}


def listing(path: str) -> bytes:
    return json.dumps([{"type": "file", "path": path, "oid": SHA, "size": 1}]).encode()


def page_elsewhere(elsewhere: BadServer) -> Callable[[BadServer], Answer]:
    link = f'<{elsewhere.url}/next>; rel="next"'
    return lambda hub: lambda handler: say(handler, listing("a.txt"), Link=link)


def redirect_elsewhere(elsewhere: BadServer) -> Callable[[BadServer], Answer]:
    return lambda hub: lambda handler: say(handler, b"", 307, Location=f"{elsewhere.url}/next")


@pytest.mark.parametrize("hub_of", [page_elsewhere, redirect_elsewhere])
def test_a_listing_that_goes_on_elsewhere(hub_of: Callable[[BadServer], Callable[[BadServer], Answer]]) -> None:
    with bad_server(lambda server: lambda handler: say(handler, listing("b.txt"))) as elsewhere:
        with bad_server(hub_of(elsewhere)) as hub:
            assert "b.txt" in client_of(hub).list_files("main")
        assert tokens_of(hub) == {f"Bearer {SECRET}"}
        assert len(elsewhere.requests) == 1
        assert tokens_of(elsewhere) == set()


@pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
def test_an_upload_that_is_confirmed_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client library uploads in threads of its own, and sends the token along when it says that it is done."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    files = [f"{number}.parquet" for number in range(2)]
    for name in files:
        (tmp_path / name).write_bytes(name.encode())

    def answer(elsewhere: BadServer) -> Callable[[BadServer], Answer]:
        def of(hub: BadServer) -> Answer:
            def answer(handler: BaseHTTPRequestHandler) -> None:
                if "/preupload/" in handler.path:
                    modes = [{"path": f"data/{n}", "uploadMode": "lfs", "shouldIgnore": False} for n in files]
                    say(handler, json.dumps({"files": modes}).encode())
                elif handler.path.endswith("/objects/batch"):
                    say(handler, json.dumps({"transfer": "basic", "objects": objects}).encode())
                else:
                    say(
                        handler,
                        json.dumps({"commitOid": SHA, "commitUrl": f"{hub.url}/datasets/{REPO}/commit/{SHA}"}).encode(),
                    )

            return answer

        objects = [
            {
                "oid": sha256(name.encode()).hexdigest(),
                "size": len(name),
                "actions": {action: {"href": f"{elsewhere.url}/{action}"} for action in ("upload", "verify")},
            }
            for name in files
        ]
        return of

    with (
        bad_server(lambda server: lambda handler: say(handler, b"{}")) as elsewhere,
        bad_server(answer(elsewhere)) as hub,
    ):
        client_of(hub).upload(tmp_path, files, path_in_repo="data", message="m", revision="main")
    assert [path for _, path, _ in elsewhere.requests if path == "/verify"] == ["/verify"] * 2
    assert tokens_of(hub) == {f"Bearer {SECRET}"}
    assert tokens_of(elsewhere) == set()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500])
def test_a_hub_that_repeats_the_token(status: int) -> None:
    def echo(handler: BaseHTTPRequestHandler) -> None:
        said = f"no access for {handler.headers['Authorization']}"
        say(handler, json.dumps({"error": said}).encode(), status, X_Error_Message=said)

    with bad_server(lambda hub: echo) as hub, pytest.raises(HubError) as raised:
        check_permission(client_of(hub), may_propose=False)
    assert SECRET not in str(raised.value) + raised.value.hint


def test_an_answer_that_repeats_the_token() -> None:
    body = json.dumps({"id": REPO, "sha": SECRET, "private": True, "gated": False, "disabled": False, "downloads": 0})
    body = body[:-1] + ', "likes": 0, "tags": [], "siblings": []}'
    told = pytest.raises(HubError, match="expected a commit from the Hub")
    with bad_server(lambda hub: lambda handler: say(handler, body.encode())) as hub, told as raised:
        client_of(hub).head("main")
    assert SECRET not in str(raised.value)
