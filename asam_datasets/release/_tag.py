"""The tag that a publish leaves: made once, never moved."""

from __future__ import annotations

from asam_datasets.errors import TargetError, option
from asam_datasets.published import KIND, HubClient, check_commit


def find_tag(client: HubClient, name: str | None, head: str) -> bool:
    """Whether a tag that was asked for is there; one request, or none when none was asked for.

    Raises:
        TargetError: it names another commit than the head, so a publish can only go on without it.
        HubError: refused, or not reached.
    """
    if name is None:
        return False
    refs = client.call("reading the tags", client.api.list_repo_refs, client.repo_id, repo_type=KIND)
    targets = [check_commit(tag.target_commit, client.url) for tag in refs.tags if tag.name == name]
    if targets and targets[0] != head:
        raise tag_is_taken(client, name)
    return bool(targets)


def make_tag(client: HubClient, name: str, commit: str) -> None:
    """Tag a commit.

    Raises:
        HubError: refused, or not reached.
    """
    make = client.api.create_tag
    client.call("tagging", make, client.repo_id, tag=name, revision=commit, repo_type=KIND, exist_ok=True)


def tag_is_taken(client: HubClient, name: str | None) -> TargetError:
    """The error for a tag that would have to move."""
    return TargetError(
        f"expected a new tag, found that {name} names another version already",
        where=client.url,
        hint=f"Choose another {option('tag')}; a tag that moves would change what others loaded by it.",
    )
