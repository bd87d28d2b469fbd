"""Files whose bytes go to the Hub before the commit that names them: by whom and when does not matter to that commit.

The Hub keeps content by its sha256. What was sent is committed by size and sha256 alone, later, by anybody: the file
need not be there any more. So bytes flow while builds are made, and few commits name many of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class Sent(NamedTuple):
    """A file that the Hub has, under no name yet."""

    size_bytes: int
    sha256: str


def send(api: HfApi, repo_id: str, kind: str, files: Mapping[str, Path], revision: str) -> dict[str, Sent | Path]:
    """Send the bytes of some files; nothing becomes visible. What the Hub has already is not sent again.

    Args:
        files: local files by the paths that they will get.
        revision: branch or pull request of the commit to come.

    Returns:
        What a commit has to say of each: mostly that it was sent; the file itself where the Hub keeps such ones in git.
    """
    from huggingface_hub import CommitOperationAdd

    operations: list[Any] = [CommitOperationAdd(path, file) for path, file in files.items()]
    api.preupload_lfs_files(repo_id, operations, repo_type=kind, revision=revision)
    return {
        one.path_in_repo: Sent(one.upload_info.size, one.upload_info.sha256.hex())
        if one._is_uploaded
        else files[one.path_in_repo]
        for one in operations
    }


def operations(additions: Mapping[str, bytes | Path | Sent], deletions: Sequence[str]) -> list[Any]:
    """What a commit adds, in this order, and deletes: a path that ends with a slash is a folder."""
    from huggingface_hub import CommitOperationDelete

    added = [addition(path, content) for path, content in additions.items()]
    return [*added, *(CommitOperationDelete(path, is_folder=path.endswith("/")) for path in deletions)]


def addition(path: str, content: bytes | Path | Sent) -> Any:
    """The operation of a commit that adds a file: its content, a local file, or what was sent before."""
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.lfs import UploadInfo

    if not isinstance(content, Sent):
        return CommitOperationAdd(path, content)
    # As `preupload_lfs_files` leaves it in the process that sent the file: a test compares the two.
    operation: Any = CommitOperationAdd(path, b"")
    operation.upload_info = UploadInfo(size=content.size_bytes, sample=b"", sha256=bytes.fromhex(content.sha256))
    operation._upload_mode, operation._should_ignore, operation._is_uploaded = "lfs", False, True
    return operation
