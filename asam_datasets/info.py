"""What a published dataset holds, out of its README and its index: nothing else of it is read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asam_datasets.builds import MEASURES, Build
from asam_datasets.machine import AnyPath
from asam_datasets.progress import Listener
from asam_datasets.published import README, open_dataset
from asam_datasets.release import Counted, column_bytes, title_of
from asam_datasets.rights import Redistributable
from asam_datasets.tables import Config, Kind, configs_of

__all__ = ["ConfigInfo", "Histogram", "Info", "LicenseInfo", "StatisticsInfo", "info"]


@dataclass(frozen=True)
class ConfigInfo:
    """One config: rows by split; `size_bytes` is what its columns take, which is what a reader of all of it fetches."""

    name: str
    kind: Kind
    rows: Mapping[str, int]
    masks: int
    captions: int
    columns: Sequence[str]
    size_bytes: int


@dataclass(frozen=True)
class LicenseInfo:
    """One license, and the archives and sets under it. `without_images` counts those whose images are not published."""

    name: str
    link: str
    redistributable: Redistributable
    names: Sequence[str]
    without_images: int


@dataclass(frozen=True)
class Histogram:
    """Counts of `of` (images or masks) in bins, each with its label; all bins, in order."""

    title: str
    of: str
    bins: Sequence[tuple[str, int]]


@dataclass(frozen=True)
class StatisticsInfo:
    """Statistics of one kind of table: of `counted` builds out of `of`, because earlier releases had none.

    `categories` are masks by category, the most frequent first; `more_categories` counts those that are not listed.
    """

    kind: Kind
    counted: int
    of: int
    histograms: Sequence[Histogram]
    categories: Mapping[str, int]
    more_categories: int


@dataclass(frozen=True)
class Info:
    """What a dataset holds. `commit` is the one that was read; None for a folder."""

    dataset: str
    commit: str | None
    title: str
    rows: int
    masks: int
    captions: int
    size_bytes: int
    parts: int
    archives: int
    evaluation_sets: int
    configs: Sequence[ConfigInfo]
    licenses: Sequence[LicenseInfo]
    statistics: Sequence[StatisticsInfo]
    seconds: float


def info(dataset: AnyPath, *, revision: str | None = None, listener: Listener | None = None) -> Info:
    """Say what a published dataset holds.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub.
        revision: of the repository; `main` by default.
        listener: who follows the run.

    Raises:
        SourceError: no such dataset.
        HubError: the Hub refused, or was not reached.
    """
    listener, started = listener or Listener(), time.monotonic()
    opened = open_dataset(dataset, revision=revision, log=listener.on_stage)
    builds = opened.builds
    readme = opened.published.read(README) or b""
    kinds: tuple[Kind, ...] = ("train", "evaluation", "adversarial")
    by_kind = {kind: [build for build in builds if build.kind == kind] for kind in kinds}
    return Info(
        dataset=opened.published.url,
        commit=opened.published.location.commit,
        title=title_of(readme.decode("utf-8", "replace")),
        rows=sum(build.rows for build in builds),
        masks=sum(build.annotations for build in builds),
        captions=sum(build.captions for build in builds),
        size_bytes=sum(build.size_bytes for build in builds),
        parts=sum(len(build.parts) for build in builds),
        archives=len(by_kind["train"]),
        evaluation_sets=len(by_kind["evaluation"]),
        configs=[_config(config) for config in configs_of(builds)],
        licenses=_licenses(builds),
        statistics=[_statistics(kind, some) for kind, some in by_kind.items() if some],
        seconds=time.monotonic() - started,
    )


def _config(config: Config[Build]) -> ConfigInfo:
    return ConfigInfo(
        name=config.name,
        kind=config.kind,
        rows={split: sum(build.in_split(split).rows for build in builds) for split, builds in config.splits.items()},
        masks=sum(build.annotations for build in config.builds),
        captions=sum(build.captions for build in config.builds),
        columns=config.columns,
        size_bytes=sum(column_bytes(build, config.columns) for build in config.builds),
    )


def _licenses(builds: Sequence[Build]) -> list[LicenseInfo]:
    found: dict[tuple[str, str, Redistributable], list[Build]] = {}
    for build in sorted(builds, key=lambda build: build.name):
        found.setdefault((build.rights.license, build.rights.link, build.rights.redistributable), []).append(build)
    return [
        LicenseInfo(*rights, [build.name for build in some], sum(not build.images for build in some))
        for rights, some in sorted(found.items())
    ]


def _statistics(kind: Kind, builds: Sequence[Build]) -> StatisticsInfo:
    counted = Counted.of_builds(builds)
    statistics = counted.statistics
    histograms = [
        Histogram(measure.title, measure.of, list(zip(measure.labels, statistics.bins(name), strict=True)))
        for name, measure in MEASURES.items()
        if statistics.total(name)
    ]
    ranked = sorted(statistics.categories.items(), key=lambda item: (-item[1], item[0]))
    return StatisticsInfo(kind, counted.builds, counted.of, histograms, dict(ranked), statistics.others[0])
