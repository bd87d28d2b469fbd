"""What people read of a publish: the plan and the summary.

A thousand archives fold to totals and the first few; `--json` has all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from asam_datasets.cli._lines import Verbatim, table
from asam_datasets.publish import Plan, PlannedBuild, Summary
from asam_datasets.release import CardChange, Footprint, count_bytes

_SHOWN_IDS = 10
_SHOWN_LETTERS = 60
_MANY = 20
"""So many lines of a kind are shown; of more, the first ones."""
_FIRST = 10

# What is about to change comes first.
_STATES = ("removed", "replaced", "read first", "new", "unchanged", "kept")


def dry_run_text(planned: Plan) -> Sequence[str]:
    """The plan, where nothing else is done."""
    return [f"Would publish to {planned.target} (dry run: nothing was changed)", *plan_text(planned)]


def plan_text(planned: Plan) -> Sequence[str]:
    """The plan: for whom, a table of the archives, what it takes of the network and of the Hub, what would go."""
    rows = "an unknown number of" if planned.rows is None else f"{planned.rows:,}"
    lines = [
        *([f"  readers   {planned.readers}"] if planned.remote else []),  # those of a folder are its file system's
        f"  configs   {', '.join(planned.configs)}",
        f"  this run  {rows} {'record' if planned.rows == 1 else 'records'}",
        "",
        *_builds(planned.builds),
        "",
        *fold(_turned(one.name, one.turned, one.rows) for one in planned.builds if one.turned),
        *fold(f"  {note}" for note in planned.notes),
    ]
    if planned.transfer_bytes is None:
        lines.append("  How much is transferred is known when the streams were read.")
    elif planned.transfer_bytes:
        lines.append(f"  About {count_bytes(planned.transfer_bytes)} are transferred at most.")
    if planned.footprint is not None and planned.changes:
        lines += _footprint(planned.footprint)
    if planned.replaces_foreign:
        lines.append(
            "  The README that is there was not made by asam_datasets: what it shows goes out of sight; its text stays."
        )
    lines += fold(f"  license   {text}" for text in planned.licenses)
    lines += [_card_change(change) for change in planned.card]
    if planned.losses:
        lines.append("  What is visible now and goes:")
        if len(planned.losses) > _MANY:
            lines += [f"    in all: {total}" for total in _total_losses(planned)]
        lines += fold(f"    {loss}" for loss in planned.losses)
    if any(loss.why and loss.why != "removed" for loss in planned.losses):
        lines.append("  An archive of the same name is replaced; another name keeps both: --train NAME=PATH")
    return [*lines, *_missing(planned.missing_ids)]


def summary_text(done: Summary) -> Sequence[str]:
    """What was done, and the lines that load it."""
    changes = done.changes
    lines = [
        f"Nothing to do: {done.target} has all of it" if done.is_as_before else f"Published {done.target}",
        f"  {done.rows:,} records, {done.annotations:,} masks, {done.captions:,} captions, "
        f"{count_bytes(done.size_bytes)}, in {done.seconds:.1f} s",
    ]
    for verb, folders in (("new", changes.added), ("unchanged", changes.unchanged), ("removed", changes.removed)):
        if len(folders) > _MANY:
            lines.append(f"  {verb:<9}  {len(folders):,} builds:")
        lines += fold(f"  {verb:<9}  {folder}" for folder in folders)
    places = (("tag", done.tag), ("to merge", done.pull_request))
    lines += [f"  {what:<9}  {place}" for what, place in places if place]
    if done.without_caption:
        lines.append(f"  no caption {done.without_caption:,} images")
    if done.dropped:
        lines.append(f"  dropped    {done.dropped:,} images of evaluation sets, which have no object")
    lines += fold(_turned(name, count) for name, count in done.turned.items())
    if done.rejects:
        lines.append(f"  rejected   {done.rejected:,}, see {done.rejects}")
    lines += _missing(done.missing_ids)
    lines += fold(f"  warning    {warning}" for warning in done.warnings)
    if changes.uploaded_files:
        lines.append(f"  sent       {changes.uploaded_files:,} files, {count_bytes(changes.uploaded_bytes)}")
    revision = f', revision="{done.revision}"' if done.revision else ""
    chosen = 'split="train"' if done.configs[0] == "train" else f'"{done.configs[0]}", streaming=True'
    loaded = f'load_dataset("{done.location}", {chosen}{revision})'
    code = ("from datasets import load_dataset", f"dataset = {loaded}")
    return [*lines, "Load it:", *(Verbatim(f"  {line}") for line in code)]


def fold(lines: Iterable[str]) -> list[str]:
    """Lines for a person to read: all of a few; of many the first ones, and how many more there are."""
    found = list(lines)
    if len(found) <= _MANY:
        return found
    indent = " " * (len(found[0]) - len(found[0].lstrip()))
    return [*found[:_FIRST], f"{indent}and {len(found) - _FIRST:,} more (--json has all)"]


def _builds(builds: Sequence[PlannedBuild]) -> list[str]:
    """A line for each build under a head; of many, the totals of each state and then the first of them."""
    head = ("name", "state", "records", "files", "bytes", "from")
    if len(builds) <= _MANY:
        return table([head, *(_line(one) for one in builds)])
    builds = sorted(builds, key=lambda one: _STATES.index(one.state))
    states = {state: [one for one in builds if one.state == state] for state in _STATES}
    totals = [(state, *_total(some)) for state, some in states.items() if some]
    shown = table([head, *(_line(one) for one in builds[:_FIRST])])
    more = f"  and {len(builds) - _FIRST:,} more (--json has all)"
    return [*table([("state", "builds", "records", "files", "bytes"), *totals]), "", *shown, more]


def _line(one: PlannedBuild) -> tuple[str, ...]:
    return one.name, one.state, *_numbers(one.rows, one.files, one.size_bytes), one.source


def _total(builds: Sequence[PlannedBuild]) -> tuple[str, ...]:
    rows, files, sizes = ([getattr(one, name) for one in builds] for name in ("rows", "files", "size_bytes"))
    return f"{len(builds):,}", *_numbers(*(None if None in some else sum(some) for some in (rows, files, sizes)))


def _numbers(rows: int | None, files: int | None, size_bytes: int | None) -> tuple[str, ...]:
    counts = ("?" if number is None else f"{number:,}" for number in (rows, files))
    return *counts, "?" if size_bytes is None else count_bytes(size_bytes)


def _total_losses(planned: Plan) -> list[str]:
    kinds = dict.fromkeys(loss.what for loss in planned.losses)
    sums = {
        what: [sum(getattr(loss, side) for loss in planned.losses if loss.what == what) for side in ("before", "after")]
        for what in kinds
    }
    return [f"{what} {before:,} → {after:,}" for what, (before, after) in sums.items()]


def _footprint(taken: Footprint) -> list[str]:
    if taken.storage_bytes is None:
        return ["  What the Hub has to hold is known when the streams were read."]
    hours = f"; the Hub's quota makes that {taken.hours:,} hours at least" if taken.hours else ""
    return [
        f"  The repository then takes about {count_bytes(taken.storage_bytes)} in {taken.files:,} files: {taken.plan} "
        "holds it.",
        f"  At most {taken.commits:,} commits{hours}.",
        *(f"  Too much: {note}." for note in taken.notes),
    ]


def _card_change(change: CardChange) -> str:
    """The line about words of the card that are there."""
    before, after = (_in_one_line(text) for text in (change.before, change.after))
    if change.state == "kept":
        return f"  card      {change.what}: {before} stays; {after}"
    goes = "somebody wrote it, and it goes: " if change.state == "lost" else ""
    return f"  card      {change.what}: {goes}{before} → {after}"


def _in_one_line(text: str) -> str:
    line = " ".join(text.split()) or "nothing"
    return line if len(line) <= _SHOWN_LETTERS else f"{line[:_SHOWN_LETTERS]}… ({len(text):,} letters)"


def _turned(name: str, count: int, rows: int | None = None) -> str:
    """The line about images whose masks do not fit what stock readers show."""
    of = f" of {rows:,}" if rows else ""
    return (
        f"  EXIF       {name}: {count:,}{of} images carry an orientation: stock readers turn them and not their masks; "
        "the card says how to read them"
    )


def _missing(ids: Sequence[int]) -> Sequence[str]:
    """The line about ids that were asked for and are not there; none if all are."""
    shown = ", ".join(map(str, ids[:_SHOWN_IDS])) + (", ..." if len(ids) > _SHOWN_IDS else "")
    return [f"  not found  {len(ids):,} of the ids asked for: {shown}"] if ids else []
