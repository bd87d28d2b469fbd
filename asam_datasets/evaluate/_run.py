"""The run of an evaluation, in one process or several: see `asam_datasets.evaluate`. Loads torch."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from asam_datasets import __version__
from asam_datasets.evaluate._model import Predictor, load_predictor
from asam_datasets.evaluate._options import EvaluateOptions, Settings
from asam_datasets.evaluate._paper import is_fine
from asam_datasets.evaluate._plan import EvaluatedSet, choose_sets, remaining, revision_of, share
from asam_datasets.evaluate._ranks import Ranks, open_ranks
from asam_datasets.evaluate._results import Evaluation, check_targets, sheet_file, summarize, write_results
from asam_datasets.evaluate._samples import Recipe, load_samples
from asam_datasets.evaluate._score import score_sample
from asam_datasets.evaluate._state import ImageScore, Key, appending, join_states, read_states, state_file
from asam_datasets.evaluate._worst import choose_worst, draw_worst
from asam_datasets.models import choose_device
from asam_datasets.progress import Listener
from asam_datasets.published import Dataset, Location, open_dataset

_VERSIONS = ("torch", "transformers", "numpy", "Pillow", "rlemasklib", "simplejpeg")


def run(dataset: str, out: Path, options: EvaluateOptions, listener: Listener) -> Evaluation:
    """See `evaluate`."""
    check_targets(out, draws=bool(options.worst))
    listener.on_stage(f"Looking at {dataset}")
    opened = open_dataset(dataset, revision=options.revision, log=listener.on_stage)
    sets = choose_sets(opened, options.configs, options.rows, listener.on_stage)
    with open_ranks() as ranks:
        device = _device_of(options.device, ranks)
        with _threads(options.threads if device.type == "cpu" else None):
            listener.on_stage("Loading the model")
            predictor = load_predictor(options, device)
            settings = _settings(opened, predictor, options)
            scores = _score(sets, out, ranks, predictor, settings, options, opened.published.location, listener)
            evaluation = summarize(sets, scores, settings)
            if ranks.rank == 0:
                join_states(out, settings, scores)
                write_results(out, evaluation)  # before the sheet, which is ours where they are
                _draw(sets, scores, out, predictor, options, opened.published.location, listener)
            ranks.gather(None)  # only now is each line somewhere else too
            if ranks.rank:
                state_file(out, ranks.rank).unlink(missing_ok=True)
    return evaluation


def _score(
    sets: Sequence[EvaluatedSet],
    out: Path,
    ranks: Ranks,
    predictor: Predictor,
    settings: Settings,
    options: EvaluateOptions,
    location: Location,
    listener: Listener,
) -> dict[Key, ImageScore]:
    """The scores of all images, of this run and of those before it."""
    scores = read_states(out, settings)
    # All have read before one begins to write; on one disk all have read the same.
    if len(set(ranks.gather(hashlib.sha256(repr(sorted(scores)).encode()).hexdigest()))) > 1:
        for found in ranks.gather(scores):
            scores = {**found, **scores}
    left = remaining(sets, scores.keys())
    mine = list(share(left, ranks.rank, ranks.world_size))
    total = sum(one.rows.stop - one.rows.start for one in sets)
    todo = sum(len(piece.rows) for piece in left)
    if todo < total:
        listener.on_stage(f"{total - todo:,} of {total:,} images are scored already")
    listener.on_total(sum(len(piece.rows) for piece in mine))
    samples = load_samples(mine, location, _recipe(predictor, options), workers=options.workers, log=listener.on_stage)
    new: dict[Key, ImageScore] = {}
    with appending(out, ranks.rank, settings) as lines:
        for sample in samples:
            score = score_sample(
                predictor,
                sample,
                candidates=options.protocol == "center-point",
                boundaries=is_fine(sample.config),
            )
            lines.write(score)
            new[score.key] = score
            listener.on_records(1)
    for found in ranks.gather(new):
        scores |= found
    return scores


def _draw(
    sets: Sequence[EvaluatedSet],
    scores: dict[Key, ImageScore],
    out: Path,
    predictor: Predictor,
    options: EvaluateOptions,
    location: Location,
    listener: Listener,
) -> None:
    worst = choose_worst(sets, scores, options.worst)
    if worst:
        draw_worst(
            sheet_file(out),
            worst,
            sets,
            predictor=predictor,
            recipe=_recipe(predictor, options),
            candidates=options.protocol == "center-point",
            location=location,
            log=listener.on_stage,
        )


def _recipe(predictor: Predictor, options: EvaluateOptions) -> Recipe:
    return Recipe(predictor.size, options.protocol, options.points, options.seed, options.max_masks)


def _device_of(wanted: str, ranks: Ranks) -> torch.device:
    """The device of this rank: ranks of a machine take one GPU each."""
    device = choose_device(wanted)
    if device.type == "cuda" and wanted in ("auto", "cuda") and ranks.world_size > 1:
        device = choose_device(f"cuda:{os.environ.get('LOCAL_RANK', ranks.rank)}")
    return device


def _settings(dataset: Dataset, predictor: Predictor, options: EvaluateOptions) -> Settings:
    device = predictor.device
    versions = {name: importlib.metadata.version(name) for name in _VERSIONS}
    return Settings(
        dataset=dataset.published.url,
        revision=revision_of(dataset),
        model=predictor.name,
        model_revision=predictor.revision,
        checkpoint=predictor.checkpoint,
        protocol=options.protocol,
        points=options.points,
        seed=options.seed,
        max_masks=options.max_masks,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        dtype=options.dtype,
        threads=options.threads if device.type == "cpu" else None,
        versions={"asam_datasets": __version__, **versions},
    )


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Calculate with so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
