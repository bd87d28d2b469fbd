"""The README of a dataset: its YAML says what is visible, its text is made from `dataset_card.md` and measured numbers.

`configs` in the YAML is the only list of visible builds. A build folder that no config names is not part of the
dataset, so replacing this one file replaces the dataset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml

from asam_datasets import __version__
from asam_datasets.builds import Build
from asam_datasets.published import INDEX_KEY
from asam_datasets.release import _card_text as text_of
from asam_datasets.release._assets import Assets
from asam_datasets.release._license import LICENSE, SA1B_GATE, gate, license_keys
from asam_datasets.release._owner import CardChange, Words, card_changes, compose
from asam_datasets.release._patterns import patterns
from asam_datasets.rights import SA1B
from asam_datasets.tables import ADVERSARIAL, EVALUATION, TRAIN, VIEWS, Config, Kind, configs_of

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_LICENSE_KEYS = ("license_name", "license_link")


class Showing(NamedTuple):
    """What the card needs beside the builds: the folders of all builds that lie there, and which runs are closed, for
    `patterns`; the paths of the index and of the list of licenses; and what is in `assets/`."""

    present: frozenset[str]
    closed: frozenset[str]
    index_path: str
    license_file: str = LICENSE
    assets: Assets = Assets({}, {}, {})


def render_card(
    builds: Sequence[Build],
    showing: Showing,
    *,
    location: str,
    words: Words,
    gated: bool = False,
    existing: str | None = None,
) -> str:
    """Write the README of a dataset that consists of these builds.

    Args:
        builds: all visible builds; sorted here by name.
        showing: how they are shown.
        location: what `load_dataset` takes in the recipes: a repository id or a folder.
        words: what this run says of the dataset; title and text of an earlier one stay otherwise.
        gated: whether readers have to accept the terms first; the questions for them go into the YAML.
        existing: the README that is there; what of it is its owner's stays (see `_owner.py`).
    """
    builds = sorted(builds, key=lambda build: build.name)
    ours = {**_front_matter(builds, showing), **(gate(builds, showing.license_file) if gated else {})}
    gone = frozenset(name for name in (*SA1B_GATE, *_LICENSE_KEYS) if name not in ours)
    text = _render(builds, showing, location)
    return compose(words, text, ours, _first(builds), gone, existing)


def find_changes(builds: Sequence[Build], words: Words, license_file: str, existing: str | None) -> list[CardChange]:
    """What a release does to words of the README that is there.

    Args:
        builds: those that it shows now.
        words: what the run says of the dataset.
        license_file: of the dataset.
        existing: the README.
    """
    return card_changes(words, _expected(builds, license_file), existing) if existing is not None else []


def render_placeholder() -> str:
    """The configuration of a dataset that shows nothing yet: its one config names no file."""
    nothing = {"config_name": VIEWS[0].name, "data_files": [{"split": "train", "path": []}]}
    return yaml.safe_dump({"configs": [nothing]}, sort_keys=False)


def _render(builds: Sequence[Build], showing: Showing, location: str) -> str:
    """The text of our block."""
    archives, sets, samples = (_of_kind(builds, kind) for kind in ("train", "evaluation", "adversarial"))
    turned = [build for build in builds if build.turned]
    sa1b = [build for build in (*archives, *samples) if build.rights == SA1B]
    statistics = {
        kind: text_of.statistics(showing.assets, kind, _of_kind(builds, kind)) for kind in ("train", "evaluation")
    }
    category_lines = list(text_of.category_lines(sets))
    blocks: dict[str, object] = {
        "train": archives,
        "evaluation": sets,
        "only sets": not archives,
        "adversarial": samples,
        "turned": turned,
        "sa1b": sa1b,
        "licenses": archives and {build.rights for build in (*archives, *samples)} != {SA1B},
        "statistics": statistics["train"],
        "set statistics": statistics["evaluation"],
        "categories": category_lines,
    }
    text = _template().read_text("utf-8")
    for kind, there in blocks.items():
        block = re.compile(rf"<!-- if {kind} -->\n(.*?)<!-- end {kind} -->\n", re.DOTALL)
        text = block.sub(lambda found, there=there: found[1] if there else "", text)  # type: ignore[misc]
    written = Template(text).substitute(
        location=location,
        intro=text_of.intro(archives) if archives else text_of.intro_of_sets(sets),
        sheet=text_of.sheet(showing.assets, "train"),
        set_sheet=text_of.sheet(showing.assets, "evaluation"),
        which_config=text_of.which_config(),
        statistics=statistics["train"],
        set_statistics=statistics["evaluation"],
        category_lines="\n".join(category_lines),
        config_rows="\n".join(text_of.config_row(config) for config in configs_of(archives)),
        column_rows=text_of.column_rows(TRAIN),
        provenance_rows="\n".join(text_of.provenances(archives)),
        set_rows="\n".join(text_of.set_row(build) for build in sets),
        set_column_rows=text_of.column_rows(EVALUATION),
        sample_counts="; ".join(f"{build.rows:,} images, {build.annotations:,} masks" for build in samples),
        sample_column_rows=text_of.column_rows(ADVERSARIAL),
        set_citations="\n".join(text_of.citation(build) for build in sets),
        first_set=sets[0].name if sets else "",
        first_split=sets[0].split if sets else "",
        turned_counts=", ".join(f"{build.turned:,} of {build.rows:,} in `{build.name}`" for build in turned),
        turned_config=_config_name(turned[0]) if turned else "",
        turned_split=turned[0].split if turned else "",
        license_file=showing.license_file,
        license_link=SA1B.link,
        license_lines="\n".join(text_of.license_lines([*archives, *samples])),
        version=__version__,
    )
    return re.sub(r"\n{3,}", "\n\n", written)


def _front_matter(builds: Sequence[Build], showing: Showing) -> dict[str, Any]:
    configs = configs_of(builds)
    return {
        **_expected(builds, showing.license_file),
        "configs": [_config(config, showing, is_default=not number) for number, config in enumerate(configs)],
        "dataset_info": [_dataset_info(config) for config in configs],
        INDEX_KEY: {"index": showing.index_path},
    }


def _expected(builds: Sequence[Build], license_file: str) -> dict[str, Any]:
    """Those of our keys that people understand."""
    rows = sum(build.rows for build in builds)
    return {
        **license_keys(builds, license_file),
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "10M<n<100M")],
    }


def _first(builds: Sequence[Build]) -> dict[str, Any]:
    """What a new card says in its YAML besides its title; from then on it is the owner's."""
    archives = _of_kind(builds, "train")
    captions = any(build.captions for build in archives)
    tags = [
        *(["SA-1B"] if any(build.rights == SA1B for build in archives) else []),
        *(["controlnet"] if archives else []),
    ]
    return {
        **({"language": ["en"]} if captions or not archives else {}),
        "task_categories": ["image-segmentation", "mask-generation", *(["text-to-image"] if captions else [])],
        "tags": [*tags, "segment-anything", "coco-rle", "asam"],
    }


