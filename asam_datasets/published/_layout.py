"""What a README says is visible: its front matter, and the builds that its configs show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml
from msgspec import UNSET, UnsetType

from asam_datasets.builds import DATA, PART, VALIDATION, Build, is_run, split_folder
from asam_datasets.errors import TargetError
from asam_datasets.tables import TABLES

README = "README.md"

PLACEHOLDER = ".huggingface.yaml"
"""Where there is no README yet, this file says that nothing is visible; the commit that brings the README deletes it.
Without it, `load_dataset` would take whatever lies in `data/`."""


INDEX_KEY = "asam_datasets"
"""The key of the YAML below which our own readers find what stock ones do not ask for: `index`, a path."""

NOTHING = "-none-*.parquet"
"""The name in a pattern that matches nothing, and makes a reader list the whole tree once: see `patterns`."""

_FILES = {PART: f"{PART}-*.parquet", VALIDATION: f"{VALIDATION}-*.parquet"}
_INDEX = re.compile(rf"{DATA}/index-[0-9a-f]{{16}}\.json\.gz")

# What `huggingface_hub.repocard` takes for the block, which is a tenth of a second to import; a test compares the two.
_FRONT_MATTER = re.compile(r"\s*---(?:\r\n|\r|\n)(.*?)(?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z)", re.DOTALL)


class NoDatasetError(TargetError):
    """There is no dataset of ours in a place, or not a whole one: where one shall be published, and where one is read.

    Args:
        found: what is there, for a message that expects a dataset.
    """

    def __init__(self, problem: str, *, where: str = "", hint: str = "", found: str = "") -> None:
        super().__init__(problem, where=where, hint=hint)
        self.found = found or problem


class ForeignReadmeError(NoDatasetError):
    """The README of a dataset that we did not make, or that somebody has rewritten so that it is no longer ours."""


@dataclass(frozen=True)
class Front:
    """What a README's YAML says is visible: by patterns to everybody, and by the name of an index to us."""

    patterns: tuple[Pattern, ...]
    index: str | None

    @cached_property
    def folders(self) -> dict[str, None]:
        """The folders of single builds, in order."""
        return {pattern.folder: None for pattern in self.patterns if pattern.folder}

    @cached_property
    def runs(self) -> set[tuple[str, str | UnsetType]]:
        """Table and name of the runs of which everything is shown."""
        return {(pattern.kind, pattern.run) for pattern in self.patterns if pattern.run}

    def shows(self, folder: str) -> bool:
        """Whether the build in a folder, such as `data/train/sa_000000-0123456789abcdef`, is shown."""
        return folder in self.folders or place_of(folder) in self.runs


class Pattern(NamedTuple):
    """The builds that one pattern of the YAML shows: the one in a folder, such as
    `data/train/sa_000000-0123456789abcdef-r0123456789ab`, or all of one table that a run has made.

    As text each has `**/` before the name of the files, although nothing lies deeper: readers answer such a pattern out
    of the listing that they have, and ask again for each folder of one without. `word` begins the names of the files of
    its split; a build is visible by any of them."""

    kind: str
    folder: str
    run: str
    word: str = PART

    @classmethod
    def of_build(cls, build: Build, word: str) -> Pattern:
        """The pattern that shows a split of one build."""
        return cls(build.kind, build.path, "", word)

    @classmethod
    def of_run(cls, kind: str, run: str, word: str) -> Pattern:
        """The pattern that shows what a run has made of a table, in a split."""
        return cls(kind, "", run, word)

    def __str__(self) -> str:
        """As the YAML has it."""
        return f"{self.folder or f'{DATA}/{self.kind}/*-{self.run}'}/**/{_FILES[self.word]}"


def read_front(readme: str, where: str) -> Front:
    """What a README says is visible.

    Raises:
        ForeignReadmeError: it is not the README of a dataset of ours.
    """
    try:
        front = front_matter(readme)
        entries = [entry for config in front["configs"] for entry in config["data_files"]]
        texts = dict.fromkeys(str(pattern) for entry in entries for pattern in entry["path"])
        index = (front.get(INDEX_KEY) or {}).get("index")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        raise _foreign(where, "a README without the configs of such a dataset") from None
    if not texts:
        raise _foreign(where, "a README without the configs of such a dataset")
    if index is not None and not is_index(index):
        raise _foreign(where, f"the index {index!r}")
    patterns = []
    for text in texts:
        pattern = _parse(PurePosixPath(text))
        if pattern is not None:
            patterns.append(pattern)
        elif not text.endswith(f"/{NOTHING}"):
            raise _foreign(where, f"a config that shows {text!r}")
    return Front(tuple(patterns), index)


def is_index(path: object) -> bool:
    """Whether it is the path of an index: its name has the digest of what it holds."""
    return isinstance(path, str) and _INDEX.fullmatch(path) is not None


def index_path(digest: str) -> str:
    """The path of the index with this digest, of 16 hexadecimal digits."""
    return f"{DATA}/index-{digest}.json.gz"


def _parse(path: PurePosixPath) -> Pattern | None:
    """The pattern, if it is one of ours."""
    data, kind, name, *deeper = path.parts if len(path.parts) in (4, 5) else ("", "", "")
    word = next((word for word, files in _FILES.items() if files == path.name), None)
    if data != DATA or kind not in TABLES or word is None or deeper[:-1] not in (["**"], []):
        return None  # without `**` it is of an earlier release
    if name.startswith("*-") and is_run(name[2:]):
        return Pattern.of_run(kind, name[2:], word)
    return Pattern(kind, f"{data}/{kind}/{name}", "", word) if split_folder(name) else None


def place_of(folder: str) -> tuple[str, str | UnsetType]:
    """The table and the run in the path of a build's folder."""
    kind, _, name = folder.removeprefix(f"{DATA}/").partition("/")
    split = split_folder(name)
    return kind, split.run if split else UNSET


def front_matter(readme: str) -> Any:
    """The YAML at the head of a README, as the Hub finds it: whatever its line ends, and behind a byte order mark.

    An empty object when there is none.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    match = _FRONT_MATTER.match(readme.removeprefix("\ufeff"))
    return load_yaml(match[1]) if match else {}


def load_yaml(text: str) -> Any:
    """YAML of anybody's making.

    Raises:
        yaml.YAMLError: it is none, or has references.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise
    except (ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        # A date of February 30, a number of 5,000 digits, 5,000 brackets: whatever the library makes of it.
        raise yaml.YAMLError(f"{type(error).__name__}: {str(error)[:200]}") from None


class _Loader(yaml.SafeLoader):
    """YAML without references: a few kilobytes of them stand for gigabytes, and no card needs one."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("expected YAML without references (`*name`)")
        return super().compose_node(parent, index)


def build_folders(paths: Iterable[str]) -> dict[str, str]:
    """The folders of builds in which some files of a dataset lie, whether anything shows them or not, with the names
    of the builds. A folder may stand for its files, and ends with a slash then."""
    names: dict[str, str] = {}
    for folder in sorted({path.rpartition("/")[0] for path in paths if path.startswith(f"{DATA}/")}):
        split = split_folder(folder.rpartition("/")[2])
        if split is not None and folder.count("/") == 2:
            names[folder] = split.name
    return names


def _foreign(where: str, found: str) -> ForeignReadmeError:
    return ForeignReadmeError(
        f"expected an empty place or a dataset made by asam_datasets, found {found}",
        where=where,
        hint="Publish to another place; nothing there was changed.",
        found=found,
    )
