"""What a README says is visible: its front matter, and the build folders that its configs name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import yaml

from asam_datasets.builds import DATA, split_folder
from asam_datasets.errors import TargetError

README = "README.md"

PLACEHOLDER = ".huggingface.yaml"
"""Where there is no README yet, this file says that nothing is visible; the commit that brings the README deletes it.
Without it, `load_dataset` would take whatever lies in `data/`."""

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def visible_folders(readme: str, where: str) -> list[str]:
    """The build folders that a README names, such as `data/train/sa_000000-0123456789abcdef`.

    Raises:
        TargetError: it is not the README of a dataset of ours.
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
    """The YAML at the head of a README; an empty object when there is none.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    match = _FRONT_MATTER.match(readme)
    return yaml.safe_load(match[1]) if match else {}


def _foreign(where: str, found: str) -> TargetError:
    return TargetError(
        f"expected an empty place or a dataset made by asam_datasets, found {found}",
        where=where,
        hint="Publish to another place; nothing there was changed.",
    )
