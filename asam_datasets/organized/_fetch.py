"""Some images of a published dataset, by their ids, in the organised folder: see `asam_datasets.organized`.

What is written is what `export` writes for these images. The note that an unfinished archive has in its work folder
stays there: with it, a later `fetch` of other images of the same archive does not fetch again what is there already.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.machine import AnyPath, only_writer, path_of, write_atomically, write_errors
from asam_datasets.organized._archive import MISSING_IDS, check_target
from asam_datasets.organized._evaluation import plan_set
from asam_datasets.organized._fetch_archives import fetch_archives
from asam_datasets.organized._fetch_sets import fetch_samples, fetch_sets
from asam_datasets.organized._masks import MaskRange
from asam_datasets.organized._result import Fetched
from asam_datasets.progress import Listener
from asam_datasets.published import (
    AT_ONCE,
    Dataset,
    Found,
    RowFinder,
    check_at_once,
    groups_of,
    has_numbers,
    list_ids,
    open_dataset,
)
from asam_datasets.tables import Config

_SHOWN = 5

Id = int | str


@dataclass(frozen=True)
class _Chosen:
    """A config of an open dataset, and where the ids that are asked for may be in it."""

    dataset: Dataset
    config: Config[Build]
    ids: Sequence[Id]
    repeated: int
    found: Found

    def builds(self) -> list[Build]:
        """Those that may have any of the ids."""
        builds = {self.found.groups[number].build.path: self.found.groups[number].build for number in self.found.ids}
        return [builds[path] for path in sorted(builds)]


def fetch(
    dataset: AnyPath,
    ids: Iterable[Id] | Id | AnyPath,
    out: AnyPath,
    *,
    config: str | None = None,
    masks: str = "all",
    workers: int | None = None,
    at_once: int = AT_ONCE,
    revision: str | None = None,
    listener: Listener | None = None,
) -> Fetched:
    """Fetch images of a published dataset by their ids, without the others, into ASAM's organised folder.

    Of the Hub's bytes those are transferred that the images and their annotations take, a footer for each part that has
    some of them, and what shares a page with them. The files are those of `export`: of archives the originals,
    masks, conditioning images, and lists of the captions of all images that are in the folder; of evaluation sets
    `testdata/<id>/`, where a COCO file has the images of this call; of adversarial samples `adversarial/`.
    A stopped run goes on when it is called again; what is whole is not transferred again, also when other ids of the
    same dataset are fetched into the folder.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub.
        ids: image ids, or names of their files (`sa_226381.jpg`); or the path of a list of them, one a line or in JSON.
        out: the folder; made, continued, or completed. What is there already is never replaced. Ids that the dataset
            does not have are listed in `missing-ids.txt` there.
        config: a config of the dataset; `train` by default, as `load_dataset` takes it.
        masks: of archives: `all`, `none`, or a range of annotations such as `0:4`.
        workers: processes that write; one for each core where there is much to write, by default.
        at_once: row groups that are read at the same time, 1 to 64.
        revision: of the repository; `main` by default.
        listener: who follows the run.

    Raises:
        SourceError, RecordError, HubError: the ids or the dataset; finished images are kept.
        TargetError: `out` holds something else, is written by another process, or the disk is full.
    """
    listener, started, chosen_masks = listener or Listener(), time.monotonic(), MaskRange.from_text(masks)
    check_at_once(at_once)
    out = path_of(out)
    with only_writer(out), write_errors(out):
        listener.on_stage(f"Looking at {dataset} and {out}")
        opened = open_dataset(dataset, revision=revision, log=listener.on_stage)
        chosen, finder = _choose(opened, config, ids, at_once, listener.on_stage)
        kind, builds = chosen.config.kind, chosen.builds()
        plans = [plan_set(opened, build, listener.on_stage) for build in builds] if kind == "evaluation" else []
        archives = [(build.name, None) for build in builds] if kind == "train" else []
        check_target(out, archives, {plan.build.name: plan.files() for plan in plans})
        listener.on_total(len(chosen.ids))
        if kind == "train":
            done = fetch_archives(opened, chosen.found, chosen.ids, out, chosen_masks, workers, at_once, listener)
        elif kind == "evaluation":
            done = fetch_sets(finder, chosen.found, chosen.ids, plans, out, listener.on_records)
        else:
            done = fetch_samples(finder, chosen.found, chosen.ids, out, listener.on_records)
        missing = [one for one in chosen.ids if one in done.missing]
        listed = _list_missing(out, missing)
    return Fetched(
        out=str(out),
        config=chosen.config.name,
        asked=len(chosen.ids),
        repeated=chosen.repeated,
        images=done.images,
        fetched=done.fetched,
        captions=done.captions,
        missing=len(missing),
        first_missing=[str(one) for one in missing[:_SHOWN]],
        missing_ids=None if listed is None else str(listed),
        seconds=time.monotonic() - started,
    )


def _choose(
    dataset: Dataset, config: str | None, ids: Iterable[Id] | Id | AnyPath, at_once: int, log: Callable[[str], None]
) -> tuple[_Chosen, RowFinder]:
    """Find out where the images are.

    Raises:
        SourceError: no such config, no such ids, or their images were not published.
    """
    chosen = dataset.config(config)
    listed = list_ids(chosen, ids)
    finder = RowFinder(dataset.published.location, numbers=has_numbers(chosen), at_once=at_once, log=log)
    found = finder.find(groups_of(dataset, chosen), listed.ids)
    asked = _Chosen(dataset, chosen, listed.ids, listed.repeated, found)
    bare = [build.name for build in asked.builds() if not build.images]
    if bare:
        raise SourceError(
            f"expected images, found only annotations of {', '.join(bare[:_SHOWN])}",
            where=f"{dataset.published.url}: {chosen.name}",
            hint=f"Leave their ids out, or name another {option('config')}: they were published without their images.",
        )
    return asked, finder


def _list_missing(out: Path, missing: Sequence[Id]) -> Path | None:
    """Write the list of the ids that are not there; without any, remove that of an earlier call."""
    path = out / MISSING_IDS
    if not missing:
        path.unlink(missing_ok=True)
        return None
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, "".join(f"{one}\n" for one in missing).encode())
    return path
