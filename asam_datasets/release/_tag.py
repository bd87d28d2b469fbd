"""The tag that a publish leaves: made once, never moved."""

from __future__ import annotations

from asam_datasets.errors import TargetError, option
from asam_datasets.published import KIND, HubClient


class Tag:
    """A tag that was asked for, or none."""

    def __init__(self, client: HubClient, name: str | None) -> None:
        self._client = client
        self.name = name
        self.is_there = False

    def look(self, head: str | None) -> None:
        """Find out whether it is there already.

        Raises:
            TargetError: it names another commit than the head, so this publish can only go on without it.
            HubError: refused, or not reached.
        """
        if self.name is None:
            return
        client = self._client
        refs = client.call("reading the tags", client.api.list_repo_refs, client.repo_id, repo_type=KIND)
        targets = [tag.target_commit for tag in refs.tags if tag.name == self.name]
        self.is_there = bool(targets)
        if targets and targets[0] != head:
            raise self._taken()

    def refuse_if_there(self) -> None:
        """Before anything is changed: a tag that is there names what is there now.

        Raises:
            TargetError: it is there.
        """
        if self.is_there:
            raise self._taken()

    def make(self, head: str | None) -> None:
        """Tag a commit; nothing when it is tagged so already.

        Raises:
            HubError: refused, or not reached.
        """
        if self.name is None or self.is_there:
            return
        client = self._client
        make = client.api.create_tag
        client.call("tagging", make, client.repo_id, tag=self.name, revision=head, repo_type=KIND, exist_ok=True)

    def _taken(self) -> TargetError:
        return TargetError(
            f"expected a new tag, found that {self.name} names another version already",
            where=self._client.url,
            hint=f"Choose another {option('tag')}; a tag that moves would change what others loaded by it.",
        )
