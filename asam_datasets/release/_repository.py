"""A repository on the Hub as target.

Order of things: private first, then the gate, the license, the data under names that no README knows, and when all of
it is verified one commit with README, every `build.json` and the deletions, guarded by the head that this run saw. Then
the tag, and last of all the visibility. A reader sees the whole old dataset or the whole new one. What is there
already, by sha256 and size, is not sent again, and when nothing changed there is no commit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from asam_datasets.builds import DATA, Build, Built, Candidate, split_folder
from asam_datasets.errors import HubError, RightsError, TargetError, option
from asam_datasets.published import (
    KIND,
    PLACEHOLDER,
    README,
    ConflictError,
    FileInfo,
    HubClient,
    PublishedRepository,
    check_permission,
    check_token,
    front_matter,
    missing_parts,
    visible_builds,
)
from asam_datasets.release._access import Access, Destination
from asam_datasets.release._card import LICENSE, render_placeholder
from asam_datasets.release._folder import is_complete, staged
from asam_datasets.release._history import past_holdings
from asam_datasets.release._pull_request import find_pull_request, start_pull_request, submit_pull_request
from asam_datasets.release._release import ORGANIZED_FOLDER, Changes, Release, ReleaseMaker
from asam_datasets.release._tag import Tag
from asam_datasets.rights import Holding

_MAIN = "main"
_PULL_REQUESTS = "refs/pr/"
_UPLOAD_BYTES = 4 * 2**30  # builds are collected until a commit is worth it; the Hub allows 128 commits an hour
_CONFLICTS = 5


class RepositoryTarget:
    """Publishes into a dataset repository.

    Args:
        repo_id: `namespace/name`.
        cache: folder that keeps unfinished work and finished parts until they are on the Hub.
        destination: branch, pull request and tag.
        log: gets a line whenever something is tried again or takes a while.

    Raises:
        TargetError: `repo_id` is not one, or there is no token.
    """

    def __init__(
        self,
        repo_id: str,
        cache: Path,
        destination: Destination | None = None,
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._client = HubClient(repo_id, log)
        check_token(repo_id)
        self.location = repo_id
        self.path = cache / repo_id.replace("/", "--")
        self.work = self.path / "work"
        self.data_folder = self.path / DATA
        self.url = self._client.url
        self.access: Access | None = None
        self.replaces_foreign = False
        self._destination = destination or Destination()
        self._revision = self._destination.revision or _MAIN
        self._head: str | None = None
        self._is_opened = False
        self._files: dict[str, FileInfo] = {}
        self._seen: list[Build] = []
        self._readme: FileInfo | None = None
        self._needs_branch = False
        self._tag = Tag(self._client, self._destination.tag)
        self._main = ""
        self._queue: list[Built] = []
        self._changes = Changes()
        self._request = Access(private=True)
        self._license = b""
        self._me = ""

    def current(self) -> list[Build]:
        """The builds that are visible now; also finds out whether this token may write, and sets `access`.

        Raises:
            HubError: the Hub cannot be reached, or the token is refused or may not write here.
            TargetError: the tag is taken, or the dataset is not one of ours and names what is not there.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        self._me = check_permission(self._client, may_propose=self._destination.create_pr)
        try:
            self.access = self._read_access()
        except RepositoryNotFoundError:
            if self._destination.create_pr:
                raise TargetError(
                    "expected a repository to open a pull request on, found none",
                    where=self.url,
                    hint=f"Check {option('repo_id')}; without {option('create_pr')} a new repository is made.",
                ) from None
            return []
        self._find_revision()
        self._tag.look(self._head)
        self._see()
        return self._seen

    def known(self, name: str, current: Sequence[Build]) -> list[Candidate]:
        """Complete builds of a name that need not be made again: on the Hub, or left by a run that was killed."""
        visible = [build for build in current if build.name == name and not missing_parts(build, self._files)]

        def complete(folder: Path, build: Build) -> bool:
            return is_complete(folder, build) or not missing_parts(build, self._files)

        left = staged(self.data_folder, name, complete)
        folders = {build.folder for build in visible}
        return [Candidate(build, None) for build in visible] + [one for one in left if one.build.folder not in folders]

    def past_holdings(self) -> list[Holding]:
        """What anybody could load out of the history if the repository were public; empty while there is none.

        Raises:
            HubError: refused, or not reached.
        """
        return past_holdings(self._client) if self.access is not None else []

    def prepare(self, request: Access, license: str) -> None:
        """Remember who shall see it and under which terms; the Hub hears of it before the first byte of data."""
        self._request = request
        self._license = license.encode()

    def add(self, built: Built) -> None:
        """Upload a build that this run made, as far as it is not there. Nothing refers to it yet.

        Small builds are collected, so that many of them make few commits.

        Raises:
            HubError: refused, or not reached; what arrived stays, and the next run goes on from there.
        """
        if built.folder is not None and missing_parts(built.build, self._files):
            self._tag.refuse_if_there()
            self._queue.append(built)
            if sum(one.build.size_bytes for one in self._queue) >= _UPLOAD_BYTES:
                self._upload()

    def release(self, maker: ReleaseMaker) -> tuple[Release, Changes]:
        """Verify that everything is there, and make the release visible in one commit.

        When somebody else published meanwhile, the release is made again on top of theirs.

        Raises:
            HubError: refused, not reached, or parts are missing on the Hub; nothing visible has changed then.
        """
        self._upload()
        conflicts = 0
        while True:
            if self._files.get(README) != self._readme:
                self._see()
            release = maker.make(self._seen)
            additions, gone = self._differences(release)
            if not additions and not gone and not self._needs_branch:
                break
            self._tag.refuse_if_there()
            if not self._is_opened:
                self._open()
                continue
            try:
                self._commit_release(release, additions, gone)
                break
            except ConflictError:
                conflicts += 1
                if conflicts == _CONFLICTS:
                    raise
                self._client.log("Somebody else changed the repository meanwhile; joining both")
                self._refresh()
        shutil.rmtree(self.path, ignore_errors=True)
        changes = self._changes
        changes.added = sorted(release.paths - {build.path for build in self._seen})
        changes.unchanged = sorted(release.paths - set(changes.added))
        return release, changes

    def finish(self, release: Release) -> None:
        """What follows the release commit: tag it, and show it to those whom it is for.

        Raises:
            HubError: refused, or not reached. The same command does what is left.
        """
        self._tag.make(self._head)
        if self._revision.startswith(_PULL_REQUESTS):
            submit_pull_request(self._client, self._revision)
        if self._request != self.access:
            self._set_access(self._request)

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left for `finish` to do."""
        return self._request == self.access and (self._tag.name is None or self._tag.is_there)

    @property
    def revision(self) -> str:
        """Where the release went: `main`, a branch, or `refs/pr/N`."""
        return self._revision

    def clean(self) -> None:
        """Remove empty folders of the cache; finished parts wait there for the next run."""
        for folder in (self.work, *self.data_folder.glob("*"), self.data_folder, self.path):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _open(self) -> None:
        """Before the first byte of data: the repository, who may see it, the branch, the license."""
        if self._is_opened:
            return
        client = self._client
        if self.access is None:
            client.call(
                "creating the repository",
                client.api.create_repo,
                self.location,
                repo_type=KIND,
                private=True,
                exist_ok=True,
            )
            self.access = self._read_access()  # of ours, or of one that somebody made this very moment
            self._needs_branch = self._revision != _MAIN
        # The gate first, and privacy at once; being public comes last of all.
        self._set_access(Access(self.access.private or self._request.private, self._request.gated))
        if self._destination.create_pr and self._revision == _MAIN:
            self._revision = start_pull_request(client, self._me)
        elif self._needs_branch:
            make = client.api.create_branch
            client.call("making the branch", make, self.location, branch=self._revision, repo_type=KIND, exist_ok=True)
            self._needs_branch = False
        for attempt in range(_CONFLICTS):
            self._refresh()
            self._refuse_new_readers()
            first = {} if self._shows_configs() else {PLACEHOLDER: render_placeholder().encode()}
            first[LICENSE] = self._license
            first = {path: content for path, content in first.items() if not self._holds(path, content)}
            try:
                if first:
                    self._commit("Say under which terms, and show nothing yet", first)
                    self._refresh()
                break
            except ConflictError:
                if attempt == _CONFLICTS - 1:
                    raise
        self._is_opened = True

    def _shows_configs(self) -> bool:
        """Whether README says what is visible; otherwise `load_dataset` takes whatever lies in `data/`."""
        if README not in self._files or self._head is None:
            return False
        try:
            return "configs" in (front_matter(self._client.read(README, self._head).decode("utf-8", "replace")) or {})
        except yaml.YAMLError:
            return False

    def _upload(self) -> None:
        """Send what was collected, in one go, and drop the local parts: the Hub has them now."""
        if not self._queue:
            return
        self._open()
        builds = [one.build for one in self._queue]
        missing = {f"{build.kind}/{build.folder}": missing_parts(build, self._files) for build in builds}
        paths = [f"{folder}/{file}" for folder, files in missing.items() for file in files]
        if paths:
            client = self._client
            names = ", ".join(sorted(build.folder for build in builds))
            client.call(
                "uploading",
                client.api.upload_folder,
                repo_id=self.location,
                repo_type=KIND,
                revision=self._revision,
                folder_path=self.data_folder,
                path_in_repo=DATA,
                allow_patterns=paths,
                commit_message=f"Add the parts of {names[:200]}",
            )
            self._changes.commits += 1
            self._changes.uploaded_files += len(paths)
            sizes = {
                f"{build.kind}/{build.folder}/{part.file}": part.size_bytes for build in builds for part in build.parts
            }
            self._changes.uploaded_bytes += sum(sizes[path] for path in paths)
            self._refresh()
        for one in self._queue:
            if one.folder is not None and not missing_parts(one.build, self._files):
                for part in one.build.parts:
                    (one.folder / part.file).unlink(missing_ok=True)
        self._queue.clear()

    def _differences(self, release: Release) -> tuple[dict[str, bytes], list[str]]:
        """What the release commit has to write, README last, and what it has to delete; folders end with a slash."""
        # Last, so that a server which applies the list in order never names what is not there.
        order = sorted(release.files, key=lambda path: (path == README, path))
        additions = {path: release.files[path] for path in order if not self._holds(path, release.files[path])}
        organized = [path for path in self._files if path.startswith(f"{ORGANIZED_FOLDER}/")]
        gone = [f"{path}/" for path in self._stale(release)] + release.without(organized)
        return additions, gone + ([PLACEHOLDER] if PLACEHOLDER in self._files else [])

    def _refuse_new_readers(self) -> None:
        """Somebody may have opened the repository since the rights were checked.

        Raises:
            RightsError: it was private then, and is not now.
        """
        expected = self.access
        self.access = found = self._read_access()
        if expected is not None and expected.private and not found.private:
            raise RightsError(
                "expected a private repository, found that somebody made it public meanwhile",
                where=self.url,
                hint="Run the same command again: it checks what everyone may be shown.",
            )

    def _commit_release(self, release: Release, additions: dict[str, bytes], gone: list[str]) -> None:
        for build in release.builds:
            missing = missing_parts(build, self._files)
            if missing:
                raise HubError(
                    f"expected {len(build.parts)} verified parts of {build.path}, found {len(missing)} missing or "
                    f"different, such as {missing[0]}",
                    where=self.url,
                    hint="Nothing was shown. Run the same command again: it sends them again.",
                )
        self._refuse_new_readers()
        names = ", ".join(sorted(release.names)) or "the dataset"
        self._commit(f"Show {names[:200]}", additions, gone)
        self._changes.removed = [path.rstrip("/") for path in gone if path.endswith("/")]

    def _commit(self, message: str, additions: dict[str, bytes], deletions: Sequence[str] = ()) -> None:
        assert self._head is not None  # noqa: S101 - `_refresh` has set it
        self._head = self._client.commit(message, additions, deletions, revision=self._revision, parent=self._head)
        self._changes.commits += 1

    def _stale(self, release: Release) -> list[str]:
        """Build folders that go with this release: what was visible and is not, and leftovers of the same names.

        Folders of other names that nothing shows may be another publisher's, at work right now; they stay.
        """
        folders = {"/".join(path.split("/")[:3]) for path in self._files if path.startswith(f"{DATA}/")}
        before = {build.path for build in self._seen}
        stale = []
        for folder in sorted(folders - release.paths):
            split = split_folder(folder.rsplit("/", 1)[-1])
            if split is not None and folder.count("/") == 2 and (folder in before or split[0] in release.names):
                stale.append(folder)
        return stale

    def _holds(self, path: str, content: bytes) -> bool:
        return path in self._files and self._files[path].holds(content)

    def _refresh(self) -> None:
        self._head = self._client.call("reading the head", self._client.head, self._revision)
        self._files = self._client.list_files(self._head)

    def _see(self) -> None:
        """Read which builds the README shows, and remember that it was this README."""
        self._readme = self._files.get(README)
        if self._head is None:
            return
        try:
            self._seen = visible_builds(PublishedRepository(self._client, self._head, self._files)) or []
        except TargetError as error:
            if error.where != f"{self.url}/{README}":
                raise
            self._seen = []  # somebody's README, the old release, say; git keeps it
            self.replaces_foreign = True

    def _read_access(self) -> Access:
        """Who may see the repository now; also remembers the head of `main`."""
        client = self._client
        info = client.ask("reading the repository", client.api.repo_info, self.location, repo_type=KIND)
        self._main = str(info.sha)
        return Access(bool(info.private), info.gated if info.gated in ("auto", "manual") else None)

    def _find_revision(self) -> None:
        """Head and files of the branch or pull request; of `main`, from which it will start, while there is none."""
        from huggingface_hub.errors import RevisionNotFoundError

        if self._destination.create_pr:
            self._revision = find_pull_request(self._client, self._me) or _MAIN
        try:
            self._head = self._main if self._revision == _MAIN else self._client.head(self._revision)
        except RevisionNotFoundError:
            self._head, self._needs_branch = self._main, True
        self._files = self._client.list_files(self._head)

    def _set_access(self, access: Access) -> None:
        """Change the settings that differ; one request."""
        before = self.access or Access(private=True)
        changed: dict[str, object] = {}
        if access.private != before.private:
            changed["private"] = access.private
        if access.gated != before.gated:
            changed["gated"] = access.gated or False
        if changed:
            client = self._client
            update = client.api.update_repo_settings
            client.call("setting who may see it", update, self.location, repo_type=KIND, **changed)
        self.access = access
