"""The catalog: the entries that travel with the package, and those of the user's own files."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from asam_datasets.errors import CatalogError
from asam_datasets.machine import read_file
from asam_datasets.sources.evaluation._entry import Entry

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_OWN = "catalog.toml"
_MAX_BYTES = 2**24
# What counts on the files that a layout reads: a user's other layout makes these statements untrue.
_ABOUT_THE_LAYOUT = ("expected_images", "expected_masks")


def load_catalog(extra: Sequence[Path] = ()) -> Mapping[str, Entry]:
    """All entries by id, in the order of the files.

    Args:
        extra: TOML files of the same form, one table per set. A table whose id is in the catalog already replaces the
            fields that it has, whole ones: a `layout` replaces the layout, and the expected counts with it.

    Raises:
        CatalogError: a file cannot be read, or an entry is not complete or not valid; `where` names file, entry and
            field.
    """
    if not extra:
        return _built_in()
    tables = dict(_read_built_in())
    changed: dict[str, str] = {}
    for path in extra:
        for identity, table in _read(path).items():
            known = dict(tables.get(identity, {}))
            if "layout" in table:
                known = {name: value for name, value in known.items() if name not in _ABOUT_THE_LAYOUT}
            tables[identity] = known | table
            changed[identity] = str(path)
    return MappingProxyType(
        {identity: _entry(identity, table, changed.get(identity, _OWN)) for identity, table in tables.items()}
    )


@lru_cache(maxsize=1)
def _built_in() -> Mapping[str, Entry]:
    return MappingProxyType({identity: _entry(identity, table, _OWN) for identity, table in _read_built_in().items()})


@lru_cache(maxsize=1)
def _read_built_in() -> Mapping[str, dict[str, Any]]:
    text = resources.files("asam_datasets.sources.evaluation").joinpath(_OWN).read_text(encoding="utf-8")
    return _parse(text, _OWN)


def _read(path: Path) -> Mapping[str, dict[str, Any]]:
    try:
        return _parse(read_file(path, limit_bytes=_MAX_BYTES).decode("utf-8"), str(path))
    except OSError as error:
        raise CatalogError(f"expected a readable TOML file, found: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError:
        raise CatalogError("expected a TOML file in UTF-8, found other bytes", where=str(path)) from None


def _parse(text: str, file: str) -> Mapping[str, dict[str, Any]]:
    try:
        parsed: dict[str, dict[str, Any]] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogError(f"expected TOML, found: {error}", where=file) from None
    for identity, table in parsed.items():
        if not isinstance(table, dict):
            raise CatalogError(
                f"expected one table per set, found {type(table).__name__}",
                where=f"{file}: {identity}",
                hint="Start the set with its id in brackets: [my_set]",
            )
    return parsed


def _entry(identity: str, table: Mapping[str, Any], file: str) -> Entry:
    where = f"{file}: [{identity}]"
    if table.get("id", identity) != identity:
        raise CatalogError(f"expected the table's name {identity!r}, found {table['id']!r}", where=f"{where}: id")
    try:
        # TOML's keys are strings; `strict=False` turns those of `names` into numbers.
        return msgspec.convert({**table, "id": identity}, Entry, strict=False)
    except msgspec.ValidationError as error:
        # msgspec ends its message with the place: "Expected `int`, got `str` - at `$.layout.threshold`".
        problem, _, place = str(error).partition(" - at ")
        problem = problem.replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
        if problem.startswith(("Object", "Invalid")):
            problem = problem[0].lower() + problem[1:]
        raise CatalogError(
            problem,
            where=f"{where}: {place.strip('`').removeprefix('$.')}" if place else where,
            hint="`asam-datasets catalog show hrsod_te` prints an entry that is right.",
        ) from None
