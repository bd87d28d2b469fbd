"""The files in `assets/` that the card shows: figures of the statistics, and a sheet of a few records.

A figure is named by what it holds; a sheet by the build that it shows, so that it is drawn once. Both kinds have a name
that nobody else gives to a file, so what an owner keeps in `assets/` stays.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from msgspec import UNSET

from asam_datasets.builds import Build, Statistics, add_up
from asam_datasets.release._figure import THEMES, draw_figure
from asam_datasets.rights import Holding
from asam_datasets.tables import Kind

ASSETS = "assets"
SHEET_ROWS = 3
"""So many records, the first ones, are on a sheet."""

_SHEET = 2  # raised when sheets shall look another way
_KINDS: tuple[Kind, ...] = ("train", "evaluation")
_ASSET = re.compile(rf"{ASSETS}/asam-[a-z]+-(?:light|dark|sheet)-[0-9a-f]{{16}}\.(?:svg|webp)")
_NAME = re.compile(r"asam-[a-z]+-(?:light|dark|sheet)-[0-9a-f]{16}\.(?:svg|webp)")


class Counted(NamedTuple):
    """The statistics of those builds that have some: of how many, out of how many."""

    statistics: Statistics
    builds: int
    of: int

    @classmethod
    def of_builds(cls, builds: Sequence[Build]) -> Counted:
        """Add up what builds have."""
        found = [build.statistics for build in builds if build.statistics is not UNSET]
        return cls(add_up(found), len(found), len(builds))


@dataclass(frozen=True)
class Sheet:
    """A sheet that a card wants: the first records of a build. Without `images` masks are shown alone."""

    build: Build
    path: str

    @property
    def images(self) -> bool:
        """Whether it shows images."""
        return self.build.images


@dataclass(frozen=True)
class Assets:
    """What a release has in `assets/`: the files to write, and by kind of table the paths that the card names."""

    files: Mapping[str, bytes]
    figures: Mapping[Kind, Mapping[str, str]]
    sheets: Mapping[Kind, Sheet]

    @property
    def paths(self) -> set[str]:
        """All that the card names."""
        return {path for paths in self.figures.values() for path in paths.values()} | {
            sheet.path for sheet in self.sheets.values()
        }


def is_asset(path: str) -> bool:
    """Whether it is the path of a file that a publish has drawn."""
    return _ASSET.fullmatch(path) is not None


def is_asset_name(name: str) -> bool:
    """The same of a name in `assets/`."""
    return _NAME.fullmatch(name) is not None


def may_be_shown(holding: Holding) -> bool:
    """Whether records may stand on a card, which everybody sees, also in front of a gate: where the license lets them
    be given on to anybody."""
    return holding.rights.redistributable == "yes"


def first_shown(holdings: Iterable[tuple[Kind, Holding]]) -> dict[Kind, str]:
    """The set of each kind of table that a sheet shows, by name: the first that may be shown."""
    found: dict[Kind, str] = {}
    for kind, holding in sorted(holdings):
        if kind in _KINDS and may_be_shown(holding):
            found.setdefault(kind, holding.name)
    return found


def wanted_sheets(builds: Sequence[Build]) -> dict[Kind, Sheet]:
    """The sheets that a card of these builds shows, where they have been drawn."""
    chosen = first_shown((build.kind, build.holding) for build in builds)
    by_name = {(build.kind, build.name): build for build in builds}
    return {kind: _sheet(by_name[kind, name]) for kind, name in chosen.items()}


def sheet_path(build: Build) -> str:
    """Where the sheet of a build lies."""
    return _sheet(build).path


def make_assets(builds: Sequence[Build], drawn: Mapping[str, bytes], present: Collection[str]) -> Assets:
    """Draw the figures, and find the sheets.

    Args:
        builds: all that the card shows.
        drawn: sheets of this run, by path.
        present: paths of what lies in the target.
    """
    files: dict[str, bytes] = {}
    figures: dict[Kind, dict[str, str]] = {}
    for kind in _KINDS:
        counted = Counted.of_builds([build for build in builds if build.kind == kind])
        if counted.statistics.histograms:
            for theme in THEMES:
                content = draw_figure(counted.statistics, theme)
                path = _path(kind, theme.name, content, "svg")
                files[path] = content
                figures.setdefault(kind, {})[theme.name] = path
    sheets = {
        kind: sheet for kind, sheet in wanted_sheets(builds).items() if sheet.path in drawn or sheet.path in present
    }
    files.update((sheet.path, drawn[sheet.path]) for sheet in sheets.values() if sheet.path in drawn)
    return Assets(files, figures, sheets)


def _sheet(build: Build) -> Sheet:
    key = f"{_SHEET} {build.folder} {build.images} {SHEET_ROWS}".encode()
    return Sheet(build, _path(build.kind, "sheet", key, "webp"))


def _path(kind: Kind, what: Literal["light", "dark", "sheet"] | str, content: bytes, ending: str) -> str:
    return f"{ASSETS}/asam-{kind}-{what}-{hashlib.sha256(content).hexdigest()[:16]}.{ending}"
