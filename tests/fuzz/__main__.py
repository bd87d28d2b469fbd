"""The campaign: `python -m fuzz [TARGET ...] [--executions N] [--seed N] [--workers N] [--first N] [--at NUMBER]`."""

from __future__ import annotations

import argparse
import sys
import time
import warnings

from fuzz.campaign import run, table
from fuzz.target import chance
from fuzz.targets import TARGETS


def main() -> int:
    """Run it; the number of targets with findings, at most one."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET", help="all by default")
    parser.add_argument("--executions", type=int, help="of each target; a million over all of them by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first execution")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--at", type=int, help="one execution alone, here, with its traceback")
    args = parser.parse_args()
    known = {target.name: target for target in TARGETS}
    if unknown := set(args.names) - known.keys():
        parser.error(f"expected targets ({', '.join(known)}), found {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in args.names or known]
    if args.at is not None:
        for target in chosen:
            target.prepare()
            print(target.name, "result" if target.try_one(chance(target.name, args.seed, args.at)) else "refusal")
        return 0
    warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # forks beside threads of numpy
    started = time.monotonic()
    counts = {target.name: target.share if args.executions is None else args.executions for target in chosen}
    tallies = run(
        chosen, counts, args.seed, args.workers, args.first, lambda text: print(text, file=sys.stderr, flush=True)
    )
    for tally in tallies:
        for key, texts in tally.findings.items():
            print(f"\n=== {tally.target}: {key}: {len(texts)} times, seed {args.seed}, {texts[0]}")
    print(table(tallies, time.monotonic() - started))
    return int(any(tally.found for tally in tallies))


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
