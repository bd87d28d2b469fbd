"""Before the first byte of data: the repository, who may see it, the branch or pull request, the license, and the
placeholder that hides what is still incomplete."""

from __future__ import annotations

from dataclasses import dataclass, replace

import yaml

from asam_datasets.published import KIND, PLACEHOLDER, README, ConflictError, HubClient, front_matter
from asam_datasets.release._access import Access, Destination
from asam_datasets.release._card import render_placeholder
from asam_datasets.release._pull_request import start_pull_request
from asam_datasets.release._release import Changes
from asam_datasets.release._remote_state import MAIN, RemoteState, after_commit, read_again
from asam_datasets.release._settings import read_access, refuse_new_readers, set_access

CONFLICTS = 5
"""So often a commit is tried whose parent was not the head any more."""


@dataclass(frozen=True)
class Request:
    """What a run asks of a repository: who shall see it in the end, its license file, how it is reached, by whom."""

    access: Access
    license: bytes
    destination: Destination
    author: str


def open_repository(client: HubClient, state: RemoteState, request: Request, changes: Changes) -> RemoteState:
    """Make ready for data; what is so already is left alone.

    Raises:
        RightsError: somebody has made the repository public meanwhile.
        HubError: refused, or not reached.
    """
    state = _set_readers(client, _create(client, state), request.access)
    state = _start_revision(client, state, request)
    for attempt in range(CONFLICTS):
        state = read_again(client, state)
        state = replace(state, access=refuse_new_readers(client, state.access))
        first = {} if _shows_configs(client, state) else {PLACEHOLDER: render_placeholder().encode()}
        first[state.license_file] = request.license
        first = {path: content for path, content in first.items() if not state.holds(path, content)}
        try:
            if first:
                message = "Say under which terms, and show nothing yet"
                commit = client.commit(message, first, revision=state.revision, parent=state.head)
                changes.commits += 1
                state = after_commit(client, state, commit, list(first))
            break
        except ConflictError:
            if attempt == CONFLICTS - 1:
                raise
    return state


def _create(client: HubClient, state: RemoteState) -> RemoteState:
    """The repository, private; of ours, or one that somebody made this very moment, and may have published to: what is
    in it was not read yet."""
    if state.access is not None:
        return state
    create = client.api.create_repo
    client.call("creating the repository", create, client.repo_id, repo_type=KIND, private=True, exist_ok=True)
    access, _ = read_access(client)
    return replace(state, access=access, head="", needs_branch=state.revision != MAIN)


def _set_readers(client: HubClient, state: RemoteState, request: Access) -> RemoteState:
    """The gate first, and privacy at once; being public comes last of all."""
    before = state.access or Access(private=True)
    access = Access(before.private or request.private, request.gated)
    set_access(client, before, access)
    return replace(state, access=access)


def _start_revision(client: HubClient, state: RemoteState, request: Request) -> RemoteState:
    """The pull request or the branch."""
    if request.destination.create_pr and state.revision == MAIN:
        return replace(state, revision=start_pull_request(client, request.author))
    if state.needs_branch:
        make = client.api.create_branch
        client.call("making the branch", make, client.repo_id, branch=state.revision, repo_type=KIND, exist_ok=True)
    return replace(state, needs_branch=False)


def _shows_configs(client: HubClient, state: RemoteState) -> bool:
    """Whether README says what is visible; otherwise `load_dataset` takes whatever lies in `data/`."""
    if README not in state.files:
        return False
    try:
        return "configs" in (front_matter((client.read(README, state.head) or b"").decode("utf-8", "replace")) or {})
    except yaml.YAMLError:
        return False
