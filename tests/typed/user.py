"""A program as a user writes it, with annotations. It is never run: `mypy --strict` reads it (test_typed_user.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import asam_datasets
from asam_datasets import masks, show
from asam_datasets.captions import CaptionOptions, Generation, caption, merge
from asam_datasets.demo import write_demo
from asam_datasets.errors import AsamDatasetsError, HubError
from asam_datasets.organized import Organized, export, organize
from asam_datasets.preview import Preview, preview
from asam_datasets.progress import Listener
from asam_datasets.publish import Plan, PublishOptions, Summary, plan, publish
from asam_datasets.published import Report, verify
from asam_datasets.training import Choose, SamOptions, Stream, open_stream, sam_batch


def refuse_losses(planned: Plan) -> None:
    """What `publish` asks before it changes anything."""
    if planned.destructive or planned.public:
        raise HubError("expected a plan that takes nothing away", where=planned.target, hint="Ask a person.")


def release(archives: Sequence[Path], captions: Path, out: Path) -> int:
    """Publish into a folder, and check it."""
    options = PublishOptions(
        train=[str(path) for path in archives], captions=[captions], out=out, workers=2, on_bad_record="skip"
    )
    total: list[int | None] = []
    listener = Listener(on_stage=print, on_total=total.append, on_records=lambda count: print(count + 1))
    planned: Plan = plan(options)
    names: list[str] = [build.name for build in planned.builds if build.to_build]
    done: Summary = publish(options, listener, confirm=refuse_losses)
    report: Report = verify(str(out), deep=True, workers=2, listener=listener)
    findings: list[str] = [f"{one.where}: {one.problem}" for one in report.findings]
    return done.rows + len(names) if report.is_good and not findings else 0


def folders(dataset: str, archives: Sequence[Path], out: Path) -> list[str]:
    """ASAM's folder out of archives and out of a dataset, and a contact sheet."""
    made: Organized = organize(str(archives[0]), str(out / "made"), masks="0:4")
    exported: Organized = export(dataset, out / "exported", revision="v1.0", workers=1)
    sheet: Preview = preview(dataset, out=out / "sheet.png", rows="0:4")
    return [made.out, exported.out, sheet.out, *exported.notes]


def captioned(archive: Path, out: Path) -> int:
    """Caption the half of an archive, and join the halves."""
    options = CaptionOptions(model="some/blip2", generation=Generation(num_beams=2), shard=(1, 2))
    done = caption(archive, out, options=options)
    merged = merge([out], out.with_suffix(".all.json"))
    return done.new + merged.images


def render(counts: str) -> NDArray[np.uint8]:
    """Masks out of their runs."""
    runs = masks.from_segmentation({"size": [4, 6], "counts": counts})
    png: bytes = masks.to_png(masks.from_png(masks.to_png(masks.to_segmentation(runs), bit_depth=8)))
    painted: bytes = masks.conditioning_png([masks.from_png(png)], (4, 6))
    table: NDArray[np.uint8] = masks.colors(len(painted))
    small: NDArray[np.uint8] = masks.decode({"size": [4, 6], "counts": counts}, (2, 3))
    return np.concatenate([small.reshape(-1), table.reshape(-1)])


def batches(dataset: str) -> Iterator[dict[str, Any]]:
    """Batches for SAM, straight from the Hub."""
    options = SamOptions(size=1024, choose=Choose(16), targets=("low_res_masks",))
    stream: Stream = open_stream(dataset, "sam", rank=0, world_size=1, seed=0, ends="drop")
    stream.set_epoch(1)
    records: Iterator[dict[str, Any]] = iter(stream)
    record = next(records)
    size: tuple[int, int] = show(record, side=200).size
    yield {**sam_batch([record], options), "size": size}


def main() -> str:
    """Everything in a row."""
    try:
        demo = write_demo(Path("demo"), images=2)
        release([demo.archive], demo.captions, Path("out"))
    except AsamDatasetsError as error:
        return f"{error} {error.hint or ''}"
    version: str = asam_datasets.__version__
    return version
