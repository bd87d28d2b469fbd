"""Look at everything before anything is changed: the target, the archives, the captions, the rights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asam_datasets.builds import (
    Build,
    Built,
    Candidate,
    Options,
    Original,
    Survey,
    check_together,
    count_parts,
    evaluation_rights,
    find_originals,
    find_unchanged,
    find_unchanged_adversarial,
    find_unchanged_evaluation,
    missing_ids,
    survey,
)
from asam_datasets.errors import SourceError, TargetError, option
from asam_datasets.publish._options import PublishOptions
from asam_datasets.publish._plan import Plan, PlannedBuild, State
from asam_datasets.release import Access, Target
from asam_datasets.rights import SA1B, Holding, check_history, check_public, needs_gate
from asam_datasets.sources import AdversarialSource, BadRecords, caption_report, read_captions, read_ids
from asam_datasets.sources.evaluation import EvaluationSource, load_catalog, parse_evaluation
from asam_datasets.sources.sa1b import IndexedSource, Source, StreamSource, find_archives, find_captions, open_source
from asam_datasets.tables import ADVERSARIAL_NAME, Kind, config_names
from asam_datasets.workers import Workers

_GROWTH = 1.25  # of an archive that becomes Parquet: 1.08 was measured, and small images have relatively more masks


@dataclass(frozen=True)
class EvaluationSet:
    """An evaluation set that was looked over: images that were found, and their bytes."""

    source: EvaluationSource
    images: int
    size_bytes: int


@dataclass(frozen=True)
class AdversarialSet:
    """Adversarial samples that were looked over, and where their originals are."""

    source: AdversarialSource
    originals: Mapping[int, Original]
    images: int
    size_bytes: int


@dataclass
class Run:
    """What is known before the first archive is built. `unchanged` has the archives whose build exists already."""

    target: Target
    current: list[Build]
    removed: frozenset[str]
    captions: Mapping[str, str]
    options: Options
    surveys: list[Survey]
    sets: list[EvaluationSet]
    adversarial: AdversarialSet | None
    accepts_terms: bool
    access: Access
    bad: BadRecords = field(default_factory=BadRecords)
    unchanged: dict[str, Built] = field(default_factory=dict)

    @property
    def holdings(self) -> list[Holding]:
        """All sets that the dataset will consist of, as far as rights go."""
        rights = {one.source.name: SA1B for one in self.surveys}
        rights.update((one.source.name, evaluation_rights(one.source)) for one in self.sets)
        if self.adversarial is not None:
            rights[ADVERSARIAL_NAME] = SA1B
        kept = [build.holding for build in self.current if build.name not in rights.keys() | self.removed]
        only = self.options.annotations_only
        return kept + [Holding(name, right, name not in only) for name, right in sorted(rights.items())]

    @property
    def terms_accepted(self) -> bool:
        """Whether SA-1B's terms were acknowledged: now, or when its sets were put behind the gate that is there."""
        gated = self.target.access is not None and self.target.access.gated is not None
        return self.accepts_terms or (gated and needs_gate(build.holding for build in self.current))

    @property
    def names(self) -> set[str]:
        """Archives and sets that were given."""
        names = {one.source.name for one in self.surveys} | {one.source.name for one in self.sets}
        return names | ({ADVERSARIAL_NAME} if self.adversarial is not None else set())


def look(options: PublishOptions, target: Target, workers: Workers) -> Run:
    """Everything that can be found wrong before work begins.

    Raises:
        AsamDatasetsError: what `publish` stops at before it builds.
    """
    sources = _open_sources(options.train)
    files = options.captions or [file for location in options.train for file in find_captions(location)]
    captions = read_captions(files)
    ids = read_ids(options.ids) if options.ids else None
    if options.rejects is not None and (options.rejects.is_dir() or not options.rejects.absolute().parent.is_dir()):
        raise TargetError("expected a file in a folder that exists", where=f"{option('rejects', str(options.rejects))}")
    surveys = [survey(source, ids, options.parts, options.on_bad_record) for source in sources]
    streams = any(one.rows is None for one in surveys)
    # Captions of a stream's images look unknown until it was read.
    check_together(
        [(one.source.label, one.all_ids) for one in surveys],
        {} if streams else captions,
        BadRecords(options.on_bad_record),
    )
    if options.require_captions and not streams:
        chosen = (one.all_ids if ids is None else np.intersect1d(one.all_ids, sorted(ids)) for one in surveys)
        caption_report(captions, [number for one in chosen for number in one.tolist()]).require_all()
    sets, adversarial = _open_sets(options), _open_adversarial(options, sources)
    current = target.current()
    _check_names(options, sources, sets, current)
    run = Run(
        target,
        current,
        frozenset(options.remove),
        captions,
        Options(captions, ids, options.parts, frozenset(options.annotations_only)),
        surveys,
        sets,
        adversarial,
        options.accept_sa1b_terms,
        Access(private=True),
        BadRecords(options.on_bad_record),
    )
    if options.repo_id is not None:
        run.access = _choose_access(options, run)
    _find_unchanged(run, workers)
    return run


