"""The data, under names that no README knows yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asam_datasets.builds import BUILD_FILE, Built, encode_build
from asam_datasets.published import ConflictError, HubClient, missing_parts
from asam_datasets.release._opening import CONFLICTS
from asam_datasets.release._release import Changes
from asam_datasets.release._remote_state import RemoteState, after_commit, read_again


def upload_builds(client: HubClient, state: RemoteState, built: Sequence[Built], changes: Changes) -> RemoteState:
    """Send what is missing of some builds, in one commit, and drop the local parts that the Hub has now.

    Args:
        built: complete builds, with the run below which they shall lie.

    Raises:
        HubError: refused, or not reached; what arrived stays, and the next run goes on from there.
    """
    for attempt in range(CONFLICTS):
        parts = {
            f"{one.build.path}/{name}": one.folder / name
            for one in built
            if one.folder is not None
            for name in missing_parts(one.build, state.files)
        }
        manifests = {
            f"{one.build.path}/{BUILD_FILE}": encode_build(one.build) for one in built if one.folder is not None
        }
        additions: dict[str, bytes | Path] = {
            **parts,
            **{path: content for path, content in manifests.items() if not state.holds(path, content)},
        }
        if not additions:
            break
        sizes = sum(file.stat().st_size for file in parts.values())
        names = ", ".join(sorted(one.build.folder for one in built))
        try:
            commit = client.commit(
                f"Add the parts of {names[:200]}", additions, revision=state.revision, parent=state.head
            )
        except ConflictError:  # nothing is sent twice
            if attempt == CONFLICTS - 1:
                raise
            state = read_again(client, state)
            continue
        changes.commits += 1
        changes.uploaded_files += len(parts)
        changes.uploaded_bytes += sizes
        state = after_commit(client, state, commit, list(additions))
        break
    for one in built:
        if one.folder is not None and not missing_parts(one.build, state.files):
            for part in one.build.parts:
                (one.folder / part.file).unlink(missing_ok=True)
    return state
