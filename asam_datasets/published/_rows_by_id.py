"""`rows`: records of a published dataset by the ids of their images, for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from asam_datasets.errors import SourceError, option
from asam_datasets.machine import AnyPath
from asam_datasets.published._by_id import AT_ONCE, RowFinder, groups_of, has_numbers
from asam_datasets.published._dataset import chosen_columns, open_dataset
from asam_datasets.sources import ListedIds, given_entries, number_ids, text_ids
from asam_datasets.tables import Config

_MOST_AT_ONCE = 64


class Rows(Iterator[dict[str, Any]]):
    """Records of a dataset in the order of their ids; made by `rows`.

    A record is a dict of the columns, as the rows of `datasets` with images that are not decoded
    (`{"bytes": ..., "path": ...}`). An id of several records (of the config `evaluation`, or of a set of phrases) gives
    all of them, in the order of the dataset. When all records have been given, `missing` has the ids that are not in
    the dataset, in their order.
    """

    def __init__(self, records: Callable[[list[int | str]], Iterator[dict[str, Any]]], repeated: int) -> None:
        self.repeated = repeated
        self.missing: list[int | str] = []
        self._records = records(self.missing)

    def __next__(self) -> dict[str, Any]:
        return next(self._records)


def rows(
    dataset: AnyPath,
    ids: Iterable[int | str] | int | AnyPath,
    columns: Sequence[str] | None = None,
    *,
    config: str | None = None,
    revision: str | None = None,
    at_once: int = AT_ONCE,
    log: Callable[[str], None] = lambda text: None,
) -> Rows:
    """Give records by the ids of their images, from a folder or straight from the Hub, where nothing else is fetched
    but what shares a page with them.

    At most about 128 MiB of records are held.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub.
        ids: image ids, or names of their files (`sa_226381.jpg`); or the path of a list of them, one a line or in JSON.
            Of evaluation sets: the ids of their sources, or file names as the dataset has them. One that comes again is
            passed over, and counted in `repeated`.
        columns: of the config; the others are not fetched. All by default.
        config: a config of the dataset; `train` by default, as `load_dataset` takes it.
        revision: branch, tag or commit on the Hub; `main` by default. One commit is read from first to last.
        at_once: row groups that are read at the same time, 1 to 64.
        log: gets a line when something is tried again, from any thread.

    Raises:
        SourceError: no such dataset, config or column, or no such ids; or, while it iterates, a damaged part.
        HubError: the Hub refused, or was not reached.
    """
    check_at_once(at_once)
    opened = open_dataset(dataset, revision=revision, log=log)
    chosen = opened.config(config)
    listed = list_ids(chosen, ids)
    names = chosen_columns(opened, chosen, columns)
    numbers = has_numbers(chosen)
    finder = RowFinder(opened.published.location, numbers=numbers, at_once=at_once, log=log)
    found = finder.find(groups_of(opened, chosen), listed.ids)

    def records(missing: list[int | str]) -> Iterator[dict[str, Any]]:
        for one, there in finder.read(found, listed.ids, names):
            if not there:
                missing.append(one)
            yield from (row.values for row in there)

    return Rows(records, listed.repeated)


def list_ids(config: Config[Any], ids: Iterable[int | str] | int | AnyPath) -> ListedIds:
    """The ids that are asked for, as the tables of a config have them.

    Raises:
        SourceError: there are none, or something is no such id.
    """
    entries = given_entries(ids)
    return number_ids(entries) if has_numbers(config) else text_ids(entries)


def check_at_once(at_once: int) -> None:
    """Check a number of reads at the same time.

    Raises:
        SourceError: it is none.
    """
    if not 1 <= at_once <= _MOST_AT_ONCE:
        raise SourceError(f"expected 1 to {_MOST_AT_ONCE}, found {at_once!r}", where=option("at_once"))
