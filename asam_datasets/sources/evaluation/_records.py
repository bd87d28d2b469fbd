"""What an evaluation source hands out, and what its layouts find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta
from rlemasklib import RLEMask

from asam_datasets.errors import SKIP, AsamDatasetsError, RecordError
from asam_datasets.machine import leads_out, read_file
from asam_datasets.masks import Runs, to_runs
from asam_datasets.sources._bad import BadRecords

LINK_HINT = "Give the folder that has the files themselves, or put copies in place of the links."

Fact = str | bool | None
"""A value of a column that only some sets have."""

Side = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class EvaluationRef(NamedTuple):
    """One image of a set: all that `read` needs besides the source itself.

    Args:
        file_name: path below the set's folder, with slashes.
        size_bytes: of the image's file.
        image_id: the source's own id of the image, or `file_name` without its ending.
        masks: the files that its masks come from, below the set's folder, sorted.
        key: where in a JSON of many images this one is; empty otherwise.
    """

    file_name: str
    size_bytes: int
    image_id: str
    masks: tuple[str, ...]
    key: str = ""


class EvaluationAnnotation(msgspec.Struct, frozen=True):
    """One mask with its numbers: `bbox` is COCO's exclusive [x, y, width, height] in pixels, `area` in pixels."""

    id: int
    bbox: tuple[float, float, float, float]
    area: int
    segmentation: Runs
    category_id: int | None
    category: str | None
    iscrowd: int


class EvaluationRecord(msgspec.Struct, frozen=True):
    """One checked image of a set; `masks` are the annotations' in the same order, at least one where the layout does
    not keep images without objects. `extra` has the columns that the layout declares, `skipped` counts what the set's
    official code passes over."""

    dataset: str
    file_name: str
    image_id: str
    width: Side
    height: Side
    image: bytes
    annotations: list[EvaluationAnnotation]
    masks: list[RLEMask]
    extra: Mapping[str, Fact] = {}
    skipped: int = 0


class EvaluationRead(NamedTuple):
    """One image as it was read.

    Args:
        record: None when the image has no object.
        digest: SHA-256 over all that decides the record, of the very bytes that it was made from.
    """

    record: EvaluationRecord | None
    digest: bytes


class Object(NamedTuple):
    """A mask as a layout finds it; without an `id` it gets its place among the image's masks, from 1.

    `skipped` marks a region or annotation that the official code of the set passes over; its mask is empty.
    """

    mask: RLEMask
    id: int | None = None
    category_id: int | None = None
    category: str | None = None
    iscrowd: bool = False
    skipped: bool = False


class Evidence(NamedTuple):
    """What decides some masks of an image, in memory: whatever happens to the files from here on, both agree.

    Args:
        content: all bytes that decide them, outside of the image and of the layout.
        objects: makes them, for an image of (height, width) pixels, out of this content and nothing else. Empty masks
            may be among them. Raises `RecordError` where the content cannot be used.
        seen: what the content says of the (height, width) of the image, where these are masks of the image as it is
            shown: EXIF may want it turned. None where they are masks of the pixels as they are stored.
        extra: what the content says of the image in the columns that the layout declares.
    """

    content: bytes
    objects: Callable[[tuple[int, int]], Iterable[Object]]
    seen: tuple[int | None, int | None] | None = None
    extra: Mapping[str, Fact] = {}


class Folder(NamedTuple):
    """The folder of a set, and how it is called in messages: `hrsod_te=FOLDER`.

    Args:
        held: files that were read already, and their bytes; see `holding`.
    """

    root: Path
    label: str
    held: tuple[tuple[str, bytes], ...] = ()

    def holding(self, name: str, data: bytes) -> Folder:
        """The same folder, in which one more file is these bytes, whatever lies on the disk by now."""
        return self._replace(held=(*self.held, (name, data)))

    def held_besides(self, name: str) -> list[str]:
        """The other files that are held, in the order in which they were read."""
        return [other for other, _ in self.held if other != name]

    def place(self, name: str) -> str:
        """Where a file of the set is, for messages."""
        return f"{self.label}: {name}"

    def size_bytes(self, name: str) -> int | None:
        """Size of a file; None when there is none."""
        path = self.root / name
        try:
            return path.stat().st_size if path.is_file() else None
        except (OSError, ValueError):  # a name that is too long, or has a NUL in it, names no file
            return None

    def read(self, name: str, *, limit_bytes: int) -> bytes:
        """The bytes of a file.

        Raises:
            RecordError: it is gone, cannot be read, is no file of the folder, or is larger than `limit_bytes`.
        """
        held = next((data for held, data in self.held if held == name), None)
        path = self.root / name
        try:
            if held is None and leads_out(self.root, path):
                problem = "expected a file of the set, found a link out of its folder"
                raise RecordError(problem, where=self.place(name), hint=f"{LINK_HINT} {SKIP} goes on without it.")
            size = path.stat().st_size if held is None else len(held)
            if size > limit_bytes:
                raise RecordError(f"expected at most {limit_bytes} bytes, found {size}", where=self.place(name))
            return read_file(path, limit_bytes=limit_bytes) if held is None else held
        except OSError as error:
            raise RecordError(f"expected a readable file, found: {error.strerror}", where=self.place(name)) from error

    def reject(self, bad: BadRecords, problem: str, name: str, hint: str = "") -> None:
        """Report a file of the set as a bad record."""
        self.reject_error(bad, RecordError(problem, where=self.place(name), hint=hint), name)

    def reject_error(self, bad: BadRecords, error: AsamDatasetsError, name: str) -> None:
        """Report an error with a file of the set as a bad record."""
        bad.reject(error, archive=self.label, member=name)


_HINT = f"The table holds numbers of 64 bits: number the objects otherwise, or go on without this image: {SKIP}."


def as_stored(objects: Iterable[Object], turns: int) -> Iterator[Object]:
    """Masks of an image as it is shown, for the image as it is stored.

    Args:
        turns: the image's orientation, 1 to 8: how it is turned when it is shown.
    """
    for one in objects:
        mask = one.mask
        if turns in (5, 6, 7, 8):
            mask = mask.transpose()
        # Of the stored image: what is shown right is at the right no more.
        if turns in (2, 3, 7, 8):
            mask = mask.fliplr()
        if turns in (3, 4, 6, 7):
            mask = mask.flipud()
        yield one._replace(mask=mask)


def annotate(objects: Iterable[Object], where: str) -> tuple[list[EvaluationAnnotation], list[RLEMask]]:
    """Number the masks and measure them; empty ones are left out.

    Args:
        where: the place that the objects come from, for messages.

    Raises:
        RecordError: the id of an object or of its category does not fit into the table's 64 bits.
    """
    annotations, masks = [], []
    for number, found in enumerate(objects, 1):
        area = int(found.mask.area())
        if area == 0:
            continue
        for what, value in (("an id", found.id), ("the id of a category", found.category_id)):
            if value is not None and not -(2**63) <= value < 2**63:
                raise RecordError(f"expected {what} from -2^63 to 2^63 - 1, found {value}", where=where, hint=_HINT)
        x, y, width, height = (float(n) for n in found.mask.bbox().tolist())
        annotations.append(
            EvaluationAnnotation(
                number if found.id is None else found.id,
                (x, y, width, height),
                area,
                to_runs(found.mask),
                found.category_id,
                found.category,
                int(found.iscrowd),
            )
        )
        masks.append(found.mask)
    return annotations, masks


def without_ending(name: str) -> str:
    """A path without the ending of its file."""
    head, dot, tail = name.rpartition(".")
    return head if dot and "/" not in tail and not head.endswith("/") and head else name