def _find_unchanged(run: Run, workers: Workers) -> None:
    """Note what is published already, or left finished by a run that was killed."""

    def known(name: str) -> list[Candidate]:
        return run.target.candidates(name, run.current)

    found: dict[str, Built | None] = {}
    for source in (one.source for one in run.surveys):
        if not isinstance(source, StreamSource):
            found[source.name] = find_unchanged(source, run.options, known(source.name), run.bad, workers)
    for one in run.sets:
        name = one.source.name
        found[name] = find_unchanged_evaluation(one.source, run.options, known(name), run.bad, workers)
    if run.adversarial is not None:
        samples = run.adversarial
        found[ADVERSARIAL_NAME] = find_unchanged_adversarial(
            samples.source, samples.originals, run.options, known(ADVERSARIAL_NAME), run.bad, workers
        )
    run.unchanged = {name: built for name, built in found.items() if built is not None}


def make_plan(run: Run) -> Plan:
    """Say what the run will do."""
    published = {build.name: build for build in run.current}
    names = run.names
    lines = [_planned(one, run, published.get(one.source.name)) for one in run.surveys]
    lines += [_planned_set(one.source.name, one, run, published.get(one.source.name)) for one in run.sets]
    if run.adversarial is not None:
        lines.append(_planned_set(ADVERSARIAL_NAME, run.adversarial, run, published.get(ADVERSARIAL_NAME)))
    for name, build in sorted(published.items()):
        if name not in names:
            state: State = "removed" if name in run.removed else "kept"
            lines.append(_line(build, state, "", build.path))
    streams = any(one.rows is None for one in run.surveys)
    changed = [line for line in lines if line.state in ("new", "replaced")]
    transfer = int(_GROWTH * sum(line.size_bytes or 0 for line in changed)) if run.target.is_remote else 0
    return Plan(
        target=run.target.url,
        remote=run.target.is_remote,
        readers=run.target.readers(run.access),
        public=not run.access.private and run.target.access != run.access,
        destructive=run.target.replaces_foreign or any(line.state == "removed" for line in lines),
        replaces_foreign=run.target.replaces_foreign,
        configs=config_names(
            any(line.archive for line in lines if line.state != "removed"),
            [line.name for line in lines if not line.archive and line.state != "removed"],
        ),
        builds=lines,
        transfer_bytes=None if streams and run.target.is_remote else transfer,
        missing_ids=[] if streams else missing_ids(run.options.ids, [one.all_ids for one in run.surveys]),
    )


def _planned(one: Survey, run: Run, published: Build | None) -> PlannedBuild:
    name = one.source.name
    path = published.path if published else None
    label = one.source.label
    found = run.unchanged.get(name)
    if found is not None:
        return _line(found.build, _state(found.build, published), label, path)
    if one.rows is None:
        return PlannedBuild(name, True, "read first" if published else "new", True, label, None, None, None, path)
    state: State = "replaced" if published else "new"
    return PlannedBuild(name, True, state, True, label, one.rows, one.parts, one.size_bytes, path)


def _planned_set(name: str, one: EvaluationSet | AdversarialSet, run: Run, published: Build | None) -> PlannedBuild:
    path = published.path if published else None
    found = run.unchanged.get(name)
    if found is not None:
        return _line(found.build, _state(found.build, published), one.source.label, path)
    state: State = "replaced" if published else "new"
    parts = run.options.parts or count_parts(one.images, one.size_bytes)
    return PlannedBuild(name, False, state, True, one.source.label, one.images, parts, one.size_bytes, path)


def _line(build: Build, state: State, label: str, path: str | None) -> PlannedBuild:
    """A build that exists already."""
    is_archive = build.kind == "train"
    return PlannedBuild(
        build.name, is_archive, state, False, label, build.rows, len(build.parts), build.size_bytes, path
    )


def _state(build: Build, published: Build | None) -> State:
    if published is None:
        return "new"
    return "unchanged" if build.path == published.path else "replaced"


