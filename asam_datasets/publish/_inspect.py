"""Look at everything before anything is changed: the target, the archives, the captions, the rights."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from asam_datasets.builds import (
    Build,
    Built,
    Options,
    Survey,
    Validation,
    check_together,
    count_parts,
    find_unchanged,
    missing_ids,
    read_validation,
    with_captions,
    without_bad,
)
from asam_datasets.errors import TargetError, option
from asam_datasets.machine import path_of
from asam_datasets.progress import Listener
from asam_datasets.publish._held_out import check_listed, planned_splits, published_split, split_note
from asam_datasets.publish._losses import find_losses, published_captions, removal_losses
from asam_datasets.publish._options import PublishOptions
from asam_datasets.publish._plan import GROWTH, Loss, Plan, PlannedBuild, State
from asam_datasets.publish._sources import given_captions, survey_archives, survey_samples, survey_sets
from asam_datasets.publish._words import find_card_changes, read_words, with_licenses
from asam_datasets.published import README
from asam_datasets.release import Access, CardChange, Footprint, Load, Target, Words, footprint
from asam_datasets.rights import OWN, Holding, check_history, check_public, needs_gate
from asam_datasets.sources import BadRecords, caption_report, read_ids
from asam_datasets.sources.sa1b import canonical_captions
from asam_datasets.tables import Kind, configs_of
from asam_datasets.workers import Workers


@dataclass
class Run:
    """What is known before the first build: what was looked over, by name what exists already (`unchanged`) and the
    captions that were visible (`before`), what would be lost, and what becomes of the words of the card (`card`)."""

    target: Target
    current: list[Build]
    removed: frozenset[str]
    captions: Mapping[str, str]
    options: Options
    surveys: list[Survey]
    accepts_terms: bool
    access: Access
    words: Words
    bad: BadRecords = field(default_factory=BadRecords)
    unchanged: dict[str, Built] = field(default_factory=dict)
    before: dict[str, Mapping[str, str]] = field(default_factory=dict)
    held_out: dict[str, Validation | None] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    card: list[CardChange] = field(default_factory=list)

    @property
    def published(self) -> dict[str, Build]:
        """The visible builds by name."""
        return {build.name: build for build in self.current}

    @property
    def archives(self) -> list[Survey]:
        """The SA-1B archives among the surveys."""
        return [survey for survey in self.surveys if survey.recipe.kind == "train"]

    @property
    def has_streams(self) -> bool:
        """Whether what one of them holds is known only when it was read."""
        return any(survey.rows is None for survey in self.surveys)

    @property
    def holdings(self) -> list[Holding]:
        """All sets that the dataset will consist of, as far as rights go."""
        recipes = [survey.recipe for survey in self.surveys]
        given = {recipe.name: Holding(recipe.name, recipe.rights, recipe.images) for recipe in recipes}
        kept = [build.holding for build in self.current if build.name not in given.keys() | self.removed]
        return kept + [given[name] for name in sorted(given)]

    @property
    def terms_accepted(self) -> bool:
        """Whether SA-1B's terms were acknowledged: now, or when its sets were put behind the gate that is there."""
        gated = self.target.access is not None and self.target.access.gated is not None
        return self.accepts_terms or (gated and needs_gate(build.holding for build in self.current))


def inspect(options: PublishOptions, target: Target, workers: Workers, listener: Listener) -> Run:
    """Everything that can be found wrong before work begins.

    Raises:
        AsamDatasetsError: what `publish` stops at before it builds.
    """
    words = read_words(options)
    captions = given_captions(options)
    ids = None if options.ids is None else read_ids(options.ids)
    rejects = None if options.rejects is None else path_of(options.rejects).absolute()
    if rejects is not None and (rejects.is_dir() or not rejects.parent.is_dir()):
        raise TargetError("expected a file in a folder that exists", where=option("rejects", str(options.rejects)))
    validation = None if options.validation is None else read_validation(options.validation)
    choice = Options(captions, ids, options.parts, validation)
    archives = survey_archives(options, choice)
    if any(survey.index.notes for survey in archives):
        captions = canonical_captions(captions, [ref for survey in archives for ref in survey.index.records])
        choice = dataclasses.replace(choice, captions=captions)
    _check_archives(options, archives, captions, ids)
    check_listed(archives, validation)
    surveys = [*archives, *survey_sets(options, choice), *survey_samples(options, choice, archives)]
    for text in filter(None, (getattr(survey.recipe, "taken", "") for survey in surveys)):
        listener.on_stage(text)
    current = target.current()
    _check_names(options, surveys, current)
    surveys = with_licenses(options, surveys, {build.name: build for build in current})
    _check_kept(target, current, {survey.recipe.name for survey in surveys} | set(options.remove))
    run = Run(
        target=target,
        current=current,
        removed=frozenset(options.remove),
        captions=captions,
        options=choice,
        surveys=surveys,
        accepts_terms=options.accept_sa1b_terms,
        access=Access(private=True),
        words=words,
        bad=BadRecords(options.on_bad_record),
    )
    if options.repo_id is not None:
        run.access = _choose_access(options, run)
    if not options.no_captions:
        _carry_over(run, listener)
    if options.validation is None:
        _keep_split(run, listener)
    _find_unchanged(run, workers)
    _find_losses(run, workers, listener)
    run.card = find_card_changes(target, current, words)
    return run


