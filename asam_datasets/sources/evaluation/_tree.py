"""The folder that a layout expects, for people: as a tree, and as one line of an error."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from asam_datasets.errors import SourceError
from asam_datasets.sources.evaluation._entry import Entry
from asam_datasets.sources.evaluation._nearby import unpack_first, what_is_in
from asam_datasets.sources.evaluation._patterns import Budget, shown
from asam_datasets.sources.evaluation.layouts import Layout

_ENTRIES_SEARCHED = 200_000
_FOLDERS_TRIED = 200
_OPEN = re.compile(r"\{[a-z_]+\*\*\}|\{json\}")


def describe_tree(entry: Entry) -> str:
    """The files that are expected below the folder, for each way to read the set; several lines."""
    ways: list[tuple[str, Layout]] = []
    if entry.layout is not None:
        ways.append((f"{entry.id}=FOLDER", entry.layout))
    ways += [(f"{entry.id}:{name}=FOLDER", reading.layout) for name, reading in entry.variants.items()]
    if entry.asam is not None:
        ways.append((f"{entry.id}=FOLDER --protocol asam", entry.asam.layout))
    return "\n".join(chain.from_iterable(_tree(title, layout) for title, layout in ways))


def wrong_folder(entry: Entry, layout: Layout, root: Path, label: str) -> SourceError:
    """The error for a folder in which the layout finds no image: what was expected, what is there instead, and where
    the set may lie."""
    expected = ", or ".join(
        f"{shown(first)} with {' or '.join(map(shown, seconds))}"
        for way in layout.ways()
        for first, seconds in way.places()
    )
    hint = f"`asam-datasets catalog show {entry.id}` prints the whole tree."
    try:
        why = next(filter(None, (way.why_nothing(root) for way in layout.ways())), "")
        found = f"{what_is_in(root)}{f': {why}' if why else ''}"
        better = _folder_that_fits(layout, root)
        # Where something of this reading is there, the folder is meant, and what is missing is told.
        other = "" if why else _variant_that_fits(entry, root)
        unpack = unpack_first(root)
    except (OSError, SourceError) as error:
        problem = error.strerror if isinstance(error, OSError) else error.problem
        found, better, other, unpack = f"that it cannot be read: {problem}", None, "", ""
    if other:
        hint = f"Did you mean {other}? {hint}"
    elif better:
        hint = f"Did you mean {better}? {hint}"
    elif unpack:
        hint = f"{unpack} {hint}"
    return SourceError(f"expected {expected}; found {found}", where=label, hint=hint)


def packed(layout: Layout, root: Path) -> Layout:
    """The layout in the way in which the files of a folder are packed; as it is where it has one way, or none fits.

    Raises:
        SourceError: a folder cannot be read.
    """
    ways = layout.ways()
    if len(ways) == 1:
        return layout
    return next((way for way in ways if way.fits(root)), layout)


def _tree(title: str, layout: Layout) -> Iterator[str]:
    yield title
    first_label, second_label = layout.labels
    for turn, way in enumerate(layout.ways()):
        for number, (first, seconds) in enumerate(way.places()):
            if number:
                yield "  or, or besides"
            elif turn:
                yield "  or, packed otherwise,"
            yield f"  {shown(first):<64} {first_label}"
            for another, second in enumerate(seconds):
                yield f"  {shown(second):<64} {'or here' if another else second_label}"
        for name, says in way.more().items():
            yield f"  {shown(name):<64} {says}"
    for name in sorted(layout.lists()):
        yield f"  {name:<64} names the images of the split"


def _folder_that_fits(layout: Layout, root: Path) -> Path | None:
    """A folder up to two levels above or below this one in which images and masks fit: archives nest their folders, and
    people name the folder of the images.

    Above, patterns that begin with any number of folders are not tried: they would take in the neighbors.
    """
    budget = Budget(_ENTRIES_SEARCHED)
    above = [root.resolve().parent, root.resolve().parent.parent]
    below = _folders(root)
    upwards = [way for way in layout.ways() if not any(_OPEN.match(first) for first, _ in way.places())]
    tried: list[tuple[Path, Sequence[Layout]]] = [(above[0], upwards), *((path, layout.ways()) for path in below)]
    tried += [(above[1], upwards), *((path, layout.ways()) for folder in below for path in _folders(folder))]
    for folder, ways in tried:
        try:
            if any(way.fits(folder, budget) for way in ways):
                return folder
        except (OSError, SourceError):  # not one's own folder, perhaps
            continue
    return None


def _variant_that_fits(entry: Entry, root: Path) -> str:
    """How to name another reading of the set whose images are in this very folder; empty without one."""
    ways = {entry.id: entry.layout} | {f"{entry.id}:{name}": reading.layout for name, reading in entry.variants.items()}
    for name, other in ways.items():
        try:
            if other is not None and any(way.fits(root, Budget(_ENTRIES_SEARCHED)) for way in other.ways()):
                return f"{name}={root}"
        except (OSError, SourceError):
            continue
    return ""


def _folders(path: Path) -> list[Path]:
    try:
        inside = sorted(p for p in path.iterdir() if p.is_dir() and not p.is_symlink() and not p.name.startswith("."))
    except OSError:
        return []
    return inside[:_FOLDERS_TRIED]
