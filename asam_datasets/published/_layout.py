"""What a README says is visible: its front matter, and the builds that its configs show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import yaml

from asam_datasets.builds import DATA, is_run, split_folder
from asam_datasets.errors import TargetError

README = "README.md"

PLACEHOLDER = ".huggingface.yaml"
"""Where there is no README yet, this file says that nothing is visible; the commit that brings the README deletes it.
Without it, `load_dataset` would take whatever lies in `data/`."""


INDEX_KEY = "asam_datasets"
"""The key of the YAML below which our own readers find what stock ones do not ask for: `index`, a path."""

NOTHING = "-none-*.parquet"
"""The name in a pattern that matches nothing, and makes a reader list the whole tree once: see `patterns`."""

_PARTS = "part-*.parquet"
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


class Pattern(NamedTuple):
    """The builds that one pattern of the YAML shows: one folder, such as `data/train/r0/sa_000000-0123456789abcdef`, or
    all in the folder of a run, `data/train/r0`."""

    folder: str
    is_run: bool

    def shows(self, path: str) -> bool:
        """Whether it shows the build in a folder."""
        return path.rpartition("/")[0] == self.folder if self.is_run else path == self.folder

    def __str__(self) -> str:
        """As the YAML has it."""
        return f"{self.folder}/{'**/' if self.is_run else ''}{_PARTS}"


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
    folder = path.parent
    if path.parts[:1] != (DATA,) or path.name != _PARTS:
        return None
    if len(path.parts) == 5 and folder.name == "**" and is_run(folder.parent.name):
        return Pattern(str(folder.parent), True)
    if split_folder(folder.name) is None:
        return None
    if len(path.parts) == 4 or (len(path.parts) == 5 and is_run(folder.parent.name)):
        return Pattern(str(folder), False)
    return None


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
        pieces = folder.split("/")
        split = split_folder(pieces[-1])
        if split is not None and (len(pieces) == 3 or (len(pieces) == 4 and is_run(pieces[2]))):
            names[folder] = split[0]
    return names


def _foreign(where: str, found: str) -> ForeignReadmeError:
    return ForeignReadmeError(
        f"expected an empty place or a dataset made by asam_datasets, found {found}",
        where=where,
        hint="Publish to another place; nothing there was changed.",
        found=found,
    )
