"""Archives by two workers on this machine, killed at random moments: what is published, and what does it take?

    python tests/cluster/on_one_machine.py [--kills 10] [--seed 0] [--archives 8] [--images 150]
    python tests/cluster/on_one_machine.py --large        two archives of more than 1 GB, cut as SA-1B's are, no kills

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


def killed(trial: Trial, kills: int, dice: random.Random, whole_s: float) -> dict[str, Any]:
    """Kill so often, and run to the end."""
    repo_id, run, peaks = "xhk/killed", trial.folder / "killed", Peaks(trial.work)
    plan = trial.write_plan(repo_id, run, trial.names, MACHINES)
    output, counts, moments, longest_s = trial.folder / "killed.txt", Counter[str](), [], 0.0
    started = time.monotonic()
    for number in range(kills):
        kind = KINDS[number % len(KINDS)]
        program = trial.start(plan, output)
        with looking(peaks, program.pid):
            moment = dice.uniform(0, 0.6 * whole_s)
            until = time.monotonic() + moment
            while time.monotonic() < until and program.poll() is None:
                time.sleep(0.01)
            if kind == "a worker":
                wait_for(lambda: workers(program.pid) or program.poll() is not None)  # noqa: B023
            if program.poll() is not None:
                raise AssertionError(f"done after {sum(counts.values())} kills: {output.read_text()[-3000:]}")
            victim = dice.choice(workers(program.pid)) if kind == "a worker" else program.pid
            with suppress(ProcessLookupError):
                (os.killpg if kind == "the session" else os.kill)(victim, signal.SIGKILL)
            at = time.monotonic()
            code = program.wait(timeout=120)
            wait_for(lambda: not session(program.pid))  # noqa: B023
            longest_s = max(longest_s, time.monotonic() - at)
        if kind == "a worker" and (code != 1 or "found that it was killed" not in output.read_text()):
            raise AssertionError(f"{code}: {output.read_text()[-6000:]}")
        counts[kind] += 1
        moments.append(f"{moment:.1f}")
        done = len(list(run.glob("notes/*")))
        print(f"killed {kind} after {moment:.1f} s: {done} archives done", file=sys.stderr, flush=True)
    program = trial.start(plan, output)
    with looking(peaks, program.pid):
        code = program.wait()
    if code:
        raise AssertionError(output.read_text()[-6000:])
    return {
        "seconds": round(time.monotonic() - started, 1),
        "killed": ", ".join(f"{count} x {kind}" for kind, count in counts.items()),
        "seconds after the start": ", ".join(moments),
        "longest until nothing ran any more, s": round(longest_s, 1),
        **disk(trial, peaks),
        **trial.check(repo_id),
    }


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
    parser.add_argument("--images", type=int, default=150)
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
        report("Killed", killed(trial, args.kills, random.Random(args.seed), whole_s))
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
