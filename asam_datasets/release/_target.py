"""What publishing needs of the place where a dataset goes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from asam_datasets.builds import Build, Built, Candidate
from asam_datasets.published import Published
from asam_datasets.release._access import Access
from asam_datasets.release._release import Changes, Release, ReleaseMaker
from asam_datasets.rights import Holding


class Target(Protocol):
    """A folder or a repository. Its steps are taken in this order, by one process, under the lock of `url`:

        current ──► candidates, past_holdings, readers ──► prepare ──► add, for each build ──► release ──► finish

    and `clean` at the end, however it ends. Until `prepare` nothing is changed, and until `release` nothing that a
    reader sees. Whatever step fails or is killed, the same run again goes on from what is there.
    """

    @property
    def location(self) -> str:
        """What `load_dataset` takes: a folder or a repository id."""

    @property
    def url(self) -> str:
        """The place for people, and for the lock: an absolute path, or the address on the Hub."""

    @property
    def path(self) -> Path:
        """The local folder in which everything is written that this run writes."""

    @property
    def work(self) -> Path:
        """Folder for what is not complete."""

    @property
    def data_folder(self) -> Path:
        """Folder for complete builds, one folder for each table; on the file system of `work`, and shown to nobody."""

    @property
    def is_remote(self) -> bool:
        """Whether builds go over the network, and who may see them is the target's business."""

    @property
    def revision(self) -> str | None:
        """Branch or pull request that the release goes to; None where there are none."""

    @property
    def access(self) -> Access | None:
        """Who may see it, as found by `current` and set later; None where nobody can say, or while there is nothing."""

    @property
    def replaces_foreign(self) -> bool:
        """Whether `current` found a README of somebody else, which the release replaces."""

    @property
    def readme(self) -> str | None:
        """The card that `current` found; None without one."""

    @property
    def license_file(self) -> str:
        """Path of the list of licenses: another than `LICENSE.md` where somebody else wrote that one."""

    @property
    def needs_proof(self) -> bool:
        """Whether, between `release` and `finish`, every config has to be loaded back as a reader would."""

    def current(self) -> list[Build]:
        """Look at the target, and give the builds that are visible now.

        Raises:
            TargetError: something else is there, or what README names is not.
            HubError: the Hub refused, or was not reached.
        """

    def shown(self) -> Published | None:
        """What `current` found visible, to be read; None while there is nothing."""

    def refuse_changes(self) -> None:
        """Called before anything is built that would change what is there.

        Raises:
            TargetError: it cannot be changed, for a reason that is known already.
        """

    def candidates(self, name: str, current: Sequence[Build]) -> list[Candidate]:
        """Complete builds of a name that need not be made again: visible ones, and what a killed run left."""

    def past_holdings(self) -> list[Holding]:
        """What anybody could load out of the history if everyone saw the target; empty where there is none.

        Raises:
            HubError: the Hub refused, or was not reached.
        """

    def readers(self, access: Access) -> str:
        """Who will see the dataset, in words."""

    def prepare(self, request: Access, license: str) -> None:
        """Get ready for builds.

        Args:
            request: who shall see the dataset in the end; nobody new does before the first byte is protected.
            license: text of the license file.
        """

    def add(self, built: Built) -> None:
        """Take a build that is complete in `data_folder`, or that the target has already. No reader sees it yet.

        Raises:
            HubError: the Hub refused, or was not reached; what arrived stays.
        """

    def release(self, maker: ReleaseMaker) -> tuple[Release, Changes]:
        """Make the release visible in one step, and take away what it no longer names.

        Raises:
            RightsError: somebody has meanwhile added what those who would see it may not be shown.
            HubError: the Hub refused, was not reached, or parts are missing there; nothing visible has changed then.
        """

    def finish(self) -> None:
        """What follows when the release was made, and loaded back where that is needed.

        Raises:
            HubError: the Hub refused, or was not reached. The same run again does what is left.
        """

    def clean(self) -> None:
        """Remove empty folders that this run made and did not need; what is finished waits for the next one."""
