"""What lies in a repository, told by git's ids of its folders: as a listing tells it, and with fewer requests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from archives import tar_bytes, tiny_members
from conftest import Run
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from local_hub import DEFAULT_TOKEN, LocalHub

from asam_datasets.builds import Build
from asam_datasets.published import FileInfo, HubClient, PublishedRepository, _trees, visible_builds
from asam_datasets.published._answers import blob_id

REPO = "xhk/trees"


def git_id(folder: Path, files: Mapping[str, bytes], of: str) -> str:
    """What git itself says of a folder."""

    def git(*command: str) -> str:
        done = subprocess.run(["git", "-C", str(folder), *command], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    git("-c", "core.autocrlf=false", "add", "--all")
    return git("rev-parse", f"{git('write-tree')}:{of}")


def test_the_id_of_a_folder_is_that_of_git(tmp_path: Path) -> None:
    names = ["a", "a-b/c", "a.b", "ab/c/d", "ab/c.json", "ab/c0", "b/part-000.parquet", "é/x"]  # git's order is odd
    files = {f"data/train/x/{name}": name.encode() * 3 for name in names}
    infos = {path: FileInfo(len(content), None, blob_id(content)) for path, content in files.items()}
    expected = git_id(tmp_path, {**files, "README.md": b"x"}, "data/train/x")
    assert _trees.folder_id(infos, "data/train/x") == expected


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, publish: Run) -> Iterator[LocalHub]:
    """Two runs, one of two archives."""
    folder = tmp_path_factory.mktemp("trees")
    archives = [folder / f"sa_{number:06}.tar" for number in range(3)]
    for number, path in enumerate(archives):
        path.write_bytes(tar_bytes(tiny_members(1, number + 1)))
    with LocalHub(folder / "hub") as hub:
        env = hub.environment(folder / "home")
        for some in (archives[:2], archives[2:]):
            done = publish("--train", *some, "--repo-id", REPO, "--yes", env=env)
            assert done.code == 0, done.err
        yield hub


def test_a_large_file_is_known_by_its_pointer(published: LocalHub, tmp_path: Path) -> None:
    client, head, builds = read(published)
    listed = client.list_files(head)
    folder = builds[0].path
    texts = {}
    for path, info in listed.items():
        content = published.read_bytes(REPO, path)
        if info.sha256 is not None:
            digest = sha256(content).hexdigest()
            content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n".encode()
        texts[path] = content
    assert client.list_folder(folder.rpartition("/")[0], head)[1][folder] == git_id(tmp_path, texts, folder)


def test_what_the_index_says_is_not_listed(published: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trees, "MANY_FILES", 0)
    monkeypatch.setattr(_trees, "_PAGE", 1)  # as if each file were a page of the whole listing
    client, head, builds = read(published)
    published.clear_log()
    found = _trees.list_files(client, head, builds)
    asked = [str(line).split("?")[0].rpartition(head)[2] for line in published.log]
    assert asked == ["", "/data", "/data/train", "/assets"]
    assert found == client.list_files(head)


def test_what_is_not_so_is_listed(published: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trees, "MANY_FILES", 0)
    monkeypatch.setattr(_trees, "_PAGE", 1)  # as if each file were a page of the whole listing
    _, _, builds = read(published)
    first = f"{builds[0].path}/part-000.parquet"
    changes = [
        CommitOperationAdd(f"{builds[0].path}/another.txt", b"more"),
        CommitOperationAdd(first, b"other bytes"),
        CommitOperationDelete(f"{builds[0].path}/build.json"),
        CommitOperationAdd("organized/list.txt", b"text"),
        CommitOperationDelete(f"{builds[1].path}/", is_folder=True),
    ]
    api = HfApi(endpoint=published.url, token=DEFAULT_TOKEN)
    for change in changes:
        api.create_commit(REPO, [change], commit_message="by hand", repo_type="dataset")
        client, head = read(published)[:2]
        listed = client.list_files(head)
        published.clear_log()
        assert _trees.list_files(client, head, builds) == listed
        asked = [str(line).split("recursive=")[0].rpartition(head)[2] for line in published.log]
        assert "?" not in asked[1:]  # not the whole tree
        assert all(builds[2].path.split("/")[2] not in path for path in asked)


def read(hub: LocalHub) -> tuple[HubClient, str, list[Build]]:
    """A client, the head, and what README shows of the first head."""
    client = HubClient(REPO, api=HfApi(endpoint=hub.url, token=DEFAULT_TOKEN))
    head = client.head("main")
    visible = visible_builds(PublishedRepository(client, head))
    assert visible is not None
    return client, head, list(visible.builds)


def test_very_many_folders_cost_no_more_than_a_plain_listing(
    published: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's folders beside the tables and the builds: a request for each would be thousands."""
    monkeypatch.setattr(_trees, "MANY_FILES", 0)
    monkeypatch.setattr(_trees, "_PAGE", 1)  # as if each file were a page of the whole listing
    api = HfApi(endpoint=published.url, token=DEFAULT_TOKEN)
    for place in ("data/{}/x.txt", "data/train/{}/x.txt"):
        some = [CommitOperationAdd(place.format(f"k{number}"), b"x") for number in range(30)]
        commit = api.create_commit(REPO, some, commit_message="by hand", repo_type="dataset")
        client, _, builds = read(published)
        published.clear_log()
        found = _trees.list_files(client, commit.oid, builds)
        assert len(published.log) <= 2 * sum(len(one.parts) + 1 for one in builds)
        assert found == client.list_files(commit.oid)
