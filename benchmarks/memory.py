"""Does the memory of a build grow with the archive?

    python benchmarks/memory.py [--quick] [--archive TAR] [--records N] [--workers N]

Builds an archive of N records and one of four times as many, as a tar that is read in any order and as a gzip that is
read as a stream, each in a fresh process. Both are cut into parts of the same size, as large archives are by the plan:
a process holds the footer of its part. Prints the largest resident memory that the parent and each worker ever had
(`VmHWM`, asked while the workers still live); asserts that all of them stay below 1 GB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _archive import add_arguments, compress, describe, get_members, write_tar
from _report import package_files, peak_mb, print_header, print_table, require_unchanged

from asam_datasets.builds import ArchiveRecipe, Options, build, look_over
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import open_source
from asam_datasets.workers import open_workers

LIMIT_MB = 1000
TIMES = 4
PARTS = 2


def child(archive: Path, out: Path, workers: int, parts: int) -> None:
    """Build in this fresh process; print the peaks as JSON."""
    with open_workers(workers, lambda _: None) as pool:
        options = Options(parts=parts)
        survey = look_over(ArchiveRecipe(open_source(archive)), options)
        built = build(survey, options, target=out, work=out / "work", bad=BadRecords(), workers=pool)
        peaks = [peak_mb(process.pid or "self") for process in multiprocessing.active_children()]
    part_mb = max(part.size_bytes for part in built.build.parts) / 1e6
    print(json.dumps({"parent": peak_mb(), "workers": peaks, "parts": parts, "part_mb": part_mb}))


def run_child(archive: Path, workers: int, parts: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=archive.parent) as out:
        command = [sys.executable, __file__, "--child", str(archive), out, str(workers), str(parts)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--records", type=int, metavar="N", help="records of the smaller archive (192; quick: 64)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="worker processes (2)")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        archive, out, workers, parts = arguments.child
        child(Path(archive), Path(out), int(workers), int(parts))
        return
    records = arguments.records or (64 if arguments.quick else 192)
    print_header("Does the memory of a build grow with the archive?", "pyarrow", "numpy", "rlemasklib", "zlib-ng")
    before = package_files()
    members = get_members(arguments.archive, 8)
    counts = (records, TIMES * records)
    print(
        f"  {counts[0]} and {counts[1]} records that go round over {describe(members)}; MB = 10^6 bytes\n", flush=True
    )
    peaks: dict[tuple[str, int], dict[str, Any]] = {}
    for count, parts in zip(counts, (PARTS, TIMES * PARTS), strict=True):
        with tempfile.TemporaryDirectory() as temporary:
            tar = write_tar(Path(temporary, "sa_000000.tar"), members, count)
            for workers in (1, arguments.workers):
                peaks[f"tar, {workers} worker(s)", count] = run_child(tar, workers, parts)
            peaks[f"stream, {arguments.workers} worker(s)", count] = run_child(compress(tar), arguments.workers, parts)
    require_unchanged(before)
    lines = [["peak, MB", "records", "parts", "largest part", "parent", "each worker"]]
    for (name, count), found in sorted(peaks.items()):
        each = " ".join(f"{peak:.0f}" for peak in sorted(found["workers"]))
        lines.append([name, str(count), str(found["parts"]), f"{found['part_mb']:.0f}", f"{found['parent']:.0f}", each])
    print_table(lines)
    for name in sorted({name for name, _ in peaks}):
        small, large = (max(peaks[name, count]["parent"], *peaks[name, count]["workers"], 0) for count in counts)
        print(f"  {name}: {small:.0f} MB at most, {large:.0f} MB for {TIMES} times the archive ({large / small:.2f} ×)")
    largest = max(max(found["parent"], *found["workers"], 0) for found in peaks.values())
    assert largest < LIMIT_MB, f"a process took {largest:.0f} MB, expected less than {LIMIT_MB}"


if __name__ == "__main__":
    main()
