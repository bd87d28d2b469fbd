"""One dataset repository: commits, branches, tags, pull requests, and the rules for changing them."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from .limits import Limits
from .model import Commit, FileEntry, HubError, PullRequest, Settings, Tree
from .objects import ObjectStore, lfs_entry

FULL_SHA = re.compile(r"[0-9a-f]{40}")
ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"


def now() -> str:
    """The time as the Hub writes it."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(frozen=True)
class Operation:
    """One line of a commit; `content` for a regular file, `oid` for an LFS one, neither for a deletion."""

    kind: str
    path: str
    content: bytes | None = None
    oid: str | None = None
    size: int | None = None


@dataclass
class Draft:
    """A commit as a client asks for it."""

    title: str
    message: str = ""
    parent: str | None = None
    operations: list[Operation] = field(default_factory=list)

    @property
    def summary(self) -> tuple[tuple[str, str], ...]:
        """The operations as the log shows them."""
        return tuple((operation.kind, operation.path) for operation in self.operations)


def _check_path(path: str) -> None:
    parts = path.split("/")
    if not path or "" in parts or "." in parts or ".." in parts or parts[0] == ".git":
        raise HubError(400, f"Invalid path in repository: {path!r}")


class Repository:
    """The state of a repository. Nothing here is thread-safe: the server holds its lock around every call."""

    def __init__(self, namespace: str, name: str, owner: str, settings: Settings, folder: Path) -> None:
        self.namespace = namespace
        self.name = name
        self.owner = owner
        self.settings = settings
        self.created = now()
        self.folder = folder
        self.objects = ObjectStore(folder)
        self.history: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.tag_refs: dict[str, str] = {}
        self.tag_messages: dict[str, str] = {}
        self.pull_refs: dict[str, str] = {}
        self.discussions: dict[int, PullRequest] = {}
        self._serial = itertools.count()
        attributes = {".gitattributes": self.objects.add_regular(ATTRIBUTES)}
        self.branches["main"] = self._record(None, Draft("initial commit"), attributes, owner).sha

    @property
    def id(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    # ------------------------------------------------------------------ reading

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, tag, pull request, `refs/...` name or sha stands for."""
        name = revision.removeprefix("refs/heads/")
        for refs, key in (
            (self.branches, name),
            (self.tag_refs, revision.removeprefix("refs/tags/")),
            (self.pull_refs, revision),
        ):
            if key in refs:
                return self.history[refs[key]]
        if FULL_SHA.fullmatch(revision) and revision in self.history:
            return self.history[revision]
        raise HubError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")

    def entry(self, commit: Commit, path: str) -> FileEntry:
        """One file; its absence names the commit, which clients remember absence by."""
        found = commit.tree.get(path)
        if found is None:
            raise HubError(404, "Entry not found", code="EntryNotFound", headers={"X-Repo-Commit": commit.sha})
        return found

    def log(self, revision: str) -> list[Commit]:
        """The commits of a revision, newest first."""
        commits = []
        current: str | None = self.resolve(revision).sha
        while current is not None:
            commits.append(self.history[current])
            current = self.history[current].parent
        return commits

    # ------------------------------------------------------------------ writing

    def commit(self, revision: str, draft: Draft, author: str, limits: Limits | None = None) -> Commit:
        """Put a commit on a branch or on an open pull request."""
        refs, name = self._writable(revision)
        head = self.history[refs[name]]
        commit = self._commit_on(head, draft, author)
        if limits is not None:
            limits.check_tree(commit.tree)
        refs[name] = commit.sha
        return commit

    def commit_as_pull_request(self, revision: str, draft: Draft, author: str) -> tuple[Commit, PullRequest]:
        """Put a commit on a new pull request against `revision`."""
        base = self.resolve(revision)
        commit = self._commit_on(base, draft, author)
        pull = self.open_pull_request(draft.title, draft.message, author, base=revision, status_open=True)
        self.pull_refs[pull.ref] = commit.sha
        return commit, pull

    def open_pull_request(
        self, title: str, description: str, author: str, base: str = "main", status_open: bool = False
    ) -> PullRequest:
        """A pull request that has no commit of its own yet."""
        head = self.resolve(base)
        pull = PullRequest(
            num=len(self.discussions) + 1,
            title=title,
            description=description,
            author=author,
            status="open" if status_open else "draft",
            date=now(),
            base=base,
            base_sha=head.sha,
        )
        self.discussions[pull.num] = pull
        self.pull_refs[pull.ref] = head.sha
        return pull

    def merge(self, num: int, author: str) -> Commit:
        """Bring a pull request's changes onto its base branch, unless both changed one path."""
        pull = self.discussion(num)
        if not pull.is_pull_request or pull.status in ("merged", "closed"):
            raise HubError(400, f"Discussion {num} is not an open pull request")
        head = self.history[self.branches[pull.base]]
        before = self.history[pull.base_sha].tree
        after = self.history[self.pull_refs[pull.ref]].tree
        tree = dict(head.tree)
        changed = sorted(path for path in {*before, *after} if before.get(path) != after.get(path))
        for path in changed:
            if head.tree.get(path) not in (before.get(path), after.get(path)):
                raise HubError(409, f"Pull request {num} conflicts with {pull.base} in {path}")
            if path in after:
                tree[path] = after[path]
            else:
                tree.pop(path, None)
        operations = [Operation("file" if path in after else "deletedFile", path) for path in changed]
        merged = self._record(head, Draft(f"{pull.title} (#{num})", operations=operations), tree, author)
        self.branches[pull.base] = merged.sha
        pull.status, pull.merge_sha = "merged", merged.sha
        return merged

    def discussion(self, num: int) -> PullRequest:
        """One discussion or pull request."""
        if num not in self.discussions:
            raise HubError(404, f"Discussion {num} not found")
        return self.discussions[num]

    def _writable(self, revision: str) -> tuple[dict[str, str], str]:
        name = revision.removeprefix("refs/heads/")
        if name in self.branches:
            return self.branches, name
        if revision in self.pull_refs:
            status = self.discussions[int(revision.rsplit("/", 1)[1])].status
            if status in ("merged", "closed"):
                raise HubError(403, f"{revision} is {status}: it takes no more commits")
            return self.pull_refs, revision
        self.resolve(revision)
        raise HubError(400, f"{revision} is not a branch: it takes no commits")

    def _commit_on(self, head: Commit, draft: Draft, author: str) -> Commit:
        if draft.parent is not None and draft.parent != head.sha:
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        tree = self._apply(head.tree, draft.operations)
        if tree == head.tree:
            return head
        return self._record(head, draft, tree, author)

    def _apply(self, before: Tree, operations: Sequence[Operation]) -> dict[str, FileEntry]:
        tree = dict(before)
        for operation in operations:
            path = operation.path.rstrip("/")
            _check_path(path)
            if operation.kind == "file":
                tree[path] = self.objects.add_regular(operation.content or b"")
            elif operation.kind == "lfsFile":
                tree[path] = self._uploaded(operation)
            elif operation.kind == "deletedFile":
                if tree.pop(path, None) is None:
                    raise HubError(404, f"A file with this name doesn't exist: {path}", code="EntryNotFound")
            elif operation.kind == "deletedFolder":
                inside = [name for name in tree if name.startswith(f"{path}/")]
                if not inside:
                    raise HubError(404, f"No folder has this name: {path}", code="EntryNotFound")
                for name in inside:
                    del tree[name]
            else:
                raise HubError(400, f"Unknown operation in commit: {operation.kind}")
        for path in tree.keys() - before.keys():
            for parent in PurePosixPath(path).parents:
                if str(parent) in tree:
                    raise HubError(400, f"{parent} is a file and cannot hold {path}")
        return tree

    def _uploaded(self, operation: Operation) -> FileEntry:
        oid = operation.oid or ""
        stored = self.objects.lfs_size(oid)
        if stored is None:
            raise HubError(400, f"LFS pointer pointed to a file that does not exist: {operation.path} sha256 {oid}")
        if operation.size is not None and operation.size != stored:
            raise HubError(400, f"{operation.path}: {operation.size} bytes announced, {stored} uploaded")
        return lfs_entry(oid, stored)

    def _record(self, head: Commit | None, draft: Draft, tree: Tree, author: str) -> Commit:
        parent = head.sha if head else None
        listing = sorted((path, entry.oid) for path, entry in tree.items())
        seed = repr((next(self._serial), parent, draft.title, listing))
        commit = Commit(
            sha=hashlib.sha1(seed.encode()).hexdigest(),
            parent=parent,
            title=draft.title,
            message=draft.message,
            author=author,
            date=now(),
            operations=draft.summary,
            tree=tree,
        )
        self.history[commit.sha] = commit
        return commit
