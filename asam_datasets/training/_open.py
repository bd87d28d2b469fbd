"""Open a stream: the dataset, the config, what of it is wanted, and the place of this process among the ranks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch.distributed
from numpy.typing import NDArray

from asam_datasets.builds import Build
from asam_datasets.errors import SourceError, StreamError, option
from asam_datasets.machine import AnyPath
from asam_datasets.published import Dataset, Location, chosen_columns, has_numbers, one_split, open_dataset
from asam_datasets.tables import ADVERSARIAL_NAME, TABLES, Config, arrow_schema
from asam_datasets.training._fetch import Group, Partners
from asam_datasets.training._filter import ELEMENT, Filter, select_rows
from asam_datasets.training._numbers import is_whole
from asam_datasets.training._order import LANES, Ends, Kind, Ordering
from asam_datasets.training._pairs import pair_rows
from asam_datasets.training._stream import LOG, Stream, StreamPlan

_MOST_AHEAD = 64
_SUCH_AS = {"config": "sam", "split": "validation", "revision": "main"}
_WINDOW = {"window": 8, "global": 1}
"""Row groups that are mixed with each other if nothing is said; the global order mixes its lanes anyway."""


def open_stream(
    dataset: AnyPath,
    config: str = "sam",
    *,
    split: str | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    seed: int = 0,
    window: int | None = None,
    ends: Ends = "exact",
    order: Kind = "window",
    batch_size: int | None = None,
    where: Filter | None = None,
    pairs: bool = False,
    columns: Iterable[str] | None = None,
    transform: Callable[[dict[str, Any]], Any] | None = None,
    revision: str | None = None,
    read_ahead: int = 1,
) -> Stream:
    """Stream a published dataset into a training job, from a folder or straight from the Hub.

    Every record comes exactly once an epoch over all ranks and their workers. Seed and epoch decide the order, with
    the numbers of ranks and of workers. A worker holds at most `window` + 1 + `read_ahead`
    row groups (each at most 32 MiB).

    With `order="global"` the batches number `k` of all ranks together are the same records for any number of ranks
    (that divides 128) and of workers, as long as the ranks' batches together have the same size: for a job whose losses
    must not depend on the cluster. One record of each of 128 lanes in turn, and a lane, a 128th of the dataset with its
    row groups in another order each epoch, is mixed by itself. So with fewer than about 128 row groups (of at most
    32 MiB) a record is mostly followed by one shortly after it in the dataset, whatever the window is. With fewer than
    13 ranks a rank has more row groups open than fit into memory, so images are read one by one, and with workers each
    of them reads the small columns of the rank's row groups.

    Args:
        dataset: a folder made by `publish`, or a repository id on the Hub.
        config: a config of the dataset: `train`, `controlnet`, `sam`, an evaluation set.
        split: of the config, such as `validation`; the first one, mostly `train`, if not given.
        rank: of this process; from `torch.distributed`, or torchrun's environment, if not given.
        world_size: number of ranks; as `rank`, which has to be known if there are several.
        seed: of the order.
        window: row groups that are mixed with each other, 8 if not given; 0 gives the records in the order of the
            dataset. In the global order, row groups of each of its 128 lanes, 1 if not given.
        ends: when the ranks do not divide the records: `exact` gives some ranks one more (a collective operation per
            batch then waits for ever at the end), `drop` leaves some out of the epoch, `pad` repeats some and marks
            them (`padding`). What happens is said to the logger `asam_datasets.training`.
        order: `window`, or `global`.
        batch_size: of this rank's loader; needed for `order="global"` with workers.
        where: which records are wanted; of the others no images are fetched. What decides is read when the stream is
            opened: some small columns, by each rank.
        pairs: for the config `adversarial`: each record has its `original`, the record of the config `sam` that it was
            made from; those whose original is not in the dataset are left out.
        columns: of the config, or fields of its annotations (`annotations.area`, and `columns` of `SamOptions`); the
            others are not fetched. All by default.
        transform: what becomes of a record, in the worker, such as `partial(sam_sample, options=...)`.
        revision: branch, tag or commit on the Hub; `main` by default. One commit is read from first to last.
        read_ahead: row groups that a worker reads at once before they are needed; more are for slow connections.

    Raises:
        SourceError: no such dataset, config or column; or nothing passes the filter.
        StreamError: an argument is out of range.
        HubError: the Hub refused, or was not reached.
    """
    _check_kinds(where, transform, config=config, split=split, revision=revision)
    names = _names(columns)
    rank, world_size = _place_of_process(rank, world_size)
    _check(rank, world_size, seed=seed, window=window, ends=ends, order=order, batch_size=batch_size)
    _check_read_ahead(read_ahead)
    opened = open_dataset(dataset, revision=revision, log=LOG.warning)
    location = opened.published.location
    found = one_split(opened.config(config), split, opened.published.url)
    groups = _groups(opened, found)
    rows = None if where is None else _chosen(where, groups, found, location)
    rows, partners = _pair(opened, found, groups, rows) if pairs else (rows, None)
    plan = StreamPlan(
        name=_name(opened, config, split),
        location=location,
        groups=groups,
        columns=_columns(opened, found, names),
        rank=rank,
        world_size=world_size,
        ordering=Ordering(seed, _WINDOW[order] if window is None else window, ends, order, batch_size),
        rows=rows,
        partners=partners,
        read_ahead=read_ahead,
    )
    _check_total(plan)
    return Stream(plan, transform)


def _chosen(
    where: Filter, groups: Sequence[Group], config: Config[Build], location: Location
) -> tuple[NDArray[np.int64], ...]:
    """The rows of each row group that pass."""
    return select_rows(where, groups, _fields(config), has_numbers(config), location, LOG.warning)


def _pair(
    opened: Dataset, found: Config[Build], groups: Sequence[Group], rows: Sequence[NDArray[np.int64]] | None
) -> tuple[tuple[NDArray[np.int64], ...], Partners]:
    """The samples whose originals are there, in whatever split, and where those are."""
    _check_pairs(found, opened)
    originals = opened.config("sam")
    location = opened.published.location
    return pair_rows(groups, rows, _groups(opened, originals), originals.columns, location, LOG.warning)


def _name(opened: Dataset, config: str, split: str | None) -> str:
    """What messages and states call the stream."""
    commit = opened.published.location.commit
    return " ".join([f"{opened.published.url}: {config}", *filter(None, [split, commit and f"at {commit}"])])


def _groups(opened: Dataset, config: Config[Build]) -> tuple[Group, ...]:
    """The row groups of a config."""
    return tuple(
        Group(part, number)
        for build in config.builds
        for part in opened.parts(build)
        for number in range(len(part.row_groups))
    )


def _names(columns: Iterable[str] | None) -> tuple[str, ...] | None:
    """The names of columns that were asked for, if any were; a single text is one."""
    if columns is None:
        return None
    given = (columns,) if isinstance(columns, str) else columns
    names: tuple[object, ...] = tuple(given) if isinstance(given, Iterable) else (given,)
    for one in names:
        if not isinstance(one, str):
            raise StreamError(
                f"expected names of columns, found {one!r:.80}",
                where="columns",
                hint='Such as columns=["image_id", "image"], or the `columns` of SamOptions.',
            )
    return tuple(map(str, names))


def _columns(opened: Dataset, config: Config[Build], asked: Sequence[str] | None) -> tuple[str, ...]:
    """The columns that were asked for, or all; in Parquet's words, which fields have names in.

    Raises:
        SourceError: there is none of that name.
    """
    known = [f"annotations.{name}" for name in (_fields(config) if "annotations" in config.columns else ())]
    chosen = chosen_columns(opened, config, asked and ["annotations" if name in known else name for name in asked])
    if not asked or "annotations" in asked:
        return chosen
    fields = dict.fromkeys(ELEMENT + name.removeprefix("annotations.") for name in asked if name in known)
    return (*(name for name in chosen if name != "annotations"), *fields)


def _fields(config: Config[Build]) -> tuple[str, ...]:
    """The fields of the annotations of a config's table."""
    schema = arrow_schema(TABLES[config.kind].columns)
    return tuple(field.name for field in schema.field("annotations").type.value_type)


