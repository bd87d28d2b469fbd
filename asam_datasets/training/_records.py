"""What the functions that make samples are given: one record, a list of them, or columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from asam_datasets.errors import RecordError, StreamError

_OPTIONS = "`sam_sample` and its like take SamOptions(size=1024), `controlnet_sample` and its like ControlNetOptions()."
_WHERE = {"one record": "record", "a list of records": "records", "columns": "batch"}


def check_options(options: object, kind: type) -> None:
    """Check that options are those of the function.

    Raises:
        StreamError: they are others, or none.
    """
    if not isinstance(options, kind):
        raise StreamError(f"expected {kind.__name__}, found {options!r:.80}", where="options", hint=_OPTIONS)


def check_record(record: Any, family: str) -> None:
    """Check that something is one record.

    Args:
        record: what is to be one.
        family: of the function, `sam` or `controlnet`.

    Raises:
        RecordError: it is none.
    """
    # Of a record that `datasets` has not decoded yet only the image is looked at, which is needed anyway.
    if not isinstance(record, Mapping) or isinstance(record.get("image"), (list, tuple)):
        raise _refused("one record", record, family)


def list_records(records: Iterable[Any], family: str) -> list[Any]:
    """The records of a batch.

    Raises:
        RecordError: it is no list of records.
    """
    if isinstance(records, (Mapping, str, bytes)) or not isinstance(records, Iterable):
        raise _refused("a list of records", records, family)
    found = list(records)
    for record in found:
        check_record(record, family)
    return found


def rows_of(batch: Mapping[str, Sequence[Any]], family: str) -> Iterator[dict[str, Any]]:
    """The records of columns.

    Raises:
        RecordError: they are no columns, or not of one length.
    """
    if not isinstance(batch, Mapping):
        raise _refused("columns", batch, family)
    columns = list(batch.values())
    if not all(map(_is_column, columns)):
        raise _refused("columns", batch, family)
    lengths = {name: len(values) for name, values in zip(batch, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        raise RecordError(f"expected columns of one length, found {lengths}", where="batch", hint=_hint(family))
    for values in zip(*columns, strict=True):
        yield dict(zip(batch, values, strict=True))


def _is_column(value: Any) -> bool:
    """Whether it has a value for each of several records; an array without axes has one."""
    if isinstance(value, (str, bytes, bytearray, memoryview, Mapping)) or not hasattr(value, "__len__"):
        return False
    return getattr(value, "ndim", 1) != 0


def _refused(expected: str, found: Any, family: str) -> RecordError:
    if isinstance(found, Mapping):
        kind = "columns" if found and all(map(_is_column, found.values())) else "one record"
    else:
        kind = "none" if found is None else f"a {type(found).__name__}"
    return RecordError(f"expected {expected}, found {kind}", where=_WHERE[expected], hint=_hint(family))


def _hint(family: str) -> str:
    return (
        f"`{family}_sample` takes one record (`ds[0]`), `{family}_samples` columns (`ds[:2]`, `with_transform`), "
        f"`{family}_batch` a list of records (`collate_fn`)."
    )
