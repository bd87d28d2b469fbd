"""What people and machines get to see: results on stdout, talk and the progress bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from tqdm import tqdm

from asam_datasets.demo import DemoArchive
from asam_datasets.errors import AsamDatasetsError
from asam_datasets.hub import count_bytes
from asam_datasets.publish import Listener, Plan, Summary

_SHOWN_IDS = 10


class Terminal:
    """Prints for one command. `as_json` prints results as one JSON object instead of text."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._bar: tqdm[Any] | None = None

    def listener(self) -> Listener:
        """A listener that shows stages and a progress bar with pictures/s and time left."""
        return Listener(self._stage, self._total, self._records)

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
        rows = "unknown until read" if plan.rows is None else f"{plan.rows:,}"
        print(f"Would publish to {plan.target} (dry run: nothing was changed)")
        print(f"  configs  {', '.join(plan.configs)}, {rows} records of this run each\n")
        lines = [("archive", "records", "files", "to read", "state", "from")]
        for one in plan.archives:
            known = one.rows is not None
            lines.append(
                (
                    one.archive,
                    f"{one.rows:,}" if known else "?",
                    f"{one.files:,}" if known else "?",
                    count_bytes(one.source_bytes) if one.source_bytes is not None else "?",
                    f"replaces {one.published} if changed" if one.published else "new",
                    one.source,
                )
            )
        _table(lines)
        print("\nThe files take about as many bytes as are read.")
        if plan.kept:
            print(f"Stays as it is: {', '.join(plan.kept)}")
        _missing(plan.missing_ids)

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
                print(f"  {verb:<9}  data/train/{folder}")
        if summary.rejects:
            print(f"  rejected   {summary.rejected:,}, see {summary.rejects}")
        _missing(summary.missing_ids)
        print("Load it:")
        print(f'  from datasets import load_dataset; dataset = load_dataset("{summary.location}", split="train")')

    def demo(self, demo: DemoArchive) -> None:
        """Print what was drawn, and the next command."""
        if self._as_json:
            self._json({name: str(value) if isinstance(value, Path) else value for name, value in vars(demo).items()})
            return
        print(f"Drew {demo.pictures} pictures with {demo.annotations:,} masks:")
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
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)

    def _stage(self, text: str) -> None:
        self.close()
        print(text, file=sys.stderr)

    def _total(self, rows: int | None) -> None:
        people = sys.stderr.isatty()
        self._bar = tqdm(total=rows, unit=" pictures", file=sys.stderr, mininterval=0.2 if people else 10, leave=True)

    def _records(self, count: int) -> None:
        if self._bar is not None:
            self._bar.update(count)

    def _json(self, result: object) -> None:
        print(msgspec.json.format(msgspec.json.encode(result), indent=2).decode())


def _missing(ids: Sequence[int]) -> None:
    if ids:
        shown = ", ".join(map(str, ids[:_SHOWN_IDS])) + (", ..." if len(ids) > _SHOWN_IDS else "")
        print(f"  not found  {len(ids):,} of the ids asked for: {shown}")


def _table(lines: Sequence[tuple[str, ...]]) -> None:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
