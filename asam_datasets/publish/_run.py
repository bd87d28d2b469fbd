"""The run: look, build, upload, release commit, load back."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.builds import Built, EvaluationRecipe, Survey, build, check_together, missing_ids
from asam_datasets.errors import SourceError, TargetError, option
from asam_datasets.machine import (
    default_cache,
    only_writer,
    only_writer_in,
    path_of,
    texts_of,
    write_errors,
    write_rejects,
)
from asam_datasets.progress import Listener
from asam_datasets.publish._disagreements import find_disagreements
from asam_datasets.publish._inspect import Run, inspect, make_plan
from asam_datasets.publish._load_back import load_back
from asam_datasets.publish._losses import late_losses, refuse_losses
from asam_datasets.publish._options import PublishOptions
from asam_datasets.publish._plan import GROWTH, Loss, Plan
from asam_datasets.publish._sheets import Sheets
from asam_datasets.release import (
    HELD_BYTES,
    Changes,
    FolderTarget,
    ReleaseMaker,
    RepositoryTarget,
    Target,
    count_bytes,
    missing_fields,
    render_license,
)
from asam_datasets.sources import Reject, caption_report
from asam_datasets.workers import Workers, open_workers


@dataclass(frozen=True)
class Summary:
    """What a publish did. `revision` is where it went on the Hub; None for a folder and for `main`. `turned` counts by
    build the images that stock readers turn, as EXIF wants it, while masks are of the pixels as they are stored.
    `pull_request` is its page on the Hub. `seconds` are without those in which a person was asked."""

    target: str
    location: str
    revision: str | None
    configs: Sequence[str]
    rows: int
    annotations: int
    captions: int
    size_bytes: int
    changes: Changes
    missing_ids: Sequence[int]
    dropped: int
    without_caption: int
    turned: Mapping[str, int]
    warnings: Sequence[str]
    rejected: int
    rejects: str | None
    seconds: float
    tag: str | None = None
    pull_request: str | None = None

    @property
    def is_as_before(self) -> bool:
        """Whether there was nothing to do."""
        changes = self.changes
        return not (changes.added or changes.removed or changes.commits)


def plan(options: PublishOptions, listener: Listener | None = None) -> Plan:
    """Look at everything and change nothing: what `publish` would do.

    Raises:
        AsamDatasetsError: what `publish` would stop at before it builds.
    """
    _check_options(options)
    listener = listener or Listener()
    target = _make_target(options, listener)
    with write_errors(target.path), open_workers(options.workers, lambda count: None) as pool:
        return make_plan(inspect(options, target, pool, listener))


def publish(
    options: PublishOptions, listener: Listener | None = None, *, confirm: Callable[[Plan], object] = refuse_losses
) -> Summary:
    """Publish archives.

    Args:
        options: what, and where to.
        listener: who follows the run.
        confirm: gets the plan before anything is changed, and raises or returns False to stop there (True, or nothing,
            agrees); once more when builds turn out to be less than what is visible. By default nothing visible is
            taken away.

    Raises:
        AsamDatasetsError: see `asam_datasets.errors`. What was visible before is visible after; finished parts are
            kept for the next run.
    """
    _check_options(options)
    listener = listener or Listener()
    started = time.monotonic()
    target = _make_target(options, listener)
    asking = _Asking(confirm)
    with _only_writer(target), write_errors(target.path):
        try:
            sources = len(texts_of(options.train)) + len(options.evaluation)
            listener.on_stage(f"Looking at {target.location}{f' and {_count(sources)}' if sources else ''}")
            with open_workers(options.workers, listener.on_records) as pool:
                run = inspect(options, target, pool, listener)
                planned = make_plan(run)
                _require_room(target, planned)
                asking(planned)
                target.prepare(run.access, render_license(run.holdings))
                if planned.rows_to_build != 0:
                    listener.on_total(planned.rows_to_build)
                disagreements = find_disagreements(run.archives, pool)
                sheets = Sheets(run, listener)
                built = _build_all(run, pool, sheets)
            losses = _late_losses(run, built, listener)
            if losses:
                asking(dataclasses.replace(planned, losses=losses, destructive=True))
            report = caption_report(run.captions, [number for one in built for number in one.ids.tolist()])
            if options.require_captions:
                report.require_all()
            is_sent = target.is_remote and planned.changes
            listener.on_stage(f"{'Sending what is left, and making' if is_sent else 'Making'} it visible: {target.url}")
            rejects = _write_rejects(options, run.bad.rejects)
            release, changes = target.release(_maker(run, built, sheets.complete(built)))
            if target.needs_proof:
                listener.on_stage(f"Loading {len(release.configs)} configs back")
                load_back(target.location, target.revision, release.configs, listener.on_stage)
            target.finish()
        finally:
            target.clean()
    return Summary(
        target=target.url,
        location=target.location,
        revision=None if target.revision in (None, "main") else target.revision,
        configs=[name for name, _ in release.configs],
        rows=sum(one.rows for one in release.builds),
        annotations=sum(one.annotations for one in release.builds),
        captions=sum(one.captions for one in release.builds),
        size_bytes=sum(one.size_bytes for one in release.builds),
        changes=changes,
        missing_ids=missing_ids(run.options.ids, [one.all_ids for one in built]),
        dropped=sum(one.build.dropped for one in built),
        turned={one.build.name: one.build.turned for one in built if one.build.turned},
        warnings=[*disagreements, *_warnings(run, built)],
        without_caption=len(report.missing) if run.captions else 0,
        rejected=len(run.bad.rejects),
        rejects=str(rejects) if rejects else None,
        seconds=time.monotonic() - started - asking.seconds,
        tag=options.destination.tag,
        pull_request=_page_of(target),
    )


def _check_options(options: object) -> None:
    if not isinstance(options, PublishOptions):
        raise SourceError(
            f"expected PublishOptions, found {options!r:.80}",
            hint='Such as publish(PublishOptions("sa_000000.tar", out="DIR")).',
        )


class _Asking:
    """Asks `confirm`, and counts how long the answer takes."""

    def __init__(self, confirm: Callable[[Plan], object]) -> None:
        if not callable(confirm):
            raise SourceError(
                f"expected a function of the plan, found {confirm!r:.80}",
                where=option("confirm"),
                hint="`lambda plan: True` agrees to whatever is lost.",
            )
        self._confirm = confirm
        self.seconds = 0.0

    def __call__(self, planned: Plan) -> None:
        started = time.monotonic()
        answer = self._confirm(planned)
        self.seconds += time.monotonic() - started
        if answer is not None and not answer:
            problem = f"expected an agreement to the plan, found {answer!r:.80}"
            raise TargetError(problem, where=planned.target, hint="Nothing was changed.")


def _count(sources: int) -> str:
    return f"{sources:,} sources" if sources > 1 else "1 source"


def _page_of(target: Target) -> str | None:
    """The page of the pull request that was published to."""
    number = (target.revision or "").removeprefix("refs/pr/")
    return f"{target.url}/discussions/{number}" if number.isdigit() else None


def _maker(run: Run, built: Sequence[Built], sheets: Mapping[str, bytes]) -> ReleaseMaker:
    return ReleaseMaker(
        built,
        "",
        run.removed,
        run.captions,
        run.target.location,
        run.words,
        gated=bool(run.access.gated),
        public=not run.access.private,
        terms_accepted=run.terms_accepted,
        sheets=sheets,
    )


def _build_all(run: Run, workers: Workers, sheets: Sheets) -> list[Built]:
    """Make one build after the other, and hand each to the target as soon as nothing can be wrong with it."""
    built: list[Built] = []
    archives = len(run.archives)
    for number, survey in enumerate(run.surveys, 1):
        built.append(run.unchanged.get(survey.recipe.name) or _build(survey, run, workers))
        sheets.offer(built[-1])
        if not run.has_streams or number > archives:
            run.target.add(built[-1])
        if number == archives:
            _check_built(run, built)
    return built


def _late_losses(run: Run, built: Sequence[Built], listener: Listener) -> list[Loss]:
    """What turned out to be less than what is visible, when it was built."""
    published, shown = run.published, run.target.shown()
    return [
        loss
        for survey, one in zip(run.surveys, built, strict=True)
        for loss in late_losses(survey, one, published.get(survey.recipe.name), shown, run.losses, listener.on_stage)
    ]


def _require_room(target: Target, planned: Plan) -> None:
    """Refuse a target that is known to take no change, and a disk that is known to be too small.

    Raises:
        TargetError: less is free than what is built takes.
    """
    if planned.changes:
        target.refuse_changes()
    path = target.path
    sizes = sorted(int(GROWTH * (one.size_bytes or 0)) for one in planned.builds if one.to_build)
    needed = sum(sizes)
    if target.is_remote and planned.rows is not None:  # parts go when they are sent, while the next build is made
        needed = min(needed, sum(sizes[-3:]) + HELD_BYTES)
    nearest = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(nearest).free
    other = "set ASAM_DATASETS_CACHE to a larger disk" if target.is_remote else f"give another {option('out')}"
    if needed > free:
        raise TargetError(
            f"expected about {count_bytes(needed)} of free disk, found {count_bytes(free)}",
            where=str(nearest),
            hint=f"Make room, or {other}. Nothing was changed.",
        )


def _check_built(run: Run, built: Sequence[Built]) -> None:
    """What all archives hold together is now known, also of streams, which then go to the target."""
    labels = [survey.recipe.label for survey in run.archives]
    check_together([(label, one.all_ids) for label, one in zip(labels, built, strict=True)], run.captions, run.bad)
    for finished in built if run.has_streams else ():
        run.target.add(finished)


def _build(survey: Survey, run: Run, workers: Workers) -> Built:
    return build(
        survey,
        run.options,
        target=run.target.data_folder / survey.recipe.kind,
        work=run.target.work,
        candidates=run.target.candidates(survey.recipe.name, run.current) if survey.rows is None else (),
        bad=run.bad,
        workers=workers,
    )


def _warnings(run: Run, built: Sequence[Built]) -> list[str]:
    """Evaluation sets whose counts are not those that the catalog expects, and what archives left out."""
    texts = [
        survey.recipe.source.unexpected_counts(one.build.rows, one.build.annotations)
        for survey, one in zip(run.surveys, built, strict=True)
        if isinstance(survey.recipe, EvaluationRecipe)
    ]
    texts += [
        f"{one.build.name}: {text}"
        for one in built
        for text in missing_fields(one.build.missing, of=f" of {one.build.annotations:,}")
    ]
    texts += [f"{one.build.name}: {_passed_over(one.build.skipped)}" for one in built if one.build.skipped]
    return [text for text in texts if text]


def _passed_over(regions: int) -> str:
    many = regions > 1
    what = f"{regions:,} regions are no masks" if many else "1 region is no mask"
    return f"{what}, as the set's official code passes over {'them' if many else 'it'}"


def _only_writer(target: Target) -> AbstractContextManager[None]:
    return only_writer(target.url) if target.is_remote else only_writer_in(target.path)


def _make_target(options: PublishOptions, listener: Listener) -> Target:
    if options.out is not None:
        out = path_of(options.out)
        with write_errors(out):  # a name that is too long
            return FolderTarget(out)
    return RepositoryTarget(options.repo_id or "", default_cache(), options.destination, listener.on_stage)


def _write_rejects(options: PublishOptions, rejects: Sequence[Reject]) -> Path | None:
    """Write `rejects.jsonl` beside the dataset, or in the current folder when that is on the Hub."""
    if not rejects and (options.out is None or options.rejects is not None):
        return None  # what lies there may be of another run
    return write_rejects(path_of(options.rejects or path_of(options.out or "") / "rejects.jsonl"), rejects)