def _check_kept(target: Target, current: Sequence[Build], named: Collection[str]) -> None:
    """What this run says nothing about stays visible, so it has to be there.

    Raises:
        TargetError: parts of it are gone.
    """
    for build in current:
        if build.name not in named and all(one.folder for one in target.candidates(build.name, current)):
            raise TargetError(
                f"expected all parts of {build.path}, which {README} shows, found some missing or of another size",
                where=target.url,
                hint=f"Give the source of {build.name} as well, which brings them back, or "
                f"{option('remove', build.name)}. Nothing was changed.",
            )


def _carry_over(run: Run, listener: Listener) -> None:
    """Captions that are visible, and that this run says nothing about, stay."""
    shown, published = run.target.shown(), run.published
    if shown is None:
        return
    carried: dict[str, str] = {}
    for survey in run.archives:
        build = published.get(survey.recipe.name)
        if build is not None and build.captions and survey.captions < (survey.rows or build.rows):
            run.before[build.name] = published_captions(shown, build, listener.on_stage)
            carried |= run.before[build.name]
    carried = {name: text for name, text in carried.items() if name not in run.captions}
    if carried:
        run.captions = {**carried, **run.captions}
        run.options = dataclasses.replace(run.options, captions=run.captions)
        run.surveys = [with_captions(survey, run.captions) for survey in run.surveys]


def _keep_split(run: Run, listener: Listener) -> None:
    """What is held out, and that this run says nothing about, stays so."""
    found = filter(None, [_held_out(run, survey.recipe.name, listener) for survey in run.archives])
    if files := frozenset().union(*(one.files for one in found)):
        run.options = dataclasses.replace(run.options, validation=Validation(files=files))


def _held_out(run: Run, name: str, listener: Listener) -> Validation | None:
    """Which images of what is visible under a name are held out; read once."""
    shown, build = run.target.shown(), run.published.get(name)
    if name not in run.held_out and shown is not None and build is not None:
        run.held_out[name] = published_split(shown, build, listener.on_stage)
    return run.held_out.get(name)


def _find_losses(run: Run, workers: Workers, listener: Listener) -> None:
    """What is visible and would go, as far as that is known before anything is built."""
    shown, published = run.target.shown(), run.published
    run.losses = [loss for name in sorted(run.removed & published.keys()) for loss in removal_losses(published[name])]
    for survey in run.surveys:
        name = survey.recipe.name
        build, found = published.get(name), run.unchanged.get(name)
        if build is None or shown is None or (found is not None and found.build.path == build.path):
            continue
        if name not in run.before and build.captions:
            run.before[name] = published_captions(shown, build, listener.on_stage)
        before, held_out = run.before.get(name, {}), _held_out(run, name, listener)
        run.losses += find_losses(survey, build, shown, before, held_out, run.options, workers, listener.on_stage)


def _check_archives(
    options: PublishOptions, archives: Sequence[Survey], captions: Mapping[str, str], ids: frozenset[int] | None
) -> None:
    streams = any(one.rows is None for one in archives)
    # Captions of a stream's images look unknown until it was read.
    check_together(
        [(one.recipe.label, one.all_ids) for one in archives],
        {} if streams else captions,
        BadRecords(options.on_bad_record),
    )
    if options.require_captions and not streams:
        chosen = (one.all_ids if ids is None else np.intersect1d(one.all_ids, sorted(ids)) for one in archives)
        caption_report(captions, [number for one in chosen for number in one.tolist()]).require_all()


def _find_unchanged(run: Run, workers: Workers) -> None:
    """Note what is published already, or left finished by a run that was killed."""
    for number, survey in enumerate(run.surveys):
        candidates = run.target.candidates(survey.recipe.name, run.current)
        if candidates:
            run.surveys[number] = survey = without_bad(survey, run.bad.policy, workers)
        built = find_unchanged(survey, run.options, candidates, run.bad, workers)
        if built is not None:
            run.unchanged[survey.recipe.name] = built


