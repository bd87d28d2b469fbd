"""The README of a dataset: its YAML says what is visible, its text is made from `dataset_card.md` and measured numbers.

`configs` in the YAML is the only list of visible builds. A build folder that no config names is not part of the
dataset, so replacing this one file replaces the dataset.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import yaml

from asam_datasets import __version__
from asam_datasets.builds import Build
from asam_datasets.published import INDEX_KEY
from asam_datasets.release._owner import compose
from asam_datasets.release._patterns import patterns
from asam_datasets.rights import SA1B, Holding
from asam_datasets.tables import ADVERSARIAL, EVALUATION, TRAIN, VIEWS, Column, Config, Kind, configs_of

LICENSE = "LICENSE.md"


_LICENSE_HEAD = """# Licenses

This dataset puts together sets of several owners; each is under its own terms, and using it means accepting them.
Captions and conditioning images follow the terms of the images that they were made from."""
_GATE: Mapping[str, Any] = {
    "extra_gated_heading": "Accept the terms of SA-1B to see these images",
    "extra_gated_prompt": (
        f"The photographs come from SA-1B, under the {SA1B.license} ({SA1B.link}): for research only, not to identify "
        "people, and not to be given on without the same terms."
    ),
    "extra_gated_fields": {
        "Name": "text",
        "Affiliation": "text",
        "I use the images for research only and accept the SA-1B Dataset Research License": "checkbox",
        "I will not try to identify anybody in the images": "checkbox",
    },
    "extra_gated_button_content": "Accept and continue",
}
_MOST_LINES, _FIRST_LINES = 20, 5
_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


class Showing(NamedTuple):
    """What the YAML needs beside the builds: the folders of all builds that lie there, and which runs are closed, for
    `patterns`; and the path of the index."""

    present: frozenset[str]
    closed: frozenset[str]
    index_path: str


def render_card(
    builds: Sequence[Build],
    showing: Showing,
    *,
    location: str,
    title: str,
    gated: bool = False,
    existing: str | None = None,
) -> str:
    """Write the README of a dataset that consists of these builds.

    Args:
        builds: all visible builds; sorted here by name.
        showing: how they are shown.
        location: what `load_dataset` takes in the recipes: a repository id or a folder.
        title: the heading of a new card.
        gated: whether readers have to accept the terms first; the questions for them go into the YAML.
        existing: the README that is there; what of it is its owner's stays (see `_owner.py`).
    """
    builds = sorted(builds, key=lambda build: build.name)
    ours = {**_front_matter(builds, showing), **(_GATE if gated else {})}
    gone = frozenset() if gated else frozenset(_GATE)
    archives, sets, samples = (_of_kind(builds, kind) for kind in ("train", "evaluation", "adversarial"))
    text = _template().read_text("utf-8")
    turned = [build for build in builds if build.turned]
    blocks = {"train": archives, "evaluation": sets, "adversarial": samples, "turned": turned}
    for kind, there in blocks.items():
        block = re.compile(rf"<!-- if {kind} -->\n(.*?)<!-- end -->\n", re.DOTALL)
        text = block.sub(lambda found, there=there: found[1] if there else "", text)  # type: ignore[misc]
    written = Template(text).substitute(
        location=location,
        config_rows="\n".join(_config_row(config) for config in configs_of(archives)),
        column_rows=_column_rows(TRAIN),
        provenance_rows="\n".join(_provenances(archives)),
        set_rows="\n".join(_set_row(build) for build in sets),
        set_column_rows=_column_rows(EVALUATION),
        sample_counts="; ".join(f"{build.rows:,} images, {build.annotations:,} masks" for build in samples),
        sample_column_rows=_column_rows(ADVERSARIAL),
        set_citations="\n".join(_citation(build) for build in sets),
        first_set=sets[0].name if sets else "",
        first_split=sets[0].split if sets else "",
        turned_counts=", ".join(f"{build.turned:,} of {build.rows:,} in `{build.name}`" for build in turned),
        turned_config=_config_name(turned[0]) if turned else "",
        turned_split=turned[0].split if turned else "",
        license_link=SA1B.link,
        version=__version__,
    )
    return compose(title, written, ours, _first(bool(archives)), gone, existing)


def render_placeholder() -> str:
    """The configuration of a dataset that shows nothing yet: its one config names no file."""
    nothing = {"config_name": VIEWS[0].name, "data_files": [{"split": "train", "path": []}]}
    return yaml.safe_dump({"configs": [nothing]}, sort_keys=False)


def render_license(holdings: Iterable[Holding]) -> str:
    """The license file: the terms of each set, by license."""
    sets: dict[tuple[str, str], list[str]] = {}
    for holding in sorted(holdings):
        sets.setdefault((holding.rights.license, holding.rights.link), []).append(
            f"- `{holding.name}`" + ("" if holding.images else " (annotations only)")
        )
    sections = [
        "\n".join([f"## {name}", "", *([f"<{link}>", ""] if link else []), *held])
        for (name, link), held in sorted(sets.items())
    ]
    return "\n\n".join([_LICENSE_HEAD, *sections]) + "\n"


def count_bytes(size_bytes: int) -> str:
    """Bytes for people: `9.1 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _front_matter(builds: Sequence[Build], showing: Showing) -> dict[str, Any]:
    rows = sum(build.rows for build in builds)
    configs = configs_of(builds)
    return {
        "license": "other",
        **_license(builds),
        "size_categories": [next((name for limit, name in _SIZES if rows < limit), "10M<n<100M")],
        "configs": [_config(config, showing, is_default=not number) for number, config in enumerate(configs)],
        "dataset_info": [_dataset_info(config) for config in configs],
        INDEX_KEY: {"index": showing.index_path},
    }


def _first(archives: bool) -> dict[str, Any]:
    """What a new card says in its YAML; from then on it is the owner's."""
    return {
        "pretty_name": "ASAM Datasets",
        "language": ["en"],
        "task_categories": ["image-segmentation", "mask-generation", *(["text-to-image"] if archives else [])],
        "tags": [*(["SA-1B", "controlnet"] if archives else []), "segment-anything", "coco-rle", "asam"],
    }


def _license(builds: Sequence[Build]) -> dict[str, str]:
    """Name and link of the license: that of all builds, or the file that lists them."""
    rights = {build.rights for build in builds}
    if rights == {SA1B}:
        return {"license_name": "sa-1b-dataset-research-license", "license_link": SA1B.link}
    return {"license_name": "several-see-license-file", "license_link": LICENSE}


def _dataset_info(config: Config[Build]) -> dict[str, Any]:
    """Rows and bytes of a config: `dataset_size` is that of its columns, `download_size` that of the files."""
    sizes = {
        split: sum(_column_bytes(build, config.columns) for build in builds) for split, builds in config.splits.items()
    }
    return {
        "config_name": config.name,
        "splits": [
            {"name": split, "num_bytes": sizes[split], "num_examples": sum(build.rows for build in builds)}
            for split, builds in config.splits.items()
        ],
        "download_size": sum(build.size_bytes for build in config.builds),
        "dataset_size": sum(sizes.values()),
    }


def _column_bytes(build: Build, columns: Sequence[str]) -> int:
    return sum(size for part in build.parts for name, size in part.columns.items() if name in columns)


def _config(config: Config[Build], showing: Showing, *, is_default: bool) -> dict[str, Any]:
    """A config as the YAML has it."""
    files = [
        {"split": split, "path": patterns(builds, showing.present, showing.closed)}
        for split, builds in config.splits.items()
    ]
    entry: dict[str, Any] = {"config_name": config.name, **({"default": True} if is_default else {})}
    entry["data_files"] = files
    if config.view is not None and config.view.columns is not None:
        entry["columns"] = list(config.columns)
    return entry


def _of_kind(builds: Sequence[Build], kind: Kind) -> list[Build]:
    return [build for build in builds if build.kind == kind]


def _column_rows(table: Mapping[str, Column]) -> str:
    return "\n".join(f"| `{name}` | {column.label} | {column.meaning} |" for name, column in table.items())


def _config_name(build: Build) -> str:
    """The config that has all columns of a build."""
    return build.name if build.kind == "evaluation" else build.kind


def _set_row(build: Build) -> str:
    info = build.evaluation
    if info is None:
        raise ValueError(f"{build.path}: an evaluation set without its description")
    reading = "as ASAM's loaders read it" if info.protocol == "asam" else "the set's own"
    reading += f", {info.variant}" if info.variant else ""
    title = f"[{info.title}]({info.homepage})" if info.homepage else info.title
    only = "" if build.images else "; annotations only"
    license = build.rights.license.replace("|", "\\|")
    return (
        f"| `{build.name}` | {title} | `{info.split}` (its `{info.source_split}`) | {info.masks} | {reading} | "
        f"{build.rows:,} | {build.annotations:,} | {build.dropped:,} | {count_bytes(build.size_bytes)} | "
        f"{license}{only} |"
    )


def _citation(build: Build) -> str:
    text = build.evaluation.citation.strip() if build.evaluation else ""
    return f"- `{build.name}`: {' '.join(text.split()) or 'unknown'}"


def _config_row(config: Config[Build]) -> str:
    """A view of the archives in the table of the card."""
    view, builds = config.view or VIEWS[0], config.builds
    columns = ", ".join(f"`{name}`" for name in view.columns) if view.columns else "all"
    name = f"`{view.name}`" + (" (default)" if view is VIEWS[0] else "")
    rows, masks = sum(build.rows for build in builds), sum(build.annotations for build in builds)
    size = count_bytes(sum(_column_bytes(build, config.columns) for build in builds))
    captions = sum(build.captions for build in builds)
    return f"| {name} | {columns} | {view.purpose} | {rows:,} | {masks:,} | {captions:,} | {size} |"


def _provenances(archives: Sequence[Build]) -> Iterator[str]:
    """A line for each archive, and one for all after the first few of many: a card is read by people."""
    shown = archives if len(archives) <= _MOST_LINES else archives[:_FIRST_LINES]
    yield from map(_provenance, shown)
    others = archives[len(shown) :]
    if others:
        missing = sum((Counter(build.missing) for build in others), Counter[str]())
        yield _provenance_text(
            f"and {len(others):,} more SA-1B archives, up to `{others[-1].name}`, which the index lists",
            others,
            missing,
        )


def _provenance(build: Build) -> str:
    only = "" if build.images else ", annotations only"
    return _provenance_text(f"SA-1B archive `{build.name}`{only}", [build], build.missing)


def _provenance_text(what: str, builds: Sequence[Build], missing: Mapping[str, int]) -> str:
    rejected, files = sum(build.rejected for build in builds), sum(len(build.parts) for build in builds)
    rows, masks = sum(build.rows for build in builds), sum(build.annotations for build in builds)
    more = f"; {rejected:,} damaged ones were left out" if rejected else ""
    more += "".join(f"; {number:,} masks have no `{name}`, which is null" for name, number in missing.items())
    return (
        f"- {what}: {rows:,} images, {masks:,} masks, {sum(build.captions for build in builds):,} captions, "
        f"{count_bytes(sum(build.size_bytes for build in builds))} in {files:,} files{more}"
    )


def _template() -> Path:
    """The template: beside this package when installed, at the top of the repository in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "dataset_card.md"
    return inside if inside.is_file() else package.parent / "dataset_card.md"
