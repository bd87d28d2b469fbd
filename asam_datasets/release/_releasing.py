"""The release commit: README, the index and the deletions in one, on top of the state that was read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice

from asam_datasets.errors import HubError
from asam_datasets.published import PLACEHOLDER, HubClient, is_index, missing_parts
from asam_datasets.release._pace import COMMIT_MOST_FILES
from asam_datasets.release._release import Changes, Release, organized_archive
from asam_datasets.release._remote_state import RemoteState, after_commit


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


def commit_lists(
    client: HubClient, state: RemoteState, changed: Differences, changes: Changes
) -> tuple[RemoteState, Differences]:
    """Send the files in `organized/` before the release commit where they are more than one commit takes: two for each
    archive that has captions. No config shows them, so nobody sees half a dataset.

    Returns:
        The state after it, and what is left for the release commit.

    Raises:
        ConflictError: somebody else was first.
        HubError: refused, or not reached.
    """
    left = dict(changed.additions)
    if len(left) <= COMMIT_MOST_FILES:
        return state, changed
    lists = {path: content for path, content in left.items() if organized_archive(path) is not None}
    while lists:
        some = dict(islice(lists.items(), COMMIT_MOST_FILES))
        commit = client.commit("Add caption lists", some, revision=state.revision, parent=state.head)
        changes.commits += 1
        state = after_commit(client, state, commit, list(some))
        for path in some:
            del lists[path], left[path]
    return state, replace(changed, additions=left)


def commit_release(client: HubClient, state: RemoteState, release: Release, changed: Differences) -> str:
    """Make the commit; its id.

    Raises:
        ConflictError: somebody else was first.
        HubError: refused, or not reached.
    """
    names = ", ".join(sorted(release.names)) or "the dataset"
    gone = [f"{folder}/" for folder in changed.folders] + changed.files
    return client.commit(f"Show {names[:200]}", changed.additions, gone, revision=state.revision, parent=state.head).id
