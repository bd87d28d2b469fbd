"""A published dataset as a source of records: a folder, or a repository on the Hub read in place.

What is visible follows from the README's YAML alone, as for every reader. From the parts only the columns are read
that cannot be made from others: masks and conditioning images come from the annotations again. What is read is
checked like an archive, because a repository may hold anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from asam_datasets.builds import BUILD_FILE, Build, decode_build
from asam_datasets.errors import AsamDatasetsError, HubError, SourceError, TargetError
from asam_datasets.hub import README, visible_folders
from asam_datasets.sources import RawRecord, to_sa1b_json

_COLUMNS = ("image.bytes", "caption", "annotations", "image_id", "file_name", "width", "height")
_LIGHT = ("image_id", "caption")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_ARCHIVE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_PART = re.compile(r"part-[0-9]{3,6}\.parquet")
# The order in which the SA-1B release writes the fields; `json.dumps` then gives its spelling, byte for byte.
_FIELDS = (
    "bbox", "area", "segmentation", "predicted_iou", "point_coords", "crop_box", "id", "stability_score",
)  # fmt: skip


@dataclass(frozen=True)
class Published:
    """A published dataset. `root` is a folder, or an address of `HfFileSystem` that names one commit."""

    label: str
    root: str
    on_hub: bool
    builds: tuple[Build, ...]

    def part(self, build: Build, file: str) -> str:
        """Where a part of a build lies."""
        return f"{self.root}/{build.path}/{file}"


@dataclass(frozen=True)
class PartRecords:
    """The records of one part, for a worker to read."""

    path: str
    on_hub: bool
    archive: str
    label: str
    rows: int

    def records(self, has: Callable[[int], bool]) -> Generator[tuple[int, str | None, RawRecord | None], None, None]:
        """(image id, caption, record) in order; no record for those that `has` says are there already. A row group
        of which all are there is not read, and one row group (at most 32 MiB) is held at a time.

        Raises:
            SourceError: the part is damaged or has other columns.
            HubError: the Hub refused, or was not reached.
        """
        with _explained(self.label), _opened(self.path, self.on_hub) as file:
            parquet = pq.ParquetFile(file, pre_buffer=True)
            found = parquet.metadata.num_rows
            if found != self.rows:
                raise SourceError(f"expected {self.rows} rows as {BUILD_FILE} says, found {found}", where=self.label)
            for group in range(parquet.num_row_groups):
                light = parquet.read_row_group(group, columns=list(_LIGHT)).to_pylist()
                if all(has(row["image_id"]) for row in light):
                    yield from ((row["image_id"], row["caption"], None) for row in light)
                    continue
                for row in parquet.read_row_group(group, columns=list(_COLUMNS)).to_pylist():
                    yield row["image_id"], row["caption"], self._raw(row)

    def _raw(self, row: Mapping[str, Any]) -> RawRecord:
        image_id, name = row["image_id"], row["file_name"]
        if image_id is None or name != f"sa_{image_id}.jpg" or row["image"] is None:
            raise SourceError(
                f"expected a picture sa_{image_id}.jpg in the row of image id {image_id}, found {name!r}",
                where=self.label,
            )
        jpeg = row["image"]["bytes"] or b""
        return RawRecord(self.archive, self.label, image_id, name, f"sa_{image_id}.json", jpeg, sa1b_json_bytes(row))


def sa1b_json_bytes(row: Mapping[str, Any]) -> bytes:
    """The `sa_N.json` of a row of the `train` table, spelled as the SA-1B release spells it."""
    table = to_sa1b_json(row)
    table["annotations"] = [{name: one[name] for name in _FIELDS if name in one} for one in table["annotations"]]
    return json.dumps(table).encode()


def open_published(location: str | Path, *, revision: str | None = None) -> Published:
    """Find out which builds a published dataset shows.

    Args:
        location: a folder made by `publish`, or a repository id on the Hub.
        revision: branch, tag or commit on the Hub; `main` by default. One commit is read from first to last.

    Raises:
        SourceError: nothing is there, or no dataset of ours.
        HubError: the Hub refused, or was not reached.
    """
    text = str(location)
    folder = Path(text)
    if folder.is_dir():
        return _open(text, text, on_hub=False)
    if not _REPOSITORY.fullmatch(text) or folder.exists():
        raise SourceError(
            "expected the folder of a published dataset or a repository id, found nothing there",
            where=text,
            hint="Give what `publish` was given as --out or --repo-id.",
        )
    with _explained(text):
        from huggingface_hub import HfApi

        commit = HfApi().repo_info(text, repo_type="dataset", revision=revision).sha
        return _open(text, f"datasets/{text}@{commit}", on_hub=True)


def part_records(published: Published, build: Build) -> list[PartRecords]:
    """The parts of one build, for workers."""
    return [
        PartRecords(
            published.part(build, part.file),
            published.on_hub,
            build.name,
            f"{published.label}: {build.folder}/{part.file}",
            part.rows,
        )
        for part in build.parts
    ]


def _open(label: str, root: str, *, on_hub: bool) -> Published:
    try:
        readme = _read(f"{root}/{README}", on_hub).decode("utf-8", "replace")
        folders = visible_folders(readme, f"{label}: {README}")
        builds = []
        for folder in folders:
            where = f"{label}: {folder}/{BUILD_FILE}"
            build = decode_build(_read(f"{root}/{folder}/{BUILD_FILE}", on_hub), where)
            names = [part.file for part in build.parts]
            if build.path != folder or not _ARCHIVE.fullmatch(build.name) or not all(map(_PART.fullmatch, names)):
                raise SourceError(f"expected the build of {folder}, found that of {build.path!r}", where=where)
            if build.kind == "train":
                builds.append(build)
    except TargetError as error:  # those functions speak to publishers
        found = error.problem.partition("found")[2] or f" {error.problem}"
        raise SourceError(f"expected a dataset made by asam_datasets, found{found}", where=error.where) from None
    except FileNotFoundError as error:
        name = Path(str(error.filename or README)).name
        raise SourceError(
            f"expected a dataset made by asam_datasets, found no {name}",
            where=label,
            hint="Give what `publish` was given as --out or --repo-id.",
        ) from None
    return Published(label, root, on_hub, tuple(builds))


def _read(path: str, on_hub: bool) -> bytes:
    with _opened(path, on_hub) as file:
        return file.read()


@contextmanager
def _opened(path: str, on_hub: bool) -> Iterator[IO[bytes]]:
    if not on_hub:
        with open(path, "rb") as local:
            yield local
        return
    from huggingface_hub import HfFileSystem

    with HfFileSystem().open(path, "rb") as remote:
        yield remote


@contextmanager
def _explained(label: str) -> Iterator[None]:
    """One sentence for what the network, the Hub and Parquet say. Their own texts may hold signed URLs."""
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except AsamDatasetsError:
        raise
    except HfHubHTTPError as error:
        status = error.response.status_code
        raise HubError(
            f"expected a dataset that may be read, found that the Hub refused with status {status}",
            where=label,
            hint="Check the name and the revision, and that the token may see it (`hf auth login`).",
        ) from None
    except OfflineModeIsEnabled as error:
        raise HubError(str(error).splitlines()[0], where=label) from None
    except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        raise SourceError(
            f"expected a part of a published dataset, found: {error}", where=label, hint="Get the dataset again."
        ) from None
    except FileNotFoundError:
        raise SourceError("expected a part that the dataset names, found none", where=label) from None
    except Exception as error:
        names = {kind.__name__ for kind in type(error).__mro__}  # requests, httpx and its fork name their bases alike
        if not names & {"HTTPError", "RequestException", "TransportError", "ConnectionError", "TimeoutError"}:
            raise
        raise HubError(f"expected an answer of the Hub, found none ({type(error).__name__})", where=label) from None
