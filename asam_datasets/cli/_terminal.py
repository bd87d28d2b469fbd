"""What people and machines get to see: results on stdout, talk and the progress bar on stderr."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from asam_datasets.demo import DemoArchive
from asam_datasets.errors import AsamDatasetsError, TargetError, printable, spelled
from asam_datasets.progress import Listener
from asam_datasets.publish import Plan, Summary
from asam_datasets.published import Report
from asam_datasets.release import count_bytes
from asam_datasets.sources.evaluation import Entry, describe_tree

_SHOWN_IDS = 10


class Terminal:
    """Prints for one command. `as_json` prints results as one JSON object instead of text; `yes` asks nothing."""

    def __init__(self, *, as_json: bool, yes: bool = False) -> None:
        self._as_json = as_json
        self._yes = yes
        self._bar: tqdm[Any] | None = None

    def listener(self) -> Listener:
        """A listener that shows stages and a progress bar with images/s and time left."""
        return Listener(self.talk, self._total, self._records)

    def close(self) -> None:
        """End the progress bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def plan(self, plan: Plan) -> None:
        """Print the plan of a dry run."""
        if self._as_json:
            self._json({"plan": plan, "rows": plan.rows})
            return
        print(f"Would publish to {plan.target} (dry run: nothing was changed)")
        print("\n".join(_plan_lines(plan)))

    def summary(self, summary: Summary) -> None:
        """Print what was done, and the line that loads it."""
        if self._as_json:
            self._json(summary)
            return
        changes = summary.changes
        print(f"Published {summary.target}")
        print(
            f"  {summary.rows:,} records, {summary.annotations:,} masks, {summary.captions:,} captions, "
            f"{count_bytes(summary.size_bytes)}, in {summary.seconds:.1f} s"
        )
        for verb, folders in (("new", changes.added), ("unchanged", changes.unchanged), ("removed", changes.removed)):
            for folder in folders:
                print(f"  {verb:<9}  {folder}")
        if summary.without_caption:
            print(f"  no caption {summary.without_caption:,} images")
        if summary.dropped:
            print(f"  dropped    {summary.dropped:,} images of evaluation sets, which have no object")
        if summary.rejects:
            print(f"  rejected   {summary.rejected:,}, see {summary.rejects}")
        if summary.missing_ids:
            print(_missing_line(summary.missing_ids))
        for warning in summary.warnings:
            print(f"  warning    {printable(warning)}")
        if changes.uploaded_files:
            print(f"  sent       {changes.uploaded_files:,} files, {count_bytes(changes.uploaded_bytes)}")
        revision = f', revision="{summary.revision}"' if summary.revision else ""
        print("Load it:")
        config = "" if summary.configs[0] == "train" else f'"{summary.configs[0]}", '
        split = 'split="train"' if not config else "streaming=True"
        arguments = f'"{summary.location}", {config}{split}{revision}'
        print(f"  from datasets import load_dataset; dataset = load_dataset({arguments})")

    def report(self, report: Report) -> None:
        """Print what a verification found."""
        if self._as_json:
            self._json(report._asdict())
            return
        print(f"Verified {report.target}" + (f" at {report.revision}" if report.revision else ""))
        print(
            f"  {report.builds:,} builds, {report.parts:,} parts, {report.rows:,} rows, "
            f"{count_bytes(report.size_bytes)}, in {report.seconds:.1f} s"
        )
        if report.deep:
            print(f"  looked at {report.records:,} records with {report.masks:,} masks")
        for note in report.notes:
            print(f"  note: {printable(note)}")
        for finding in report.findings:
            print(f"  WRONG {printable(finding.where)}: {printable(finding.problem)}")
        print(f"{len(report.findings):,} findings" if report.findings else "Everything is as it should be.")

    def catalog(self, entries: Mapping[str, Entry]) -> None:
        """Print the list of evaluation sets."""
        if self._as_json:
            self._json(list(entries.values()))
            return
        table: list[tuple[str, ...]] = [("id", "name", "split", "masks are", "may be given on", "ASAM reads it")]
        for entry in entries.values():
            differs = "otherwise" if entry.asam is not None else "the same way"
            table.append((entry.id, entry.name, entry.split, entry.kind, entry.redistributable, differs))
        print("\n".join(_table(table)))
        print("\n`asam-datasets catalog show ID` prints one, with the folder that is expected.")

    def entry(self, entry: Entry) -> None:
        """Print one evaluation set, with the folder that is expected."""
        if self._as_json:
            self._json(entry)
            return
        expected = [
            f"{count:,} {what}"
            for count, what in ((entry.expected_images, "images"), (entry.expected_masks, "masks"))
            if count is not None
        ]
        lines = [
            (entry.id, entry.name),
            ("homepage", entry.homepage),
            ("split", f"{entry.split} (its {entry.source_split})"),
            ("masks are", entry.kind),
            ("expected", ", ".join(expected) or "unknown"),
            ("license", entry.license or "unknown"),
            ("may be given on", entry.redistributable),
            ("cite", " ".join(entry.citation.split()) or "unknown"),
            ("ASAM reads it", " ".join(entry.protocol_asam.split()) or "the same way"),
        ]
        for name, text in lines:
            print(textwrap.fill(text, 110, initial_indent=f"{name:<17}", subsequent_indent=" " * 17))
        if entry.notes.strip():
            print("\n" + "\n".join(textwrap.fill(line, 110) for line in entry.notes.strip().splitlines()))
        print("\n" + describe_tree(entry))

    def demo(self, demo: DemoArchive) -> None:
        """Print what was drawn, and the next command."""
        if self._as_json:
            self._json({name: str(value) if isinstance(value, Path) else value for name, value in vars(demo).items()})
            return
        print(f"Drew {demo.images} images with {demo.annotations:,} masks:")
        print(f"  {demo.archive}\n  {demo.captions}")
        print("Publish them into a folder:")
        print(f"  python -m asam_datasets.publish --train {demo.archive} --captions {demo.captions} --out demo-dataset")

    def result(self, result: object, text: str) -> None:
        """Print what a verb did: its text, or the result itself as JSON."""
        self.close()
        if self._as_json:
            self._json(result)
        else:
            print(text)

    def failure(self, error: AsamDatasetsError) -> None:
        """Print a known failure: a sentence, and what to do."""
        self.close()
        print(f"error: {error.sentence(_as_flag)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {printable(spelled(error.hint, _as_flag))}", file=sys.stderr)

    def talk(self, text: str) -> None:
        """Print a line beside the results."""
        self.close()
        print(printable(spelled(text, _as_flag)), file=sys.stderr)

    def confirm(self, plan: Plan) -> None:
        """Show the plan, and ask where somebody is there to answer: before an upload, and what others will notice.

        Raises:
            TargetError: the answer is no, or nobody can be asked and the plan needs an answer.
        """
        self.close()
        print("\n".join(_plan_lines(plan)), file=sys.stderr)
        uploads = plan.remote and any(build.state not in ("unchanged", "kept") for build in plan.builds)
        if self._yes or not (plan.public or plan.destructive or uploads):
            return
        what = "show it to everyone" if plan.public else "take away what is published"
        if sys.stdin.isatty() and sys.stderr.isatty():
            print("Go on? [y/N] ", end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise TargetError("expected a yes, found none; nothing was changed", hint="--yes answers beforehand.")
        elif plan.public or plan.destructive:
            raise TargetError(
                f"expected --yes to {what}, found nobody to ask",
                where=plan.target,
                hint="Look at the plan above, then run the same command with --yes. Nothing was changed.",
            )

    def _total(self, rows: int | None) -> None:
        people = sys.stderr.isatty()
        self._bar = tqdm(total=rows, unit=" images", file=sys.stderr, mininterval=0.2 if people else 10, leave=True)

    def _records(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def _json(self, result: object) -> None:
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())


def _as_flag(name: str, value: str) -> str:
    """An argument of the library as the command line spells it: `--on-bad-record skip`."""
    return f"--{name.replace('_', '-')}" + (f" {value}" if value else "")


def _missing_line(ids: Sequence[int]) -> str:
    shown = ", ".join(map(str, ids[:_SHOWN_IDS])) + (", ..." if len(ids) > _SHOWN_IDS else "")
    return f"  not found  {len(ids):,} of the ids asked for: {shown}"


def _plan_lines(plan: Plan) -> list[str]:
    """The plan as text: where, for whom, a table of the archives, what goes over the network."""
    rows = "an unknown number of" if plan.rows is None else f"{plan.rows:,}"
    lines = [
        f"  readers   {plan.readers}",
        f"  configs   {', '.join(plan.configs)}, {rows} records of this run each",
        "",
    ]
    table: list[tuple[str, ...]] = [("name", "state", "records", "files", "bytes", "from")]
    for one in plan.builds:
        numbers = ["?" if number is None else f"{number:,}" for number in (one.rows, one.files)]
        size = "?" if one.size_bytes is None else count_bytes(one.size_bytes)
        table.append((one.name, one.state, *numbers, size, one.source))
    lines += _table(table)
    lines.append("")
    if plan.transfer_bytes is None:
        lines.append("  How much is transferred is known when the streams were read.")
    elif plan.transfer_bytes:
        lines.append(f"  About {count_bytes(plan.transfer_bytes)} are transferred at most.")
    if plan.replaces_foreign:
        lines.append("  The README that is there was not made by asam_datasets; it is replaced.")
    if plan.missing_ids:
        lines.append(_missing_line(plan.missing_ids))
    return lines


def _table(lines: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    ]
