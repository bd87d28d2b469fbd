"""Does `asam-datasets scale` run on a Ray cluster, and is it done when a node of it vanishes?

    pip install 'datatrove[ray]'; python tests/cluster/on_ray.py

Starts two nodes on this machine (`ray.cluster_utils.Cluster`) and kills the second one while both work. In the end the
parts are those of a plain publish, each sent once, shown by one commit. Then an archive that nobody can read is given:
the command says so, and does not wait for ever.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import ray
from _trial import Trial, open_trial, report
from ray.cluster_utils import Cluster

MACHINES = """
[machines]
kind = "ray"
workers = 2
[machines.options]
cpus_per_task = 1
mem_per_cpu_gb = 0.5
"""
NODE = {"num_cpus": 1, "memory": 2**30, "object_store_memory": 100 * 2**20, "include_dashboard": False}


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archives", type=int, default=6)
    parser.add_argument("--images", type=int, default=200)
    args = parser.parse_args()
    with open_trial(args.archives, args.images, (600, 900), 4) as trial:
        os.environ.update(trial.env)  # the nodes hand it on to the tasks
        cluster = Cluster(initialize_head=True, head_node_args=NODE)
        try:
            second = cluster.add_node(**{k: v for k, v in NODE.items() if k != "include_dashboard"})
            cluster.wait_for_nodes()
            trial.env |= {"RAY_ADDRESS": cluster.address}
            report("Ray, a node lost", lose_a_node(trial, cluster, second))
            report("Ray, an archive that is none", give_up(trial))
        finally:
            ray.shutdown()
            cluster.shutdown()
    return 0


def lose_a_node(trial: Trial, cluster: Any, node: Any) -> dict[str, Any]:
    """Remove the second node while both are at an archive."""
    started, run = time.monotonic(), trial.folder / "run"
    plan = trial.write_plan("xhk/ray", run, trial.names, MACHINES)
    program = trial.start(plan, trial.folder / "output.txt")
    raylet = node.all_processes["raylet"][0].process.pid
    while not (lost := [task for task, pid in working(run).items() if raylet in ancestors(pid)]) or not notes(run):
        if program.poll() is not None:
            raise AssertionError((trial.folder / "output.txt").read_text())
        time.sleep(0.05)
    done = notes(run)
    cluster.remove_node(node, allow_graceful=False)
    code = program.wait()
    if code:
        raise AssertionError((trial.folder / "output.txt").read_text()[-6000:])
    return {
        "seconds": round(time.monotonic() - started, 1),
        "tasks of the node that was lost": ", ".join(lost),
        "archives done then": f"{done} of {len(trial.names)}",
        **trial.check("xhk/ray"),
    }


def give_up(trial: Trial) -> dict[str, Any]:
    """A task that fails each time."""
    started, run = time.monotonic(), trial.folder / "bad"
    (trial.archives / "sa_999999.tar").write_bytes(b"no tar at all")
    trial.names = ["sa_999999", "sa_888888"]
    (trial.archives / "sa_888888.tar").write_bytes((trial.archives / "sa_000000.tar").read_bytes())
    program = trial.start(trial.write_plan("xhk/bad", run, trial.names, MACHINES), trial.folder / "output.txt")
    code = program.wait(timeout=240)
    said = (trial.folder / "output.txt").read_text()
    if code != 1 or "found 1 that failed: sa_999999" not in said or "Traceback" in said.rpartition("Only 1/2")[2]:
        raise AssertionError(said[-6000:])
    line = next(line for line in said.splitlines() if "that failed" in line)
    return {"seconds": round(time.monotonic() - started, 1), "exit code": code, "said": line}


def working(run: Path) -> dict[str, int]:
    """Who is at which archive now."""
    found = {}
    for path in run.glob("running/archives-*"):
        try:
            found[path.name] = json.loads(path.read_bytes())["pid"]
        except (OSError, ValueError):
            continue
    return found


def notes(run: Path) -> int:
    """How many archives are done."""
    return len(list(run.glob("notes/*.json")))


def ancestors(pid: int) -> list[int]:
    """The processes above one."""
    found = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.append(pid)
    return found


if __name__ == "__main__":
    sys.exit(main())
