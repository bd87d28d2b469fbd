"""What tasks have sent and no commit has named yet, and the repository that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from asam_datasets.errors import HubError
from asam_datasets.progress import Listener
from asam_datasets.published import status_of
from asam_datasets.release import COMMIT_FILES, RepositoryTarget
from asam_datasets.scale._plan import ScalePlan
from asam_datasets.scale._run import RunFolder
from asam_datasets.sources import read_captions

_LOST = (400, 404, 422)
_BESIDE = 3
"""Files of an archive besides its parts: the manifest, and two in `organized/`."""


def open_target(plan: ScalePlan, listener: Listener) -> RepositoryTarget:
    """The repository, with a folder of this machine for what it keeps."""
    return RepositoryTarget(plan.repo_id, plan.work_folder / "target", log=listener.on_stage)


def name_waiting(plan: ScalePlan, run: RunFolder, target: RepositoryTarget) -> None:
    """Have commits name what is sent and has no name yet.

    Raises:
        HubError: refused, or not reached. Where the Hub does not have what was sent, those archives are done again.
    """
    waiting = {name: note for name in run.waiting() if (note := run.note(name)) is not None}
    if not waiting:
        return
    try:
        target.name_sent([note.built for note in waiting.values()], lambda name: read_made_captions(plan, run, name))
    except HubError as error:
        if isinstance(error.__cause__, Exception) and status_of(error.__cause__) in _LOST:
            for name in waiting:
                run.forget(name)
            raise HubError(
                f"expected the Hub to have what was sent of {len(waiting):,} archives, found that it refuses them",
                where=target.url,
                hint="Run the same command again: those archives are done again, and what it has is not sent again.",
            ) from error
        raise
    run.mark_named(list(waiting))


def name_some(plan: ScalePlan, run: RunFolder, listener: Listener) -> None:
    """Have a commit name what waits, where it is worth one and no other task is about it.

    Raises:
        HubError: as `name_waiting`.
    """
    with run.naming() as mine:
        notes = [run.note(name) for name in run.waiting()] if mine else []
        if sum(len(note.build.parts) + _BESIDE for note in notes if note is not None) >= COMMIT_FILES:
            target = open_target(plan, listener)
            target.current()
            name_waiting(plan, run, target)


def read_made_captions(plan: ScalePlan, run: RunFolder, name: str) -> Mapping[str, str]:
    """The captions of one archive by file name; none where the plan has none.

    Raises:
        CaptionsError: a file is no caption file.
    """
    if plan.captions is not None:
        path = Path(plan.captions) / f"{name}-blip2-caption.json"
        return read_captions([path]) if path.is_file() else {}
    if plan.caption is None:
        return {}
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}-blip2-caption.json"
        path.write_bytes(run.read(run.captions(name)))
        return read_captions([path])
