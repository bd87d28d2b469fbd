"""A folder as target: the same tree as a repository on the Hub, and a complete dataset for `load_dataset`."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asam_datasets.builds import BUILD_FILE, DATA, Build, Built, Candidate, in_run, new_run, split_folder
from asam_datasets.errors import TargetError, option
from asam_datasets.machine import refuse_links, unfinished_writes, write_atomically
from asam_datasets.published import PLACEHOLDER, README, Published, PublishedFolder, Visible, is_index, visible_builds
from asam_datasets.release._access import Access
from asam_datasets.release._assets import ASSETS, is_asset, is_asset_name
from asam_datasets.release._card import render_placeholder
from asam_datasets.release._license import LICENSE, LICENSES, is_our_license
from asam_datasets.release._release import ORGANIZED_FOLDER, Changes, Release, ReleaseMaker, There, organized_archive
from asam_datasets.release._staging import find_candidates, is_complete, remove_empty, staged
from asam_datasets.rights import Holding

WORK_FOLDER = ".asam_datasets"
"""Unfinished work in a target folder; hidden, so that `load_dataset` never looks into it."""

_SMALL = (README, LICENSE, LICENSES, PLACEHOLDER)
_KINDS = ("adversarial", "evaluation", "train")


class FolderTarget:
    """Publishes into a folder; see `Target` for the order of use. README is replaced last, and what it no longer names
    is deleted after that; in a new folder a placeholder hides the data until README is there. Who may see a folder is
    its file system's business."""

    is_remote = False
    needs_proof = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.location = str(path)
        self.work = path / WORK_FOLDER
        self.data_folder = self.work / DATA
        self.url = str(path.resolve())
        self.access: Access | None = None
        self.replaces_foreign = False
        self.revision: str | None = None
        self._existed = path.exists()
        self._visible = Visible()

    def current(self) -> list[Build]:
        """The builds that are visible now.

        Raises:
            TargetError: the folder holds something else, or lacks what its README names.
        """
        nearest = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        if not nearest.is_dir():
            raise TargetError(
                "expected a folder, found a file", where=str(self.path), hint=f"Give another {option('out')}."
            )
        for data in (self.data_folder, self.path / DATA):
            kinds = [data / kind for kind in _KINDS]
            for folder in (*kinds, *(build for kind in kinds for build in kind.glob("*"))):
                refuse_links(self.path, folder)
        for name in (ORGANIZED_FOLDER, ASSETS):
            refuse_links(self.path, self.path / name)
        visible = visible_builds(PublishedFolder(self.path))
        if visible is None:
            known = {WORK_FOLDER, "rejects.jsonl", *([DATA] if self._data_is_ours() else [])}
            known |= {path.name for path in self._unfinished()}
            known |= {PLACEHOLDER} if self._has_placeholder() else set()
            if self.work.exists() or self._data_is_ours():  # a run of ours was killed here
                known |= {ORGANIZED_FOLDER, LICENSE, LICENSES, *([ASSETS] if self._assets_are_ours() else [])}
            entries = sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []
            foreign = [name for name in entries if name not in known]
            if foreign:
                raise TargetError(
                    f"expected an empty folder or a dataset made by asam_datasets, found {', '.join(foreign[:5])}",
                    where=str(self.path),
                    hint=f"Give another {option('out')}; nothing in this one was changed.",
                )
        self._visible = visible or Visible()
        return list(self._visible.builds)

    def shown(self) -> Published | None:
        """The folder, once there is something in it."""
        return PublishedFolder(self.path) if self._visible.builds else None

    def refuse_changes(self) -> None:
        """A folder that this user may not write to.

        Raises:
            TargetError: it is one.
        """
        nearest = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise TargetError(
                "expected a folder that can be written to, found one without permission",
                where=str(nearest),
                hint=f"Give permission, or another {option('out')}.",
            )

    def _data_is_ours(self) -> bool:
        """Whether `data/` holds builds and nothing else; only then may they be taken back or replaced."""
        data = self.path / DATA
        if not data.is_dir():
            return False
        small = {*self._indexes(), *self._unfinished()}
        if {entry.name for entry in data.iterdir() if entry not in small} - set(_KINDS):
            return False
        builds = list(data.glob("*/*"))
        return bool(builds) and all(split_folder(one.name) and (one / BUILD_FILE).is_file() for one in builds)

    def _indexes(self) -> list[Path]:
        return [path for path in (self.path / DATA).glob("*") if is_index(f"{DATA}/{path.name}")]

    def candidates(self, name: str, current: Sequence[Build]) -> list[Candidate]:
        """Complete builds of a name that need not be made again: the visible one, and what a killed run left."""

        def locate(build: Build) -> Build | None:
            return build if is_complete(self.path / build.path, build) else None

        return find_candidates(name, current, self.data_folder, locate)

    def past_holdings(self) -> list[Holding]:
        """A folder has no history."""
        return []

    def readers(self, access: Access) -> str:
        """Whoever the file system lets."""
        return "who may read the folder"

    def prepare(self, request: Access, license: str) -> None:
        """Take back what a killed run left in `data/`: without a README, `load_dataset` takes whatever lies there.

        The license file comes with the release.
        """
        data = self.path / DATA
        if not (self.path / README).exists() and self._data_is_ours():
            self.work.mkdir(parents=True, exist_ok=True)
            if not (self.work / DATA).exists():
                os.rename(data, self.work / DATA)

    def add(self, built: Built) -> None:
        """A build of this run is complete in `data_folder`, where no reader looks: nothing to do here."""

    def release(self, maker: ReleaseMaker) -> tuple[Release, Changes]:
        """Make the release visible by replacing README, then delete what it no longer names."""
        new = [one for one in maker.built if one.folder is not None]
        # What a run has made never changes, so its name is of what this one adds to the dataset.
        folders = "\n".join(sorted(one.build.folder for one in new))
        run = new_run(hashlib.sha256(folders.encode()).hexdigest())
        placed = [one if one.folder is None else replace(one, build=in_run(one.build, run)) for one in maker.built]
        maker = replace(maker, built=placed, run=run)
        there = There(self._lying(), alone=True, at_once=False, license_file=self.license_file)
        release = maker.make(self._visible, there, self.readme)
        if not (self.path / README).exists():  # `load_dataset` would take whatever lies in `data/`
            self._write(PLACEHOLDER, render_placeholder().encode())
        self._move_builds(placed)
        changed = [self._write(path, content) for path, content in release.ordered]
        self._remove_placeholder()
        for folder in release.folders:
            shutil.rmtree(self.path / folder)
        for file in release.removed:
            (self.path / file).unlink()
        self._write(README, release.settled)
        for path in self._unfinished():
            path.unlink()
        changes = Changes(removed=list(release.folders), commits=int(changed[-1]))  # README is the last
        changes.compare(release, self._visible.builds)
        return release, changes

    def _unfinished(self) -> list[Path]:
        """Small files that killed runs were writing."""
        own = [path for path, name in unfinished_writes(self.path).items() if name in _SMALL]
        own += [path for path, name in unfinished_writes(self.path / DATA).items() if is_index(f"{DATA}/{name}")]
        assets = unfinished_writes(self.path / ASSETS).items()
        own += [path for path, name in assets if is_asset_name(name)]
        organized = unfinished_writes(self.path / ORGANIZED_FOLDER).items()
        return own + [path for path, name in organized if organized_archive(f"{ORGANIZED_FOLDER}/{name}")]

    def _remove_placeholder(self) -> None:
        if self._has_placeholder():
            (self.path / PLACEHOLDER).unlink()

    def _has_placeholder(self) -> bool:
        """Whether the file is there that hides a first release until its README comes; another one is its owner's."""
        path = self.path / PLACEHOLDER
        return path.is_file() and path.read_bytes() == render_placeholder().encode()

    def _lying(self) -> list[str]:
        """What a release may take away: folders of builds, files in `organized/` and `assets/`, the index, and our own
        list of licenses."""
        small = sorted((self.path / ORGANIZED_FOLDER).glob("*.json"))
        small += [path for path in sorted((self.path / ASSETS).glob("*")) if is_asset(f"{ASSETS}/{path.name}")]
        small += [path for path in [self.path / LICENSES] if path.is_file()]
        folders = [f"{path.relative_to(self.path).as_posix()}/" for path in staged(self.path / DATA)]
        return folders + [path.relative_to(self.path).as_posix() for path in [*small, *self._indexes()]]

    def finish(self) -> None:
        """Nothing is left to do in a folder."""

    def clean(self) -> None:
        """Remove empty folders that this run made and did not need."""
        if not (self.path / DATA).exists():
            self._remove_placeholder()
        made = [folder / kind for folder in (self.work / DATA, self.path / DATA) for kind in _KINDS]
        everything = [*made, *self.work.glob("*"), self.work / DATA, self.work, self.path / DATA]
        everything.append(self.path / ASSETS)
        remove_empty([*everything, *([] if self._existed else [self.path])])

    def _move_builds(self, built: Sequence[Built]) -> None:
        """Move the new builds to where README will name them: all at once when there are none, else one by one."""
        data, waiting = self.path / DATA, self.work / DATA
        moves = {one.folder: one.build.path for one in built if one.folder is not None}
        if waiting.is_dir() and not data.exists():
            for folder in set(staged(waiting)) - moves.keys():
                shutil.rmtree(folder)
            for folder, path in moves.items():
                self._move(folder, self.work / path)
            for index in waiting.glob("index-*"):  # taken back with the rest
                index.unlink()
            os.rename(waiting, data)
            return
        for one in built:
            if one.folder is not None and not is_complete(self.path / one.build.path, one.build):
                # Where it is complete, it is shown already: never without it, not for a moment.
                self._move(one.folder, self.path / one.build.path)
        shutil.rmtree(waiting, ignore_errors=True)

    def _move(self, folder: Path, final: Path) -> None:
        if folder != final:
            final.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(final, ignore_errors=True)
            os.rename(folder, final)

    @property
    def license_file(self) -> str:
        """Where the list of licenses goes: not over one that somebody else wrote."""
        path = self.path / LICENSE
        return LICENSES if path.is_file() and not is_our_license(path.read_bytes()) else LICENSE

    def _assets_are_ours(self) -> bool:
        names = [path.name for path in (self.path / ASSETS).glob("*")]
        unfinished = {path.name for path in self._unfinished()}
        return all(is_asset_name(name) or name in unfinished for name in names)

    @property
    def readme(self) -> str | None:
        """The card that is there."""
        path = self.path / README
        return path.read_bytes().decode("utf-8", "surrogateescape") if path.is_file() else None

    def _write(self, path: str, content: bytes) -> bool:
        target = self.path / path
        if target.is_file() and target.read_bytes() == content:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, content)
        return True