def make_plan(run: Run) -> Plan:
    """Say what the run will do."""
    published = run.published
    lines = [_planned(survey, run, published.get(survey.recipe.name)) for survey in run.surveys]
    given = {line.name for line in lines}
    for name, build in sorted(published.items()):
        if name not in given:
            state: State = "removed" if name in run.removed else "kept"
            lines.append(_line(build, state, "", build.path))
    changed = [line for line in lines if line.state in ("new", "replaced")]
    transfer = int(GROWTH * sum(line.size_bytes or 0 for line in changed)) if run.target.is_remote else 0
    return Plan(
        target=run.target.url,
        remote=run.target.is_remote,
        readers=run.target.readers(run.access),
        public=not run.access.private and run.target.access != run.access,
        destructive=run.target.replaces_foreign
        or bool(run.losses)
        or any(change.state == "lost" for change in run.card),
        losses=run.losses,
        card=run.card,
        licenses=_licenses(run),
        replaces_foreign=run.target.replaces_foreign,
        configs=[config.name for config in configs_of(line for line in lines if line.state != "removed")],
        builds=lines,
        transfer_bytes=None if run.has_streams and run.target.is_remote else transfer,
        missing_ids=[] if run.has_streams else missing_ids(run.options.ids, [one.all_ids for one in run.archives]),
        footprint=_footprint(run, lines) if run.target.is_remote else None,
        notes=[
            *(note for survey in run.surveys for note in survey.index.notes),
            *filter(None, (split_note(survey, run.options) for survey in run.surveys)),
        ],
    )


def _licenses(run: Run) -> list[str]:
    """What is new about licenses of archives, in words."""
    texts = []
    for survey in run.surveys:
        name, rights, before = survey.recipe.name, survey.recipe.rights, run.published.get(survey.recipe.name)
        if before is not None and before.rights != rights:
            texts.append(f"{name}: {before.rights.license} → {rights.license}")
        elif before is None and survey.recipe.kind != "evaluation":
            texts.append(f"{name}: {rights.license}" + ("; the option `license` names one" if rights == OWN else ""))
    return texts


def _footprint(run: Run, lines: Sequence[PlannedBuild]) -> Footprint:
    """What the run takes of the Hub. A build has a file beside its parts."""
    kept = [Load(one.size_bytes, (one.files or 0) + 1) for one in lines if one.state in ("kept", "unchanged")]
    sent = [
        Load(
            None if one.size_bytes is None else int((GROWTH if one.to_build else 1) * one.size_bytes),
            None if one.files is None else one.files + 1,
        )
        for one in lines
        if one.state in ("new", "replaced", "read first")
    ]
    gone = sum(build.size_bytes for build in run.current) - sum(load.size_bytes or 0 for load in kept)
    return footprint(kept, gone, sent, changes=bool(sent) or gone > 0, private=run.access.private)


def _planned(survey: Survey, run: Run, published: Build | None) -> PlannedBuild:
    recipe = survey.recipe
    path = published.path if published else None
    found = run.unchanged.get(recipe.name)
    if found is not None:
        return _line(found.build, _state(found.build, published), recipe.label, path)
    state: State = "replaced" if published else "new"
    if survey.rows is None and published:
        state = "read first"
    rows, known = survey.rows, survey.rows is not None
    files = run.options.parts or count_parts(rows, survey.size_bytes) if rows else (0 if known else None)
    return PlannedBuild(
        name=recipe.name,
        kind=recipe.kind,
        splits=(recipe.info.split,) if recipe.info else planned_splits(survey, run.options),
        state=state,
        to_build=True,
        source=recipe.label,
        rows=rows,
        files=files,
        size_bytes=survey.size_bytes if known else None,
        published=path,
    )


def _line(build: Build, state: State, label: str, path: str | None) -> PlannedBuild:
    """A build that exists already."""
    return PlannedBuild(
        name=build.name,
        kind=build.kind,
        splits=build.splits,
        state=state,
        to_build=False,
        source=label,
        rows=build.rows,
        files=len(build.parts),
        size_bytes=build.size_bytes,
        published=path,
        turned=build.turned,
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


def _check_names(options: PublishOptions, surveys: Sequence[Survey], current: Sequence[Build]) -> None:
    kinds: dict[str, Kind] = {build.name: build.kind for build in current if build.name not in options.remove}
    for survey in surveys:
        name, kind = survey.recipe.name, survey.recipe.kind
        if kinds.setdefault(name, kind) != kind:
            raise TargetError(
                f"expected an archive and an evaluation set of different names, found {name} twice",
                hint=f"Rename the archive, or take the other one out first: {option('remove')}.",
            )
    given = {survey.recipe.name for survey in surveys}
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
    if not given and not published:
        raise TargetError(
            f"expected a dataset whose card can be changed, found none, and no {option('train')} either",
            hint="Give the archives or sets that it shall have.",
        )
    if not given and not published - set(options.remove):
        raise TargetError(
            f"expected something to be left in the dataset, found that {option('remove')} takes all",
            where=option("remove"),
            hint="Delete the repository or the folder itself.",
        )
