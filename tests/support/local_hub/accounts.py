"""Who may do what: users by token, and the answers that the Hub gives to those who may not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .model import HubError
from .repository import Repository

Role = Literal["read", "write"]


@dataclass(frozen=True)
class User:
    """The owner of a token."""

    name: str
    role: Role = "write"
    orgs: tuple[str, ...] = ()

    def owns(self, namespace: str) -> bool:
        """Whether the namespace is this user's own or one of an organization of theirs."""
        return namespace == self.name or namespace in self.orgs


class Accounts:
    """All users of the Hub."""

    def __init__(self) -> None:
        self._by_token: dict[str, User] = {}

    def add(self, token: str, user: User) -> None:
        """Let a token in."""
        self._by_token[token] = user

    def authenticate(self, authorization: str | None) -> User | None:
        """The user of a request, None for an anonymous one."""
        if authorization is None:
            return None
        user = self._by_token.get(authorization.removeprefix("Bearer ").strip())
        if user is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return user


def require_user(user: User | None) -> User:
    """The user, for what nobody may do anonymously."""
    if user is None:
        raise HubError(401, "Invalid username or password.")
    return user


def require_role(user: User | None) -> User:
    """A user whose token may write at all."""
    known = require_user(user)
    if known.role != "write":
        raise HubError(403, "Your token does not have the required permission: a token with `write` role is needed")
    return known


def not_found(user: User | None) -> HubError:
    """A missing repository and a hidden one look the same; to an anonymous visitor both are a 401."""
    if user is None:
        return HubError(401, "Invalid username or password.", code="RepoNotFound")
    return HubError(404, "Repository not found", code="RepoNotFound")


def require_read(user: User | None, repository: Repository) -> None:
    """Hide a private repository from all but those of its namespace."""
    if repository.settings["private"] and not (user and user.owns(repository.namespace)):
        raise not_found(user)


def require_content(user: User | None, repository: Repository) -> None:
    """Keep the files, though not the listing, of a gated repository from the others."""
    require_read(user, repository)
    if repository.settings["gated"] and not (user and user.owns(repository.namespace)):
        raise HubError(
            401 if user is None else 403,
            f"Access to dataset {repository.id} is restricted and you are not in the authorized list.",
            code="GatedRepo",
        )


def require_write(user: User | None, repository: Repository) -> User:
    """Only the namespace's own users change a repository."""
    require_read(user, repository)
    known = require_role(user)
    if not known.owns(repository.namespace):
        raise HubError(403, f"{known.name} has no write access to dataset {repository.id}")
    return known


def require_contribution(user: User | None, repository: Repository, revision: str, create_pr: bool) -> User:
    """Whoever can read may open a pull request, and its author may go on with it."""
    if not create_pr and revision not in repository.pull_refs:
        return require_write(user, repository)
    require_read(user, repository)
    known = require_role(user)
    if create_pr or known.owns(repository.namespace):
        return known
    if repository.discussions[int(revision.rsplit("/", 1)[1])].author != known.name:
        raise HubError(403, f"{revision} was opened by somebody else")
    return known
