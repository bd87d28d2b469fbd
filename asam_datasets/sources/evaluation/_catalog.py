"""The catalog: the entries that travel with the package, and those of the user's own files."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import inspect, structs

from asam_datasets.errors import CatalogError
from asam_datasets.machine import read_file
from asam_datasets.sources.evaluation._entry import Entry
from asam_datasets.sources.evaluation._missing import missing_fields

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_OWN = "catalog.toml"
_EXAMPLE = "`asam-datasets catalog show hrsod_te --toml` prints an entry that is right."
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
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, thousands of brackets
        raise CatalogError(f"expected TOML, found: {str(error)[:300]}", where=file) from None
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
        if "missing required field" in str(error):
            raise _incomplete(identity, table, where) from None
        # msgspec ends its message with the place: "Expected `int`, got `str` - at `$.layout.threshold`".
        problem, _, place = str(error).partition(" - at ")
        place = place.strip("`").removeprefix("$").removeprefix(".")
        problem = problem.replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
        if problem.startswith(("Object", "Invalid")):
            problem = problem[0].lower() + problem[1:]
        raise CatalogError(
            problem,
            where=f"{where}: {place}" if place else where,
            hint=" ".join(filter(None, [_help(problem, place, table), _EXAMPLE])),
        ) from None


def _incomplete(identity: str, table: Mapping[str, Any], where: str) -> CatalogError:
    """The error that names every field which an entry lacks; msgspec names the first."""
    missing = list(missing_fields(Entry, {**table, "id": identity}))
    if "layout" not in table and not table.get("variants"):
        missing.append("layout")
    several = "s" if len(missing) > 1 else ""
    return CatalogError(
        f"object missing required field{several} {', '.join(f'`{name}`' for name in missing)}",
        where=where,
        hint=" ".join([*dict.fromkeys(filter(None, map(_allowed_at, missing))), _EXAMPLE]),
    )


def _help(problem: str, place: str, table: Mapping[str, Any]) -> str:
    """What may stand at a place of an entry that is not right."""
    if "[...]" in place:  # of a table by names msgspec does not say which
        return ""
    if "unknown field" not in problem:
        return _allowed_at(place)
    found: Any = table
    for step in place.replace("[", ".").replace("]", "").split(".") if place else ():
        found = found[int(step)] if isinstance(found, list) else found[step]
    kinds = [kind for kind in _structs(Entry) if _is_of(kind, place, found)]
    if len(kinds) != 1:
        return ""
    tag = kinds[0].__struct_config__.tag
    what = f"A layout of the type {tag}" if tag else "A table there" if place else "A set"
    return f"{what} has the fields {', '.join(field.encode_name for field in structs.fields(kinds[0]))}."


def _is_of(kind: type[msgspec.Struct], place: str, found: Mapping[str, Any]) -> bool:
    """Whether a table at a place is meant to be a struct of this kind."""
    tag = kind.__struct_config__.tag
    if not place or tag is not None:
        return kind is Entry if not place else tag == found.get("type")
    inside = place.rpartition(".")[2]
    owner = "Pair" if "pairs" in place or "mask" in found else "AnnotationFile" if "json" in found else "Reading"
    return "type" not in found and kind.__name__ == owner and not inside.endswith("layout")


@lru_cache(maxsize=1)
def _choices() -> Mapping[str, tuple[str, ...]]:
    """The values of each field that has few, by its name; of `type` the layouts."""
    found: dict[str, tuple[str, ...]] = {"type": tuple(sorted(_tags()))}
    for kind in _structs(Entry):
        for field in structs.fields(kind):
            values = [one for one in _parts(inspect.type_info(field.type)) if isinstance(one, inspect.LiteralType)]
            if values:
                found[field.name] = tuple(str(value) for value in values[0].values)
    return found


def _allowed(field: str) -> str:
    """What a field may be, in words; empty where that is not a few values."""
    values = _choices().get(field, ())
    return f"`{field}` is {', '.join(map(repr, values[:-1]))} or {values[-1]!r}." if values else ""


def _allowed_at(place: str) -> str:
    """What a field may be, by its place, such as `layout.pairs[0].image`."""
    return _allowed(place.rpartition(".")[2].partition("[")[0])


def _tags() -> list[str]:
    return [str(kind.__struct_config__.tag) for kind in _structs(Entry) if kind.__struct_config__.tag]


def _structs(kind: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A struct and all that are below it."""
    found = [kind]
    for one in found:
        for field in structs.fields(one):
            inner = [part.cls for part in _parts(inspect.type_info(field.type)) if isinstance(part, inspect.StructType)]
            found += [cls for cls in dict.fromkeys(inner) if cls not in found]
    return found


def _parts(kind: inspect.Type) -> Iterator[inspect.Type]:
    """A type and what it is made of, but not the fields of structs."""
    yield kind
    inner: list[inspect.Type] = []
    if isinstance(kind, inspect.UnionType):
        inner += kind.types
    elif isinstance(kind, inspect.Metadata):
        inner.append(kind.type)
    elif isinstance(kind, inspect.DictType):
        inner.append(kind.value_type)
    elif isinstance(kind, inspect.VarTupleType | inspect.ListType):
        inner.append(kind.item_type)
    elif isinstance(kind, inspect.TupleType):
        inner += kind.item_types
    for one in inner:
        yield from _parts(one)
