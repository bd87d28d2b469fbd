"""How many requests does a dataset of a thousand archives cost, and does it stay within the Hub's limits?

    python benchmarks/scale.py [--archives N] [--parts N] [--one-by-one N] [--processes N] [--plan free] [--json FILE]

Publishes N archives of tiny images (1,000 of 32 parts; `--quick` 40 of 4) to a Hub on this machine that enforces what
the real one allows a free account: 1,000 API and 5,000 resolver requests in 300 s (on the wall's clock: local requests
are faster than any over a network, so this is stricter than there), files per commit, folder and repository, and 128
commits an hour (of `--hour-s` seconds here). Everything is done by programs of its own with an empty cache: the publish
as a user runs it, stock `datasets` of three versions (`make readers`), `open_stream`, `verify`.

What is counted are requests as the Hub counts them: `api` (listings, information, commits) and `resolvers` (files).
Windows are opened anew before each line, as if it came from another account; `refused` are answers with 429.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _report import print_header, print_table

from asam_datasets.demo import draw_record

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support")]
REPO = "xhk/scale"
READERS = ("datasets-latest", "datasets-3.6.0", "datasets-2.19.2")
FIRST_ROW = """
import os, sys, datasets
if hasattr(datasets.config, "USE_PARQUET_EXPORT"):
    datasets.config.USE_PARQUET_EXPORT = False
row = next(iter(datasets.load_dataset(sys.argv[1], split="train", streaming=True)))
print(row["image_id"], flush=True)
os._exit(0)
"""
OPEN = """
import os, sys
from asam_datasets.training import open_stream
stream = open_stream(sys.argv[1], "sam", seed=0)
if sys.argv[2] == "row":
    print(next(iter(stream))["image_id"])
