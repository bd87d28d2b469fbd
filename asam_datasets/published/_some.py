"""Rows whose images were read by themselves: what of the other columns is read, and both put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asam_datasets.published._part import GroupReader, PartFile


def image_paths(reader: GroupReader, part: PartFile, group: int, columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Some columns without the images that can be read by themselves, whose names stay; and those images' columns.

    Raises:
        SourceError: the part is damaged or gone.
        HubError: the Hub refused, or was not reached.
    """
    paged = reader.paged(part, group, columns)
    return [f"{name}.path" if name in paged else name for name in columns], paged


def with_images(values: dict[str, Any], images: Mapping[str, bytes | None]) -> dict[str, Any]:
    """A row of such columns with its images, by column."""
    for name, content in images.items():
        if values[name] is not None:
            values[name] = {"bytes": content, "path": values[name]["path"]}
    return values
