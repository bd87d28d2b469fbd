"""The release commit: README, the index and the deletions in one, on top of the state that was read."""

from __future__ import annotations

from dataclasses import dataclass

from asam_datasets.errors import HubError
from asam_datasets.published import PLACEHOLDER, HubClient, is_index, missing_parts
from asam_datasets.release._release import Release
from asam_datasets.release._remote_state import RemoteState


@dataclass(frozen=True)
class Differences:
    """What a release commit has to write, README last, and what it has to delete: folders of builds, and files."""

    additions: dict[str, bytes]
    folders: list[str]
    files: list[str]

    def __bool__(self) -> bool:
        return bool(self.additions or self.folders or self.files)


def compare(state: RemoteState, release: Release) -> Differences:
    """What of a release is not so yet."""
    # An index is named by what it holds; how it was compressed makes no other one of it.
    additions = {
        path: content
        for path, content in release.ordered
        if not (path in state.files and is_index(path)) and not state.holds(path, content)
    }
    files = [*release.removed, *([PLACEHOLDER] if PLACEHOLDER in state.files else [])]
    return Differences(additions, list(release.folders), files)


def check_parts(client: HubClient, state: RemoteState, release: Release) -> None:
    """Check that everything is there which a release names, by size and sha256.

    Raises:
        HubError: a part is not, or not so.
    """
    for build in release.builds:
        missing = missing_parts(build, state.files)
        if missing:
            raise HubError(
                f"expected {len(build.parts)} verified parts of {build.path}, found {len(missing)} missing or "
                f"different, such as {missing[0]}",
                where=client.url,
                hint="Nothing was shown. Run the same command again: it sends them again.",
            )


def commit_release(client: HubClient, state: RemoteState, release: Release, changed: Differences) -> str:
    """Make the commit; its id.

    Raises:
        ConflictError: somebody else was first.
        HubError: refused, or not reached.
    """
    names = ", ".join(sorted(release.names)) or "the dataset"
    gone = [f"{folder}/" for folder in changed.folders] + changed.files
    return client.commit(f"Show {names[:200]}", changed.additions, gone, revision=state.revision, parent=state.head).id
