"""Rows and paragraphs of the card: what is said of configs, archives and sets, and of their statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from msgspec import UNSET

from asam_datasets.builds import VALIDATION, Build
from asam_datasets.release._assets import Assets, Counted
from asam_datasets.release._figure import describe as describe_figure
from asam_datasets.release._inert import code, titled, words
from asam_datasets.release._license import describe as describe_license
from asam_datasets.release._measured import MEASURED, MEASURED_ON
from asam_datasets.tables import VIEWS, Column, Config, Kind

SA1B_PAGE = "https://ai.meta.com/datasets/segment-anything/"
ASAM_PAGE = "https://github.com/luckybird1994/ASAM"

_MOST_LINES, _FIRST_LINES = 20, 5
_CATEGORIES, _CATEGORY_LETTERS = 8, 40


def count_bytes(size_bytes: int) -> str:
    """Bytes for people: `9.1 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _in_cell(size_bytes: int) -> str:
    """The same in a table: the number and its unit stay on one line."""
    return count_bytes(size_bytes).replace(" ", "\u00a0")


def column_bytes(build: Build, columns: Sequence[str]) -> int:
    """Bytes of some columns of a build."""
    return sum(size for part in build.parts for name, size in part.columns.items() if name in columns)


def intro(archives: Sequence[Build]) -> str:
    """What the archives are: said of what is in them, and of nothing that is not."""
    rows, masks = sum(build.rows for build in archives), sum(build.annotations for build in archives)
    captions = sum(build.captions for build in archives)
    captioned = ", a caption," if captions == rows else f", a caption ({captions:,} of them)," if captions else ""
    held_out = sum(build.in_split(VALIDATION).rows for build in archives)
    text = (
        f"{rows:,} images with {masks:,} masks in the form of [SA-1B]({SA1B_PAGE}): each mask decoded, each image with "
        f"its annotations{captioned} and its masks painted into a conditioning image. With data of this form "
        f"[ASAM]({ASAM_PAGE}) (CVPR 2024) tuned the Segment Anything Model; plain `datasets` loads and streams it."
    )
    if not any(build.images for build in archives):
        return f"{text} The images themselves are not published."
    text += " The images are in it unchanged, byte for byte"
    # Data of one's own, which have no numbers of SA-1B, come out of files of other forms.
    text += "." if any(build.missing for build in archives) else ", and so is every field of SA-1B's JSON."
    text += f" {held_out:,} of them are held out as the split `{VALIDATION}`." if held_out else ""
    return text + ("" if all(build.images for build in archives) else " Of some archives the images are not published.")


def intro_of_sets(sets: Sequence[Build]) -> str:
    """The same of a dataset that has evaluation sets alone."""
    rows, masks = sum(build.rows for build in sets), sum(build.annotations for build in sets)
    what = "One evaluation set" if len(sets) == 1 else f"{len(sets):,} evaluation sets"
    return f"{what} of segmentation, {rows:,} images with {masks:,} masks, that plain `datasets` loads and streams."


def sheet(assets: Assets, kind: Kind) -> str:
    """The sheet of a few records; empty without one."""
    found = assets.sheets.get(kind)
    if found is None:
        return ""
    what = "the image, " if found.images else ""
    more = "the conditioning image, " if kind == "train" else ""
    text = f"The first records of {found.build.name}: {what}{more}the masks with their boxes"
    return f"![{escape(text)}]({found.path})\n"


def statistics(assets: Assets, kind: Kind, builds: Sequence[Build]) -> str:
    """The figure of a kind of table, and what it says in words; empty where nothing was counted."""
    counted = Counted.of_builds(builds)
    paths = assets.figures.get(kind)
    if paths is None or not counted.builds:
        return ""
    what = "archives" if kind == "train" else "sets"
    partly = f" Statistics of {counted.builds:,} of {counted.of:,} {what}: the others were published without them."
    text = describe_figure(counted.statistics)
    shapes = dict(zip(("landscape", "portrait", "square"), counted.statistics.bins("shape"), strict=True))
    images = ", ".join(f"{count:,} {name}" for name, count in shapes.items() if count)
    return "\n".join(
        [
            "<picture>",
            f'<source media="(prefers-color-scheme: dark)" srcset="{paths["dark"]}">',
            f'<img src="{paths["light"]}" width="900" alt="{escape(text)}">',
            "</picture>",
            "",
            f"{text} Images: {images}.{partly if counted.builds < counted.of else ''}",
            "",
        ]
    )


def category_lines(sets: Sequence[Build]) -> Iterator[str]:
    """The most frequent categories of each set that has some."""
    for build in sets:
        if build.statistics is UNSET or not build.statistics.categories:
            continue
        counted = build.statistics
        ranked = sorted(counted.categories.items(), key=lambda item: (-item[1], item[0]))
        shown = ", ".join(f"{words(name[:_CATEGORY_LETTERS])} {count:,}" for name, count in ranked[:_CATEGORIES])
        more = len(ranked) - len(ranked[:_CATEGORIES]) + counted.others[0]
        yield f"- `{build.name}`: {shown}" + (f" and {more:,} more" if more else "")


def column_rows(table: Mapping[str, Column]) -> str:
    """A line for each column of a table."""
    return "\n".join(f"| `{name}` | {column.label} | {column.meaning} |" for name, column in table.items())


def config_row(config: Config[Build]) -> str:
    """A view of the archives in the table of the card."""
    view, builds = config.view or VIEWS[0], config.builds
    columns = ", ".join(f"`{name}`" for name in view.columns) if view.columns else "all"
    name = f"`{view.name}`" + (" (default)" if view is VIEWS[0] else "")
    rows, masks = sum(build.rows for build in builds), sum(build.annotations for build in builds)
    size = _in_cell(sum(column_bytes(build, config.columns) for build in builds))
    captions = sum(build.captions for build in builds)
    return f"| {name} | {columns} | {view.purpose} | {rows:,} | {masks:,} | {captions:,} | {size} |"


def which_config() -> str:
    """Which config is for what, with what a record of each costs, as it was measured once."""
    rows = [
        f"| {one.purpose} | `{one.config}` | {one.reader} | {one.seconds:.3f} | {_in_cell(one.size_bytes)} |"
        for one in MEASURED
    ]
    head = ["| to | config | read by | seconds a record | read of it |", "|---|---|---|--:|--:|"]
    return "\n".join([*head, *rows, "", MEASURED_ON])


def set_row(build: Build) -> str:
    """A line for an evaluation set."""
    info = build.evaluation
    if info is None:
        raise ValueError(f"{build.path}: an evaluation set without its description")
    reading = "as ASAM's loaders read it" if info.protocol == "asam" else "the set's own"
    reading += f", {words(info.variant)}" if info.variant else ""
    only = "" if build.images else "; annotations only"
    title, splits = titled(info.title, info.homepage), f"{code(info.split)} (its {code(info.source_split)})"
    return (
        f"| `{build.name}` | {title} | {splits} | {words(info.masks)} | {reading} | "
        f"{build.rows:,} | {build.annotations:,} | {build.dropped:,} | {_in_cell(build.size_bytes)} | "
        f"{words(build.rights.license)}{only} |"
    )


def citation(build: Build) -> str:
    """A line for whom to cite."""
    text = build.evaluation.citation.strip() if build.evaluation else ""
    return f"- `{build.name}`: {words(text) or 'unknown'}"


def license_lines(builds: Sequence[Build]) -> Iterator[str]:
    """A line for each license of the archives and what was made of them, where there are others than SA-1B's."""
    names: dict[str, list[str]] = {}
    for build in builds:
        names.setdefault(describe_license(build.rights), []).append(build.name)
    for text, some in sorted(names.items()):
        shown = ", ".join(f"`{name}`" for name in some[:_FIRST_LINES])
        more = f" and {len(some) - _FIRST_LINES:,} more" if len(some) > _FIRST_LINES else ""
        yield f"- {shown}{more}: {text}"


def provenances(archives: Sequence[Build]) -> Iterator[str]:
    """A line for each archive, and one for all after the first few of many: a card is read by people."""
    shown = archives if len(archives) <= _MOST_LINES else archives[:_FIRST_LINES]
    yield from map(_provenance, shown)
    others = archives[len(shown) :]
    if others:
        missing = sum((Counter(build.missing) for build in others), Counter[str]())
        yield _provenance_text(
            f"and {len(others):,} more archives, up to `{others[-1].name}`, which the index lists", others, missing
        )


def missing_fields(missing: Mapping[str, int], spell: Callable[[str], str] = str, of: str = "") -> Iterator[str]:
    """Which fields are null because the source has none, with those together that the same number of masks lacks."""
    by_number: dict[int, list[str]] = {}
    for name, number in missing.items():
        by_number.setdefault(number, []).append(spell(name))
    for number, names in by_number.items():
        *others, last = names
        listed = f"{', '.join(others)} and {last}" if others else last
        yield f"{number:,}{of} masks have no {listed}, which {'are' if others else 'is'} null"


def _provenance(build: Build) -> str:
    only = "" if build.images else ", annotations only"
    return _provenance_text(f"archive `{build.name}`{only}", [build], build.missing)


def _provenance_text(what: str, builds: Sequence[Build], missing: Mapping[str, int]) -> str:
    rejected, files = sum(build.rejected for build in builds), sum(len(build.parts) for build in builds)
    rows, masks = sum(build.rows for build in builds), sum(build.annotations for build in builds)
    more = f"; {rejected:,} damaged ones were left out" if rejected else ""
    more += "".join(f"; {text}" for text in missing_fields(missing, code))
    return (
        f"- {what}: {rows:,} images, {masks:,} masks, {sum(build.captions for build in builds):,} captions, "
        f"{count_bytes(sum(build.size_bytes for build in builds))} in {files:,} file{'s' * (files != 1)}{more}"
    )
