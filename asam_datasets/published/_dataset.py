"""A published dataset as its readers see it: which builds a README shows, and which parts a config is made of.

What is visible follows from the README's YAML alone, as for every reader.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, option
from asam_datasets.machine import AnyPath, text_of
from asam_datasets.published._layout import README, NoDatasetError
from asam_datasets.published._location import Published, open_published
from asam_datasets.published._part import GroupReader, PartFile
from asam_datasets.published._visible import visible_builds
from asam_datasets.tables import Config, configs_of

_HINT = f"Give what `publish` was given as {option('out')} or {option('repo_id')}."


@dataclass(frozen=True)
class Dataset:
    """A published dataset and what it shows; names of builds and of their parts are safe as names of files."""

    published: Published
    builds: tuple[Build, ...]

    def parts(self, build: Build) -> list[PartFile]:
        """The parts of a build, for workers."""
        where = f"{self.published.url}: {build.folder}"
        location = self.published.location
        return [PartFile.from_manifest(location, build, part, f"{where}/{part.file}") for part in build.parts]

    def config(self, name: str | None = None) -> Config[Build]:
        """What a config shows: a view of the archives (`train`, `sam`, ...), a set by its id, or `evaluation`; without
        a name the default one, as `load_dataset` takes it.

        Raises:
            SourceError: the dataset has no such config; the message lists those that it has.
        """
        configs = {config.name: config for config in configs_of(self.builds)}
        if name is None:
            name = next(iter(configs), "")
        if name not in configs:
            near = get_close_matches(name, configs, n=1)
            raise SourceError(
                f"expected one of the configs {', '.join(configs)}, found {name!r}",
                where=self.published.url,
                hint=f"Did you mean {near[0]}?" if near else "Name one of those.",
            )
        return configs[name]


def one_split(config: Config[Build], split: str | None, where: str) -> Config[Build]:
    """One split of a config, with the parts of that alone; without a name the first.

    Raises:
        SourceError: the config has no such split.
    """
    name = split or next(iter(config.splits))
    if name not in config.splits:
        raise SourceError(
            f"expected one of the splits {', '.join(config.splits)} of {config.name}, found {name!r}",
            where=where,
            hint="Name one of those.",
        )
    builds = tuple(build.in_split(name) for build in config.splits[name])
    return dataclasses.replace(config, splits={name: builds})


def open_dataset(
    location: AnyPath, *, revision: str | None = None, log: Callable[[str], None] = lambda text: None
) -> Dataset:
    """Find out which builds a published dataset shows.

    Args:
        location: a folder made by `publish`, or a repository id on the Hub.
        revision: branch, tag or commit on the Hub; `main` by default. One commit is read from first to last.
        log: gets a line when something is tried again.

    Raises:
        SourceError: nothing is there, or no dataset of ours.
        TargetError: `ASAM_DATASETS_WAITS` is not a list of pauses.
        HubError: the Hub refused, or was not reached.
    """
    try:
        published = open_published(text_of(location), revision, log)
        visible = visible_builds(published)
    except NoDatasetError as error:  # it speaks to publishers
        raise SourceError(
            f"expected a dataset made by asam_datasets, found {error.found}", where=error.where, hint=_HINT
        ) from None
    if visible is None:
        raise SourceError(
            f"expected a dataset made by asam_datasets, found no {README}", where=published.url, hint=_HINT
        )
    return Dataset(published, visible.builds)


def published_rows(
    shown: Published, build: Build, columns: Sequence[str], log: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """Some columns of all rows of a build, in order; meant for small ones.

    Raises:
        SourceError: a part is damaged.
        HubError: the Hub refused, or was not reached.
    """
    reader = GroupReader(shown.location, log)
    for part in Dataset(shown, (build,)).parts(build):
        for group in range(len(part.row_groups)):
            yield from reader.read(part, group, columns).to_pylist()


def chosen_columns(dataset: Dataset, config: Config[Any], columns: Sequence[str] | None) -> tuple[str, ...]:
    """The columns that were asked for, each once; all of the config by default.

    Raises:
        SourceError: the config has no such column, or none was asked for.
    """
    names = (columns,) if isinstance(columns, str) else None if columns is None else tuple(columns)
    unknown = [name for name in names or () if name not in config.columns]
    if unknown or (names is not None and not names):
        raise SourceError(
            f"expected some of the columns {', '.join(config.columns)}, found {', '.join(unknown) or 'none'}",
            where=f"{dataset.published.url}: {config.name}",
            hint="Name columns of this config, or another config.",
        )
    return tuple(dict.fromkeys(names or config.columns))
