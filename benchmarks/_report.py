"""What every benchmark prints: where it ran, and an aligned table. Also the clock that runs two ways in turn."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def print_header(question: str, *packages: str) -> None:
    """Print the question, the machine, its load, the commit and the versions."""
    print(f"{question}\n")
    print(f"  machine   {_cpu()}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, {_memory_gb():.0f} GB")
    print(f"  load      {os.getloadavg()[0]:.2f} (1 min, before the start)")
    print(f"  commit    {_commit()}")
    versions = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    print(f"  versions  Python {platform.python_version()}, {', '.join(versions)}\n", flush=True)


def package_files() -> dict[str, int]:
    """The package's sources and when each was written, in ns."""
    return {str(path): path.stat().st_mtime_ns for path in sorted((_ROOT / "asam_datasets").rglob("*.py"))}


def require_unchanged(before: Mapping[str, int]) -> None:
    """Refuse the figures of a package that was edited meanwhile: worker processes would have run other code.

    Raises:
        SystemExit: it was; the message names a file.
    """
    after = package_files()
    changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    if changed:
        raise SystemExit(f"error: {changed[0]} was changed while it was measured; run it again")


def print_table(lines: Sequence[Sequence[str]]) -> None:
    """Print lines of cells; the first line is the head, the first column is text, the others are numbers."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        numbers = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  " + "   ".join([line[0].ljust(widths[0]), *numbers]).rstrip())
    print(flush=True)


def run_in_turn(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Run all ways one after the other, `rounds` times, after one round that is not counted: seconds of each run."""
    return time_in_turn(ways, rounds)[0]


def time_in_turn(
    ways: Mapping[str, Callable[[], object]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """As `run_in_turn`: seconds by the clock, and of the processor in all threads of this process."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            way()
            if number:
                seconds[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - start_cpu)
    return seconds, processor


def ratio(slow: Sequence[float], fast: Sequence[float]) -> str:
    """How often `fast` fits into `slow`: by medians, and in brackets by the best of each."""
    return f"{statistics.median(slow) / statistics.median(fast):.1f} × ({min(slow) / min(fast):.1f})"


def median_and_best(values: Sequence[float], scale: float = 1.0) -> str:
    """`12.3 (11.9)`: median and best of times, scaled."""
    return f"{_three(statistics.median(values) * scale)} ({_three(min(values) * scale)})"


def use_one_core() -> None:
    """Keep this process, and all of its threads to come, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def peak_mb(pid: int | str = "self") -> float:
    """Largest resident memory that a process ever had, in MB (10^6 bytes).

    Not `getrusage`: there Linux counts what the parent had when it started the process.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"expected VmHWM in /proc/{pid}/status, found none")


def _three(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True).stdout.strip()

    changed = " with changes that are not committed" if git("status", "--porcelain", "--", "asam_datasets") else ""
    return (git("log", "-1", "--format=%h of %cs") or "unknown") + changed
