"""The main program: SA-1B archives and captions in, one complete dataset out, in a folder or on the Hub.

    python -m asam_datasets.publish --train sa_000000.tar --captions sa_000000-blip2-caption.json --out DIR

Order of things: look at the target, look over all archives, then build (and upload) one archive after the other, and
make everything visible in one step at the end. Until that step nothing that a reader sees has changed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from asam_datasets.builds import (
    Build,
    Built,
    Options,
    Survey,
    Workers,
    build_archive,
    check_together,
    missing_ids,
    open_workers,
    survey,
    write_atomically,
)
from asam_datasets.errors import AsamDatasetsError, SourceError, TargetError
from asam_datasets.hub import Changes, FolderTarget, RepositoryTarget, default_cache, make_release
from asam_datasets.schema import VIEWS
from asam_datasets.sources import (
    BadRecords,
    OnBadRecord,
    Reject,
    Source,
    find_archives,
    open_source,
    read_captions,
    read_ids,
)

Target = FolderTarget | RepositoryTarget
TITLE = "ASAM Datasets"


@dataclass(frozen=True)
class PublishOptions:
    """What to publish and where. Exactly one of `out` and `repo_id` is set.

    Raises:
        TargetError: none or both are set, or a number is out of range.
    """

    train: Sequence[str]
    captions: Sequence[Path] = ()
    out: Path | None = None
    repo_id: str | None = None
    ids: Path | None = None
    parts: int | None = None
    workers: int | None = None
    on_bad_record: OnBadRecord = "raise"
    rejects: Path | None = None

    def __post_init__(self) -> None:
        if (self.out is None) == (self.repo_id is None):
            raise TargetError("expected one of --out DIR and --repo-id NS/NAME", hint="Give exactly one of them.")
        if not self.train:
            raise SourceError("expected at least one --train SOURCE, found none")
        for name, number in (("--parts", self.parts), ("--workers", self.workers)):
            if number is not None and number < 1:
                raise TargetError(f"expected {name} of at least 1, found {number}")


@dataclass(frozen=True)
class PlannedArchive:
    """One line of the plan. `rows` and `files` are None for a stream, which was not read yet."""

    archive: str
    source: str
    rows: int | None
    files: int | None
    source_bytes: int | None
    published: str | None


@dataclass(frozen=True)
class Plan:
    """What a publish would do. `kept` are the published archives that it would leave alone."""

    target: str
    configs: Sequence[str]
    archives: Sequence[PlannedArchive]
    kept: Sequence[str]
    missing_ids: Sequence[int]

    @property
    def rows(self) -> int | None:
        """Records of all archives of the run; None when a stream is among them."""
        rows = [archive.rows for archive in self.archives]
        return None if None in rows else sum(row for row in rows if row is not None)


@dataclass(frozen=True)
class Summary:
    """What a publish did."""

    target: str
    location: str
    configs: Sequence[str]
    rows: int
    annotations: int
    captions: int
    size_bytes: int
    changes: Changes
    missing_ids: Sequence[int]
    rejected: int
    rejects: str | None
    seconds: float


@dataclass(frozen=True)
class Listener:
    """How a run is followed; the defaults keep silent. `on_records` gets the number of records just finished."""

    on_stage: Callable[[str], None] = lambda text: None
    on_total: Callable[[int | None], None] = lambda rows: None
    on_records: Callable[[int], None] = lambda count: None


@dataclass
class _Run:
    """What is known before the first archive is built."""

    target: Target
    current: list[Build]
    captions: Mapping[str, str]
    ids: frozenset[int] | None
    surveys: list[Survey]
    bad: BadRecords = field(default_factory=BadRecords)


def plan(options: PublishOptions) -> Plan:
    """Look at everything and change nothing: what `publish` would do.

    Raises:
        AsamDatasetsError: what `publish` would stop at before it builds.
    """
    return _plan(_look(options))


def publish(options: PublishOptions, listener: Listener | None = None) -> Summary:
    """Publish archives; see `PublishOptions`.

    Raises:
        AsamDatasetsError: see `asam_datasets.errors`. What was visible before is visible after; finished parts are
            kept for the next run.
    """
    listener = listener or Listener()
    started = time.monotonic()
    target = _make_target(options)
    with _only_publisher(target), _write_errors(target):
        try:
            listener.on_stage(f"Looking at {target.location} and {len(options.train)} archive(s)")
            run = _look(options, target)
            target.prepare()
            listener.on_total(_plan(run).rows)
            with open_workers(options.workers or default_workers(), listener.on_records) as pool:
                built = _build_all(run, options, pool)
            missing = missing_ids(run.ids, [one.all_ids for one in built])
            listener.on_stage(f"Making it visible: {target.url}")
            release = make_release(run.current, built, run.captions, location=target.location, title=TITLE)
            rejects = _write_rejects(options, run.bad.rejects)
            changes = target.flip(release, built)
        finally:
            target.clean()
    return Summary(
        target=target.url,
        location=target.location,
        configs=[view.name for view in VIEWS],
        rows=sum(build.rows for build in release.builds),
        annotations=sum(build.annotations for build in release.builds),
        captions=sum(build.captions for build in release.builds),
        size_bytes=sum(build.size_bytes for build in release.builds),
        changes=changes,
        missing_ids=missing,
        rejected=len(run.bad.rejects),
        rejects=str(rejects) if rejects else None,
        seconds=time.monotonic() - started,
    )


def default_workers() -> int:
    """As many workers as this process may use cores."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _look(options: PublishOptions, target: Target | None = None) -> _Run:
    """Everything that can be found wrong before work begins."""
    sources = _open_sources(options.train)
    captions = read_captions(options.captions)
    ids = read_ids(options.ids) if options.ids else None
    if options.rejects is not None and (options.rejects.is_dir() or not options.rejects.absolute().parent.is_dir()):
        raise TargetError("expected a file in a folder that exists", where=f"--rejects {options.rejects}")
    target = target or _make_target(options)
    surveys = [survey(source, ids, options.parts, options.on_bad_record) for source in sources]
    streams = any(one.rows is None for one in surveys)
    # Captions of a stream's pictures look unknown until it was read.
    check_together(
        [(one.source.label, one.all_ids) for one in surveys],
        {} if streams else captions,
        BadRecords(options.on_bad_record),
    )
    return _Run(target, target.current(), captions, ids, surveys, BadRecords(options.on_bad_record))


