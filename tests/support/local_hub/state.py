"""Everything the Hub remembers, behind one lock."""

from __future__ import annotations

import copy
import re
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from .accounts import Accounts, User, not_found, require_read
from .limits import Limits
from .model import HubError, Settings
from .repository import Repository

NAME = re.compile(r"(?!.*(--|\.\.))[A-Za-z0-9_][A-Za-z0-9._-]{0,94}[A-Za-z0-9_]|[A-Za-z0-9_]")


@dataclass(frozen=True)
class Ticket:
    """The right to PUT one LFS object, which the address of the upload carries instead of a token."""

    repository: Repository
    sha256: str
    size: int


class State:
    """Repositories, users, and the options of this Hub."""

    def __init__(self, root: Path, xet: bool, page_size: int, limits: Limits | None = None) -> None:
        self.root = root
        self.xet = xet
        self.page_size = page_size
        self.limits = limits
        self.upload_bytes_per_s: float | None = None
        self.upload_free_s = 0.0
        self.url = ""
        self.accounts = Accounts()
        self.repositories: dict[str, Repository] = {}
        self.tickets: dict[str, Ticket] = {}
        self.lock = threading.RLock()
        self._created = 0

    def create(self, namespace: str, name: str, owner: User, settings: Settings) -> Repository:
        """A new repository, with the first commit that the Hub makes by itself."""
        if not NAME.fullmatch(name):
            raise HubError(400, f"Invalid repo name: {namespace}/{name}")
        self._created += 1
        folder = self.root / "repositories" / f"{self._created:03}-{namespace}--{name}"
        repository = Repository(namespace, name, owner.name, settings, folder)
        self.repositories[repository.id] = repository
        return repository

    def duplicate(self, repo_id: str, name: str) -> Repository:
        """A copy of a repository under another name."""
        original = self.repositories[repo_id]
        owner = User(original.owner, "write", ())
        twin = self.create(original.namespace, name, owner, original.settings)
        shutil.copytree(original.folder, twin.folder, dirs_exist_ok=True)
        twin.history = dict(original.history)
        for refs in ("branches", "tag_refs", "tag_messages", "pull_refs"):
            setattr(twin, refs, dict(getattr(original, refs)))
        twin.discussions = copy.deepcopy(original.discussions)
        return twin

    def find(self, repo_id: str, user: User | None) -> Repository:
        """A repository that this user may see."""
        repository = self.repositories.get(repo_id)
        if repository is None:
            raise not_found(user)
        require_read(user, repository)
        return repository

    def known(self, repo_id: str) -> Repository:
        """A repository, for the test itself, which may see everything."""
        return self.repositories[repo_id]
