"""A repository on the Hub as target.

Data folders go up first, each under a name that no README knows. Then one commit, guarded by the head that this run
saw, brings the README, every `build.json` and the deletions. A reader sees the whole old dataset or the whole new one.
What is there already, by sha256 and size, is not sent again, and when nothing changed there is no commit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asam_datasets.builds import BUILD_FILE, Build, Built, Known, decode_build, split_folder
from asam_datasets.errors import AsamDatasetsError, HubError, TargetError
from asam_datasets.hub._card import DATA_FOLDER, README, render_placeholder, visible_folders
from asam_datasets.hub._local import staged
from asam_datasets.hub._release import ORGANIZED_FOLDER, Changes, Release, organized_archive

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_KIND = "dataset"


class RepositoryTarget:
    """Publishes into a dataset repository.

    Args:
        repo_id: `namespace/name`.
        cache: folder that keeps unfinished work and finished parts until they are visible on the Hub.

    Raises:
        TargetError: `repo_id` is not one, or there is no token.
    """

    def __init__(self, repo_id: str, cache: Path) -> None:
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        try:
            validate_repo_id(repo_id)
            if repo_id.count("/") != 1:
                raise HFValidationError("it has no namespace")
        except HFValidationError as error:
            raise TargetError(
                f"expected namespace/name, such as xhk/ASAM-Datasets, found {repo_id!r}",
                where="--repo-id",
                hint="Your user name or organisation, a slash, and letters, digits, dots, dashes or underscores.",
            ) from error
        token = get_token()
        if token is None or not token.isascii():
            raise TargetError(
                f"expected a token for the Hub, found {'none' if token is None else 'one with odd characters'}",
                where=repo_id,
                hint="Run `hf auth login`, or set HF_TOKEN to a token that may write.",
            )
        self.location = repo_id
        self.path = cache / repo_id.replace("/", "--")
        self.work = self.path / "work"
        self.builds_folder = self.path / DATA_FOLDER
        self._api: HfApi = HfApi()
        self.url = f"{self._api.endpoint}/datasets/{repo_id}"
        self._head: str | None = None
        self._files: dict[str, Any] = {}
        self._changes = Changes()
        self.replaces_foreign_readme = False

    def current(self) -> list[Build]:
        """The builds that are visible now; also finds out whether this token may write.

        Raises:
            HubError: the Hub cannot be reached, or the token is refused or may not write here.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._explained():
            self._check_permission()
            try:
                self._head = self._api.repo_info(self.location, repo_type=_KIND).sha
            except RepositoryNotFoundError:
                return []
            self._list_files()
            readme = self._read(README)
        if readme is None:
            return []
        try:
            folders = visible_folders(readme.decode("utf-8", "replace"), f"{self.url}/{README}")
        except TargetError:
            self.replaces_foreign_readme = True  # the old release, say; git keeps it
            return []
        builds = []
        for folder in folders:
            path = f"{DATA_FOLDER}/{folder}/{BUILD_FILE}"
            with self._explained():
                content = self._read(path)
            if content is None:
                raise TargetError(
                    f"expected {path}, which README.md names, found none",
                    where=self.url,
                    hint="The dataset was changed by hand; publish to a new repository.",
                )
            builds.append(decode_build(content, f"{self.url}/{path}"))
        return builds

    def known(self, archive: str, current: Sequence[Build]) -> list[Known]:
        """Complete builds of an archive that need not be made again: on the Hub, or left by a run that was killed."""
        known = [Known(build, None) for build in current if build.archive == archive and not self._missing_parts(build)]
        return known + staged(self.builds_folder, archive)

    def prepare(self) -> None:
        """Nothing: what a killed run left on the Hub is named by no README, and used again."""

    def add(self, built: Built) -> None:
        """Upload a build that this run made, as far as it is not there. Nothing refers to it yet.

        Raises:
            HubError: refused, or not reached; what arrived stays, and the next run goes on from there.
        """
        if built.folder is None:
            return
        missing = self._missing_parts(built.build)
        if not missing:
            return
        with self._explained():
            if self._head is None:
                self._api.create_repo(self.location, repo_type=_KIND, private=True, exist_ok=True)
                self._head = self._api.repo_info(self.location, repo_type=_KIND).sha
            if README not in self._files and not self._changes.commits:
                # Without a README, `load_dataset` takes whatever lies in `data/`; this one shows nothing yet.
                self._commit_placeholder()
            commit = self._api.upload_folder(
                repo_id=self.location,
                repo_type=_KIND,
                folder_path=built.folder,
                path_in_repo=f"{DATA_FOLDER}/{built.build.folder}",
                allow_patterns=missing,
                commit_message=f"Add the parts of {built.build.folder}",
            )
            self._head = commit.oid
            self._changes.commits += 1
            self._changes.uploaded_files += len(missing)

    def flip(self, release: Release, built: Sequence[Built]) -> Changes:
        """Make the release visible in one commit, and forget the local copies.

        Raises:
            HubError: refused, not reached, or somebody else committed meanwhile; nothing visible has changed then.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        run = {one.build.archive for one in built}
        changes = self._changes
        stale = self._stale_folders(release)
        additions = {path: content for path, content in release.files.items() if not self._is_there(path, content)}
        gone = [
            path
            for path in self._files
            if organized_archive(path) in run and path not in release.files and path.startswith(ORGANIZED_FOLDER)
        ]
        if additions or stale or gone:
            # README last, so that a server which applies the list in order never names what is not there.
            order = sorted(additions, key=lambda path: (path == README, path))
            operations: list[Any] = [CommitOperationAdd(path, additions[path]) for path in order]
            operations += [CommitOperationDelete(f"{DATA_FOLDER}/{name}/", is_folder=True) for name in stale]
            operations += [CommitOperationDelete(path) for path in gone]
            with self._explained():
                self._api.create_commit(
                    self.location,
                    operations,
                    repo_type=_KIND,
                    commit_message=f"Show {', '.join(sorted(run))}",
                    parent_commit=self._head,
                )
            changes.commits += 1
        shutil.rmtree(self.path, ignore_errors=True)
        changes.added = sorted(one.build.folder for one in built if one.folder is not None)
        changes.unchanged = sorted(release.folders - set(changes.added))
        changes.removed = sorted(stale)
        return changes

    def clean(self) -> None:
        """Remove empty folders of the cache; finished parts wait there for the next run."""
        for folder in (self.work, self.builds_folder, self.builds_folder.parent, self.path):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _commit_placeholder(self) -> None:
        commit = self._api.upload_file(
            path_or_fileobj=render_placeholder().encode(),
            path_in_repo=README,
            repo_id=self.location,
            repo_type=_KIND,
            commit_message="Show nothing until everything is there",
        )
        self._head = commit.oid
        self._changes.commits += 1

    def _check_permission(self) -> None:
        me = self._api.whoami()
        namespace = self.location.split("/")[0]
        mine = {me["name"], *(organisation["name"] for organisation in me.get("orgs", ()))}
        role = me.get("auth", {}).get("accessToken", {}).get("role", "write")
        if namespace not in mine:
            raise HubError(
                f"expected a token that may write to {namespace}, found one of {me['name']}",
                where=self.url,
                hint="Log in as its owner or as a member of the organisation: `hf auth login`.",
            )
        if role == "read":
            raise HubError(
                "expected a token that may write, found one that may only read",
                where=self.url,
                hint="Make a token with write permission in your settings on the Hub, then `hf auth login`.",
            )

    def _list_files(self) -> None:
        files = self._api.list_repo_tree(self.location, recursive=True, repo_type=_KIND, revision=self._head)
        self._files = {entry.path: entry for entry in files if hasattr(entry, "blob_id")}

    def _read(self, path: str) -> bytes | None:
        if path not in self._files:
            return None
        local = self._api.hf_hub_download(self.location, path, repo_type=_KIND, revision=self._head)
        return Path(local).read_bytes()

    def _missing_parts(self, build: Build) -> list[str]:
        missing = []
        for part in build.parts:
            entry = self._files.get(f"{DATA_FOLDER}/{build.folder}/{part.file}")
            if entry is None or entry.lfs is None or (entry.size, entry.lfs.sha256) != (part.size_bytes, part.sha256):
                missing.append(part.file)
        return missing

    def _is_there(self, path: str, content: bytes) -> bool:
        entry = self._files.get(path)
        if entry is None or entry.size != len(content):
            return False
        if entry.lfs is not None:
            return bool(entry.lfs.sha256 == hashlib.sha256(content).hexdigest())
        git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        return bool(entry.blob_id == git.hexdigest())

    def _stale_folders(self, release: Release) -> list[str]:
        folders = {
            path.split("/")[2] for path in self._files if path.startswith(f"{DATA_FOLDER}/") and path.count("/") > 2
        }
        return sorted(name for name in folders if split_folder(name) and name not in release.folders)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the client raises into one sentence. Its own message may hold signed URLs and stays out."""
        from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

        try:
            yield
        except AsamDatasetsError:
            raise
        except HfHubHTTPError as error:
            raise self._refused(error.response.status_code, error.server_message or "") from error
        except (LocalTokenNotFoundError, OfflineModeIsEnabled) as error:
            raise HubError(str(error).splitlines()[0], where=self.url) from error
        except Exception as error:
            if not _is_transport(error):
                raise
            raise HubError(
                f"expected an answer of the Hub, found none ({type(error).__name__})",
                where=self._api.endpoint,
                hint="Check the network, then run the same command again: it goes on where it stopped.",
            ) from error

    def _refused(self, status: int, message: str) -> HubError:
        said = f": {message}" if message else ""
        hints = {
            401: "The token is wrong or has expired: `hf auth login`.",
            403: "The token may not write here; use one of the owner with write permission.",
            404: "Check --repo-id, and that the token may see the repository.",
            412: "Somebody else changed the repository meanwhile; run the same command again.",
            429: "Too many requests; wait some minutes, then run the same command again.",
        }
        return HubError(
            f"expected the Hub to accept the request, found that it refused with status {status}{said}",
            where=self.url,
            hint=hints.get(status, "Run the same command again: it goes on where it stopped."),
        )


def default_cache() -> Path:
    """Where publishing to the Hub keeps its work: `ASAM_DATASETS_CACHE`, or `asam_datasets` in the user's cache."""
    named = os.environ.get("ASAM_DATASETS_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "asam_datasets"


def _is_transport(error: Exception) -> bool:
    """Whether the network failed. requests, httpx and its fork name their bases alike."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"HTTPError", "RequestException", "TransportError", "ConnectionError", "TimeoutError"})
