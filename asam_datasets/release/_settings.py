"""Who may see a repository: read, set, and watched over while a publish is under way."""

from __future__ import annotations

from asam_datasets.errors import RightsError
from asam_datasets.published import KIND, HubClient, check_commit, odd_answer
from asam_datasets.release._access import Access


def read_access(client: HubClient) -> tuple[Access, str]:
    """Who may see the repository now, and the head of `main`; one request.

    Raises:
        RepositoryNotFoundError: of the client library; there is none, or the token may not see it.
        HubError: refused, or not reached.
    """
    info = client.ask("reading the repository", client.api.repo_info, client.repo_id, repo_type=KIND)
    if not isinstance(info.private, bool):
        raise odd_answer("whether the dataset is private", info.private, client.url)
    access = Access(info.private, info.gated if info.gated in ("auto", "manual") else None)
    return access, check_commit(info.sha, client.url)


def set_access(client: HubClient, before: Access, access: Access) -> None:
    """Change the settings that differ; one request, or none.

    Raises:
        HubError: refused, or not reached.
    """
    changed: dict[str, object] = {}
    if access.private != before.private:
        changed["private"] = access.private
    if access.gated != before.gated:
        changed["gated"] = access.gated or False
    if changed:
        update = client.api.update_repo_settings
        client.call("setting who may see it", update, client.repo_id, repo_type=KIND, **changed)


def refuse_new_readers(client: HubClient, expected: Access | None) -> Access:
    """Who may see the repository now. Somebody may have opened it since the rights were checked.

    Raises:
        RightsError: it was private then, and is not now.
        HubError: refused, or not reached.
    """
    found, _ = read_access(client)
    if expected is not None and expected.private and not found.private:
        raise RightsError(
            "expected a private repository, found that somebody made it public meanwhile",
            where=client.url,
            hint="Run the same command again: it checks what everyone may be shown.",
        )
    return found
