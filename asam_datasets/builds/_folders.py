"""The folders of a build: a work folder that keeps finished parts, and its place under its final name."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asam_datasets.builds._manifest import BUILD_FILE, Build, encode_build
from asam_datasets.machine import refuse_links, write_atomically


@contextmanager
def begin_build(work: Path, name: str) -> Iterator[Path]:
    """The work folder of one build. What killed runs left half done goes before and after; finished parts stay.

    The target's lock is held, so nobody else is at work here.
    """
    folder = work / name
    refuse_links(work.parent, folder)
    try:
        _remove_unfinished(work, folder)
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    finally:
        _remove_unfinished(work, folder)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def finalize(build: Build, folder: Path, target: Path) -> Path:
    """Move the finished parts to their place under their final name, in one rename."""
    # All that takes room comes first: on a full disk the finished parts stay where the next run finds them.
    write_atomically(folder / BUILD_FILE, encode_build(build))
    complete = folder.with_name(f"{build.folder}.{os.getpid()}.tmp")
    shutil.rmtree(complete, ignore_errors=True)
    complete.mkdir()
    try:
        for name in (*(part.file for part in build.parts), BUILD_FILE):
            os.replace(folder / name, complete / name)
        empty(folder)
        final = target / build.folder
        target.mkdir(parents=True, exist_ok=True)
        if final.exists():  # the same digest: the same bytes, left by a run that was killed before its README
            shutil.rmtree(final)
        os.rename(complete, final)
    finally:
        shutil.rmtree(complete, ignore_errors=True)
    return final


def empty(folder: Path) -> None:
    """Make a folder empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)


def _remove_unfinished(work: Path, keep: Path) -> None:
    for pattern in ("*.tmp", "*/*.tmp", "*/waiting-*"):
        for leftover in work.glob(pattern):
            if leftover == keep:
                continue  # an archive may be called so
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
