"""A dataset with a table of each kind, for what is drawn of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from commands import Run
from evaluation_trees import TREES
from PIL import Image

from asam_datasets.demo import DemoArchive

Rows = list[dict[str, Any]]


def publish_each_kind(base: Path, demo: DemoArchive, publish: Run) -> Path:
    """The demo archive in 4 parts of 3 rows, two evaluation sets, adversarial samples of four images."""
    for name in ("coco2017_val", "hrsod_te"):
        (base / name).mkdir()
        TREES[name](base / name)
    for name in ("adv", "record", "pair"):
        (base / "adversarial" / name).mkdir(parents=True)
    for number in range(1, 5):
        Image.new("RGB", (256, 256), (9, 99, 200)).save(base / f"adversarial/adv/sa_{number}.png")
        (base / f"adversarial/record/sa_{number}.txt").write_text("0.15\n")
    archive = ("--train", demo.archive, "--captions", demo.captions, "--adversarial", base / "adversarial")
    sets = ("--evaluation", *(f"{name}={base / name}" for name in ("coco2017_val", "hrsod_te")))
    for args in ((*archive, "--parts", "4"), sets):
        ran = publish(*args, "--out", base / "out")
        assert ran.code == 0, ran.err
    return base / "out"


def changed_copy(published: Path, out: Path, change: Callable[[Rows], object], kind: str = "train") -> Path:
    """A copy of the dataset in which the rows of the first part of a kind are others."""
    copy = Path(shutil.copytree(published, out))
    part = sorted(copy.glob(f"data/{kind}/*/part-000.parquet"))[0]
    table = pq.read_table(part)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), part)
    return copy


def rows_of(published: Path, kind: str = "train") -> Rows:
    """All rows of the tables of a kind, in their order."""
    parts = sorted(published.glob(f"data/{kind}/*/*.parquet"))
    return [row for part in parts for row in pq.read_table(part).to_pylist()]
