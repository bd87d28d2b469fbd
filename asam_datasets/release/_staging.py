"""Builds that lie complete in a local folder and wait to be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from asam_datasets.builds import BUILD_FILE, Build, Candidate, decode_build, split_folder
from asam_datasets.errors import TargetError


def find_candidates(
    name: str, current: Sequence[Build], data: Path, locate: Callable[[Build], Build | None]
) -> list[Candidate]:
    """Complete builds of a name: those that the target shows, then those that wait.

    Args:
        name: of an archive or a set.
        current: the builds that the target shows.
        data: folder of waiting builds, below the names of the tables.
        locate: the build where the target has all parts of it, shown or not, and None where it has not; then its local
            ones may be gone.
    """
    shown = [build for build in current if build.name == name and locate(build) is not None]
    folders = {build.folder for build in shown}
    found = [Candidate(build, None) for build in shown]
    for entry in staged(data):
        split = split_folder(entry.name)
        if split is None or split.name != name or not (entry / BUILD_FILE).is_file():
            continue
        try:
            build = decode_build((entry / BUILD_FILE).read_bytes(), str(entry / BUILD_FILE))
        except TargetError:
            continue  # left by another version of this program
        located = locate(build)
        if build.folder not in folders and (located is not None or is_complete(entry, build)):
            found.append(Candidate(located or build, entry))
    return found


def staged(data: Path) -> list[Path]:
    """The folders of builds below `data`, below the name of a table."""
    return sorted(folder for folder in data.glob("*/*") if split_folder(folder.name) is not None)


def is_complete(folder: Path, build: Build) -> bool:
    """Whether all parts of a build are there with their size."""
    return all(
        (folder / part.file).is_file() and (folder / part.file).stat().st_size == part.size_bytes
        for part in build.parts
    )


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove those of some folders that are there and empty, the inner ones first."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
