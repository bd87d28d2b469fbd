"""What tests of streams share: a dataset of 500 records, and workers without processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archives import Members, tar_bytes, tiny_members
from commands import Run
from torch.utils.data._utils import worker as torch_worker

RECORDS, PARTS = 500, 16


def publish_many(folder: Path, publish: Run) -> Path:
    """500 records in 16 parts, without captions; the dataset."""
    drawn = tiny_members(5)
    members: Members = {}
    for image_id in range(1, RECORDS + 1):
        table = json.loads(drawn[f"sa_{1 + image_id % 5}.json"])
        table["image"].update(image_id=image_id, file_name=f"sa_{image_id}.jpg")
        members[f"sa_{image_id}.jpg"] = drawn[f"sa_{1 + image_id % 5}.jpg"]
        members[f"sa_{image_id}.json"] = json.dumps(table).encode()
    archive = folder / "sa_000000.tar"
    archive.write_bytes(tar_bytes(members))
    done = publish("--train", archive, "--parts", str(PARTS), "--out", folder / "dataset")
    assert done.code == 0, done.err
    return folder / "dataset"


@contextmanager
def as_worker(worker: int, workers: int) -> Iterator[None]:
    """This process as one of a loader's workers, as torch tells a dataset of it."""
    known = torch_worker._worker_info
    torch_worker._worker_info = torch_worker.WorkerInfo(id=worker, num_workers=workers, seed=0, dataset=None)
    try:
        yield
    finally:
        torch_worker._worker_info = known