def _choose_access(options: PublishOptions, run: Run) -> Access:
    """Who will see the dataset: what was asked for, else what the repository is, else nobody.

    Raises:
        RightsError: not everyone may.
    """
    before = run.target.access or Access(private=True)
    private = before.private if options.private is None else options.private
    gated = options.gated or before.gated
    if private:
        return Access(True, gated)
    check_public(run.holdings, terms_accepted=run.terms_accepted)
    past = run.target.past_holdings() if before.private else []
    check_history(past, terms_accepted=run.terms_accepted)
    return Access(False, gated or ("auto" if needs_gate([*run.holdings, *past]) else None))


def _check_names(
    options: PublishOptions, sources: Sequence[Source], sets: Sequence[EvaluationSet], current: Sequence[Build]
) -> None:
    kinds: dict[str, Kind] = {build.name: build.kind for build in current if build.name not in options.remove}
    told: list[tuple[str, Kind]] = [(source.name, "train") for source in sources]
    told += [(one.source.name, "evaluation") for one in sets]
    told += [(ADVERSARIAL_NAME, "adversarial")] if options.adversarial is not None else []
    for name, kind in told:
        if kinds.setdefault(name, kind) != kind:
            raise TargetError(
                f"expected an archive and an evaluation set of different names, found {name} twice",
                hint=f"Rename the archive, or take the other one out first: {option('remove')}.",
            )
    given = {name for name, _ in told}
    published = {build.name for build in current}
    for argument, names, known in (
        (option("remove"), options.remove, published),
        (option("annotations_only"), options.annotations_only, given),
    ):
        for name in names:
            if name not in known:
                raise TargetError(
                    f"expected one of {', '.join(sorted(known)) or 'nothing'}, found {name}",
                    where=argument,
                    hint="Give the name of an archive or set, such as sa_000000.",
                )
    for name in set(options.remove) & given:
        raise TargetError(f"expected {name} to be given or removed, found both", where=option("remove"))
    if not given and not published - set(options.remove):
        raise TargetError(
            f"expected something to be left in the dataset, found that {option('remove')} takes all",
            where=option("remove"),
            hint="Delete the repository or the folder itself.",
        )


def _open_sets(options: PublishOptions) -> list[EvaluationSet]:
    """Find the evaluation sets and their images.

    Raises:
        CatalogError, SourceError, RecordError: as `asam_datasets.sources.evaluation`; or one is given twice.
    """
    if not options.evaluation:
        return []
    catalog = load_catalog(options.catalog)
    sets: dict[str, EvaluationSet] = {}
    for text in options.evaluation:
        source = parse_evaluation(text, catalog, protocol=options.protocol)
        if source.name in sets:
            raise SourceError(
                f"expected each evaluation set once, found {source.label} and {sets[source.name].source.label}",
                where=option("evaluation"),
                hint="Give it once; variants of a set have one name and replace each other.",
            )
        refs = source.index(BadRecords(options.on_bad_record))
        sets[source.name] = EvaluationSet(source, len(refs), sum(ref.size_bytes for ref in refs))
    return list(sets.values())


def _open_adversarial(options: PublishOptions, sources: Sequence[Source]) -> AdversarialSet | None:
    """Find the adversarial samples and their originals.

    Raises:
        SourceError, RecordError: as `AdversarialSource`; or the originals would come out of a stream.
    """
    if options.adversarial is None:
        return None
    samples = AdversarialSource(options.adversarial)
    refs = samples.index(BadRecords(options.on_bad_record))
    indexed: list[IndexedSource] = []
    for source in sources:
        if isinstance(source, StreamSource):
            raise SourceError(
                "expected originals in archives that can be read in any order, found a stream",
                where=source.label,
                hint="Download the archive, or unpack it, to publish adversarial samples of it.",
            )
        indexed.append(source)
    size_bytes = sum((samples.path / ref.image).stat().st_size for ref in refs)
    return AdversarialSet(samples, find_originals(indexed), len(refs), size_bytes)


def _open_sources(locations: Sequence[str]) -> list[Source]:
    sources = [open_source(found) for location in locations for found in find_archives(location)]
    by_name: dict[str, Source] = {}
    for source in sources:
        other = by_name.setdefault(source.name, source)
        if other is not source:
            raise SourceError(
                f"expected archives of different names, found {source.name} as {other.label} and {source.label}",
                where=option("train"),
                hint="Give each archive once; its name is the last part of its path.",
            )
    return sources
