"""Does the plan of `examples/scale/slurm.toml` run on a real Slurm, with a task cancelled in each stage?

    apt-get install slurm-wlm munge; python tests/cluster/on_slurm.py        as root

Starts a Slurm of one node (`slurm.sh`), draws archives, and takes the example word for word, but for the names in it:
captions by a tiny BLIP-2 in the partition `gpu`, builds in `cpu`, one job that makes the release. A task that makes
captions is cancelled while it runs, and requeued: all goes on by itself. One that builds an archive is cancelled, too:
the last job then says what is missing, and the same command does that and no more. In the end the parts are those of a
plain publish, each sent once, shown by one commit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _trial import CAPTIONS, ROOT, SCALE, Trial, open_trial, report

REPO = "xhk/slurm"
EXAMPLE = ROOT / "examples" / "scale" / "slurm.toml"
FIRST, SECOND = "asam-captions", "asam-archives"


@contextmanager
def slurm(folder: Path) -> Iterator[None]:
    """A Slurm of one node."""
    script = Path(__file__).with_name("slurm.sh")
    subprocess.run([script, "up", folder], check=True)
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    try:
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], check=False)
        subprocess.run([script, "down", folder], check=True)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=int, default=4)
    parser.add_argument("--images", type=int, default=60)
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="slurm-") as folder,
        slurm(Path(folder)),
        open_trial(args.archives, args.images, (600, 900), 4) as trial,
    ):
        trial.env["SLURM_CONF"] = os.environ["SLURM_CONF"]
        plan = plan_of_the_example(trial)
        try:
            report("Slurm", try_it(trial, plan))
        except BaseException:
            show_logs(trial)
            raise
    return 0


def plan_of_the_example(trial: Trial) -> Path:
    """The example with the names of this machine in it."""
    from tiny_models import make_blip2

    plan = trial.write_plan(REPO, trial.folder / "run", trial.names, "")  # writes the list of links
    text = EXAMPLE.read_text()
    names = {
        "NAMESPACE/NAME": REPO,
        "/shared/asam/first": str(trial.folder / "run"),
        "/shared/asam/segment_anything_links.txt": str(trial.folder / "links.txt"),
        "/local/scratch/asam": str(trial.work),
        "/shared/asam/venv/bin/activate": str(Path(sys.prefix) / "bin" / "activate"),
        "Salesforce/blip2-flan-t5-xl": str(make_blip2(trial.folder / "blip2")),
    }
    for name, here in names.items():
        if name not in text:
            raise AssertionError(f"expected {name} in {EXAMPLE}")
        text = text.replace(name, here)
    plan.write_text(f"parts = {trial.parts}\n{text}")
    return plan


def try_it(trial: Trial, plan: Path) -> dict[str, Any]:
    """Submit, cancel and requeue a task of the captions, cancel one of the archives, and submit again."""
    started, run = time.monotonic(), trial.folder / "run"
    submitted = trial.run(*SCALE, plan)
    if "Submitted" not in submitted:
        raise AssertionError(submitted)
    submit_s = time.monotonic() - started
    first = queue()
    refused = subprocess.run(
        [sys.executable, *SCALE, plan], env=trial.env, cwd=trial.folder, stderr=subprocess.PIPE, text=True, check=False
    )
    if refused.returncode != 1 or "expected no job of this run in the queue" not in refused.stderr:
        raise AssertionError(refused.stderr)
    captioning = wait_for(lambda: running(FIRST), "a task that makes captions")
    scontrol("cancel", captioning)
    scontrol("requeue", captioning)
    wait_for(lambda: list(run.glob("running/archives-*")), "a task that builds an archive")
    building = running(SECOND)
    captioned = sorted(path.name.removesuffix(CAPTIONS) for path in run.glob("captions/*"))
    if captioned != sorted(trial.names):
        raise AssertionError(f"expected all captions before the first archive, found those of {captioned}")
    scontrol("cancel", building)
    wait_for(lambda: not queue(), "an empty queue")
    notes = len(list((run / "notes").glob("*")))
    said = "".join(path.read_text() for path in (run / "logs/release/slurm_logs").glob("*.out"))
    if (run / "released.json").exists() or notes >= len(trial.names) or "that are not:" not in said:
        raise AssertionError(f"expected no release after a cancelled task, found {notes} notes and: {said}")
    trial.run(*SCALE, plan)
    again = queue()
    wait_for(lambda: (run / "released.json").exists(), "the release")
    wait_for(lambda: not queue(), "an empty queue")
    check_captions(trial, run)
    log = len(trial.hub.log)
    if "Published" not in trial.run(*SCALE, plan) or queue():
        raise AssertionError("expected a plan that is done to submit nothing")
    if any(one.method == "PUT" for one in trial.hub.log[log:]):
        raise AssertionError("expected a plan that is done to send nothing")
    return {
        "seconds": round(time.monotonic() - started, 1),
        "seconds of `asam-datasets scale`": round(submit_s, 1),
        "jobs submitted": first,
        "cancelled and requeued": captioning,
        "cancelled": building,
        "archives done then": f"{notes} of {len(trial.names)}, no release",
        "jobs submitted by the same command again": again,
        **trial.check(REPO, run / "captions"),
    }


def check_captions(trial: Trial, run: Path) -> None:
    """They are those of `asam-datasets caption`."""
    name, out = trial.names[0], trial.folder / "plain-captions.json"
    command = ("-m", "asam_datasets", "caption", trial.archives / f"{name}.tar", "--out", out, "--batch-size", "64")
    trial.run(*command, "--model", trial.folder / "blip2")
    if (run / f"captions/{name}{CAPTIONS}").read_bytes() != out.read_bytes():
        raise AssertionError("expected the captions of `asam-datasets caption`")


def scontrol(verb: str, task: str) -> None:
    """Cancel or requeue a task; requeued when Slurm has seen it end."""
    if verb == "cancel":
        subprocess.run(["scancel", task], check=True)
        return
    wait_for(lambda: task not in running_tasks(), "the task to end")
    subprocess.run(["scontrol", "requeue", task], check=True)
    # Slurm itself would let two minutes pass.
    subprocess.run(["scontrol", "update", f"JobId={task}", "StartTime=now"], check=True)


def running(job: str) -> str:
    """A task of a job that runs, `JOB_TASK`; empty if none does."""
    return next((task for task, name in running_tasks().items() if name == job), "")


def running_tasks() -> dict[str, str]:
    """Tasks that run or are about to end, and the names of their jobs."""
    return {task: name for task, name, state in _squeue() if state in ("RUNNING", "COMPLETING")}


def queue() -> str:
    """What is in the queue: how many tasks of which job."""
    found = [f"{name} {task}" for task, name, _ in _squeue()]
    return ", ".join(sorted(found))


def _squeue() -> list[list[str]]:
    done = subprocess.run(["squeue", "--noheader", "--format=%i|%j|%T"], check=True, stdout=subprocess.PIPE, text=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def wait_for(condition: Callable[[], Any], what: str, limit_s: float = 900) -> Any:
    """Wait until something is so.

    Raises:
        TimeoutError: it takes too long.
    """
    until = time.monotonic() + limit_s
    while not (found := condition()):
        if time.monotonic() > until:
            subprocess.run(["squeue", "--format=%i %j %T %r"], check=False)
            raise TimeoutError(f"expected {what} within {limit_s:.0f} s")
        time.sleep(0.05)
    return found


def show_logs(trial: Trial) -> None:
    """What the tasks said, for whoever looks for the reason."""
    for path in sorted((trial.folder / "run" / "logs").rglob("*.out")):
        print(f"\n{path}\n{path.read_text()[-3000:]}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
