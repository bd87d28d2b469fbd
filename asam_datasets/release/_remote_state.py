"""What is on the Hub now: read as a whole and never changed; a step gives the state that it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from msgspec import UnsetType

from asam_datasets.builds import Build, in_run, split_folder
from asam_datasets.errors import TargetError, option
from asam_datasets.published import (
    README,
    Commit,
    FileInfo,
    ForeignReadmeError,
    HubClient,
    PublishedRepository,
    Visible,
    build_folders,
    list_files,
    missing_parts,
    visible_builds,
)
from asam_datasets.release._access import Access, Destination
from asam_datasets.release._license import LICENSE, LICENSES, is_our_license, render_license
from asam_datasets.release._pull_request import find_pull_request
from asam_datasets.release._settings import read_access
from asam_datasets.release._tag import find_tag

MAIN = "main"


@dataclass(frozen=True)
class RemoteState:
    """A repository as it was when it was read last, at one commit.

    Args:
        revision: branch or pull request that is published to; `main` while our pull request is not there yet.
        access: who may see the repository; None while there is none.
        head: commit of the revision; of `main` while the revision is not there yet; empty while there is nothing.
        files: those of the head by path.
        visible: what its README shows.
        readme: the text of its README.
        replaces_foreign: the README is somebody else's, and a release replaces it.
        needs_branch: the revision is a branch that has to be made.
        license_file: where the list of licenses goes: not over one that somebody else wrote.
        is_tagged: the tag that was asked for is there, and names the head.
    """

    revision: str = MAIN
    access: Access | None = None
    head: str = ""
    files: Mapping[str, FileInfo] = field(default_factory=dict)
    visible: Visible = field(default_factory=Visible)
    readme: str | None = None
    replaces_foreign: bool = False
    license_file: str = LICENSE
    needs_branch: bool = False
    is_tagged: bool = False

    def holds(self, path: str, content: bytes) -> bool:
        """Whether a file is there with exactly this content."""
        return path in self.files and self.files[path].holds(content)

    def locate(self, build: Build) -> Build | None:
        """The build where all parts of it are there, whatever run made it; None where they are not."""
        for run in dict.fromkeys((build.run, *self._runs.get(build.folder, ()))):
            placed = in_run(build, run)
            if not missing_parts(placed, self.files):
                return placed
        return None

    @cached_property
    def _runs(self) -> dict[str, list[str | UnsetType]]:
        """The runs that have made a build, by the name of its folder before the run."""
        runs: dict[str, list[str | UnsetType]] = {}
        for path in build_folders(self.files):
            split = split_folder(path.rpartition("/")[2])
            if split is not None:
                runs.setdefault(f"{split.name}-{split.digest}", []).append(split.run)
        return runs


def read_state(client: HubClient, destination: Destination, me: str) -> RemoteState:
    """Read everything that a publish has to know of a repository, which may not be there.

    Args:
        destination: branch, pull request and tag.
        me: name of the user, whose pull request is looked for.

    Raises:
        TargetError: the tag is taken; what README names is not there; there is nothing to open a pull request on.
        HubError: refused, or not reached.
    """
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        access, head = read_access(client)
    except RepositoryNotFoundError:
        if destination.create_pr:
            raise TargetError(
                "expected a repository to open a pull request on, found none",
                where=client.url,
                hint=f"Check {option('repo_id')}; without {option('create_pr')} a new repository is made.",
            ) from None
        return RemoteState(destination.revision or MAIN)
    found = find_pull_request(client, me) if destination.create_pr else destination.revision
    revision, needs_branch = found or MAIN, False
    if revision != MAIN:
        try:
            head = client.head(revision)
        except RevisionNotFoundError:
            needs_branch = True
    is_tagged = find_tag(client, destination.tag, head)
    return _read_head(client, RemoteState(revision, access, head, needs_branch=needs_branch, is_tagged=is_tagged))


def read_again(client: HubClient, state: RemoteState) -> RemoteState:
    """The state at the head of today: its files, and what README shows.

    Raises:
        TargetError: what README names is not there.
        HubError: refused, or not reached.
    """
    head = client.call("reading the head", client.head, state.revision)
    if head == state.head:
        return state
    return _read_head(client, replace(state, head=head))


def after_commit(client: HubClient, state: RemoteState, commit: Commit, paths: Sequence[str]) -> RemoteState:
    """The state that a commit of ours leaves, which brought some files and took none away: they are looked at, as the
    Hub has them, and nothing else has to be listed.

    Raises:
        TargetError: somebody else changed the repository as well, and what README names is not there.
        HubError: refused, or not reached.
    """
    if not commit.is_next:
        return read_again(client, state)
    return replace(state, head=commit.id, files={**state.files, **client.look_at(paths, commit.id)})


def _find_license(client: HubClient, state: RemoteState) -> RemoteState:
    """Find out whose license file is there; it is read where it is not the one that the visible builds make."""
    if LICENSE not in state.files:
        return replace(state, license_file=LICENSE)
    ours = render_license(build.holding for build in state.visible.builds).encode()
    if state.holds(LICENSE, ours) or is_our_license(client.read(LICENSE, state.head) or b""):
        return replace(state, license_file=LICENSE)
    return replace(state, license_file=LICENSES)


def _read_head(client: HubClient, state: RemoteState) -> RemoteState:
    """Read what README shows at the head, and then which files are there: an index says most of it."""
    published = PublishedRepository(client, state.head)
    content = published.read(README)
    readme = None if content is None else content.decode("utf-8", "surrogateescape")
    replaces_foreign, visible = False, Visible()
    try:
        visible = visible_builds(published) or visible
    except ForeignReadmeError:
        replaces_foreign = True  # the old release, say; git keeps it
    files = list_files(client, state.head, visible.builds)
    now = replace(state, readme=readme, visible=visible, files=files, replaces_foreign=replaces_foreign)
    return _find_license(client, now)
