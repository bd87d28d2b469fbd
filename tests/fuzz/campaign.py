"""Runs targets in processes of their own, so that one that dies is a finding and not the end.

An execution has 10 seconds of a core and 2 GB of addresses above what its process had. What Python can catch is caught
there; a process that dies, or says nothing for two minutes, is found by the one that started it, which then goes on
with the next input.
"""

from __future__ import annotations

import faulthandler
import json
import mmap
import os
import re
import resource
import signal
import struct
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from fuzz.target import Target, chance, scratch

CPU_S = 10.0
MEMORY_BYTES = 2 * 2**30
SILENT_S = 120.0
_CHUNK = 20_000
_OWN = "the campaign itself"
_STATE = struct.Struct(
    "<qqqdddqd"
)  # number, results, refusals, seconds, worst seconds, when it started, worst, cpu left


class TooSlowError(BaseException):
    """Ten seconds of a core are over. No `Exception`: nothing that catches those may swallow it."""


@dataclass
class Tally:
    """What came out of one target.

    Args:
        findings: by what went wrong where: how often, and the first of them.
    """

    target: str
    executions: int = 0
    results: int = 0
    refusals: int = 0
    cpu_s: float = 0.0
    worst_s: float = 0.0
    worst_number: int = 0
    worst_bytes: int = 0
    findings: dict[str, list[str]] = field(default_factory=dict)

    def add(self, key: str, text: str) -> None:
        """Count a finding."""
        self.findings.setdefault(key, []).append(text)

    @property
    def found(self) -> int:
        """How many executions were findings."""
        return sum(map(len, self.findings.values()))


@dataclass
class _Work:
    """A child at work on the numbers from `start` to before `stop`."""

    pid: int
    target: Target
    start: int
    stop: int
    state: mmap.mmap
    report: Path
    code: int = 0
    worst_bytes: int = 0


def run(
    targets: Sequence[Target],
    counts: dict[str, int],
    seed: int,
    workers: int,
    first: int = 0,
    log: Callable[[str], None] = lambda text: None,
) -> list[Tally]:
    """Try `counts` inputs of each target, from number `first` on; the tallies, in the order of the targets.

    `log` gets a line now and then.
    """
    tallies = {target.name: Tally(target.name) for target in targets}
    todo = [
        (target, start, min(start + _CHUNK, first + counts[target.name]))
        for target in targets
        for start in range(first, first + counts[target.name], _CHUNK)
    ]
    todo.reverse()
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=_memory_folder()) as folder:
        running: dict[int, _Work] = {}
        while todo or running:
            while todo and len(running) < workers:
                work = _start(*todo.pop(), seed, Path(folder))
                running[work.pid] = work
            for work in _ended(running):
                tally = tallies[work.target.name]
                rest = _collect(work, tally)
                kinds = f" ({'; '.join(tally.findings)})" if tally.findings else ""
                log(f"{tally.target}: {tally.executions:,} of {counts[tally.target]:,}, {tally.found} findings{kinds}")
                if rest is not None:
                    todo.append((work.target, rest, work.stop))
    return list(tallies.values())


def _ended(running: dict[int, _Work]) -> list[_Work]:
    """Those that are at their end; waits a moment."""
    time.sleep(0.02)
    ended = []
    for work in list(running.values()):
        pid, status, usage = os.wait4(work.pid, os.WNOHANG)
        if pid:
            work.code, work.worst_bytes = os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
            ended.append(running.pop(pid))
        elif time.monotonic() - _STATE.unpack(work.state[:])[5] > SILENT_S:
            os.kill(work.pid, signal.SIGKILL)
    return ended


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _start(target: Target, start: int, stop: int, seed: int, folder: Path) -> _Work:
    state = mmap.mmap(-1, _STATE.size)
    state[:] = _STATE.pack(start, 0, 0, 0.0, 0.0, time.monotonic(), start, 0.0)
    handle, report = tempfile.mkstemp(dir=folder)
    own = tempfile.mkdtemp(dir=folder)
    pid = os.fork()
    if pid:
        os.close(handle)
        return _Work(pid, target, start, stop, state, Path(report))
    try:
        tempfile.tempdir = own
        os.environ["TMPDIR"] = own
        _quiet(Path(own))
        with open(handle, "w") as file:
            _child(target, range(start, stop), seed, state, file)
        os._exit(0)
    except BaseException:  # noqa: BLE001 (a forked child must not go on with what its parent was doing)
        Path(report).write_text(json.dumps([start, _OWN, traceback.format_exc()]) + "\n")
        os._exit(1)


