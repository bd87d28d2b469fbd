"""What ASAM's generator of adversarial samples leaves behind.

    adv/sa_1.png (or .jpg)     the adversarial image
    record/sa_1.txt            one float: the worst IoU that SAM reached on it, 0 to 1
    pair/                      both images side by side, for people; not read

Images may have another size than the original; its masks are in the SA-1B archive under the same id.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.images import check_whole, decoding, open_image
from asam_datasets.machine import leads_out, read_file
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b import MAX_MEMBER_BYTES, check_member_size, entries_of, member_id

_KINDS = {".jpg": "JPEG", ".png": "PNG"}
_MAX_NUMBER_BYTES = 256
_FORM = "ASAM's generator leaves adv/sa_N.png (or .jpg) and record/sa_N.txt with one number each."


@dataclass(frozen=True)
class AdversarialRef:
    """One sample: `image` and `record` are names below the folder."""

    image_id: int
    image: str
    record: str


@dataclass(frozen=True)
class AdversarialRecord:
    """One checked sample. `image_id` is that of the original; `content` the image's bytes as they are, PNG or JPEG
    by the ending of `file_name`; `worst_iou` the record's number; sides in pixels."""

    image_id: int
    file_name: str
    content: bytes
    height: int
    width: int
    worst_iou: float


class AdversarialSource:
    """Reads adversarial samples from a folder, in any order."""

    def __init__(self, path: Path) -> None:
        """Raises SourceError when the folder has no `adv/` and `record/`."""
        self.path = path
        self.label = str(path)
        missing = [name for name in ("adv", "record") if not (path / name).is_dir()]
        if missing:
            raise SourceError(
                f"expected a folder with adv/ and record/, found no {' and no '.join(missing)}",
                where=self.label,
                hint=_FORM,
            )

    def index(self, bad: BadRecords) -> tuple[AdversarialRef, ...]:
        """Find the samples, by image id.

        Raises:
            RecordError: under the policy `raise`: an image or a number alone, an image as PNG and JPEG, a file in
                `adv/` or `record/` that is named otherwise.
            SourceError: no sample is left.
        """
        images = self._names("adv", tuple(_KINDS), bad)
        numbers = self._names("record", (".txt",), bad)
        for image_id in sorted(images.keys() ^ numbers.keys()):
            here = images.get(image_id) or numbers[image_id]
            other = "adv/sa_{}.png (or .jpg)" if image_id in numbers else "record/sa_{}.txt"
            self._reject(f"expected {other.format(image_id)} for it, found none", here, bad)
        both = sorted(images.keys() & numbers.keys())
        if not both:
            raise SourceError("expected adversarial samples, found none", where=self.label, hint=_FORM)
        return tuple(AdversarialRef(image_id, images[image_id], numbers[image_id]) for image_id in both)

    def read(self, ref: AdversarialRef) -> AdversarialRecord:
        """Read and check one sample.

        Raises:
            RecordError: the image is damaged, not what its ending says, or too large; the number is none.
            SourceError: a file is gone or cannot be read.
        """
        return self.check(ref, self.read_files(ref))

    def read_files(self, ref: AdversarialRef) -> tuple[bytes, bytes]:
        """The bytes of a sample's two files, unchecked: the image, and the number.

        Raises:
            SourceError: a file is gone or cannot be read.
        """
        return self._read(ref.image), self._read(ref.record)

    def check(self, ref: AdversarialRef, files: tuple[bytes, bytes]) -> AdversarialRecord:
        """Check what `read_files` gave. Raises RecordError as `read`."""
        return check_sample(ref, files, self.label)

    def records(self, bad: BadRecords) -> Iterator[AdversarialRecord]:
        """All samples in order; one that is bad follows the policy.

        Raises:
            RecordError, SourceError: as `index` and `read`.
        """
        for ref in self.index(bad):
            try:
                yield self.read(ref)
            except RecordError as error:
                bad.reject(error, archive=self.label, member=ref.image)

    def _names(self, folder: str, endings: tuple[str, ...], bad: BadRecords) -> dict[int, str]:
        found: dict[int, str] = {}
        for path in sorted(entries_of(self.path / folder)):
            name = f"{folder}/{path.name}"
            if path.name.startswith("."):
                continue  # what file managers leave behind
            known = None
            if path.is_symlink() and leads_out(self.path, path):
                self._reject("expected files of the folder, found a link out of it", name, bad)
                continue
            if path.suffix in endings and re.fullmatch(r"sa_\d+", path.stem) and path.is_file():
                try:
                    known = member_id(f"{path.stem}.jpg", archive=self.label)
                except RecordError as error:
                    bad.reject(error, archive=self.label, member=name)
                    continue
            if known is None:
                self._reject(f"expected files named sa_N{' or sa_N'.join(endings)}, found {path.name!r}", name, bad)
            elif known[0] in found:
                self._reject(f"expected one image of image id {known[0]}, found also {found[known[0]]}", name, bad)
            else:
                found[known[0]] = name
        return found

    def _reject(self, problem: str, name: str, bad: BadRecords) -> None:
        hint = f"{_FORM} {SKIP} goes on without it."
        bad.reject(RecordError(problem, where=f"{self.label}: {name}", hint=hint), archive=self.label, member=name)

    def _read(self, name: str) -> bytes:
        path = self.path / name
        try:
            check_member_size(name, path.stat().st_size, archive=self.label)
            return read_file(path, limit_bytes=MAX_MEMBER_BYTES)
        except OSError as error:
            raise SourceError(f"expected a readable file, found: {error.strerror}", where=str(path)) from error


def check_sample(ref: AdversarialRef, files: tuple[bytes, bytes], label: str) -> AdversarialRecord:
    """Check the bytes of a sample's two files: the image, and the number.

    Args:
        ref: its names.
        files: their contents.
        label: where they are, for messages.

    Raises:
        RecordError: the image is damaged, not what its ending says, or too large; the number is none.
    """
    content, record = files
    height, width = _check_image(content, ref.image, f"{label}: {ref.image}")
    number = _parse_number(record, f"{label}: {ref.record}")
    return AdversarialRecord(
        image_id=ref.image_id,
        file_name=ref.image.rsplit("/", 1)[-1],
        content=content,
        height=height,
        width=width,
        worst_iou=number,
    )


def _check_image(content: bytes, name: str, where: str) -> tuple[int, int]:
    """The (height, width) of a whole image of the kind that its name says."""
    kind = _KINDS[Path(name).suffix]
    with open_image(content, where, formats=(kind,), expected=f"a whole {kind}") as image:
        shape = image.height, image.width
        with decoding(where, expected=f"a whole {kind}"):
            image.verify()  # of a PNG: every checksum; of a JPEG: nothing
    check_whole(content, kind, where, spare_bytes=0)
    return shape


def _parse_number(content: bytes, where: str) -> float:
    text = content[: _MAX_NUMBER_BYTES + 1].decode("utf-8-sig", "replace").strip()
    try:
        number = float(text) if len(content) <= _MAX_NUMBER_BYTES else math.nan
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise RecordError(f"expected one number from 0 to 1, found {text[:40]!r}", where=where)
    return number
