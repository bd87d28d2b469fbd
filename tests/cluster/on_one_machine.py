"""Archives by two workers on this machine, killed at random moments: what is published, and what does it take?

    python tests/cluster/on_one_machine.py [--kills 10] [--seed 0] [--archives 8] [--images 150]
    python tests/cluster/on_one_machine.py --large        two archives of 0.8 GB, cut by their size, no kills

Each time the program, one of its workers or the whole session is killed by `kill -9`, and the same command is run
again. In the end the parts are those of a plain publish, each sent once, shown by one commit; after each kill nothing
of the session is left running. Measured are the disk that one task takes at most (sampled; an archive and one part,
512 MiB, for each process that builds it), and the memory of the program and of its largest worker for 2, 8 and 24
archives.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from _trial import Trial, disk_bytes, open_trial, report

MACHINES = "[machines]\nworkers = 2"
MIB = 2**20
KINDS = ("a worker", "the program", "the session")


class Peaks:
    """What is looked at all the time: the disk of each task, and the memory of each process."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.task_bytes = self.all_bytes = self.program_bytes = self.worker_bytes = 0
        self.samples = 0

    def look(self, program: int) -> None:
        """Look once."""
        folders = [disk_bytes(folder) for folder in self.work.glob("r*/*")]
        self.task_bytes = max([self.task_bytes, *folders])
        self.all_bytes = max(self.all_bytes, sum(folders))
        for pid in session(program):
            used = memory_bytes(pid)
            if pid == program:
                self.program_bytes = max(self.program_bytes, used)
            elif is_worker(pid):
                self.worker_bytes = max(self.worker_bytes, used)
        self.samples += 1


@contextmanager
def looking(peaks: Peaks, program: int) -> Iterator[None]:
    """Look all the time."""
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.03):
            peaks.look(program)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def undisturbed(trial: Trial, repo_id: str, archives: int) -> tuple[float, Peaks]:
    """Run some archives to the end; the seconds and the peaks."""
    name, peaks = repo_id.rpartition("/")[2], Peaks(trial.work)
    plan = trial.write_plan(repo_id, trial.folder / name, trial.names[:archives], MACHINES)
    output, started = trial.folder / f"{name}.txt", time.monotonic()
    program = trial.start(plan, output)
    with looking(peaks, program.pid):
        code = program.wait()
    if code:
        raise AssertionError(output.read_text()[-6000:])
    return time.monotonic() - started, peaks


class Killer:
    """Kills runs of all archives and has them go on; a run that came to its end is checked, and another one begins."""

    def __init__(self, trial: Trial, dice: random.Random, whole_s: float) -> None:
        self.trial, self.dice, self.whole_s = trial, dice, whole_s
        self.peaks, self.counts = Peaks(trial.work), Counter[str]()
        self.longest_s, self.runs = 0.0, list[dict[str, Any]]()

    def do(self, kills: int) -> dict[str, Any]:
        """Kill so often."""
        started = time.monotonic()
        while self.counts.total() < kills:
            self.one_run(kills)
        return {
            "seconds": round(time.monotonic() - started, 1),
            "killed": ", ".join(f"{count} x {kind}" for kind, count in self.counts.items()),
            "longest until nothing ran any more, s": round(self.longest_s, 1),
            **disk(self.trial, self.peaks),
            "runs that were killed, and came to their end": len(self.runs),
            **{name: [run[name] for run in self.runs] for name in self.runs[0]},
        }

    def one_run(self, kills: int) -> None:
        """One run from its begin to its end, killed until there are enough or it is done."""
        name = f"killed-{len(self.runs)}"
        plan = self.trial.write_plan(f"xhk/{name}", self.trial.folder / name, self.trial.names, MACHINES)
        output, before = self.trial.folder / f"{name}.txt", self.counts.total()
        while True:
            kind = KINDS[self.counts.total() % len(KINDS)] if self.counts.total() < kills else None
            program = self.trial.start(plan, output)
            with looking(self.peaks, program.pid):
                is_killed = kind is not None and self.kill(program, kind, self.trial.folder / name)
                code = program.wait(timeout=600)
                at = time.monotonic()
                wait_for(lambda: not session(program.pid))  # noqa: B023
            if not is_killed or (kind == "a worker" and code == 0):  # the worker had nothing to do any more
                break
            self.longest_s = max(self.longest_s, time.monotonic() - at)
            if kind == "a worker" and (code != 1 or "found that it was killed" not in output.read_text()):
                raise AssertionError(f"{code}: {output.read_text()[-6000:]}")
        if code:
            raise AssertionError(output.read_text()[-6000:])
        self.runs.append({"kills": self.counts.total() - before, **self.trial.check(f"xhk/{name}")})

    def kill(self, program: Any, kind: str, run: Path) -> bool:
        """Kill at a random moment, unless it is done before."""
        moment = self.dice.uniform(0, 0.7 * self.whole_s)
        until = time.monotonic() + moment
        while time.monotonic() < until and program.poll() is None:
            time.sleep(0.01)
        if kind == "a worker":
            wait_for(lambda: workers(program.pid) or program.poll() is not None)
        if program.poll() is not None:
            return False
        done = len(list(run.glob("notes/*")))
        with suppress(ProcessLookupError, IndexError):
            victim = self.dice.choice(workers(program.pid)) if kind == "a worker" else program.pid
            (os.killpg if kind == "the session" else os.kill)(victim, signal.SIGKILL)
            self.counts[kind] += 1
            print(f"killed {kind} after {moment:.1f} s: {done} archives done", file=sys.stderr, flush=True)
            return True
        return False


