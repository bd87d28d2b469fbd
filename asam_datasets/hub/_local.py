"""A folder as target: the same tree as a repository on the Hub, and a complete dataset for `load_dataset`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from asam_datasets.builds import BUILD_FILE, Build, Built, Known, decode_build, split_folder, write_atomically
from asam_datasets.errors import TargetError
from asam_datasets.hub._card import DATA_FOLDER, README, visible_folders
from asam_datasets.hub._release import ORGANIZED_FOLDER, Changes, Release, organized_archive

WORK_FOLDER = ".asam_datasets"
"""Unfinished work in a target folder; hidden, so that `load_dataset` never looks into it."""


class FolderTarget:
    """Publishes into a folder. README is replaced last, and what it no longer names is deleted after that."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.location = str(path)
        self.work = path / WORK_FOLDER
        self.builds_folder = self.work / DATA_FOLDER
        self.url = str(path.resolve())
        self._existed = path.exists()

    def current(self) -> list[Build]:
        """The builds that are visible now.

        Raises:
            TargetError: the folder holds something else, or lacks what its README names.
        """
        nearest = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise TargetError("expected a folder, found a file", where=str(self.path), hint="Give another --out.")
        readme = self.path / README
        if not readme.exists():
            known = {WORK_FOLDER, ORGANIZED_FOLDER, "rejects.jsonl", *(["data"] if self._data_is_ours() else [])}
            entries = sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []
            foreign = [name for name in entries if name not in known]
            if foreign:
                raise TargetError(
                    f"expected an empty folder or a dataset made by asam_datasets, found {', '.join(foreign[:5])}",
                    where=str(self.path),
                    hint="Give another --out; nothing in this one was changed.",
                )
            return []
        builds = []
        for folder in visible_folders(readme.read_text("utf-8", "replace"), str(readme)):
            path = self.path / DATA_FOLDER / folder / BUILD_FILE
            if not path.is_file():
                raise TargetError(
                    f"expected {path}, which README.md names, found none",
                    where=str(self.path),
                    hint="The dataset was changed by hand; publish to a new folder.",
                )
            builds.append(decode_build(path.read_bytes(), str(path)))
        return builds

    def _data_is_ours(self) -> bool:
        """Whether `data/` holds builds and nothing else; only then may they be taken back or replaced."""
        data = self.path / "data"
        if not data.is_dir() or [entry.name for entry in data.iterdir()] != ["train"]:
            return False
        builds = list((data / "train").iterdir())
        return all(split_folder(entry.name) and (entry / BUILD_FILE).is_file() for entry in builds)

    def known(self, archive: str, current: Sequence[Build]) -> list[Known]:
        """Complete builds of an archive that need not be made again: the visible one, and what a killed run left."""
        known = [
            Known(build, None)
            for build in current
            if build.archive == archive and is_complete(self.path / DATA_FOLDER / build.folder, build)
        ]
        visible = {build.folder for build in current}
        return known + [one for one in staged(self.builds_folder, archive) if one.build.folder not in visible]

    def prepare(self) -> None:
        """Take back what a killed run left in `data/`: without a README, `load_dataset` takes whatever lies there."""
        data = self.path / "data"
        if not (self.path / README).exists() and self._data_is_ours():
            self.work.mkdir(parents=True, exist_ok=True)
            if not (self.work / "data").exists():
                os.rename(data, self.work / "data")

    def add(self, built: Built) -> None:
        """A build of this run is complete in `builds_folder`, where no reader looks: nothing to do here."""

    def flip(self, release: Release, built: Sequence[Built]) -> Changes:
        """Make the release visible by replacing README, then delete what it no longer names."""
        changes = Changes()
        stale = self._stale(release)
        self._move_builds(built)
        for path, content in sorted(release.files.items()):
            if path != README:
                self._write(path, content)
        changed = self._write(README, release.files[README])
        for folder in stale:
            shutil.rmtree(self.path / DATA_FOLDER / folder)
        run = {one.build.archive for one in built}
        for file in (self.path / ORGANIZED_FOLDER).glob("*.json") if (self.path / ORGANIZED_FOLDER).is_dir() else ():
            name = f"{ORGANIZED_FOLDER}/{file.name}"
            if organized_archive(name) in run and name not in release.files:
                file.unlink()
        changes.removed = sorted(stale)
        changes.added = sorted(one.build.folder for one in built if one.folder is not None)
        changes.unchanged = sorted(release.folders - set(changes.added))
        changes.commits = int(changed)
        return changes

    def clean(self) -> None:
        """Remove empty folders that this run made and did not need."""
        data = self.path / DATA_FOLDER
        for folder in (self.builds_folder, self.builds_folder.parent, self.work, data, data.parent, self.path):
            if folder.is_dir() and not any(folder.iterdir()) and (folder != self.path or not self._existed):
                folder.rmdir()

    def _stale(self, release: Release) -> list[str]:
        data = self.path / DATA_FOLDER
        names = [entry.name for entry in data.iterdir() if split_folder(entry.name)] if data.is_dir() else []
        return [name for name in names if name not in release.folders]

    def _move_builds(self, built: Sequence[Built]) -> None:
        """Move the new builds to where README will name them: all at once when there are none, else one by one."""
        data = self.path / DATA_FOLDER
        if self.builds_folder.is_dir() and not data.exists():
            wanted = {one.folder for one in built}
            for folder in set(self.builds_folder.iterdir()) - wanted:
                shutil.rmtree(folder)
            os.rename(self.builds_folder.parent, data.parent)
            return
        for one in built:
            if one.folder is not None:
                shutil.rmtree(data / one.build.folder, ignore_errors=True)
                os.rename(one.folder, data / one.build.folder)
        shutil.rmtree(self.builds_folder.parent, ignore_errors=True)

    def _write(self, path: str, content: bytes) -> bool:
        target = self.path / path
        if target.is_file() and target.read_bytes() == content:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
        return True


def staged(folder: Path, archive: str) -> list[Known]:
    """The complete builds of an archive that lie in a folder."""
    found = []
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        name = split_folder(entry.name)
        if name is not None and name[0] == archive and (entry / BUILD_FILE).is_file():
            build = decode_build((entry / BUILD_FILE).read_bytes(), str(entry / BUILD_FILE))
            if is_complete(entry, build):
                found.append(Known(build, entry))
    return found


def is_complete(folder: Path, build: Build) -> bool:
    """Whether all parts of a build are there with their size."""
    return all(
        (folder / part.file).is_file() and (folder / part.file).stat().st_size == part.size_bytes
        for part in build.parts
    )
