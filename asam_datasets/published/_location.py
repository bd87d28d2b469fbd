"""A published dataset as a reader finds it: its files, in a folder or on the Hub."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

from asam_datasets.builds import Build
from asam_datasets.errors import TargetError
from asam_datasets.machine import file_sha256, path_of
from asam_datasets.published._answers import FileInfo
from asam_datasets.published._client import KIND, HubClient, check_repo_id
from asam_datasets.published._layout import NoDatasetError

if TYPE_CHECKING:
    from huggingface_hub import HfFileSystem

_Result = TypeVar("_Result")


class Location(NamedTuple):
    """A published dataset as a worker process can be told of it; `commit` is None for a folder."""

    place: str
    commit: str | None


def open_location(location: Location, log: Callable[[str], None] = lambda text: None) -> Published:
    """Open a dataset in another process; `log` gets a line when something is tried again."""
    if location.commit is None:
        return PublishedFolder(Path(location.place))
    return PublishedRepository(HubClient(location.place, log), location.commit)


def open_published(
    dataset: str, revision: str | None = None, log: Callable[[str], None] = lambda text: None
) -> Published:
    """Find a dataset: a folder if there is one of that name, else a repository on the Hub.

    Args:
        dataset: a folder, or a repository id `namespace/name`.
        revision: branch, tag or commit on the Hub; `main` by default. One commit is read from first to last.
        log: gets a line when something is tried again.

    Raises:
        NoDatasetError: it is neither.
        HubError: the Hub refused, or was not reached.
    """
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    place = path_of(dataset)
    if place.is_dir():
        return PublishedFolder(place)
    if place.is_file():
        raise NoDatasetError("expected a folder, found a file", where=dataset, hint="Check the path.", found="a file")
    try:
        check_repo_id(dataset)
    except TargetError:
        raise NoDatasetError(
            f"expected a folder or a repository id such as xhk/ASAM-Datasets, found {dataset!r}",
            hint="Check the path.",
            found=f"no such folder: {dataset}",
        ) from None
    if Path(dataset).parent.is_dir():
        log(f"There is no folder {dataset}: asking the Hub for a dataset of that name")
    client = HubClient(dataset, log)
    try:
        return PublishedRepository(client, client.head(revision or "main"))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        what = "revision" if isinstance(error, RevisionNotFoundError) else "folder and no repository"
        raise NoDatasetError(
            f"expected a dataset, found no such {what}",
            where=client.url,
            hint="Check the name, and that your token may see it (`hf auth login`).",
            found=f"no such {what}",
        ) from None


class Published(Protocol):
    """What a folder and a repository have in common."""

    @property
    def url(self) -> str:
        """Where it is, for messages."""

    @property
    def location(self) -> Location:
        """How another process finds it."""

    def files(self) -> Mapping[str, FileInfo]:
        """Size and, where it costs nothing, sha256 of every file by path."""

    def sha256(self, path: str) -> str | None:
        """The sha256 of a large file; None where nobody keeps it."""

    def read(self, path: str) -> bytes | None:
        """The content of a small file; None when there is none."""

    def open(self, path: str, size_bytes: int | None = None) -> IO[bytes]:
        """A large file, to be read here and there; one request less where its size is known."""

    def call(self, what: str, function: Callable[[], _Result]) -> _Result:
        """What the function gives that reads; a failure that may pass is tried again. `what` is said of it."""

    def explain(self, error: Exception) -> Exception:
        """What went wrong while such a file was read, as one sentence where it is known."""


class PublishedFolder:
    """A dataset in a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.url = str(path.resolve())
        self.location = Location(str(path.absolute()), None)  # workers may start in another folder

    def files(self) -> dict[str, FileInfo]:
        """Sizes by path; hidden files and folders are left out."""
        found = sorted(path for path in self.path.rglob("*") if path.is_file())
        names = {path.relative_to(self.path).as_posix(): path for path in found}
        visible = {name: path for name, path in names.items() if not any(p.startswith(".") for p in name.split("/"))}
        return {name: FileInfo(path.stat().st_size, None) for name, path in visible.items()}

    def sha256(self, path: str) -> str:
        """Reads the file."""
        return file_sha256(self.path / path)

    def read(self, path: str) -> bytes | None:
        """The content of a file; None when there is none.

        Raises:
            NoDatasetError: it is there and cannot be read.
        """
        try:
            return (self.path / path).read_bytes() if (self.path / path).is_file() else None
        except OSError as error:
            found = f"a {path} that cannot be read ({error.strerror})"
            raise NoDatasetError(
                f"expected a file that can be read, found: {error.strerror}",
                where=f"{self.url}/{path}",
                hint="Give permission, or get the dataset again.",
                found=found,
            ) from None

    def open(self, path: str, size_bytes: int | None = None) -> IO[bytes]:
        """Open a file."""
        return open(self.path / path, "rb")

    def call(self, what: str, function: Callable[[], _Result]) -> _Result:
        """Nothing passes on a disk."""
        return function()

    def explain(self, error: Exception) -> Exception:
        """The system says it well enough."""
        return error