def _dataset_info(config: Config[Build]) -> dict[str, Any]:
    """Rows and bytes of a config: `dataset_size` is that of its columns, `download_size` that of the files."""
    sizes = {
        split: sum(text_of.column_bytes(build.in_split(split), config.columns) for build in builds)
        for split, builds in config.splits.items()
    }
    rows = {split: sum(build.in_split(split).rows for build in builds) for split, builds in config.splits.items()}
    return {
        "config_name": config.name,
        "splits": [{"name": split, "num_bytes": sizes[split], "num_examples": rows[split]} for split in config.splits],
        "download_size": sum(build.size_bytes for build in config.builds),
        "dataset_size": sum(sizes.values()),
    }


def _config(config: Config[Build], showing: Showing, *, is_default: bool) -> dict[str, Any]:
    """A config as the YAML has it."""
    files = [
        {"split": split, "path": patterns(config.builds, split, showing.present, showing.closed)}
        for split in config.splits
    ]
    entry: dict[str, Any] = {"config_name": config.name, **({"default": True} if is_default else {})}
    entry["data_files"] = files
    if config.view is not None and config.view.columns is not None:
        entry["columns"] = list(config.columns)
    return entry


def _of_kind(builds: Sequence[Build], kind: Kind) -> list[Build]:
    return [build for build in builds if build.kind == kind]


def _config_name(build: Build) -> str:
    """The config that has all columns of a build."""
    return build.name if build.kind == "evaluation" else build.kind


def _template() -> Path:
    """The template: beside this package when installed, at the top of the repository in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "dataset_card.md"
    return inside if inside.is_file() else package.parent / "dataset_card.md"
