"""What a publish is made from: every source is opened and looked over, once."""

from __future__ import annotations

from collections.abc import Sequence

from asam_datasets.builds import (
    AdversarialRecipe,
    ArchiveRecipe,
    EvaluationRecipe,
    Options,
    Survey,
    choose_parts,
    count_held_out,
    find_originals,
    look_over,
)
from asam_datasets.errors import SourceError, option
from asam_datasets.machine import path_of, paths_of, texts_of
from asam_datasets.publish._options import PublishOptions
from asam_datasets.sources import AdversarialSource, read_captions
from asam_datasets.sources.evaluation import EvaluationSource, load_catalog, parse_evaluation
from asam_datasets.sources.sa1b import find_captions, open_archives, split_name


def given_captions(options: PublishOptions) -> dict[str, str]:
    """The captions of the files that are given; or of those that lie beside organised folders, if none are.

    Raises:
        CaptionsError: as `read_captions`.
    """
    if options.no_captions:
        return {}
    beside = [file for location in texts_of(options.train) for file in find_captions(split_name(location)[1])]
    return read_captions(paths_of(options.captions) or beside)


def survey_archives(options: PublishOptions, choice: Options) -> list[Survey]:
    """Open the archives and find their records.

    Raises:
        SourceError, RecordError: an archive cannot be used, or two have one name, or one has fewer records than parts
            are asked for.
    """
    surveys = []
    for source in open_archives(texts_of(options.train)):
        recipe = ArchiveRecipe(source, images=source.name not in options.annotations_only)
        survey = look_over(recipe, choice, options.on_bad_record)
        held_out = count_held_out(survey.index.refs or (), choice.validation)
        if survey.rows and held_out < survey.rows:
            choose_parts(survey.rows - held_out, survey.size_bytes, choice.parts, survey.recipe.label)
        surveys.append(survey)
    return surveys


def survey_sets(options: PublishOptions, choice: Options) -> list[Survey]:
    """Open the evaluation sets and find their images.

    Raises:
        CatalogError, SourceError, RecordError: as `asam_datasets.sources.evaluation`; or one is given twice.
    """
    catalog = load_catalog(paths_of(options.catalog)) if options.evaluation else {}
    sources: dict[str, EvaluationSource] = {}
    for text in options.evaluation:
        source = parse_evaluation(text, catalog, protocol=options.protocol)
        if source.name in sources:
            raise SourceError(
                f"expected each evaluation set once, found {source.label} and {sources[source.name].label}",
                where=option("evaluation"),
                hint="Give it once; variants of a set have one name and replace each other.",
            )
        sources[source.name] = source
    only = options.annotations_only
    recipes = [EvaluationRecipe(source, images=name not in only) for name, source in sources.items()]
    return [look_over(recipe, choice, options.on_bad_record) for recipe in recipes]


def survey_samples(options: PublishOptions, choice: Options, archives: Sequence[Survey]) -> list[Survey]:
    """Open the adversarial samples, and find them and their originals; none where none were given.

    Raises:
        SourceError, RecordError: as `AdversarialSource`; or the originals would come out of a stream.
    """
    if options.adversarial is None:
        return []
    recipe = AdversarialRecipe(AdversarialSource(path_of(options.adversarial)), find_originals(archives))
    if recipe.name in options.annotations_only:
        recipe = AdversarialRecipe(recipe.source, recipe.originals, images=False)
    return [look_over(recipe, choice, options.on_bad_record)]