class PublishedRepository:
    """A dataset on the Hub, at one commit."""

    def __init__(self, client: HubClient, commit: str, files: Mapping[str, FileInfo] | None = None) -> None:
        self.client = client
        self.commit = commit
        self.url = client.url
        self.location = Location(client.repo_id, commit)
        self._files = files
        self._file_system: HfFileSystem | None = None
        self._opening = threading.Lock()

    def files(self) -> Mapping[str, FileInfo]:
        """Asked for once: a commit does not change."""
        if self._files is None:
            self._files = self.client.list_files(self.commit)
        return self._files

    def sha256(self, path: str) -> str | None:
        """What the Hub says."""
        entry = self.files().get(path)
        return entry.sha256 if entry else None

    def read(self, path: str) -> bytes | None:
        """The content of a file; None when there is none. Nothing is listed for it."""
        if self._files is not None and path not in self._files:
            return None
        return self.client.read(path, self.commit)

    def open(self, path: str, size_bytes: int | None = None) -> IO[bytes]:
        """A file that fetches what is read of it and nothing else. Threads may open files, each its own."""
        from huggingface_hub import HfFileSystem, hf_hub_url

        api = self.client.api
        location = f"datasets/{self.client.repo_id}@{self.commit}/{path}"
        known = {} if size_bytes is None else {"size": size_bytes}
        with self._opening:  # the first one asks whether the repository is there, for all
            if self._file_system is None:
                self._file_system = HfFileSystem(endpoint=api.endpoint, token=api.token, skip_instance_cache=True)
            file: Any = self.client.call(
                f"opening {path}", self._file_system.open, location, "rb", cache_type="none", **known
            )
        # By itself it lists the folder of each file that it reads of, to see that the file is none.
        url = hf_hub_url(self.client.repo_id, path, repo_type=KIND, revision=self.commit, endpoint=api.endpoint)
        file.url = lambda: url
        return cast("IO[bytes]", file)

    def call(self, what: str, function: Callable[[], _Result]) -> _Result:
        """As `HubClient.call`."""
        return self.client.call(what, function)

    def explain(self, error: Exception) -> Exception:
        """What the Hub or the network said."""
        return self.client.explain(error)


def missing_parts(build: Build, files: Mapping[str, FileInfo]) -> list[str]:
    """Files of a build that are not there with the size and, where it is known, the sha256 of the manifest."""
    missing = []
    for part in build.parts:
        entry = files.get(f"{build.path}/{part.file}")
        is_local = entry is not None and entry.sha256 is None and entry.blob_id is None
        if entry is None or entry.size != part.size_bytes or not (is_local or entry.sha256 == part.sha256):
            missing.append(part.file)
    return missing
