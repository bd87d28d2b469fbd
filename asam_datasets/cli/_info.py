"""`asam-datasets info`."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from asam_datasets.cli._lines import BarLine, table
from asam_datasets.cli._options import Json, Published, Revision
from asam_datasets.cli._publish_text import fold
from asam_datasets.cli._terminal import Terminal
from asam_datasets.info import Histogram, Info, LicenseInfo, StatisticsInfo, info
from asam_datasets.release import count_bytes

_BAR = 40  # letters of the longest bar
_CATEGORIES = 10
_NAMES = 4
_MAY = {
    "yes": "images may be given on",
    "gated": "images to readers who accept its terms",
    "no": "images may not be given on",
    "unknown": "whether images may be given on is unknown",
}


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("info", epilog="Example: asam-datasets info NAMESPACE/NAME")(info_command)


def info_command(dataset: Published, revision: Revision = None, as_json: Json = False) -> None:
    """Say what a published dataset holds.

    Counts, configs, sizes, licenses, and statistics, out of its README and its index: a few requests to the Hub.
    """
    with Terminal(as_json=as_json) as terminal:
        found = info(dataset, revision=revision, listener=terminal.listener())
        terminal.result(found, _text(found))


def _text(found: Info) -> Sequence[str]:
    kinds = [
        f"{count:,} {what}{'s' if count != 1 else ''}"
        for count, what in ((found.archives, "archive"), (found.evaluation_sets, "evaluation set"))
        if count
    ]
    lines = [
        f"{found.title or found.dataset}",
        f"  {found.dataset}" + (f" at {found.commit[:12]}" if found.commit else ""),
        f"  {found.rows:,} records, {found.masks:,} masks, {found.captions:,} captions: "
        f"{count_bytes(found.size_bytes)} in {found.parts:,} file{'s' * (found.parts != 1)}, {' and '.join(kinds)}",
        "",
    ]
    head = ("config", "split", "records", "masks", "captions", "bytes")
    rows = [
        (one.name, split, f"{count:,}", f"{one.masks:,}", f"{one.captions:,}", count_bytes(one.size_bytes))
        for one in found.configs
        for split, count in one.rows.items()
    ]
    lines += [*fold(table([head, *rows])), ""]
    lines += [f"  license   {_license(one)}" for one in found.licenses]
    for statistics in found.statistics:
        lines += _statistics(statistics)
    return lines


def _license(one: LicenseInfo) -> str:
    more = len(one.names) - _NAMES
    names = ", ".join(one.names[:_NAMES]) + (f" and {more:,} more" if more > 0 else "")
    without = f"; {one.without_images:,} without images" if one.without_images else ""
    return f"{names}: {one.name} ({_MAY[one.redistributable]}{without})"


def _statistics(one: StatisticsInfo) -> list[str]:
    partly = "" if one.counted == one.of else f", of {one.counted:,} of {one.of:,}"
    if not one.counted:
        return ["", f"  {one.kind}: published before there were statistics"]
    lines = [line for histogram in one.histograms for line in _histogram(one.kind + partly, histogram)]
    if one.categories:
        shown = list(one.categories.items())[:_CATEGORIES]
        more = len(one.categories) - len(shown) + one.more_categories
        lines += ["", f"  {one.kind}{partly}: masks by category" + (f", and {more:,} more" if more else "")]
        lines += _bars(shown)
    return lines


def _histogram(kind: str, histogram: Histogram) -> list[str]:
    filled = [place for place, (_, count) in enumerate(histogram.bins) if count]
    bins = histogram.bins[filled[0] : filled[-1] + 1]
    return ["", f"  {kind}: {histogram.title}", *_bars(bins)]


def _bars(bins: Sequence[tuple[str, int]]) -> list[str]:
    most = max(count for _, count in bins)
    widths = max(len(label) for label, _ in bins), max(len(f"{count:,}") for _, count in bins)
    return [BarLine(f"    {label:>{widths[0]}}  {count:>{widths[1]},}", count / most, _BAR) for label, count in bins]
