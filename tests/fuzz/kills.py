"""`kill -9` at random moments of `publish --out` with four archives: `python -m fuzz.kills [--kills N] [--seed N]`.

After each kill stock `datasets` finds the rows from before or the new ones, never some of them; in a new folder nothing
or the new ones. Then the same command is run again: it ends well, stock `datasets` finds the new rows, a deep
verification finds nothing wrong, and nothing of the killed run is left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archives import tar_bytes, tiny_members
from commands import ROOT, start_warm
from warm import Program, close_all

Rows = list[list[Any]]

# Writes down id and caption of every row that stock `datasets` finds, or that it finds none.
READ = """
import json, os, sys
import datasets
folder, target = sys.argv[1:]
try:
    stream = datasets.load_dataset(folder, "train", split="train", streaming=True)
    found = {"rows": sorted([row["image_id"], row["caption"]] for row in stream)}
except Exception as error:
    found = {"error": f"{type(error).__name__}: {error}"}
with open(target, "w") as file:
    json.dump(found, file)
os._exit(0)  # Arrow's threads go on reading behind a stream
"""


@dataclass
class Stage:
    """Four archives with captions, a folder with an older version of two of them, and a place to run programs in."""

    folder: Path
    arguments: list[str] = field(default_factory=list)
    first: list[str] = field(default_factory=list)
    old: Rows = field(default_factory=list)
    new: Rows = field(default_factory=list)
    whole_s: float = 0.0

    @property
    def base(self) -> Path:
        """The older version."""
        return self.folder / "base"

    def start(self, *command: str | Path) -> Program:
        """Start a program in a fork; what it says is in `output`."""
        env = {"PATH": os.environ["PATH"], "HF_HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT)}
        env |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TMPDIR": str(self.folder / "tmp")}
        with self.output.open("wb") as output, open(os.devnull) as nothing:
            streams = (nothing.fileno(), output.fileno(), output.fileno())
            program = start_warm([str(each) for each in command], env, ROOT, streams)
        assert program
        return program

    @property
    def output(self) -> Path:
        """What the last program printed."""
        return self.folder / "output.txt"

    def publish(self, out: Path, arguments: Sequence[str]) -> Program:
        """Start the publisher."""
        return self.start("-m", "asam_datasets.publish", *arguments, "--out", out)

    def done(self, program: Program) -> str:
        """What a program printed that ended well."""
        code = program.wait()
        said = self.output.read_text()
        assert code == 0, said
        return said

    def rows(self, out: Path) -> Rows | str:
        """What stock `datasets` loads, or why it loads nothing."""
        target = self.folder / "rows.json"
        target.unlink(missing_ok=True)
        self.done(self.start("-c", READ, out, target))
        found = json.loads(target.read_text())
        return found.get("rows") or str(found["error"])


def make_stage(folder: Path) -> Stage:
    """Write the archives and the older version, and measure how long the publish takes."""
    stage = Stage(folder)
    (folder / "tmp").mkdir()
    paths = []
    captions: dict[int, str] = {}
    for number in range(4):
        members = tiny_members(6, first_id=10 * number + 1)
        path = folder / f"sa_00000{number}.tar"
        path.write_bytes(tar_bytes(members))
        paths.append(str(path))
        captions |= {i: f"a photo of {i}" for i in range(10 * number + 1, 10 * number + 7)}
    file = folder / "captions.json"
    file.write_text("".join(f'{{"img": "sa_{i}.jpg", "prompt": "{text}"}}\n' for i, text in captions.items()))
    stage.first = ["--train", *paths[:2], "--workers", "1", "--parts", "2"]
    stage.arguments = ["--train", *paths, "--captions", str(file), "--workers", "2", "--parts", "2", "--yes"]
    stage.old = [[i, None] for i in captions if i < 20]
    stage.new = [[i, text] for i, text in captions.items()]
    stage.done(stage.publish(stage.base, stage.first))
    assert stage.rows(stage.base) == stage.old
    out = folder / "whole"
    shutil.copytree(stage.base, out)
    started = time.monotonic()
    stage.done(stage.publish(out, stage.arguments))
    stage.whole_s = time.monotonic() - started
    assert stage.rows(out) == stage.new
    return stage


def kill_once(stage: Stage, dice: random.Random, *, is_new: bool) -> str:
    """Publish, kill at a moment, look, publish again, look; what was visible in between, or that it came too late."""
    out = stage.folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    if not is_new:
        shutil.copytree(stage.base, out)
    program = stage.publish(out, stage.arguments)
    time.sleep(dice.uniform(0.0, stage.whole_s))
    with contextlib.suppress(ProcessLookupError):  # it had ended: counted as too late
        os.kill(program.pid, signal.SIGKILL)
    code = program.wait()
    assert code in (0, -signal.SIGKILL), stage.output.read_text()
    found = stage.rows(out) if out.exists() else "no folder"
    seen = "new" if found == stage.new else "nothing" if isinstance(found, str) else "old"
    assert found == stage.new or (isinstance(found, str) if is_new else found == stage.old), (code, found)
    stage.done(stage.publish(out, stage.arguments))
    again = stage.rows(out)
    assert again == stage.new, again
    said = stage.done(stage.start("-m", "asam_datasets", "verify", out, "--deep", "--json"))
    report, _ = json.JSONDecoder().raw_decode(said, said.index("{"))  # lines about the progress are around it
    assert report["findings"] == [], report
    assert report["notes"] == [], report
    assert len(list(out.glob("data/train/*"))) == 4, sorted(out.rglob("*"))
    assert len(list(out.glob("data/index-*"))) == 1, sorted(out.rglob("*"))
    work = [path for path in (out / ".asam_datasets").rglob("*") if path.is_file()]
    assert not [path for path in work if path.suffix in (".parquet", ".tmp")], work
    return seen if code else "too late"


def run(kills: int, seed: int) -> str:
    """Kill so often; a table of what was seen.

    Raises:
        AssertionError: a reader saw what was never published, or the second run did not end well.
    """
    started = time.monotonic()
    counts: Counter[tuple[str, str]] = Counter()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        stage = make_stage(Path(folder))
        number = done = 0
        while done < kills:
            is_new = number % 3 == 2
            print(f"kill {number} of seed {seed}, into {'a new' if is_new else 'an older'} folder", file=sys.stderr)
            seen = kill_once(stage, random.Random(f"{seed} {number}"), is_new=is_new)
            counts["a new folder" if is_new else "an older version", seen] += 1
            number, done = number + 1, done + (seen != "too late")
    places, sights = ("an older version", "a new folder"), ("old", "nothing", "new", "too late")
    lines = [("killed over", *sights), ("--",) + ("--:",) * 4]
    lines += [(place, *(str(counts[place, sight]) for sight in sights)) for place in places]
    shown = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{shown}\n\n{done} kills within {stage.whole_s:.1f} s each, {time.monotonic() - started:.0f} s in all"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="fuzz.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    try:
        print(run(args.kills, args.seed))
    finally:
        close_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
