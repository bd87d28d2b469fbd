"""The local Hub refuses what the real one refuses, as the real client library understands it."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import parse_ratelimit_headers
from local_hub import DEFAULT_TOKEN, QUOTAS, Limits, LocalHub, Quota

REPO = "xhk/limits"


def api(hub: LocalHub, token: str | bool = DEFAULT_TOKEN) -> HfApi:
    return HfApi(endpoint=hub.url, token=token)


def add(*paths: str) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(path, path.encode()) for path in paths]


def test_a_window_is_counted_by_client_and_resource_and_opens_again(tmp_path: Path) -> None:
    limits = Limits(quotas={**QUOTAS, "free": Quota(5, 1000), "anonymous": Quota(1, 1)}, window_s=300.0)
    with LocalHub(tmp_path / "hub", limits=limits) as hub:
        me, nobody = api(hub), api(hub, False)
        me.create_repo(REPO, repo_type="dataset")
        for _ in range(4):
            me.repo_info(REPO, repo_type="dataset")
        nobody.repo_info(REPO, repo_type="dataset")
        for client in (me, nobody):
            with pytest.raises(HfHubHTTPError, match="you have reached your 'api' rate limit") as raised:
                client.repo_info(REPO, repo_type="dataset")
            found = parse_ratelimit_headers(raised.value.response.headers)
            assert found
            assert (found.remaining, found.window_seconds) == (0, 300)
            assert 1 <= found.reset_in_seconds <= 300
        assert hub.count_requests() == {"api": 8, "refused": 2}
        limits.window_s = 0.0
        me.repo_info(REPO, repo_type="dataset")
        limits.window_s = 300.0
        limits.forget()
        nobody.repo_info(REPO, repo_type="dataset")


def test_commits_of_an_hour_and_files(tmp_path: Path) -> None:
    limits = Limits(commits_per_hour=2, files_per_commit=3, files_per_folder=4, files_per_repository=7)
    with LocalHub(tmp_path / "hub", limits=limits) as hub:
        me = api(hub)
        me.create_repo(REPO, repo_type="dataset")

        def commit(*paths: str) -> None:
            me.create_commit(REPO, add(*paths), commit_message="more", repo_type="dataset")

        with pytest.raises(HfHubHTTPError, match="413"):
            commit("a", "b", "c", "d")
        commit("x/a", "x/b", "x/c")
        commit("x/y/a", "x/y/b")
        before = hub.files(REPO)
        with pytest.raises(HfHubHTTPError, match="429"):
            commit("z")
        limits.commits_per_hour = 10
        for paths in (("x/d",), ("z/a", "z/b")):  # a fifth entry in x/, an eighth file
            with pytest.raises(HfHubHTTPError, match="413"):
                commit(*paths)
        assert hub.files(REPO) == before
        commit("z")
        assert limits.refused == {"files per commit": 1, "commits": 1, "files": 2}
