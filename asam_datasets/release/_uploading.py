"""The data, under names that no README knows yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asam_datasets.builds import DATA, Built
from asam_datasets.published import HubClient, missing_parts
from asam_datasets.release._release import Changes
from asam_datasets.release._remote_state import RemoteState, read_again


def upload_builds(
    client: HubClient, state: RemoteState, built: Sequence[Built], data_folder: Path, changes: Changes
) -> RemoteState:
    """Send what is missing of some builds, in one go, and drop the local parts that the Hub has now.

    Raises:
        HubError: refused, or not reached; what arrived stays, and the next run goes on from there.
    """
    builds = [one.build for one in built]
    sizes = {f"{one.kind}/{one.folder}/{part.file}": part.size_bytes for one in builds for part in one.parts}
    paths = [f"{one.kind}/{one.folder}/{file}" for one in builds for file in missing_parts(one, state.files)]
    if paths:
        names = ", ".join(sorted(build.folder for build in builds))
        message = f"Add the parts of {names[:200]}"
        client.upload(data_folder, paths, path_in_repo=DATA, message=message, revision=state.revision)
        changes.commits += 1
        changes.uploaded_files += len(paths)
        changes.uploaded_bytes += sum(sizes[path] for path in paths)
        state = read_again(client, state)
    for one in built:
        if one.folder is not None and not missing_parts(one.build, state.files):
            for part in one.build.parts:
                (one.folder / part.file).unlink(missing_ok=True)
    return state
