"""The README of a dataset: its YAML says what is visible, its text is made from `dataset_card.md` and measured numbers.

`configs` in the YAML is the only list of visible builds. A build folder that no config names is not part of the
dataset, so replacing this one file replaces the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any

import yaml

from asam_datasets import __version__
from asam_datasets.builds import DATA, Build, split_folder
from asam_datasets.errors import TargetError
from asam_datasets.rights import SA1B, Holding
from asam_datasets.schema import TRAIN, VIEWS, View

README = "README.md"
LICENSE = "LICENSE.md"
CURTAIN = ".huggingface.yaml"
"""Where there is no README yet, this file says that nothing is visible; the commit that brings the README deletes it.
Without it, `load_dataset` would take whatever lies in `data/`."""

_PARTS = "part-*.parquet"
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_LICENCE_HEAD = """# Licences

This dataset puts together sets of several owners; each is under its own terms, and using it means accepting them.
Captions and conditioning images follow the terms of the pictures that they were made from."""
_GATE: Mapping[str, Any] = {
    "extra_gated_heading": "Accept the terms of SA-1B to see these pictures",
    "extra_gated_prompt": (
        f"The photographs come from SA-1B, under the {SA1B.licence} ({SA1B.link}): for research only, not to identify "
        "people, and not to be given on without the same terms."
    ),
    "extra_gated_fields": {
        "Name": "text",
        "Affiliation": "text",
        "I use the pictures for research only and accept the SA-1B Dataset Research License": "checkbox",
        "I will not try to identify anybody in the pictures": "checkbox",
    },
    "extra_gated_button_content": "Accept and continue",
}
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


def render_card(builds: Sequence[Build], *, location: str, title: str, gated: bool = False) -> str:
    """Write the README of a dataset that consists of these builds.

    Args:
        builds: all visible builds; sorted here by name.
        location: what `load_dataset` takes in the recipes: a repository id or a folder.
        title: the heading.
        gated: whether readers have to accept the terms first; the questions for them go into the YAML.
    """
    builds = sorted(builds, key=lambda build: build.name)
    front = {**_front_matter(builds), **(_GATE if gated else {})}
    return Template(_template().read_text("utf-8")).substitute(
        front_matter=yaml.safe_dump(front, sort_keys=False, allow_unicode=True, width=1000).rstrip(),
        title=title,
        location=location,
        config_rows="\n".join(_config_row(view, builds) for view in VIEWS),
        column_rows="\n".join(f"| `{name}` | {column.label} | {column.meaning} |" for name, column in TRAIN.items()),
        provenance_rows="\n".join(_provenance(build) for build in builds),
        license_link=SA1B.link,
        version=__version__,
    )


def render_curtain() -> str:
    """The configuration of a dataset that shows nothing yet: its one config names no file."""
    nothing = {"config_name": VIEWS[0].name, "data_files": [{"split": "train", "path": []}]}
    return yaml.safe_dump({"configs": [nothing]}, sort_keys=False)


def render_licence(holdings: Iterable[Holding]) -> str:
    """The licence file: the terms of each set, by licence."""
    sets: dict[tuple[str, str], list[str]] = {}
    for holding in sorted(holdings):
        sets.setdefault((holding.rights.licence, holding.rights.link), []).append(
            f"- `{holding.name}`" + ("" if holding.pictures else " (annotations only)")
        )
    sections = [
        "\n".join([f"## {name}", "", *([f"<{link}>", ""] if link else []), *held])
        for (name, link), held in sorted(sets.items())
    ]
    return "\n\n".join([_LICENCE_HEAD, *sections]) + "\n"


def config_splits(builds: Sequence[Build]) -> list[tuple[str, str]]:
    """Name and split of every config that the card of these builds has."""
    return [(view.name, "train") for view in VIEWS]


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


def count_bytes(size_bytes: int) -> str:
    """Bytes for people: `9.1 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _front_matter(builds: Sequence[Build]) -> dict[str, Any]:
    rows = sum(build.rows for build in builds)
    return {
        "license": "other",
        "license_name": "sa-1b-dataset-research-license",
        "license_link": SA1B.link,
        "pretty_name": "ASAM Datasets",
        "language": ["en"],
        "task_categories": ["image-segmentation", "mask-generation", "text-to-image"],
        "tags": ["SA-1B", "segment-anything", "controlnet", "coco-rle", "asam"],
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "10M<n<100M")],
        "configs": [_config(view, builds) for view in VIEWS],
        "dataset_info": [_dataset_info(view, builds) for view in VIEWS],
    }


def _dataset_info(view: View, builds: Sequence[Build]) -> dict[str, Any]:
    """Rows and bytes of a config: `dataset_size` is that of its columns, `download_size` that of the files."""
    size = sum(_column_bytes(build, view) for build in builds)
    return {
        "config_name": view.name,
        "splits": [{"name": "train", "num_bytes": size, "num_examples": sum(build.rows for build in builds)}],
        "download_size": sum(build.size_bytes for build in builds),
        "dataset_size": size,
    }


def _column_bytes(build: Build, view: View) -> int:
    wanted = TRAIN if view.columns is None else view.columns
    return sum(part.columns.get(name, 0) for part in build.parts for name in wanted)


def _config(view: View, builds: Sequence[Build]) -> dict[str, Any]:
    paths = [f"{build.path}/{_PARTS}" for build in builds]
    config: dict[str, Any] = {"config_name": view.name}
    if view is VIEWS[0]:
        config["default"] = True
    config["data_files"] = [{"split": "train", "path": paths}]
    if view.columns is not None:
        config["columns"] = list(view.columns)
    return config


def _config_row(view: View, builds: Sequence[Build]) -> str:
    columns = ", ".join(f"`{name}`" for name in view.columns) if view.columns else "all"
    name = f"`{view.name}`" + (" (default)" if view is VIEWS[0] else "")
    rows, masks = sum(build.rows for build in builds), sum(build.annotations for build in builds)
    size = count_bytes(sum(_column_bytes(build, view) for build in builds))
    captions = sum(build.captions for build in builds)
    return f"| {name} | {columns} | {view.purpose} | {rows:,} | {masks:,} | {captions:,} | {size} |"


def _provenance(build: Build) -> str:
    rejected = f"; {build.rejected:,} damaged ones were left out" if build.rejected else ""
    only = "" if build.pictures else ", annotations only"
    return (
        f"- SA-1B archive `{build.name}`{only}: {build.rows:,} pictures, {build.annotations:,} masks, "
        f"{build.captions:,} captions, {count_bytes(build.size_bytes)} in {len(build.parts)} files{rejected}"
    )


def _template() -> Path:
    """The template: beside this package when installed, at the top of the repository in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "dataset_card.md"
    return inside if inside.is_file() else package.parent / "dataset_card.md"


def _foreign(where: str, found: str) -> TargetError:
    return TargetError(
        f"expected an empty place or a dataset made by asam_datasets, found {found}",
        where=where,
        hint="Publish to another place; nothing there was changed.",
    )