def disk(trial: Trial, peaks: Peaks) -> dict[str, Any]:
    """The figures, if they are within what is promised."""
    archive = max(path.stat().st_size for path in trial.archives.glob("*.tar"))
    beside = peaks.task_bytes - archive
    if beside > 512 * MIB or peaks.all_bytes > 2 * (archive + 512 * MIB):
        raise AssertionError(f"expected an archive of {archive:,} and a part, found {peaks.task_bytes:,} bytes")
    return {
        "samples": peaks.samples,
        "an archive, MiB": round(archive / MIB, 1),
        "disk of a task at most, MiB": round(peaks.task_bytes / MIB, 1),
        "... beside the archive, MiB": round(beside / MIB, 1),
        "disk of all tasks at most, MiB": round(peaks.all_bytes / MIB, 1),
    }


def session(leader: int) -> list[int]:
    """The processes of a session that live."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            fields = (place / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append(int(place.name))
    return found


def workers(leader: int) -> list[int]:
    """The processes of the pool."""
    return [pid for pid in session(leader) if is_worker(pid)]


def is_worker(pid: int) -> bool:
    """Whether it was started by a pool."""
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def memory_bytes(pid: int) -> int:
    """The most that a process has held so far."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return 0


def wait_for(condition: Callable[[], Any], limit_s: float = 120) -> None:
    """Wait until something is so."""
    until = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not so within {limit_s:.0f} s")
        time.sleep(0.02)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--archives", type=int, default=8)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    if args.large:
        with open_trial(2, 1700, (1500, 2250), None) as trial:
            seconds, peaks = undisturbed(trial, "xhk/large", 2)
            memory = {"program, MiB": peaks.program_bytes // MIB, "largest worker, MiB": peaks.worker_bytes // MIB}
            report("Large", {"seconds": round(seconds, 1), **disk(trial, peaks), **memory, **trial.check("xhk/large")})
        return 0
    with open_trial(args.archives, args.images, (600, 900), 4) as trial:
        whole_s, _ = undisturbed(trial, "xhk/whole", len(trial.names))
        report("Not disturbed", {"seconds": round(whole_s, 1), **trial.check("xhk/whole")})
        report("Killed", Killer(trial, random.Random(args.seed), whole_s).do(args.kills))
    with open_trial(24, 25, (600, 900), 4) as trial:
        rows = {}
        for count in (2, 8, 24):
            seconds, peaks = undisturbed(trial, f"xhk/memory-{count}", count)
            program, worker = (round(size / MIB) for size in (peaks.program_bytes, peaks.worker_bytes))
            rows[f"{count} archives"] = f"program {program} MiB, largest worker {worker} MiB, {seconds:.1f} s"
        report("Memory", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
