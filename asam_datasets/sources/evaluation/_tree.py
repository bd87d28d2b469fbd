"""The folder that a layout expects, for people: as a tree, and as one line of an error."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from asam_datasets.errors import SourceError
from asam_datasets.sources.evaluation._entry import Entry
from asam_datasets.sources.evaluation._patterns import find, shown
from asam_datasets.sources.evaluation.layouts import Layout

_NAMES_SHOWN = 8


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
    """The error for a folder in which the layout finds no image: what was expected, and what is there instead."""
    expected = ", or ".join(
        f"{shown(first)} with {' or '.join(map(shown, seconds))}" for first, seconds in layout.places()
    )
    hint = f"`asam-datasets catalog show {entry.id}` prints the whole tree."
    try:
        found = _what_is_in(root)
        better = _folder_that_fits(layout, root)
    except OSError as error:
        found, better = f"that it cannot be read: {error.strerror}", None
    if better:
        hint = f"Did you mean {better}? {hint}"
    return SourceError(f"expected {expected}; found {found}", where=label, hint=hint)


def _tree(title: str, layout: Layout) -> Iterator[str]:
    yield title
    first_label, second_label = layout.labels
    for number, (first, seconds) in enumerate(layout.places()):
        if number:
            yield "  or, or besides"
        yield f"  {shown(first):<64} {first_label}"
        for another, second in enumerate(seconds):
            yield f"  {shown(second):<64} {'or here' if another else second_label}"
    for name in sorted(layout.lists()):
        yield f"  {name:<64} names the images of the split"


def _what_is_in(root: Path) -> str:
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    if not names:
        return "an empty folder"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{', '.join(names[:_NAMES_SHOWN])}{more}"


def _folder_that_fits(layout: Layout, root: Path) -> Path | None:
    """A folder next to this one, one up or one down, in which something fits: archives nest their folders.

    Patterns that begin with a field are not tried: they might have the whole disk searched.
    """
    near = [root.resolve().parent, *sorted(path for path in root.iterdir() if path.is_dir())]
    for folder in near:
        for first, _ in layout.places():
            if "/" in first and not first.startswith("{") and next(find(folder, first), None) is not None:
                return folder
    return None
