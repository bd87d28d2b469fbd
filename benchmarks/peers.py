"""How many samples a second do other ways to store and stream records make of the same ones?

    python benchmarks/peers.py [--quick] [--archive TAR] [--venv FOLDER]

MosaicML Streaming (MDS), LitData (chunks), webdataset (tars), stock `datasets` and `open_stream` (both read what we
publish): each stores images as JPEG and masks as RLE, in its own form, and gives the same tensors, which is checked:
the image squeezed to 1024 × 1024, its 64 largest masks, their boxes. The others decode as a careful user would, by
simplejpeg, torch and rlemasklib; ours by `sam_sample`. `reading` is what remains without decoding.

Each reader is a process on one core without workers; the readers take turns. From disk all lies in the page cache.
Over HTTP every request waits 20 ms: tars come from a plain server, what we publish from the tests' local Hub. The peers
are installed into an environment of their own (`peers.txt`), which is kept for the next time. One that does not
install, or does not read over HTTP, is named with what it said.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _archive import add_arguments, describe, get_members, write_tar
from _report import package_files, print_header, print_table, require_unchanged
from training import with_grain

from asam_datasets.publish import PublishOptions, publish

ROOT = Path(__file__).resolve().parents[1]
READER = Path(__file__).with_name("_peer_reader.py")
LATENCY_S = 0.02
SHARDS = 4  # parts and tars
LONGEST_S = 300
REPO = "xhk/peers"
PEERS = {"streaming": "mosaicml-streaming", "litdata": "litdata", "webdataset": "webdataset"}
LABELS = {
    "streaming": "MosaicML Streaming",
    "litdata": "LitData",
    "webdataset": "webdataset",
    "datasets": "stock datasets",
    "ours": "ours",
}


class Failed(Exception):
    """A reader ended with an error; what it said."""


class SlowHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files, each request after a pause."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        time.sleep(LATENCY_S)
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


def install(venv: Path) -> dict[str, str]:
    """Make the environment of the peers; those that could not be installed, with what pip said."""
    if not (venv / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pinned = [line.strip() for line in READER.with_name("peers.txt").read_text().splitlines() if "==" in line]
    peers = [line for line in pinned if line.split("==")[0] in PEERS.values()]
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    common = [line for line in pinned if line not in peers]
    missing = {}
    for name, package in PEERS.items():
        own = next(line for line in peers if line.startswith(f"{package}=="))
        done = subprocess.run([*pip, *common, own], capture_output=True, text=True, check=False)
        if done.returncode:
            missing[name] = f"does not install here: {last_line(done.stderr)}"
    return missing


def last_line(text: str) -> str:
    """The last thing that a program said."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else "nothing"


