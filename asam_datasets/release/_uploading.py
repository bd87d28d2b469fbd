"""The data, under names that no README knows yet: bytes as soon as a build is there, names in few commits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from asam_datasets.builds import BUILD_FILE, Built, encode_build
from asam_datasets.errors import HubError
from asam_datasets.published import ConflictError, HubClient, Sent, missing_parts
from asam_datasets.release._card_text import count_bytes
from asam_datasets.release._opening import CONFLICTS
from asam_datasets.release._pace import COMMIT_MOST_FILES, is_commit
from asam_datasets.release._release import Changes
from asam_datasets.release._remote_state import RemoteState, after_commit, read_again

Content = bytes | Path | Sent

_TOLD_BYTES = 10**9


@dataclass
class Pending:
    """What the Hub has the bytes of and no commit has named yet: builds, and their files by path."""

    built: list[Built] = field(default_factory=list)
    files: dict[str, Content] = field(default_factory=dict)
    size_bytes: int = 0

    @property
    def is_commit(self) -> bool:
        """Whether it is worth a commit."""
        return is_commit(self.size_bytes, len(self.files))


def send_builds(
    client: HubClient, state: RemoteState, built: Sequence[Built], pending: Pending, changes: Changes
) -> None:
    """Send the bytes of what is missing of some builds, for a commit to come.

    Args:
        built: complete builds, with the run below which they shall lie.
        pending: gets them.

    Raises:
        HubError: refused, or not reached; what arrived is not sent again. Or a part is not what its manifest says.
    """
    parts: dict[str, Path] = {}
    expected: dict[str, Sent] = {}
    for one in built:
        if one.folder is None:
            continue
        missing = set(missing_parts(one.build, state.files))
        for part in one.build.parts:
            if part.file in missing:
                path = f"{one.build.path}/{part.file}"
                parts[path] = one.folder / part.file
                expected[path] = Sent(part.size_bytes, part.sha256)
        pending.files[f"{one.build.path}/{BUILD_FILE}"] = encode_build(one.build)
        pending.built.append(one)
    if not parts:
        return
    size = sum(one.size_bytes for one in expected.values())
    if size >= _TOLD_BYTES:
        client.log(f"Sending {_names(built)}: {count_bytes(size)}")
    sent = client.send(parts, state.revision)
    for path, content in sent.items():
        if isinstance(content, Sent) and content != expected[path]:
            raise HubError(
                f"expected the part that was built ({expected[path].sha256[:12]}), found another one in its place",
                where=str(parts[path]),
                hint="Something changed it on the disk. Remove it, then run the same command again.",
            )
    pending.files.update(sent)
    pending.size_bytes += size
    changes.uploaded_files += len(parts)
    changes.uploaded_bytes += size


def commit_builds(client: HubClient, state: RemoteState, pending: Pending, changes: Changes) -> RemoteState:
    """Name what was sent, and drop the local parts that the Hub has now; `pending` is empty then.

    Raises:
        HubError: refused, or not reached; what arrived stays, and the next run goes on from there.
    """
    names = _names(pending.built)
    left = {path: content for path, content in pending.files.items() if not _is_there(state, path, content)}
    conflicts = 0
    while left:
        some = dict(islice(left.items(), COMMIT_MOST_FILES))
        try:
            commit = client.commit(f"Add the parts of {names}", some, revision=state.revision, parent=state.head)
        except ConflictError:  # nothing is sent twice
            conflicts += 1
            if conflicts == CONFLICTS:
                raise
            state = read_again(client, state)
        else:
            changes.commits += 1
            state = after_commit(client, state, commit, list(some))
            for path in some:
                del left[path]
        left = {path: content for path, content in left.items() if not _is_there(state, path, content)}
    for one in pending.built:
        if one.folder is not None and not missing_parts(one.build, state.files):
            for part in one.build.parts:
                (one.folder / part.file).unlink(missing_ok=True)
    pending.built, pending.files, pending.size_bytes = [], {}, 0
    return state


def _is_there(state: RemoteState, path: str, content: Content) -> bool:
    return path in state.files and state.files[path].holds(content)


def _names(built: Sequence[Built]) -> str:
    return ", ".join(sorted(one.build.folder for one in built))[:200]