def _check_pairs(config: Config[Build], opened: Dataset) -> None:
    if config.kind != "adversarial":
        raise StreamError(
            f"expected the config {ADVERSARIAL_NAME}, found {config.name}",
            where=option("pairs", "True"),
            hint="Only adversarial samples have originals.",
        )
    if not any(build.kind == "train" for build in opened.builds):
        raise SourceError("expected archives with the originals, found none", where=opened.published.url)


def _place_of_process(rank: int | None, world_size: int | None) -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        rank = torch.distributed.get_rank() if rank is None else rank
        world_size = torch.distributed.get_world_size() if world_size is None else world_size
    rank = _from_environment("RANK") if rank is None else rank
    world_size = _from_environment("WORLD_SIZE") if world_size is None else world_size
    world_size = 1 if world_size is None else world_size
    if rank is None and is_whole(world_size) and world_size > 1:
        of_slurm = "SLURM_PROCID" in os.environ
        told = 'rank=int(os.environ["SLURM_PROCID"])' if of_slurm else "`rank`, the number of this process"
        raise StreamError(
            f"expected the rank of this process among {world_size}, found none",
            where="rank",
            hint=f"Give {told}; or start the job with torchrun, or `torch.distributed` before this.",
        )
    return rank or 0, world_size


def _from_environment(name: str) -> int | None:
    """A number that torchrun tells each process, if there is one."""
    text = os.environ.get(name)
    try:
        return None if text is None else int(text)
    except ValueError:
        raise StreamError(
            f"expected a whole number in the environment, found {text!r:.80}",
            where=name,
            hint="Correct the variable, or give `rank` and `world_size`.",
        ) from None


