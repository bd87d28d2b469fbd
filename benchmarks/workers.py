"""How much faster are two workers than one, and are the bytes the same?

    python benchmarks/workers.py [--quick] [--archive TAR]

The workers are started before the clock, with all that is loaded at first use, and their start is reported on its
own: it is paid once per run, for as many archives as there are. One worker is this process, which is warmed up too.

Needs two free cores to mean anything: the processor time that other programs took meanwhile is printed, and where it
is more than a twentieth of ours the last line says that the ratios are not to be used.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from _archive import add_arguments, describe, get_members, write_tar
from _report import median_and_best, package_files, print_header, print_table, ratio, require_unchanged

from asam_datasets.builds import ArchiveRecipe, Options, look_over
from asam_datasets.builds import build as build_archive
from asam_datasets.masks import colors
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import open_source
from asam_datasets.workers import Workers, open_workers

COUNTS = (1, 2, 4)
_SETTLE_S = 0.5  # keeps the first worker busy until the last one is there


def load_lazy() -> None:
    """What the first record of a process loads: pandas, by pyarrow's first array, and the table of colors."""
    pa.array([0])
    colors(1)


def arrive(_: int) -> tuple[int, float]:
    """What a worker does first: say who and when it is. The clock is that of the machine."""
    load_lazy()
    now = time.monotonic()
    time.sleep(_SETTLE_S)
    return os.getpid(), now


def start_up(workers: Workers, since: float) -> float:
    """Seconds until all workers are there with everything imported."""
    if workers.count == 1:
        return 0.0
    arrived: dict[int, float] = {}
    while len(arrived) < workers.count:
        for _, (pid, now) in workers.run(arrive, range(workers.count)):
            arrived.setdefault(pid, now)
    return max(arrived.values()) - since


def machine_busy_s() -> float:
    """Processor time of everything on the machine, and what the host took away."""
    user, nice, system, _, _, *others = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def busy_s() -> float:
    """Processor time of this process and of all workers that have ended."""
    return sum(os.times()[:4])


class Run(NamedTuple):
    """One build; seconds. `busy` and `foreign` are processor time, ours and that of other programs, start included."""

    start: float
    build: float
    busy: float
    foreign: float
    digest: str


def build(archive: Path, out: Path, count: int) -> Run:
    """Build once with `count` workers."""
    busy, machine = busy_s(), machine_busy_s()
    since = time.monotonic()
    with open_workers(count, lambda _: None) as workers:
        started = start_up(workers, since)
        start = time.perf_counter()
        survey = look_over(ArchiveRecipe(open_source(archive)), Options())
        built = build_archive(survey, Options(), target=out, work=out / "work", bad=BadRecords(), workers=workers)
        took = time.perf_counter() - start
    ours = busy_s() - busy
    foreign = max(0.0, machine_busy_s() - machine - ours)
    return Run(start=started, build=took, busy=ours, foreign=foreign, digest=built.build.digest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    arguments = parser.parse_args()
    rounds, records = (1, 64) if arguments.quick else (3, 384)
    question = "How much faster are two workers than one, and are the bytes the same?"
    print_header(question, "pyarrow", "rlemasklib", "zlib-ng")
    before = package_files()
    members = get_members(arguments.archive, 8)
    print(f"  {records} records that go round over {describe(members)}; {rounds} rounds, in turn\n", flush=True)
    load_lazy()
    runs: dict[int, list[Run]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory() as temporary:
        archive = write_tar(Path(temporary, "sa_000000.tar"), members, records)
        for _ in range(rounds):
            for count in COUNTS:
                with tempfile.TemporaryDirectory(dir=temporary) as out:
                    runs[count].append(build(archive, Path(out), count))
    require_unchanged(before)
    everything = [run for each in runs.values() for run in each]
    digests = {run.digest for run in everything}
    assert len(digests) == 1, f"the number of workers changed the bytes: {digests}"
    lines = [["workers", "s", "images/s", "ratio to 1", "s to start", "ratio with start", "busy s", "others' busy s"]]
    for count in COUNTS:
        seconds = {each: [run.build for run in runs[each]] for each in (1, count)}
        whole = {each: [run.start + run.build for run in runs[each]] for each in (1, count)}
        lines.append(
            [
                str(count),
                median_and_best(seconds[count]),
                f"{records / statistics.median(seconds[count]):.1f}",
                ratio(seconds[1], seconds[count]),
                f"{statistics.median(run.start for run in runs[count]):.2f}",
                ratio(whole[1], whole[count]),
                median_and_best([run.busy for run in runs[count]]),
                f"{statistics.median(run.foreign for run in runs[count]):.2f}",
            ]
        )
    print_table(lines)
    disturbed = sum(run.foreign for run in everything) > 0.05 * sum(run.busy for run in everything)
    print(f"  ratios {'NOT to be used: other programs were busy' if disturbed else 'undisturbed'}")
    print(f"  the same digest from {', '.join(map(str, COUNTS))} workers: {digests.pop()}")


if __name__ == "__main__":
    main()
