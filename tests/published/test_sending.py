"""Bytes first, the commit later and from elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from conftest import ROOT, run_python
from huggingface_hub import CommitOperationAdd, HfApi
from local_hub import LocalHub

from asam_datasets.published._sending import Sent, addition

REPO = "xhk/sent"
SEND = f"""
import json, sys
from pathlib import Path
from huggingface_hub import HfApi
from asam_datasets.published._sending import send
files = {{f"data/{{name}}": Path(name) for name in sys.argv[1:]}}
sent = send(HfApi(), "{REPO}", "dataset", files, "main")
print(json.dumps({{path: list(one) if isinstance(one, tuple) else str(one) for path, one in sent.items()}}))
"""
COMMIT = f"""
import json, sys
from pathlib import Path
from huggingface_hub import HfApi
from asam_datasets.published._sending import Sent, addition
sent = json.loads(sys.argv[1])
contents = {{path: Sent(*one) if isinstance(one, list) else Path(one) for path, one in sent.items()}}
operations = [addition(path, content) for path, content in contents.items()]
HfApi().create_commit("{REPO}", operations, commit_message="all of it", repo_type="dataset")
"""


@pytest.mark.parametrize("xet", [True, False])
def test_what_was_sent_is_committed_by_another_process_without_the_files(tmp_path: Path, xet: bool) -> None:
    contents = {name: name.encode() + os.urandom(50_000) for name in ("a.parquet", "b.parquet")}
    contents["c.json"] = b"{}"
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    with LocalHub(tmp_path / "hub", xet=xet) as hub:
        env = hub.environment(tmp_path / "home", xet=xet) | {"PYTHONPATH": str(ROOT)}
        made = f"from huggingface_hub import HfApi; HfApi().create_repo('{REPO}', repo_type='dataset')"
        assert run_python("-c", made, env=env, cwd=tmp_path).code == 0
        sent = run_python("-c", SEND, *contents, env=env, cwd=tmp_path)
        assert sent.code == 0, sent.err
        assert set(hub.files(REPO)) == {".gitattributes"}
        stored = hub.stored_bytes(REPO)
        assert stored >= 100_000
        for name in ("a.parquet", "b.parquet"):
            (tmp_path / name).unlink()
        done = run_python("-c", COMMIT, sent.out.strip(), env=env, cwd=tmp_path)
        assert done.code == 0, done.err
        assert {name: hub.read_bytes(REPO, f"data/{name}") for name in contents} == contents
        assert hub.stored_bytes(REPO) == stored
        assert len(hub.commits(REPO)) == 2
        assert hub.errors == []


@pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")  # of the client library
def test_the_operation_is_what_the_client_library_leaves_after_sending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of its fields are not public; here they are the same."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with LocalHub(tmp_path / "hub", xet=False) as hub:
        api = HfApi(endpoint=hub.url, token="hf_test")
        api.create_repo(REPO, repo_type="dataset")
        theirs = CommitOperationAdd("a.parquet", b"something")
        api.preupload_lfs_files(REPO, [theirs], repo_type="dataset")
    ours = addition("a.parquet", Sent(theirs.upload_info.size, theirs.upload_info.sha256.hex()))
    fields = {name for name in vars(theirs) if name != "upload_info"}
    assert vars(ours).keys() <= vars(theirs).keys()
    assert {name: getattr(ours, name) for name in fields} == {name: getattr(theirs, name) for name in fields}
    assert (ours.upload_info.size, ours.upload_info.sha256) == (theirs.upload_info.size, theirs.upload_info.sha256)