def _check_kinds(where: object, transform: object, **texts: object) -> None:
    for name, text in texts.items():
        if not isinstance(text, str) and (text is not None or name == "config"):
            hint = f'Such as {name}="{_SUCH_AS[name]}".'
            raise StreamError(f"expected a text, found {text!r:.80}", where=name, hint=hint)
    if where is not None and not isinstance(where, Filter):
        problem, hint = f"expected a Filter, found {where!r:.80}", "Such as where=Filter(min_masks=3)."
        raise StreamError(problem, where="where", hint=hint)
    if transform is not None and not callable(transform):
        raise StreamError(
            f"expected a function of a record, found {transform!r:.80}",
            where="transform",
            hint="Such as transform=partial(sam_sample, options=SamOptions()), with `partial` of functools.",
        )


def _check_total(plan: StreamPlan) -> None:
    """Refuse a filter that lets nothing through, and tell what becomes of what the ranks do not divide."""
    total = int(plan.sizes.sum())
    if not total and plan.groups and plan.rows is not None:
        raise SourceError("expected records that pass the filter, found none", where=plan.name, hint="Ask for less.")
    if total % plan.world_size and plan.rank == 0:
        LOG.warning("%s: %s", plan.name, _uneven(total, plan.world_size, plan.ordering.ends))


def _check(
    rank: int, world_size: int, *, seed: int, window: int | None, ends: str, order: str, batch_size: int | None
) -> None:
    window, batch_size = 1 if window is None else window, 1 if batch_size is None else batch_size
    numbers = {"world_size": world_size, "rank": rank, "seed": seed, "window": window, "batch_size": batch_size}
    for where, number in numbers.items():
        if not is_whole(number):
            raise StreamError(f"expected a whole number, found {number!r}", where=where, hint="Correct the argument.")
    for where, good, expected, given in (
        ("world_size", world_size >= 1, "at least 1 rank", world_size),
        ("rank", 0 <= rank < world_size, f"a rank of 0 to {world_size - 1}", rank),
        ("seed", seed >= 0, "a seed of 0 or more", seed),
        ("window", window >= 0, "0 row groups or more", window),
        ("ends", ends in ("exact", "drop", "pad"), "exact, drop or pad", ends),
        ("order", order in ("window", "global"), "window or global", order),
        ("batch_size", batch_size >= 1, "1 record or more", batch_size),
        ("world_size", order != "global" or LANES % world_size == 0, f"ranks that divide {LANES}", world_size),
    ):
        if not good:
            raise StreamError(f"expected {expected}, found {given!r}", where=where, hint="Correct the argument.")


def _check_read_ahead(read_ahead: int) -> None:
    if not is_whole(read_ahead) or not 1 <= read_ahead <= _MOST_AHEAD:
        raise StreamError(
            f"expected 1 to {_MOST_AHEAD} row groups, found {read_ahead!r}",
            where="read_ahead",
            hint="Correct the argument.",
        )


def _uneven(total: int, world_size: int, ends: Ends) -> str:
    most, left = -(-total // world_size), total % world_size
    text = f"{total} records and {world_size} ranks: "
    if ends == "drop":
        return text + f"{left} records are left out of each epoch"
    if ends == "pad":
        return text + f"{world_size - left} ranks repeat one record, marked with `padding`"
    return text + f"some ranks give {most} records and some {most - 1}; ends='drop' or 'pad' makes them equal"
