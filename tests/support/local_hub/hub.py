"""`LocalHub`: what a test holds in its hand."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from .accounts import Role, User
from .faults import Fault, FaultPlan
from .limits import Limits
from .model import Commit, FileEntry, PullRequest, Request, Settings
from .repository import Draft, Operation
from .server import App, Server
from .state import State

DEFAULT_TOKEN = "hf_test"
DEFAULT_USER = "xhk"
# What of the caller's environment would lead a client elsewhere than to this Hub.
FOREIGN = ("HF_", "HUGGING", "DATASETS_", "XET_", "TRANSFORMERS_OFFLINE")
# Pauses of a publisher before it tries again, in seconds: this Hub does not get better by waiting.
WAITS_S = (0.02, 0.02, 0.05, 0.1, 0.2, 0.4)
PROXIES = ("http_proxy", "https_proxy", "all_proxy")


class LocalHub:
    """A Hugging Face Hub on this machine, for datasets, over real HTTP."""

    def __init__(self, root: Path, xet: bool = True, page_size: int = 1000, limits: Limits | None = None) -> None:
        self.limits = limits
        self._state = State(root, xet, page_size, limits)
        self._plan = FaultPlan()
        self._app = App(self._state, self._plan)
        self._server: Server | None = None
        self.add_user(DEFAULT_TOKEN, DEFAULT_USER)

    def __enter__(self) -> LocalHub:
        self._server = Server(self._app)
        self._state.url = self._server.url
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.stop()

    # ------------------------------------------------------------------ clients

    @property
    def url(self) -> str:
        """The endpoint."""
        return self._state.url

    def environment(self, home: Path, token: str | None = DEFAULT_TOKEN, xet: bool = True) -> dict[str, str]:
        """The whole environment of a client process: this Hub, an own cache, no other settings."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(FOREIGN) and name.lower() not in PROXIES
        }
        kept |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "ASAM_DATASETS_WAITS": ",".join(map(str, WAITS_S)),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_UPDATE_CHECK": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        if token is not None:
            kept["HF_TOKEN"] = token
        if not (xet and self._state.xet):
            kept["HF_HUB_DISABLE_XET"] = "1"
        return kept

    def add_user(self, token: str, name: str, role: Role = "write", orgs: Sequence[str] = ()) -> None:
        """Let in a token. One user may have several, with different roles."""
        self._state.accounts.add(token, User(name, role, tuple(orgs)))

    def put_folder(self, repo_id: str, folder: Path) -> None:
        """A new repository with the files of a folder, in one commit; Parquet files are linked, not copied."""
        namespace, name = repo_id.split("/")
        with self._state.lock:
            owner = User(namespace, "write", ())
            repository = self._state.create(namespace, name, owner, {"private": False, "gated": False})
            operations = []
            for path in sorted(one for one in folder.rglob("*") if one.is_file()):
                place = path.relative_to(folder).as_posix()
                if path.suffix == ".parquet":
                    oid = repository.objects.link_lfs(path)
                    operations.append(Operation("lfsFile", place, oid=oid))
                else:
                    operations.append(Operation("file", place, content=path.read_bytes()))
            repository.commit("main", Draft("put here", operations=operations), namespace)

    def duplicate(self, repo_id: str, name: str) -> str:
        """Copy a repository under another name of the same namespace, history and all; its new id."""
        with self._state.lock:
            return self._state.duplicate(repo_id, name).id

    # ------------------------------------------------------------------ what clients did

    @property
    def log(self) -> list[Request]:
        """Every request so far, in the order of arrival."""
        return list(self._app.log)

    def count_requests(self) -> Counter[str]:
        """How many requests of the log are `api`, `resolvers` and `other`, and how many were `refused` as too many."""
        log = self.log
        counts = Counter(request.kind for request in log)
        counts["refused"] = sum(request.status == 429 for request in log)
        return counts

    def clear_log(self) -> None:
        """Begin the log anew."""
        self._app.log.clear()

    @property
    def errors(self) -> list[str]:
        """Tracebacks of requests that this server itself failed at: an honest test finds none."""
        return list(self._app.errors)

    @property
    def on_request(self) -> Callable[[Request], None] | None:
        """Called, in a thread of the server, before a request is handled or a fault strikes."""
        return self._app.before

    @on_request.setter
    def on_request(self, hook: Callable[[Request], None] | None) -> None:
        self._app.before = hook

    @property
    def after_request(self) -> Callable[[Request], None] | None:
        """Called when a request has been performed and its answer has not been sent."""
        return self._app.after

    @after_request.setter
    def after_request(self, hook: Callable[[Request], None] | None) -> None:
        self._app.after = hook

    # ------------------------------------------------------------------ faults

    def inject(self, fault: Fault) -> Fault:
        """Order a fault; it is returned so that `fault.fired` can be looked at."""
        self._plan.faults.append(fault)
        return fault

    def clear_faults(self) -> None:
        """Cancel what has not happened yet."""
        self._plan.faults.clear()

    @property
    def faults_left(self) -> list[Fault]:
        """The faults that have not happened as often as they were to."""
        return [fault for fault in self._plan.faults if not fault.spent]

    @property
    def faults_fired(self) -> list[tuple[Fault, Request]]:
        """What happened, and to which request."""
        return [(fault, request) for fault in self._plan.faults for request in fault.fired]

    def slow_uploads(self, bytes_per_s: float | None) -> None:
        """Let all uploads by LFS together have so many bytes a second; None for as fast as they come."""
        self._state.upload_bytes_per_s = bytes_per_s

    # ------------------------------------------------------------------ what is stored

    def files(self, repo_id: str, revision: str = "main") -> dict[str, FileEntry]:
        """The files of a revision, `.gitattributes` of the first commit included."""
        with self._state.lock:
            return dict(sorted(self._state.known(repo_id).resolve(revision).tree.items()))

    def read_bytes(self, repo_id: str, path: str, revision: str = "main") -> bytes:
        """The content of a file, from this server's own store."""
        with self._state.lock:
            repository = self._state.known(repo_id)
            entry = repository.entry(repository.resolve(revision), path)
        return repository.objects.path(entry).read_bytes()

    def commits(self, repo_id: str, revision: str = "main") -> list[Commit]:
        """The history of a revision, newest first; the last is the Hub's own first commit."""
        with self._state.lock:
            return self._state.known(repo_id).log(revision)

    def repositories(self) -> list[str]:
        """The ids of all repositories."""
        with self._state.lock:
            return sorted(self._state.repositories)

    def settings(self, repo_id: str) -> Settings:
        """`{"private": ..., "gated": ...}`."""
        with self._state.lock:
            return self._state.known(repo_id).settings

    def tags(self, repo_id: str) -> dict[str, str]:
        """Tags and the commits they name."""
        with self._state.lock:
            return dict(self._state.known(repo_id).tag_refs)

    def branches(self, repo_id: str) -> dict[str, str]:
        """Branches and their heads."""
        with self._state.lock:
            return dict(self._state.known(repo_id).branches)

    def pull_requests(self, repo_id: str) -> dict[int, PullRequest]:
        """Pull requests and discussions by number."""
        with self._state.lock:
            return dict(self._state.known(repo_id).discussions)

    def stored_bytes(self, repo_id: str) -> int:
        """Bytes of large files that clients have ever sent here, by Xet and by LFS.

        Uploads by Xet do not pass through HTTP and so not through the log: that this number stands still
        is how a test sees that nothing was uploaded twice.
        """
        with self._state.lock:
            return self._state.known(repo_id).objects.stored_bytes()
