"""Our pull request on a dataset: found again by its title, so that a run that failed goes on in the same one."""

from __future__ import annotations

from asam_datasets.published import KIND, HubClient, check_number

PULL_REQUEST = "Publish with asam_datasets"
"""Title of our pull requests."""

_REVISIONS = "refs/pr/"


def is_pull_request(revision: str) -> bool:
    """Whether a revision is that of a pull request, `refs/pr/N`, and not a branch."""
    return revision.startswith(_REVISIONS)


def find_pull_request(client: HubClient, author: str) -> str | None:
    """The revision (`refs/pr/N`) of the pull request of ours that is still open; None when there is none.

    Raises:
        HubError: refused, or not reached.
    """

    def find() -> str | None:
        found = client.api.get_repo_discussions(
            client.repo_id, repo_type=KIND, author=author, discussion_type="pull_request"
        )
        mine = [one for one in found if one.title == PULL_REQUEST and one.status in ("draft", "open")]
        return _revision(client, mine[0].num) if mine else None

    return client.call("looking for our pull request", find)


def start_pull_request(client: HubClient, author: str) -> str:
    """Open a pull request, once also when the answer is lost, and give its revision.

    Raises:
        HubError: refused, or not reached.
    """

    def start() -> str:
        found = find_pull_request(client, author)
        if found is not None:
            return found
        made = client.api.create_pull_request(client.repo_id, PULL_REQUEST, repo_type=KIND)
        return _revision(client, made.num)

    return client.call("opening a pull request", start)


def submit_pull_request(client: HubClient, revision: str) -> None:
    """Say that a pull request is complete: it starts as a draft.

    Raises:
        HubError: refused, or not reached.
    """
    number = int(revision.rsplit("/", 1)[-1])
    read = client.api.get_discussion_details
    details = client.call("reading the pull request", read, client.repo_id, number, repo_type=KIND)
    if details.status == "draft":
        change = client.api.change_discussion_status
        client.call("submitting the pull request", change, client.repo_id, number, "open", repo_type=KIND)


def _revision(client: HubClient, number: object) -> str:
    return f"{_REVISIONS}{check_number(number, 'the number of a pull request', client.url)}"
