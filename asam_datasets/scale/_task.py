"""The task of one archive: get it, caption it, build it, send each part and drop it, and say so in a note."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asam_datasets.builds import ArchiveRecipe, Options, Part, build, check_together, look_over
from asam_datasets.captions import caption
from asam_datasets.download import download
from asam_datasets.errors import SourceError, TargetError
from asam_datasets.machine import only_writer, write_errors
from asam_datasets.progress import Listener
from asam_datasets.published import HubClient
from asam_datasets.scale._plan import ScalePlan
from asam_datasets.scale._run import Note, RunFolder
from asam_datasets.scale._sent import name_some, read_made_captions
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import canonical_captions, open_source
from asam_datasets.workers import open_workers

_WAIT_S = 30.0
"""So long a task waits for one before it on the same machine, whose parent was killed and which is about to see it."""


def do_archive(plan: ScalePlan, number: int, listener: Listener | None = None) -> None:
    """Do one archive of a run that was prepared; nothing if that is done. Killed, it goes on where it was.

    Args:
        plan: what is to be done.
        number: of the archive in the run.
        listener: who follows it.

    Raises:
        AsamDatasetsError: see `asam_datasets.errors`; what was sent is not sent again.
    """
    listener = listener or Listener()
    run = RunFolder(plan.run)
    name = run.archives[number]
    _tidy(plan, run)
    if run.note(name) is None:
        folder = plan.work_folder / run.name / name
        with _alone(folder), write_errors(folder):
            note = _build(plan, run, name, folder, listener)
            run.write_note(name, note)
            shutil.rmtree(folder, ignore_errors=True)
    name_some(plan, run, listener)


def caption_archive(plan: ScalePlan, number: int, listener: Listener | None = None) -> None:
    """Caption one archive of a run by the model of the plan; nothing if that is done.

    Raises:
        AsamDatasetsError: as `caption`.
    """
    listener = listener or Listener()
    run = RunFolder(plan.run)
    name = run.archives[number]
    if run.has(run.captions(name)):
        return
    folder = plan.work_folder / run.name / name
    with _alone(folder), write_errors(folder):
        _caption(plan, run, name, folder, listener)
        shutil.rmtree(folder, ignore_errors=True)


def _build(plan: ScalePlan, run: RunFolder, name: str, folder: Path, listener: Listener) -> Note:
    if plan.caption is not None and not run.has(run.captions(name)):
        if plan.caption.machines is not None:
            raise SourceError(
                f"expected captions of {name}, found none: their task failed, or was cancelled",
                where=f"{plan.run}/{run.captions(name)}",
                hint="Look at logs/captions there, then run the same command again.",
            )
        _caption(plan, run, name, folder, listener)
    source = _get(plan, name, folder, listener)
    captions = read_made_captions(plan, run, name)
    options = Options(captions, None, plan.parts)
    bad = BadRecords(plan.on_bad_record)
    client = HubClient(run.repo_id, listener.on_stage)

    def send_part(path: Path, part: Part) -> None:
        listener.on_stage(f"{name}: sending {part.file}, {part.size_bytes:,} bytes")
        place = {f"{path.parent.name}/{part.file}": path}
        client.send(place, "main")

    with open_workers(plan.processes, listener.on_records) as workers:
        survey = look_over(ArchiveRecipe(open_source(source, name)), options, plan.on_bad_record)
        listener.on_total(survey.rows)
        built = build(
            survey, options, target=folder / "data", work=folder / "work", bad=bad, workers=workers, on_part=send_part
        )
    check_together([(name, built.all_ids)], canonical_captions(captions, survey.index.records), bad)
    return Note(built.build, built.ids.tolist(), built.all_ids.tolist(), bad.rejects)


def _caption(plan: ScalePlan, run: RunFolder, name: str, folder: Path, listener: Listener) -> None:
    stage = plan.caption
    if stage is None:
        raise TargetError("expected `caption` in the plan, found none", where=plan.run)
    path = folder / f"{name}-blip2-caption.json"
    caption(_get(plan, name, folder, listener), path, options=stage.options, listener=listener)
    run.write(run.captions(name), path.read_bytes())


def _get(plan: ScalePlan, name: str, folder: Path, listener: Listener) -> str:
    """Where the archive can be read now."""
    place = plan.find()[name]
    if place is not None or plan.links is None:
        return str(place)
    download(Path(plan.links), folder, archives=[name], at_once=1, listener=listener)
    return str(folder / f"{name}.tar")


def _tidy(plan: ScalePlan, run: RunFolder) -> None:
    """Remove what tasks that died here have left, and that were done elsewhere since."""
    for folder in (plan.work_folder / run.name).glob("*"):
        if run.has(f"notes/{folder.name}.json"):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the lock of a task's folder on this machine."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _WAIT_S
    while True:
        lock = only_writer(f"the task in {folder}")  # not the folder itself, which `download` holds
        try:
            lock.__enter__()
            break
        except TargetError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    try:
        yield
    finally:
        lock.__exit__(None, None, None)
