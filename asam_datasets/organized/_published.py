"""A published dataset as a source of records: a folder, or a repository on the Hub read in place.

What is visible follows from the README's YAML alone, as for every reader. From the parts only the columns are read
that cannot be made from others: masks and conditioning images come from the annotations again. What is read is
checked like an archive, because a repository may hold anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from asam_datasets.builds import BUILD_FILE, Build
from asam_datasets.errors import AsamDatasetsError, SourceError, TargetError
from asam_datasets.hub import (
    README,
    Location,
    Published,
    open_location,
    open_published,
    visible_builds,
    visible_folders,
)
from asam_datasets.sources import RawRecord, to_sa1b_json

_COLUMNS = ("image.bytes", "caption", "annotations", "image_id", "file_name", "width", "height")
_LIGHT = ("image_id", "caption")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_PART = re.compile(r"part-[0-9]{3,6}\.parquet")
_HINT = "Give what `publish` was given as --out or --repo-id."
# The order in which the SA-1B release writes the fields; `json.dumps` then gives its spelling, byte for byte.
_FIELDS = (
    "bbox", "area", "segmentation", "predicted_iou", "point_coords", "crop_box", "id", "stability_score",
)  # fmt: skip


@dataclass(frozen=True)
class Dataset:
    """A published dataset and what it shows; names of builds and of their parts are safe as names of files."""

    published: Published
    builds: tuple[Build, ...]

    def parts(self, build: Build) -> list[PartFile]:
        """The parts of a build, for workers."""
        return [
            PartFile(
                self.published.location,
                f"{build.path}/{part.file}",
                f"{self.published.url}: {build.folder}/{part.file}",
                part.rows,
            )
            for part in build.parts
        ]


@dataclass(frozen=True)
class PartFile:
    """One part, as a worker is told of it."""

    location: Location
    path: str
    label: str
    rows: int

    @contextmanager
    def open(self) -> Iterator[pq.ParquetFile]:
        """The part, to be read row group by row group; what goes wrong meanwhile is one sentence.

        Raises:
            SourceError: the part is damaged, gone, or has another number of rows.
            HubError: the Hub refused, or was not reached.
        """
        published = open_location(self.location)
        try:
            with published.open(self.path) as file:
                parquet = pq.ParquetFile(file, pre_buffer=True)
                found = parquet.metadata.num_rows
                if found != self.rows:
                    raise SourceError(
                        f"expected {self.rows} rows as {BUILD_FILE} says, found {found}", where=self.label
                    )
                yield parquet
        except AsamDatasetsError:
            raise
        except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
            raise SourceError(
                f"expected a part of a published dataset, found: {error}",
                where=self.label,
                hint="Get the dataset again.",
            ) from None
        except FileNotFoundError:
            raise SourceError("expected a part that the dataset names, found none", where=self.label) from None
        except Exception as error:
            explained = published.explain(error)
            if isinstance(explained, OSError) and not isinstance(explained, AsamDatasetsError):  # Arrow raises them too
                said = str(explained).partition("\n")[0]
                raise SourceError(f"expected a part that can be read, found: {said}", where=self.label) from None
            raise explained from error


@dataclass(frozen=True)
class PartRecords:
    """The records of one part of an archive, for a worker to read."""

    part: PartFile
    archive: str

    def records(self, has: Callable[[int], bool]) -> Generator[tuple[int, str | None, RawRecord | None], None, None]:
        """(image id, caption, record) in order; no record for those that `has` says are there already. A row group
        of which all are there is not read, and one row group (at most 32 MiB) is held at a time.

        Raises:
            SourceError: the part is damaged or has other columns.
            HubError: the Hub refused, or was not reached.
        """
        with self.part.open() as parquet:
            for group in range(parquet.num_row_groups):
                light = parquet.read_row_group(group, columns=list(_LIGHT)).to_pylist()
                if all(has(row["image_id"]) for row in light):
                    yield from ((row["image_id"], row["caption"], None) for row in light)
                    continue
                for row in parquet.read_row_group(group, columns=list(_COLUMNS)).to_pylist():
                    yield row["image_id"], row["caption"], self._raw(row)

    def _raw(self, row: Mapping[str, Any]) -> RawRecord:
        image_id, name, label = row["image_id"], row["file_name"], self.part.label
        if image_id is None or name != f"sa_{image_id}.jpg" or row["image"] is None:
            raise SourceError(
                f"expected a picture sa_{image_id}.jpg in the row of image id {image_id}, found {name!r}",
                where=label,
            )
        jpeg = row["image"]["bytes"] or b""
        return RawRecord(self.archive, label, image_id, name, f"sa_{image_id}.json", jpeg, sa1b_json_bytes(row))


def sa1b_json_bytes(row: Mapping[str, Any]) -> bytes:
    """The `sa_N.json` of a row of the `train` table, spelled as the SA-1B release spells it."""
    table = to_sa1b_json(row)
    table["annotations"] = [{name: one[name] for name in _FIELDS if name in one} for one in table["annotations"]]
    return json.dumps(table).encode()


def open_dataset(
    location: str | Path, *, revision: str | None = None, tell: Callable[[str], None] = lambda text: None
) -> Dataset:
    """Find out which builds a published dataset shows.

    Args:
        location: a folder made by `publish`, or a repository id on the Hub.
        revision: branch, tag or commit on the Hub; `main` by default. One commit is read from first to last.
        tell: gets a line when something is tried again.

    Raises:
        SourceError: nothing is there, or no dataset of ours.
        HubError: the Hub refused, or was not reached.
    """
    try:
        published = open_published(str(location), revision, tell)
        builds = visible_builds(published)
    except TargetError as error:  # these functions speak to publishers
        found = error.problem.partition("found")[2] or f" {error.problem}"
        raise SourceError(
            f"expected a dataset made by asam_datasets, found{found}", where=error.where, hint=_HINT
        ) from None
    if builds is None:
        raise SourceError(
            f"expected a dataset made by asam_datasets, found no {README}", where=published.url, hint=_HINT
        )
    _check_names(published, builds)
    return Dataset(published, tuple(builds))


def _check_names(published: Published, builds: Sequence[Build]) -> None:
    """Names become paths here, and a manifest may hold any."""
    readme = (published.read(README) or b"").decode("utf-8", "replace")
    seen: set[tuple[str, str]] = set()
    for folder, build in zip(visible_folders(readme, published.url), builds, strict=True):
        where = f"{published.url}: {folder}/{BUILD_FILE}"
        names = [part.file for part in build.parts]
        if build.path != folder or not _NAME.fullmatch(build.name) or not all(map(_PART.fullmatch, names)):
            raise SourceError(f"expected the build of {folder}, found that of {build.path!r}", where=where)
        key = (build.kind, build.name.casefold())
        if key in seen:
            raise SourceError(f"expected each name once, found {build.name!r} twice", where=where)
        seen.add(key)