sys.stdout.flush()
os._exit(0)
"""


@dataclass
class Figures:
    """What one line of the table says."""

    what: str
    counts: dict[str, int]
    seconds: float
    more: dict[str, Any] = field(default_factory=dict)


class Archives:
    """Tars of tiny images, each image of another id: one drawn image, renamed."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        self.rows = rows
        folder.mkdir()
        self._jpeg, table = draw_record(1, height=64, width=64, masks=2, seed=0)
        self._table: dict[str, Any] = json.loads(table)
        self._written = 0

    def write(self, count: int) -> list[Path]:
        """The next `count` archives."""
        return [self._one() for _ in range(count)]

    def _one(self) -> Path:
        number, self._written = self._written, self._written + 1
        path = self.folder / f"sa_{number:06}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for image_id in range(number * self.rows + 1, (number + 1) * self.rows + 1):
                self._table["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
                for name, content in ((".jpg", self._jpeg), (".json", json.dumps(self._table).encode())):
                    member = tarfile.TarInfo(f"sa_{image_id}{name}")
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
        return path


class Simulation:
    """One Hub, and the programs that speak to it."""

    def __init__(self, hub: Any, folder: Path, workers: int, parts: int, log: Path | None) -> None:
        self.hub = hub
        self.log = log
        self.folder = folder
        self.workers = workers
        self.parts = parts
        self.figures: list[Figures] = []
        self._homes = 0

    def publish(self, what: str, *sources: Path) -> Figures:
        """`python -m asam_datasets.publish` of some archives."""
        commits = len(self.hub.commits(REPO)) if REPO in self.hub.repositories() else 1
        command = ["-m", "asam_datasets.publish", "--repo-id", REPO, "--parts", str(self.parts), "--yes", "--json"]
        command += ["--workers", str(self.workers), "--train", *map(str, sources)]
        with self.measure(what) as found:
            self.run([sys.executable], *command)
        found.more = {
            "commits": len(self.hub.commits(REPO)) - commits,
            "README bytes": len(self.hub.read_bytes(REPO, "README.md")),
            "files": len(self.hub.files(REPO)),
        }
        return found

    def load(self, environment: str) -> None:
        """Stock `datasets`: open, and take one row."""
        python = ROOT / ".venvs" / environment / "bin" / "python"
        if not python.exists():
            print(f"  {python} is not there: make readers", file=sys.stderr)
            return
        with self.measure(f"first row, {environment}"):
            self.run([str(python), "-W", "ignore"], "-c", FIRST_ROW, REPO, package=False)

    def open_streams(self, what: str, processes: int, until: str) -> None:
        """`open_stream` in some processes, one after the other."""
        with self.measure(what):
            for _ in range(processes):
                self.run([sys.executable], "-c", OPEN, REPO, until)

    def verify(self) -> None:
        """`asam-datasets verify`."""
        with self.measure("verify"):
            self.run([sys.executable], "-c", "from asam_datasets.cli import main; main()", "verify", REPO)

    @contextmanager
    def measure(self, what: str) -> Iterator[Figures]:
        """Count the requests of what happens meanwhile."""
        self.hub.clear_log()
        self.hub.limits.forget()
        found = Figures(what, {}, time.monotonic())
        yield found
        found.seconds = time.monotonic() - found.seconds
        found.counts = dict(self.hub.count_requests())
        self.figures.append(found)
        shown = ", ".join(f"{count:,} {name}" for name, count in sorted(found.counts.items()) if count)
        print(f"  {what}: {shown} ({found.seconds:.0f} s)", flush=True)
        if self.log:
            with self.log.open("a") as file:
                file.write("\n".join([f"# {what}", *map(str, self.hub.log), ""]))

    def run(self, python: Sequence[str], *command: str, package: bool = True) -> None:
        """Run a program with a cache of its own to its end.

        Raises:
            SystemExit: it failed; its last words are shown.
        """
        self._homes += 1
        environment = self.hub.environment(self.folder / f"home-{self._homes}")
        # Real pauses: the Hub here makes people wait. Without its tests' shortcuts.
        environment |= {
            "ASAM_DATASETS_WAITS": "1,2,4,8,16,32",
            "ASAM_DATASETS_CACHE": str(self.folder / "cache"),
            "PYTHONPATH": str(ROOT) if package else "",
        }
        done = subprocess.run(
            [*python, *command], env=environment, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"error: {' '.join(command)[:200]} ended with {done.returncode}:\n{done.stderr[-3000:]}")


def simulate(arguments: argparse.Namespace, folder: Path) -> list[Figures]:
    """Do all of it."""
    from local_hub import Limits, LocalHub

    archives = Archives(folder / "archives", max(arguments.parts, 1))
    limits = Limits(plan=arguments.plan, hour_s=arguments.hour_s)
    with LocalHub(folder / "hub", xet=not arguments.no_xet, limits=limits) as hub:
        simulation = Simulation(hub, folder, arguments.workers, arguments.parts, arguments.log)
        archives.write(arguments.archives)
        bulk = simulation.publish(f"publish {arguments.archives:,} archives", archives.folder)
        _read(simulation, arguments)
        simulation.publish("publish the same again", archives.folder)
        simulation.verify()
        simulation.publish("add one archive", *archives.write(1))
        if arguments.one_by_one:
            added = archives.write(arguments.one_by_one)
            for path in added:
                last = simulation.publish(f"add {path.stem}", path)
            for environment in READERS:
                simulation.load(environment)
            print(f"  README after them: {last.more['README bytes']:,} bytes", flush=True)
        print(f"  README after the bulk publish: {bulk.more['README bytes']:,} bytes", flush=True)
        print(f"  refused in all: {dict(hub.limits.refused)}", flush=True)
        if hub.errors:
            raise SystemExit(f"error: the local Hub failed:\n{hub.errors[-1]}")
        return simulation.figures


def _read(simulation: Simulation, arguments: argparse.Namespace) -> None:
    for environment in READERS:
        simulation.load(environment)
    simulation.open_streams("open_stream", 1, "open")
    simulation.open_streams("open_stream and one row", 1, "row")
    if arguments.processes > 1:
        simulation.open_streams(f"open_stream, {arguments.processes} processes", arguments.processes, "open")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="40 archives of 4 parts")
    parser.add_argument("--archives", type=int, metavar="N", help="archives of the first publish (1,000)")
    parser.add_argument("--parts", type=int, metavar="N", help="parts, and rows, of each (32)")
    parser.add_argument("--one-by-one", type=int, default=0, metavar="N", help="archives added one by one then (0)")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="processes that open the dataset (1)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that build (1)")
    parser.add_argument("--plan", default="free", choices=("free", "pro", "team"), help="of the account (free)")
    parser.add_argument("--hour-s", type=float, default=60.0, metavar="S", help="how long the Hub's hour takes (60)")
    parser.add_argument("--no-xet", action="store_true", help="upload by LFS, which the log can see")
    parser.add_argument("--log", type=Path, metavar="FILE", help="write down every request")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures down")
    arguments = parser.parse_args()
    arguments.archives = arguments.archives or (40 if arguments.quick else 1_000)
    arguments.parts = arguments.parts or (4 if arguments.quick else 32)
    os.nice(10)
    print_header("How many requests do many archives cost?", "datasets", "huggingface_hub", "hf_xet")
    with tempfile.TemporaryDirectory() as folder:
        figures = simulate(arguments, Path(folder))
    lines = [["requests", "api", "resolvers", "other", "refused", "commits", "README, B", "s"]]
    for one in figures:
        counts = [f"{one.counts.get(name, 0):,}" for name in ("api", "resolvers", "other", "refused")]
        more = [f"{one.more[name]:,}" if name in one.more else "" for name in ("commits", "README bytes")]
        lines.append([one.what, *counts, *more, f"{one.seconds:.0f}"])
    print()
    print_table(lines)
    if arguments.json:
        arguments.json.write_text(json.dumps([vars(one) for one in figures], indent=1))


if __name__ == "__main__":
    main()