def _quiet(folder: Path) -> None:
    """What libraries of C print goes to nobody, and what Python says when it dies."""
    faulthandler.disable()
    with open(os.devnull, "r+b") as nothing:
        for stream in (0, 1, 2):
            os.dup2(nothing.fileno(), stream)
    os.chdir(folder)


def _child(target: Target, numbers: range, seed: int, state: mmap.mmap, report: object) -> None:
    target.prepare()
    scratch()
    limit = _address_bytes() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _too_slow)
    results = refusals = 0
    total = worst = 0.0
    worst_number = numbers.start
    for number in numbers:
        state[:] = _STATE.pack(number, results, refusals, total, worst, time.monotonic(), worst_number, 0.0)
        before = _cpu_s()
        try:
            signal.setitimer(signal.ITIMER_PROF, CPU_S)
            good = target.try_one(chance(target.name, seed, number))
            signal.setitimer(signal.ITIMER_PROF, 0)
            results, refusals = results + good, refusals + (not good)
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is the finding)
            signal.setitimer(signal.ITIMER_PROF, 0)
            _write(report, number, error)
        took = _cpu_s() - before
        total += took
        if took > worst:
            worst, worst_number = took, number
        if took > CPU_S:
            _write(report, number, TooSlowError(f"{took:.1f} s"))
    state[:] = _STATE.pack(numbers.stop, results, refusals, total, worst, time.monotonic(), worst_number, 0.0)


def _write(report: object, number: int, error: BaseException) -> None:
    key = f"{type(error).__name__} at {_place(error)}"
    text = "".join(traceback.format_exception(error))[-6000:]
    report.write(json.dumps([number, key, text]) + "\n")  # type: ignore[attr-defined]
    report.flush()  # type: ignore[attr-defined]


def _place(error: BaseException) -> str:
    """The innermost line of ours that an error came through, and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/asam_datasets/" in frame.filename or "/fuzz/" in frame.filename]
    shown = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in (*own[-1:], *frames[-1:])]
    return " ".join(dict.fromkeys(shown)) or "?"


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise TooSlowError(f"more than {CPU_S:.0f} s")


def _address_bytes() -> int:
    found = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


def _cpu_s() -> float:
    uses = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _collect(work: _Work, tally: Tally) -> int | None:
    """Add what a child did; the number to go on with, where it died on the way."""
    number, results, refusals, cpu_s, worst_s, _, worst_number, _ = _STATE.unpack(work.state[:])
    for line in work.report.read_text().splitlines():
        at, key, text = json.loads(line)
        if key == _OWN:
            raise RuntimeError(text)
        tally.add(key, f"number {at}\n{text}")
    work.report.unlink()
    died = number < work.stop
    if died:
        what = f"signal {-work.code}" if work.code < 0 else f"exit code {work.code}"
        tally.add(what, f"number {number}\nthe process ended with {what}")
    tally.executions += number - work.start + died
    tally.results += results
    tally.refusals += refusals
    tally.cpu_s += cpu_s
    tally.worst_bytes = max(tally.worst_bytes, work.worst_bytes)
    if worst_s > tally.worst_s:
        tally.worst_s, tally.worst_number = worst_s, worst_number
    return number + 1 if died and number + 1 < work.stop else None


def table(tallies: Sequence[Tally], wall_s: float) -> str:
    """What came out, as a table of Markdown."""
    titles = ("target", "executions", "results", "refusals", "CPU s", "worst s", "worst MB", "findings")
    rows = [
        (t.target, f"{t.executions:,}", f"{t.results:,}", f"{t.refusals:,}", f"{t.cpu_s:,.0f}",
         f"{t.worst_s:.2f}", f"{t.worst_bytes / 1e6:,.0f}", f"{t.found} ({len(t.findings)} kinds)" if t.found else "0")
        for t in tallies
    ]  # fmt: skip
    sums = [sum(getattr(t, name) for t in tallies) for name in ("executions", "results", "refusals", "found")]
    rows.append(
        ("all", *(f"{n:,}" for n in sums[:3]), f"{sum(t.cpu_s for t in tallies):,.0f}", "", "", str(sums[3]))
    )  # fmt: skip
    lines = [f"| {' | '.join(row)} |" for row in (titles, ("--",) + ("--:",) * 7, *rows)]
    return "\n".join([*lines, f"\n{wall_s:,.0f} s in all"])
