"""One rank of a training job, as a process of its own: what `test_streams.py` runs, by torchrun or by itself.

    python tests/support/stream_ranks.py JOB.json

The job is a JSON object: `dataset`, `config`, `workers`, `batch_size`, `epochs`, `ends`, `seed`, `rank` and
`world_size` (from torchrun if not given), `stops` (after how many batches of the first epoch a state is saved),
`resume` (a list of files with states; each is gone on from by a process of its own), `out` (folder for the results).
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed
from torchdata.stateful_dataloader import StatefulDataLoader

from asam_datasets.training import Stream, open_stream


def peak_mb() -> float:
    """Largest resident memory that this process ever had, in MB; `getrusage` would count what its parent had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:"))


def columns_of(records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """What of a batch the test looks at."""
    return {
        "ids": [record["image_id"] for record in records],
        "padding": [record.get("padding", False) for record in records],
        "epochs": [record["epoch"] for record in records],
        "peak_mb": [peak_mb()],
    }


def make_loader(job: dict[str, Any]) -> tuple[Stream, StatefulDataLoader]:
    stream = open_stream(
        job["dataset"],
        job.get("config", "sam"),
        rank=job.get("rank"),
        world_size=job.get("world_size"),
        seed=job.get("seed", 0),
        ends=job.get("ends", "exact"),
        window=job.get("window", 4),
        columns=job.get("columns"),
    )
    workers = job["workers"]
    loader = StatefulDataLoader(
        stream,
        batch_size=job["batch_size"],
        num_workers=workers,
        collate_fn=columns_of,
        persistent_workers=workers > 0 and job.get("persistent", False),
    )
    return stream, loader


def whole(job: dict[str, Any]) -> dict[str, Any]:
    """All epochs without a stop; states are saved on the way."""
    stream, loader = make_loader(job)
    out = Path(job["out"])
    epochs = []
    for epoch in range(job["epochs"]):
        stream.set_epoch(epoch)
        batches = []
        for number, batch in enumerate(loader, 1):
            batches.append(batch)
            if epoch == 0 and number in job.get("stops", ()):
                torch.save(loader.state_dict(), out / f"state-{stream._plan.rank}-{number}.pt")
        epochs.append(batches)
    return {"epochs": epochs, "num_records": stream.num_records}


def resumed(job: dict[str, Any], path: str) -> None:
    """The rest of the epoch of a state, and the epochs after it."""
    stream, loader = make_loader(job)
    loader.load_state_dict(torch.load(path, weights_only=False))
    epochs = [list(loader)]
    for epoch in range(1, job["epochs"]):
        stream.set_epoch(epoch)
        epochs.append(list(loader))
    Path(path).with_suffix(".json").write_text(json.dumps({"epochs": epochs}))


def main() -> None:
    torch.set_num_threads(1)
    job = json.loads(Path(sys.argv[1]).read_text())
    if job.get("rank") is None:
        torch.distributed.init_process_group("gloo")
        ready = torch.ones(1)
        torch.distributed.all_reduce(ready)
    if "resume" in job:
        fork = multiprocessing.get_context("fork")  # new processes that need not load torch again
        for path in job["resume"]:
            process = fork.Process(target=partial(resumed, job, path))
            process.start()
            process.join()
            if process.exitcode:
                sys.exit(process.exitcode)
        return
    result = whole(job)
    rank = job.get("rank")
    if rank is None:
        rank = torch.distributed.get_rank()
        torch.distributed.destroy_process_group()
    Path(job["out"], f"rank-{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
