"""A Hub that takes the connection and never says a word."""

from __future__ import annotations

import socket

import pytest
from huggingface_hub import HfApi

from asam_datasets.errors import HubError
from asam_datasets.published import HubClient
from asam_datasets.published import _client as client_module


def test_reading_the_head_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SILENCE_S", 0.5)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        api = HfApi(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", token="x")
        client = HubClient("a/b", said.append, api=api, waits_s=(0.01,))
        with pytest.raises(HubError, match="found none"):
            client.head("main")
    assert len(said) == 1
    assert "no answer" in said[0]
