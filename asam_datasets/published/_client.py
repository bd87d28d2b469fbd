"""One repository on the Hub, as the client library knows it: retries, refusals as one sentence, commits that land once.

`huggingface_hub` retries downloads and uploads by itself, but not commits, settings, tags or listings of references,
and it cannot tell whether a commit landed whose answer was lost. Here every call is retried where that may help, with a
line that says so, and never without end (see `_bounds`); and an answer of another shape is one sentence.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from asam_datasets.errors import AsamDatasetsError, HubError, TargetError, option
from asam_datasets.published._answers import (
    FileInfo,
    check_commit,
    check_files,
    check_tree,
    is_odd,
    odd_answer,
    without_tokens,
)
from asam_datasets.published._bounds import SMALL_BYTES, bounded, pausing
from asam_datasets.published._layout import is_index
from asam_datasets.published._retry import cause_of, is_network, may_pass, reason, retry_after_s, status_of
from asam_datasets.published._sending import Sent, operations, send
from asam_datasets.retry import RetryPolicy

if TYPE_CHECKING:
    from huggingface_hub import HfApi

KIND = "dataset"
_PATHS = 500
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES)
_FIRST_WAITS = 2  # while nothing has answered yet: most likely there is no network
_Result = TypeVar("_Result")


class ConflictError(HubError):
    """Somebody else committed first."""


class Commit(NamedTuple):
    """A commit of ours. `is_next` tells that nothing came between it and its parent: not where its answer was lost."""

    id: str
    is_next: bool


class HubClient:
    """The calls that publishing needs, on one dataset repository.

    Args:
        repo_id: `namespace/name`.
        log: gets a line whenever something is tried again.
        api: speaks to the Hub; by default the client library as the environment sets it up.
        waits_s: pauses between attempts, in seconds; by default those of `RetryPolicy.from_environment`.

    Raises:
        TargetError: `repo_id` is not one, or the environment has pauses that are none.
    """

    def __init__(
        self,
        repo_id: str,
        log: Callable[[str], None] = lambda text: None,
        *,
        api: HfApi | None = None,
        waits_s: Sequence[float] | None = None,
    ) -> None:
        from huggingface_hub import HfApi

        check_repo_id(repo_id)
        self.repo_id = repo_id
        self.log = log
        self.retry = RetryPolicy.from_environment(log) if waits_s is None else RetryPolicy(tuple(waits_s), log)
        self.api = api or HfApi()
        self.url = f"{self.api.endpoint}/datasets/{repo_id}"
        self._answered = False

    def call(self, what: str, function: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        """Call the client library, and again where the failure may pass.

        Args:
            what: what is being done, for the line that tells of another try: `reading the repository`.

        Raises:
            HubError: refused, or not reached after the last try.
        """
        return self._found(lambda: self.ask(what, function, *args, **options))

    def _found(self, ask: Callable[[], _Result]) -> _Result:
        """What `ask` gives, where it has to be there."""
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        try:
            return ask()
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise self.explain(error) from error

    def ask(self, what: str, function: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        """As `call`, where the repository or the revision may not be there.

        Raises:
            RepositoryNotFoundError, RevisionNotFoundError: of the client library.
            HubError: refused, or not reached after the last try.
        """
        return self._try(what, lambda: function(*args, **options))

    def _try(self, what: str, function: Callable[[], _Result], **bounds: Any) -> _Result:
        """See `ask`; `bounds` are those of `bounded`."""
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

        attempt = 0
        while True:
            try:
                with bounded(what, self.api.endpoint, self.log, **bounds):
                    result = function()
            except GatedRepoError as error:  # a kind of RepositoryNotFoundError
                raise self.explain(error) from error
            except (RepositoryNotFoundError, RevisionNotFoundError):
                self._answered = True
                raise
            except Exception as error:  # noqa: BLE001 - `pause` raises what it does not know
                self.pause(what, cause_of(error), attempt)
                attempt += 1
            else:
                self._answered = True
                return result

    def pause(self, what: str, error: Exception, attempt: int) -> None:
        """Wait before another try, or give up.

        Raises:
            HubError: the failure will not pass, or this was the last try.
        """
        self._answered = self._answered or status_of(error) == 429
        policy = self.retry if self._answered else self.retry.first(_FIRST_WAITS)
        if may_pass(error):
            with pausing():
                if policy.pause(what, reason(error), attempt, at_least_s=retry_after_s(error, policy.quota_s)):
                    return
        raise self.explain(error) from error

    def head(self, revision: str) -> str:
        """The commit that a revision points to.

        Raises:
            RepositoryNotFoundError, RevisionNotFoundError: of the client library.
            HubError: refused or not reached.
        """
        info = self.ask("reading the repository", self.api.repo_info, self.repo_id, repo_type=KIND, revision=revision)
        return check_commit(info.sha, self.url)

    def list_files(self, revision: str) -> dict[str, FileInfo]:
        """All files of a revision by path."""
        return self.list_folder("", revision, recursive=True)[0]

    def list_folder(
        self, folder: str, revision: str, *, recursive: bool = False
    ) -> tuple[dict[str, FileInfo], dict[str, str]]:
        """The files in a folder that is there, and git's ids of the folders in it, by path.

        Args:
            folder: path without a slash at its end; empty for the root.
            recursive: whether those below the folders in it are listed as well.
        """

        def listing() -> tuple[dict[str, FileInfo], dict[str, str]]:
            tree = self.api.list_repo_tree(
                self.repo_id, folder or None, recursive=recursive, repo_type=KIND, revision=revision
            )
            return check_tree(tree, self.url)

        return self.call("listing the files", listing)

    def look_at(self, paths: Sequence[str], revision: str) -> dict[str, FileInfo]:
        """Some files of a revision by path, those that are there: a request for each 500, however many others lie
        beside them."""
        found: dict[str, FileInfo] = {}
        for start in range(0, len(paths), _PATHS):
            some = list(paths[start : start + _PATHS])

            def look(some: list[str] = some) -> dict[str, FileInfo]:
                entries = self.api.get_paths_info(self.repo_id, some, repo_type=KIND, revision=revision)
                return check_files(entries, self.url)

            found |= self.call("looking at the files", look)
        return found

    def read(self, path: str, revision: str) -> bytes | None:
        """The content of a small file, of 10 MiB at most, or of an index, of 64; None when there is none."""
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        def download() -> bytes | None:
            try:
                local = self.api.hf_hub_download(self.repo_id, path, repo_type=KIND, revision=revision)
            except LocalEntryNotFoundError:  # a kind of it: the Hub was not reached
                raise
            except EntryNotFoundError:
                return None
            with open(local, "rb") as file:
                return file.read()

        most_bytes = None if is_index(path) else SMALL_BYTES
        return self._found(lambda: self._try(f"reading {path}", download, most_bytes=most_bytes))

    def send(self, files: Mapping[str, Path], revision: str) -> dict[str, Sent | Path]:
        """Send the bytes of some files for a commit to come (see `_sending`); it takes as long as it takes.

        Raises:
            HubError: refused, or not reached.
        """

        def sending() -> dict[str, Sent | Path]:
            return send(self.api, self.repo_id, KIND, files, revision)

        return self._found(lambda: self._try("uploading", sending, limit_s=math.inf))

    def commit(
        self,
        message: str,
        additions: Mapping[str, bytes | Path | Sent],
        deletions: Sequence[str] = (),
        *,
        revision: str,
        parent: str,
    ) -> Commit:
        """Make one commit on top of `parent`, exactly once, also when its answer is lost.

        Args:
            message: title of the commit.
            additions: content, or the file that has it, or what was sent before, by path; committed in this order.
            deletions: paths; one that ends with a slash is a folder.
            revision: branch or pull request.
            parent: the commit that the revision has to point to.

        Raises:
            ConflictError: the revision points elsewhere, and not because of this commit.
            HubError: refused, or not reached.
        """
        # Files take as long as they take, as long as something moves.
        limit_s = math.inf if any(isinstance(content, Path) for content in additions.values()) else None
        attempt = 0
        while True:
            try:
                with bounded("committing", self.api.endpoint, self.log, limit_s=limit_s):
                    done = self.api.create_commit(
                        self.repo_id,
                        operations(additions, deletions),
                        commit_message=message,
                        repo_type=KIND,
                        revision=revision,
                        parent_commit=parent,
                    )
            except Exception as raised:  # noqa: BLE001 - what is not known is raised below
                error = cause_of(raised)
                moved = status_of(error) in (404, 409, 412)
                if not moved and not may_pass(error):
                    raise self.explain(error) from error
                head = self.call("reading the head", self.head, revision)
                if head != parent:
                    if self._holds(head, additions, deletions):
                        return Commit(head, False)  # it landed, and only the answer was lost
                    raise ConflictError(
                        "expected to be the only one to change the repository, found a commit of somebody else",
                        where=self.url,
                        hint="Run the same command again: it goes on from what is there now.",
                    ) from error
                if moved:
                    raise self.explain(error) from error
                self.pause("committing", error, attempt)
                attempt += 1
            else:
                return Commit(check_commit(done.oid, self.url), True)

    def _holds(self, revision: str, additions: Mapping[str, bytes | Path | Sent], deletions: Sequence[str]) -> bool:
        files = self.list_files(revision)
        there = all(path in files and files[path].holds(content) for path, content in additions.items())
        return there and not any(
            path.startswith(gone) if gone.endswith("/") else path == gone for gone in deletions for path in files
        )

    def explain(self, error: Exception) -> Exception:
        """What the client raised as one sentence. Its own message may hold signed URLs and stays out."""
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            LocalTokenNotFoundError,
            OfflineModeIsEnabled,
        )

        if isinstance(error, AsamDatasetsError):
            return error
        if isinstance(error, GatedRepoError):
            return HubError(
                "expected a token that got through the gate of the dataset, found one that did not",
                where=self.url,
                hint="Accept the terms on its page, then run the same command again.",
            )
        if isinstance(error, HfHubHTTPError):
            return self._refused(error.response.status_code, error.server_message or "")
        if isinstance(error, (LocalTokenNotFoundError, OfflineModeIsEnabled)):
            return HubError(str(error).splitlines()[0], where=self.url)
        if type(error).__name__ == "XetAuthenticationError":  # since hf_xet 1.5; a kind of PermissionError
            return HubError(
                "expected a token that the Hub's storage accepts, found that it was refused",
                where=self.url,
                hint="The token may have expired: `hf auth login`, then run the same command again: it goes on.",
            )
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            return TargetError(
                f"expected room for what comes from the Hub, found: {error.strerror}",
                where=str(error.filename or "the cache of huggingface_hub"),
                hint="Make room or give permission, or set HF_HOME to another folder; then run the same command again.",
            )
        if is_odd(error):
            return odd_answer("an answer that makes sense", error, self.api.endpoint)
        if is_network(error) or isinstance(error, LocalEntryNotFoundError):
            return HubError(
                f"expected an answer of the Hub, found none ({type(error).__name__})",
                where=self.api.endpoint,
                hint="Check the network, then run the same command again: it goes on where it stopped.",
            )
        return error

    def _refused(self, status: int, message: str) -> HubError:
        said = f": {without_tokens(message)}" if message else ""
        hints = {
            401: "The token is wrong or has expired: `hf auth login`, then run the same command again: it goes on.",
            403: f"The token may not write here; use one of the owner with write permission, or {option('create_pr')}.",
            404: f"Check {option('repo_id')}, and that the token may see the repository.",
            409: "Somebody else changed the repository meanwhile; run the same command again.",
            412: "Somebody else changed the repository meanwhile; run the same command again.",
            429: "Too many requests; wait some minutes, then run the same command again.",
        }
        return HubError(
            f"expected the Hub to accept the request, found that it refused with status {status}{said}",
            where=self.url,
            hint=hints.get(status, "Run the same command again: it goes on where it stopped."),
        )


def check_repo_id(repo_id: str) -> None:
    """Check that it is `namespace/name`.

    Raises:
        TargetError: it is not.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    try:
        validate_repo_id(repo_id)
        if repo_id.count("/") != 1:
            raise HFValidationError("it has no namespace")
    except HFValidationError as error:
        raise TargetError(
            f"expected namespace/name, such as xhk/ASAM-Datasets, found {repo_id!r}",
            where=option("repo_id"),
            hint="Your user name or organisation, a slash, and letters, digits, dots, dashes or underscores.",
        ) from error