def _build_all(run: _Run, options: PublishOptions, workers: Workers) -> list[Built]:
    """Build one archive after the other, and hand each to the target as soon as nothing can be wrong with it."""
    built: list[Built] = []
    streams = any(one.rows is None for one in run.surveys)
    for one in run.surveys:
        built.append(_build(one, run, options, workers))
        if not streams:
            run.target.add(built[-1])
    labels = [one.source.label for one in run.surveys]
    check_together([(label, one.all_ids) for label, one in zip(labels, built, strict=True)], run.captions, run.bad)
    if streams:  # whose ids, and with them the captions, are only now known to fit
        for finished in built:
            run.target.add(finished)
    return built


def _build(one: Survey, run: _Run, options: PublishOptions, workers: Workers) -> Built:
    return build_archive(
        one.source,
        Options(run.captions, run.ids, options.parts),
        target=run.target.builds_folder,
        work=run.target.work,
        known=run.target.known(one.source.name, run.current),
        bad=run.bad,
        workers=workers,
    )


def _open_sources(locations: Sequence[str]) -> list[Source]:
    sources = [open_source(found) for location in locations for found in find_archives(location)]
    by_name: dict[str, Source] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise SourceError(
                f"expected archives of different names, found {source.name} as {other.label} and {source.label}",
                where="--train",
                hint="Give each archive once; its name is the last part of its path.",
            )
    return sources


def _make_target(options: PublishOptions) -> Target:
    if options.out is not None:
        return FolderTarget(options.out)
    return RepositoryTarget(options.repo_id or "", default_cache())


def _plan(run: _Run) -> Plan:
    published = {build.archive: build.folder for build in run.current}
    names = {one.source.name for one in run.surveys}
    return Plan(
        target=run.target.url,
        configs=[view.name for view in VIEWS],
        archives=[
            PlannedArchive(
                one.source.name,
                one.source.label,
                one.rows,
                one.parts,
                one.size_bytes if one.rows is not None else None,
                published.get(one.source.name),
            )
            for one in run.surveys
        ],
        kept=sorted(folder for archive, folder in published.items() if archive not in names),
        missing_ids=missing_ids(run.ids, [one.all_ids for one in run.surveys])
        if all(one.rows is not None for one in run.surveys)
        else [],
    )


def _write_rejects(options: PublishOptions, rejects: Sequence[Reject]) -> Path | None:
    """Write `rejects.jsonl` beside the dataset, or in the current folder when that is on the Hub."""
    path = options.rejects or (options.out or Path()) / "rejects.jsonl"
    if not rejects:
        if options.out is not None and options.rejects is None:
            path.unlink(missing_ok=True)  # of an earlier run over what has been repaired since
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    # Names in a tar need not be UTF-8; what is not becomes an escape.
    lines = [
        {name: value.encode("utf-8", "backslashreplace").decode() for name, value in reject._asdict().items()}
        for reject in rejects
    ]
    write_atomically(path, msgspec.json.Encoder().encode_lines(lines))
    return path


@contextmanager
def _write_errors(target: Target) -> Iterator[None]:
    """A full disk, a missing permission: one sentence instead of a traceback."""
    try:
        yield
    except OSError as error:
        if isinstance(error, AsamDatasetsError):
            raise
        raise TargetError(
            f"expected to be able to write, found: {error.strerror or error}",
            where=str(error.filename or target.path),
            hint="Make room or give permission, then run the same command again: finished parts are kept.",
        ) from error


@contextmanager
def _only_publisher(target: Target) -> Iterator[None]:
    """Hold the lock of a target on this machine.

    Raises:
        TargetError: another process holds it; the message says which.
    """
    from filelock import FileLock, Timeout

    key = hashlib.sha256(str(target.url).encode()).hexdigest()[:16]
    holder = Path(tempfile.gettempdir(), f"asam_datasets-{os.getuid() if hasattr(os, 'getuid') else 0}-{key}.pid")
    lock = FileLock(holder.with_suffix(".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = holder.read_text() if holder.is_file() else "unknown"
        raise TargetError(
            f"expected to be the only publisher, found process {pid} at work",
            where=target.url,
            hint="Wait until it is done, or stop it; then run the same command again.",
        ) from None
    try:
        holder.write_text(str(os.getpid()))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


if __name__ == "__main__":
    from asam_datasets.cli import publish_main

    publish_main()
