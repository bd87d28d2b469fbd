"""Catalog entries as TOML: what a catalog of one's own is begun with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from asam_datasets.sources.evaluation._entry import Entry

_WIDTH = 120
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_HELP = """\
# A catalog of evaluation sets of your own
#   license          in words; empty where nothing is known
#   redistributable  yes, no or unknown: may the images be published inside another dataset?
#   split            test or validation, the split of the config; source_split is what the set's own files call it
#   kind             instance, semantic, binary or panoptic: what a mask is
#   layout           how the files lie: docs/reference/own_sets.md has the types and their fields
#   {name}           stands for a piece of a path, {path**} for any number of folders
"""


def entry_toml(entry: Entry, *, explained: bool = False) -> str:
    """An entry as a TOML table that `load_catalog` reads back equal; fields that have their defaults are left out.

    Args:
        explained: begins with comments on the fields.
    """
    head = f"{_HELP}\n" if explained else ""
    return head + "\n".join(_table(entry.id, _said(entry, ("id",)))) + "\n"


def _said(struct: msgspec.Struct, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """What differs from the defaults of a struct, by field; structs below it are said so too."""
    config = type(struct).__struct_config__
    said = {} if config.tag is None else {str(config.tag_field): config.tag}
    for field in msgspec.structs.fields(struct):
        value = getattr(struct, field.name)
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        if field.name not in without and value is not None and value != default:
            said[field.encode_name] = _plain(value)
    return said


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return _said(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return value


def _table(name: str, content: Mapping[str, Any]) -> Iterator[str]:
    """A table and those below it. `names` and what lies in a list stays within its line or list."""
    yield f"[{name}]"
    inner = {key: value for key, value in content.items() if isinstance(value, dict)}
    for key, value in content.items():
        if key not in inner:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in inner.items():
        if key == "variants":
            for variant, reading in value.items():
                yield from _table(f"{name}.{key}.{variant}", reading)
        else:
            yield from _table(f"{name}.{_key(key)}", value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        inside = [_value(one) for one in value]
        line = f"[{', '.join(inside)}]"
        if len(line) <= _WIDTH - 20:
            return line
        return "[\n" + "".join(f"  {one},\n" for one in inside) + "]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_key(key)} = {_value(one)}' for key, one in value.items())} }}"
    return str(value)


def _text(text: str) -> str:
    """A string of TOML: JSON's escapes are among TOML's, which also wants DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)
