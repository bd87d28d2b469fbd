"""How long does a publish take whose uploads are as slow as its builds?

    python benchmarks/upload.py [--quick] [--archive TAR] [--archives N] [--records N] [--rates R ...]

Builds N archives into a folder, which gives the time of building. A Hub on this machine takes as many bytes a second as
make them take R times as long as that (0.5, 1, 2; slept, so it takes no processor). Sending alone is a publish of
builds that are ready, as a killed run leaves them; both is a publish from the start. What one would like is the longer
of the two; one after the other is their sum.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _archive import add_arguments, describe, get_members, write_tar
from _report import package_files, print_header, print_table, require_unchanged

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "support")]
PUBLISH = """
import sys
import asam_datasets.release._pace as pace
import asam_datasets.release._repository as repository
repository.SEND_BYTES = pace.COMMIT_BYTES = 1  # archives of gigabytes have them by themselves
from asam_datasets.cli import main
main()
"""


def publish(words: list[str], env: dict[str, str]) -> float:
    """Publish in a fresh process; seconds."""
    started = time.monotonic()
    command = [sys.executable, "-c", PUBLISH, "publish", "--workers", "1", "--yes", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"error: {done.stderr[-3000:]}")
    return time.monotonic() - started


def main() -> None:
    from local_hub import LocalHub

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--archives", type=int, default=8, metavar="N", help="how many (8)")
    parser.add_argument("--records", type=int, metavar="N", help="records of each (48; quick: 12)")
    parser.add_argument("--rates", type=float, nargs="+", default=[0.5, 1.0, 2.0], metavar="R")
    arguments = parser.parse_args()
    records = arguments.records or (12 if arguments.quick else 48)
    print_header("Does sending go on while the next archive is built?", "huggingface_hub", "pyarrow")
    before = package_files()
    members = get_members(arguments.archive, 4)
    print(f"  {arguments.archives} archives of {records} records that go round over {describe(members)}\n", flush=True)
    lines = [["seconds", "building", "sending", "the longer", "both", "×"]]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "archives").mkdir()
        names = []
        for number in range(arguments.archives):
            path = folder / "archives" / f"sa_{number:06}.tar"
            names.append(str(write_tar(path, members, records, first_id=number * records + 1)))
        plain = {**os.environ, "PYTHONPATH": str(ROOT)}
        building = publish(["--out", str(folder / "out"), "--train", *names], plain)
        size = sum(path.stat().st_size for path in (folder / "out").rglob("*.parquet"))
        for rate in arguments.rates:
            shutil.copytree(folder / "out/data", folder / "cache/xhk--upload/data")
            took = []
            for what in ("sending", "both"):
                with LocalHub(folder / f"hub-{what}-{rate}", xet=False) as hub:
                    env = hub.environment(folder / f"home-{what}-{rate}", xet=False)
                    env |= {"PYTHONPATH": str(ROOT), "ASAM_DATASETS_CACHE": str(folder / "cache")}
                    hub.slow_uploads(size / (rate * building))
                    took.append(publish(["--repo-id", "xhk/upload", "--train", *names], env))
            sending, both = took
            longer = max(building, sending)
            lines.append([f"slept {rate:g} ×", *(f"{s:.1f}" for s in (building, sending, longer, both))])
            lines[-1].append(f"{both / longer:.2f}")
    require_unchanged(before)
    print_table(lines)


if __name__ == "__main__":
    main()
