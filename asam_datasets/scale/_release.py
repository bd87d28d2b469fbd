"""Before the first task and after the last: the repository made ready, and all archives made visible in one commit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from asam_datasets.builds import Build, check_together, in_run
from asam_datasets.errors import SourceError, TargetError
from asam_datasets.progress import Listener
from asam_datasets.publish import TITLE, load_back
from asam_datasets.release import Access, Changes, ReleaseMaker, render_license
from asam_datasets.rights import SA1B, Holding, check_public
from asam_datasets.scale._plan import ScalePlan
from asam_datasets.scale._run import Note, RunFolder, open_run
from asam_datasets.scale._sent import name_waiting, open_target, read_made_captions
from asam_datasets.sources import BadRecords

_SHOWN = 5


@dataclass(frozen=True)
class Released:
    """What the last task did."""

    target: str
    archives: int
    rows: int
    rejected: int
    changes: Changes
    seconds: float


def prepare(plan: ScalePlan, listener: Listener | None = None) -> RunFolder:
    """Make the folder of a run, and the repository ready for data. Done again it changes nothing.

    Raises:
        TargetError: the folder is of another plan, or an archive of this name is published already.
        RightsError: the repository is public, and SA-1B's images may not be.
        HubError: refused, or not reached.
    """
    archives = list(plan.find())
    run = open_run(plan.run, plan.repo_id, archives)
    target = open_target(plan, listener or Listener())
    current = target.current()
    _check_published(run, current, target.url)
    if {in_run(one, run.name).path for one in current} >= {one.path for one in _mine(run, current)} and len(
        _mine(run, current)
    ) == len(archives):
        return run  # released already
    access = target.access or Access(private=True)
    holdings = [*(build.holding for build in current), *(Holding(name, SA1B, True) for name in archives)]
    if not access.private:
        check_public(holdings, terms_accepted=access.gated is not None)
    target.prepare(access, render_license(holdings))
    target.open()
    return run


def release(plan: ScalePlan, listener: Listener | None = None) -> Released:
    """Name what is sent, verify all of it, and make it visible in one commit; then load it back.

    Raises:
        SourceError: a task is not done, or two archives have the same image.
        HubError: refused, not reached, or a part is missing; nothing is visible then.
    """
    listener, started = listener or Listener(), time.monotonic()
    run = RunFolder(plan.run)
    notes = _notes(run)
    labels = [(name, np.array(note.all_ids, np.int64)) for name, note in notes.items()]
    check_together(labels, {}, BadRecords())
    target = open_target(plan, listener)
    current = target.current()
    _check_published(run, current, target.url)
    listener.on_stage(f"Naming what was sent for {len(notes):,} archives")
    access = target.access or Access(private=True)
    holdings = {one.name: one.holding for one in [*current, *(note.build for note in notes.values())]}
    target.prepare(access, render_license(holdings.values()))
    name_waiting(plan, run, target)
    listener.on_stage(f"Making it visible: {target.url}")
    captions: dict[str, str] = {}
    for name in notes:
        captions.update(read_made_captions(plan, run, name))
    maker = ReleaseMaker(
        [note.built for note in notes.values()],
        run.name,
        frozenset(),
        captions,
        target.location,
        TITLE,
        gated=access.gated is not None,
        public=not access.private,
        terms_accepted=access.gated is not None,
    )
    try:
        made, changes = target.release(maker)
        if target.needs_proof:
            listener.on_stage(f"Loading {len(made.configs)} configs back")
            load_back(target.location, target.revision, made.configs, listener.on_stage)
        target.finish()
    finally:
        target.clean()
    rejects = sum(len(note.rejects) for note in notes.values())
    rows = sum(note.build.rows for note in notes.values())
    return Released(target.url, len(notes), rows, rejects, changes, time.monotonic() - started)


def _notes(run: RunFolder) -> dict[str, Note]:
    found = {name: run.note(name) for name in run.archives}
    missing = [name for name, note in found.items() if note is None]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (f" and {len(missing) - _SHOWN:,} more" if len(missing) > _SHOWN else "")
        raise SourceError(
            f"expected all {len(found):,} archives to be done, found {len(missing):,} that are not: {shown}",
            where=run.path,
            hint="Run the same command again: only what is missing is done. The logs are in the folder of the run.",
        )
    return {name: note for name, note in found.items() if note is not None}


def _mine(run: RunFolder, current: Sequence[Build]) -> list[Build]:
    names = set(run.archives)
    return [one for one in current if one.name in names]


def _check_published(run: RunFolder, current: Sequence[Build], url: str) -> None:
    """Refuse to replace what is published: `publish` does, and says what would be lost.

    Raises:
        TargetError: an archive of the run is published, and not by this run.
    """
    others = [one for one in _mine(run, current) if in_run(one, run.name).path != one.path]
    if others:
        raise TargetError(
            f"expected archives that are not published yet, found {len(others)} that are, such as {others[0].name}",
            where=url,
            hint="Leave them out of the plan; `publish` replaces archives, and says what would be lost.",
        )