def run(python: Path, *command: str, environment: Mapping[str, str]) -> str:
    """What a reader prints.

    Raises:
        Failed: it ended with an error, or was stopped after minutes.
    """
    try:
        done = subprocess.run(
            [str(python), "-W", "ignore", str(READER), *command],
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failed(f"did not end within {LONGEST_S} s") from None
    if done.returncode:
        raise Failed(last_line(done.stderr))
    return done.stdout


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """A plain HTTP server with latency: its address."""
    handler = functools.partial(SlowHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def publishing(folder: Path, tar: Path) -> Iterator[dict[str, str]]:
    """The records in a repository of a local Hub with latency: the environment of its clients."""
    sys.path[:0] = [str(ROOT / "tests" / "support")]
    from local_hub import Fault, LocalHub

    with LocalHub(folder / "hub") as hub:
        environment = hub.environment(folder / "home") | {"PYTHONPATH": str(ROOT)}
        command = ["-m", "asam_datasets.publish", "--repo-id", REPO, "--train", str(tar), "--yes"]
        command += ["--parts", str(SHARDS)]
        subprocess.run([sys.executable, *command], env=environment, check=True, capture_output=True)
        hub.inject(Fault(method="*", kind="slow", delay_s=LATENCY_S, times=2**60))
        yield environment


def measure(
    what: str, places: Mapping[str, str], pythons: Mapping[str, Path], environment: Mapping[str, str], rounds: int
) -> None:
    """All readers in turn, and their table."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for name, place in places.items():
            if name in failed:
                continue
            try:
                found[name].append(json.loads(run(pythons[name], "read", name, place, environment=environment)))
            except Failed as error:
                failed[name] = str(error)
    lines = [[what, "samples/s", "best", "ms of CPU", "reading: ms", "ms of CPU", "tensors"]]
    for name, every in found.items():
        if not every or name in failed:
            continue
        count = every[0]["records"]
        tensors, alone = ([one[kind] for one in every] for kind in ("tensors", "alone"))
        cpu = [min(one[f"{kind}_cpu"] for one in every) / count * 1000 for kind in ("tensors", "alone")]
        same = {one["digest"] for one in every} == {found["ours"][0]["digest"]}
        rates = f"{count / statistics.median(tensors):.1f}", f"{count / min(tensors):.1f}"
        reading = f"{min(alone) / count * 1000:.2f}", f"{cpu[1]:.2f}"
        lines.append([LABELS[name], *rates, f"{cpu[0]:.1f}", *reading, "the same" if same else "DIFFERENT"])
    print_table(lines)
    for name, said in failed.items():
        print(f"  {LABELS[name]}: not measured; it said: {said}")
    print(f"  load      {os.getloadavg()[0]:.2f} (1 min, after this table); medians and best of {rounds}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--venv", type=Path, default=ROOT / ".venvs" / "peers", help="environment of the peers")
    arguments = parser.parse_args()
    images, records, rounds = (4, 8, 1) if arguments.quick else (8, 32, 3)
    print_header("How fast are peers on the same records?", "torch", "datasets", "rlemasklib", "simplejpeg")
    before = package_files()
    missing = install(arguments.venv)
    for name, said in missing.items():
        print(f"  {LABELS[name]}: {said}")
    own = arguments.venv / "bin" / "python"
    print(f"  peers     {', '.join(versions(own))}")
    members = get_members(arguments.archive, images)
    members = members if arguments.archive else with_grain(members)
    print(f"  {records} records out of {describe(members)}\n", flush=True)
    peers = [name for name in PEERS if name not in missing]
    pythons = dict.fromkeys(peers, own) | dict.fromkeys(("datasets", "ours"), Path(sys.executable))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        tar = write_tar(folder / "sa_000000.tar", members, records)
        publish(PublishOptions([str(tar)], out=folder / "dataset", parts=SHARDS))
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HOME": temporary, "HF_HOME": str(folder / "home")}
        places = {name: str(folder / name) for name in peers} | dict.fromkeys(("datasets", "ours"), f"{folder}/dataset")
        for name in peers:
            Path(places[name]).mkdir()
            try:
                said = run(own, "write", name, str(tar), places[name], environment=environment)
                print(f"  {LABELS[name]}: {last_line(said)}\n" if name == "streaming" and said else "", end="")
            except Failed as error:
                print(f"  {LABELS[name]}: cannot write its form here; it said: {error}\n")
                del places[name]
        measure("from disk", places, pythons, environment, rounds)
        with serving(folder) as url, publishing(folder, tar) as client:
            remote = {name: f"{url}/{name}" if name in PEERS else REPO for name in places}
            client |= {"HOME": temporary}
            measure(f"HTTP, {LATENCY_S * 1000:.0f} ms a request", remote, pythons, client, rounds)
    require_unchanged(before)


def versions(python: Path) -> list[str]:
    """Names and versions of the peers as installed."""
    packages = ["mosaicml-streaming", "litdata", "webdataset", "numpy"]
    done = subprocess.run([str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line.split("==")[0] in packages]


if __name__ == "__main__":
    main()
