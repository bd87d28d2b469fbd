"""A repository on the Hub as target.

Order of things:

    read_state          _remote_state   what is there: access, head, files, what README shows; nothing is changed
    open_repository     _opening        private first, then the gate, the branch, the license and the placeholder
    upload_builds       _uploading      the data under names that no README knows
    commit_release      _releasing      when all of it is verified, one commit with README, every `build.json` and the
                                        deletions, guarded by the head that this run saw
    make_tag            _tag            then the tag,
    set_access          _settings       and last of all the visibility

Each takes the state that the one before it left. A reader sees the whole old dataset or the whole new one. What is
there already, by sha256 and size, is not sent again, and when nothing changed there is no commit.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from asam_datasets.builds import BUILD_FILE, DATA, Build, Built, Candidate, encode_build, in_run, is_run, new_run
from asam_datasets.machine import write_atomically
from asam_datasets.published import (
    ConflictError,
    HubClient,
    Published,
    PublishedRepository,
    Sent,
    check_permission,
    check_token,
)
from asam_datasets.release._access import Access, Destination
from asam_datasets.release._beside import Beside
from asam_datasets.release._history import past_holdings
from asam_datasets.release._opening import CONFLICTS, Request, open_repository
from asam_datasets.release._pace import COMMIT_BYTES, COMMIT_FILES, SEND_BYTES
from asam_datasets.release._pull_request import is_pull_request, submit_pull_request
from asam_datasets.release._release import Changes, Release, ReleaseMaker, There, organized_files
from asam_datasets.release._releasing import Differences, check_parts, commit_lists, commit_release, compare
from asam_datasets.release._remote_state import MAIN, RemoteState, read_again, read_state
from asam_datasets.release._settings import refuse_new_readers, set_access
from asam_datasets.release._staging import find_candidates, remove_empty
from asam_datasets.release._tag import make_tag, tag_is_taken
from asam_datasets.release._uploading import Pending, commit_builds, send_builds
from asam_datasets.rights import Holding


class RepositoryTarget:
    """Publishes into a dataset repository; see `Target` for the order of use.

    Builds are sent by a thread of its own, while the caller makes the next one. Between `add` and `release` the thread
    owns the state, and the caller only looks at what it is.

    Args:
        repo_id: `namespace/name`.
        cache: folder that keeps unfinished work and finished parts until they are on the Hub.
        destination: branch, pull request and tag.
        log: gets a line whenever something is tried again or takes a while.

    Raises:
        TargetError: `repo_id` is not one, or there is no token.
    """

    is_remote = True

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
        self._request = Request(Access(private=True), b"", destination or Destination(), author="")
        self._state = RemoteState(self._request.destination.revision or MAIN)
        self._is_opened = False
        self._pending = Pending()
        self._uploads = Beside(self._send, _is_worth_it, _may_wait)
        self._changes = Changes()
        self._commit = ""  # the release commit; where it was not needed, the head is what is tagged

    @property
    def revision(self) -> str:
        """Where the release goes: `main`, a branch, or `refs/pr/N`."""
        return self._state.revision

    @property
    def access(self) -> Access | None:
        """Who may see the repository; None while there is none."""
        return self._state.access

    @property
    def replaces_foreign(self) -> bool:
        """Whether somebody else's README is there."""
        return self._state.replaces_foreign

    @property
    def readme(self) -> str | None:
        """The card at the head that was read."""
        return self._state.readme

    @property
    def license_file(self) -> str:
        """Where the list of licenses goes: not over one that somebody else wrote."""
        return self._state.license_file

    @property
    def needs_proof(self) -> bool:
        """Whether this run changed what is visible, or is going to tag or show it: not when all was so already."""
        return self._changes.commits > 0 or self._request.access != self.access or self._missing_tag is not None

    def current(self) -> list[Build]:
        """The builds that are visible now; also finds out whether this token may write.

        Raises:
            HubError: the Hub cannot be reached, or the token is refused or may not write here.
            TargetError: the tag is taken, or the dataset is not one of ours and names what is not there.
        """
        destination = self._request.destination
        me = check_permission(self._client, may_propose=destination.create_pr)
        self._request = replace(self._request, author=me)
        self._state = read_state(self._client, destination, me)
        return list(self._state.visible.builds)

    def shown(self) -> Published | None:
        """The head that was read, once it shows something."""
        state = self._state
        return PublishedRepository(self._client, state.head, state.files) if state.visible.builds else None

    def refuse_changes(self) -> None:
        """A tag that is there names what is there now.

        Raises:
            TargetError: the tag that was asked for is there.
        """
        self._refuse_tagged()

    def candidates(self, name: str, current: Sequence[Build]) -> list[Candidate]:
        """Complete builds of a name that need not be made again: on the Hub, or left by a run that was killed."""
        return find_candidates(name, current, self.data_folder, self._state.locate)

    def past_holdings(self) -> list[Holding]:
        """What anybody could load out of the history if the repository were public; empty while there is none.

        Raises:
            HubError: refused, or not reached.
        """
        return past_holdings(self._client) if self.access is not None else []

    def readers(self, access: Access) -> str:
        """Who will see the dataset, in words."""
        return str(access)

    def prepare(self, request: Access, license: str) -> None:
        """Remember who shall see it and under which terms; the Hub hears of it before the first byte of data."""
        self._request = replace(self._request, access=request, license=license.encode())

    def open(self) -> None:
        """Make the repository ready for data now, and not with the first build: others are going to send them.

        Raises:
            RightsError: somebody has made the repository public meanwhile.
            HubError: refused, or not reached.
        """
        self._open()

    def name_sent(self, built: Sequence[Built], captions: Callable[[str], Mapping[str, str]]) -> None:
        """Name builds whose parts others have sent, where they shall lie; nothing refers to them yet. Their files in
        `organized/` come with them: the release commit holds 1,000 files at most.

        Args:
            built: archives that are not shown yet.
            captions: those of an archive, by file name.

        Raises:
            HubError: refused, or not reached; or the Hub does not have what was sent.
        """
        self._open()
        pending = Pending(list(built), {})
        for one in built:
            pending.files[f"{one.build.path}/{BUILD_FILE}"] = encode_build(one.build)
            for part in one.build.parts:
                pending.files[f"{one.build.path}/{part.file}"] = Sent(part.size_bytes, part.sha256)
            pending.files.update(organized_files(one, captions(one.build.name)))
        self._state = commit_builds(self._client, self._state, pending, self._changes)

    def add(self, built: Built) -> None:
        """Have a build that this run made uploaded, as far as it is not there; nothing refers to it yet.

        Returns while it is uploaded, unless another one still waits. Small builds make few commits together.

        Raises:
            HubError: refused, or not reached; what arrived stays, and the next run goes on from there.
        """
        if built.folder is not None and self._state.locate(built.build) is None:
            self._refuse_tagged()
            self._uploads.put(self._placed(built))

    def _placed(self, built: Built) -> Built:
        """The build where the target has it, or where this run puts it."""
        if built.folder is None:
            return built
        located = self._state.locate(built.build)
        return replace(built, build=located or in_run(built.build, self._run_name()))

    def _run_name(self) -> str:
        """The name of this run, which nobody else's has: what another publisher sends must not be shown by it. It is
        kept until the release, for the run after a kill."""
        note = self.path / "run"
        name = note.read_text() if note.is_file() else ""
        if not is_run(name) or name in self._state.visible.closed:
            name = new_run(secrets.token_hex(6))
            write_atomically(note, name.encode())
        return name

    def release(self, maker: ReleaseMaker) -> tuple[Release, Changes]:
        """Verify that everything is there, and make the release visible in one commit.

        When somebody else published meanwhile, the release is made again on top of theirs.

        Raises:
            RightsError: somebody has meanwhile added what may not be shown, or made the repository public.
            HubError: refused, not reached, or parts are missing on the Hub; nothing visible has changed then.
        """
        self._uploads.drain()
        if self._pending.built:
            self._state = commit_builds(self._client, self._state, self._pending, self._changes)
        conflicts = 0
        placed = [self._placed(one) for one in maker.built]
        is_new = any(one.folder is not None for one in placed)
        maker = replace(maker, built=placed, run=self._run_name() if is_new else maker.run)
        while True:
            there = There(self._state.files.keys(), alone=False, at_once=True, license_file=self._state.license_file)
            release = maker.make(self._state.visible, there, self._state.readme)
            changed = compare(self._state, release)
            if not changed and not self._state.needs_branch:
                break
            self._refuse_tagged()
            if not self._is_opened:
                self._open()
                continue
            try:
                self._commit_release(release, changed)
                break
            except ConflictError:
                conflicts += 1
                if conflicts == CONFLICTS:
                    raise
                self._client.log("Somebody else changed the repository meanwhile; joining both")
                self._state = read_again(self._client, self._state)
        shutil.rmtree(self.path, ignore_errors=True)
        self._changes.compare(release, self._state.visible.builds)
        return release, self._changes

    def finish(self) -> None:
        """What follows the release commit: tag it, and show it to those whom it is for.

        Raises:
            HubError: refused, or not reached. The same command does what is left.
        """
        client, state = self._client, self._state
        if self._missing_tag is not None:
            make_tag(client, self._missing_tag, self._commit or state.head)
        if is_pull_request(state.revision):
            submit_pull_request(client, state.revision)
        if self._request.access != state.access:
            set_access(client, state.access or Access(private=True), self._request.access)
            self._state = replace(state, access=self._request.access)

    def clean(self) -> None:
        """End the upload, and remove empty folders of the cache; finished parts wait there for the next run."""
        self._uploads.stop()
        remove_empty([*self.work.glob("*"), self.work, *self.data_folder.glob("*"), self.data_folder, self.path])

    @property
    def _missing_tag(self) -> str | None:
        """The tag that is still to be made."""
        return None if self._state.is_tagged else self._request.destination.tag

    def _refuse_tagged(self) -> None:
        """Before anything is changed: a tag that is there names what is there now."""
        if self._state.is_tagged:
            raise tag_is_taken(self._client, self._request.destination.tag)

    def _open(self) -> None:
        if not self._is_opened:
            self._state = open_repository(self._client, self._state, self._request, self._changes)
            self._is_opened = True

    def _send(self, built: Sequence[Built]) -> None:
        """What the thread does with builds that wait."""
        self._open()
        send_builds(self._client, self._state, built, self._pending, self._changes)
        if self._pending.is_commit:
            self._state = commit_builds(self._client, self._state, self._pending, self._changes)

    def _commit_release(self, release: Release, changed: Differences) -> None:
        check_parts(self._client, self._state, release)
        self._state = replace(self._state, access=refuse_new_readers(self._client, self._state.access))
        self._state, changed = commit_lists(self._client, self._state, changed, self._changes)
        self._commit = commit_release(self._client, self._state, release, changed)
        self._changes.commits += 1
        self._changes.removed = changed.folders


def _is_worth_it(waiting: Sequence[Built]) -> bool:
    """Whether builds are worth the requests that sending them costs."""
    files = sum(len(one.build.parts) for one in waiting)
    return sum(one.build.size_bytes for one in waiting) >= SEND_BYTES or files >= COMMIT_FILES


def _may_wait(waiting: Sequence[Built]) -> bool:
    """Whether the disk is to hold so many builds besides those that are sent and the one that is built."""
    return sum(one.build.size_bytes for one in waiting) <= COMMIT_BYTES
