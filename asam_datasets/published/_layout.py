"""What a README says is visible: its front matter, and the build folders that its configs name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

import yaml

from asam_datasets.builds import DATA, split_folder
from asam_datasets.errors import TargetError

README = "README.md"

PLACEHOLDER = ".huggingface.yaml"
"""Where there is no README yet, this file says that nothing is visible; the commit that brings the README deletes it.
Without it, `load_dataset` would take whatever lies in `data/`."""


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


def visible_folders(readme: str, where: str) -> list[str]:
    """The build folders that a README names, such as `data/train/sa_000000-0123456789abcdef`.

    Raises:
        ForeignReadmeError: it is not the README of a dataset of ours.
    """
    try:
        front = front_matter(readme)
        entries = [entry for config in front["configs"] for entry in config["data_files"]]
        patterns = dict.fromkeys(str(pattern) for entry in entries for pattern in entry["path"])
    except (yaml.YAMLError, KeyError, TypeError):
        raise _foreign(where, "a README without the configs of such a dataset") from None
    if not patterns:
        raise _foreign(where, "a README without the configs of such a dataset")
    folders = []
    for pattern in patterns:
        path = PurePosixPath(pattern)
        if path.parts[:1] != (DATA,) or len(path.parts) != 4 or split_folder(path.parent.name) is None:
            raise _foreign(where, f"a config that shows {pattern!r}")
        folders.append(str(path.parent))
    return folders


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
    of the builds."""
    names = {}
    for folder in sorted({"/".join(path.split("/")[:3]) for path in paths if path.startswith(f"{DATA}/")}):
        split = split_folder(folder.rsplit("/", 1)[-1])
        if split is not None and folder.count("/") == 2:
            names[folder] = split[0]
    return names


def _foreign(where: str, found: str) -> ForeignReadmeError:
    return ForeignReadmeError(
        f"expected an empty place or a dataset made by asam_datasets, found {found}",
        where=where,
        hint="Publish to another place; nothing there was changed.",
        found=found,
    )
