"""What a source hands out: references to members, raw members, and what was rejected."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.sources._bad import BadRecords

MAX_MEMBER_BYTES = 2**26
"""Largest member that is read, in bytes: a forged size must not fill the memory. Real ones are about 1 MB; this is one
byte for each pixel of the largest image."""

MAX_JSON_BYTES = 2**24
"""Largest JSON of one image. Real ones are about 0.1 MB, a few times that at most; in memory it
takes thirty times as much."""

MATERIAL = (".jpg", ".jpeg", ".png", ".json")

FORMS = (
    "An archive is a folder, a tar or a zip of such pairs; or, of data of your own, of images (JPEG, PNG), each with a "
    ".json of its name beside it, or all with one COCO JSON."
)

_OWN_RECORD = f"Correct it, or go on without this image: {SKIP}."
_OWN_SOURCE = "Correct it, and run the same command again."
_STREAMED = (
    "What is read once (a URL, a compressed tar) has the form of SA-1B. For data of your own give a folder, a .tar "
    "or a .zip on a disk."
)

_ID_DIGITS = 18  # what int64 holds, whatever the digits are
_MEMBER = re.compile(r"sa_(\d+)\.(jpg|json)")


class Member(NamedTuple):
    """Where one member lies: `name` as the archive or folder spells it, `offset` in a tar (0 in a folder)."""

    name: str
    size_bytes: int
    offset: int = 0


class Own(NamedTuple):
    """What else is known of a record of data that are not SA-1B's.

    `file_name` is what the table calls the image, `json` the annotation file, and `key` the number of the image among
    those of a COCO file; -1 where the file is of one image alone.
    """

    file_name: str
    json: Member
    key: int = -1


class RecordRef(NamedTuple):
    """One record of an archive that can be read in any order; `own` is None for SA-1B's form.

    `annotations` has the size of what is said of this image alone.
    """

    image_id: int
    image: Member
    annotations: Member
    own: Own | None = None


class RawRecord(NamedTuple):
    """The two members of one record as bytes, unchecked; `image` and `annotations` are their names.

    `archive` is the name that goes into the table, `label` the path or URL that goes into messages. `jpeg` may be a PNG
    where `file_name` is given, which is the name of an image that is not called as SA-1B's are.
    """

    archive: str
    label: str
    image_id: int
    image: str
    annotations: str
    jpeg: bytes
    json: bytes
    file_name: str = ""

    @property
    def name(self) -> str:
        """What the table calls the image."""
        return self.file_name or self.image.rsplit("/", 1)[-1]

    @classmethod
    def of(cls, archive: str, label: str, ref: RecordRef, read: Callable[[Member], bytes]) -> RawRecord:
        """The record that `ref` names, its members as `read` gives them. Raises what `read` raises."""
        return cls(
            archive, label, ref.image_id, ref.image.name, ref.annotations.name, read(ref.image), read(ref.annotations)
        )


@dataclass(frozen=True)
class Index:
    """The records of one archive in the order of the dataset: by image id; and what is to be said of how data that are
    not SA-1B's were read."""

    records: tuple[RecordRef, ...]
    notes: tuple[str, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Bytes of all members together; the same for a folder, a tar and a stream of one archive."""
        return sum(ref.image.size_bytes + ref.annotations.size_bytes for ref in self.records)


def member_id(name: str, *, archive: str) -> tuple[int, str] | None:
    """Split a member's name into image id and ending: `("./a/sa_7.json")` gives `(7, "json")`, others give None.

    Raises:
        RecordError: the name is absolute or leaves the archive (`../`).
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RecordError(
            f"expected members inside the archive, found the name {name!r}",
            where=f"{archive}: {name}",
            hint=f"Look at where this archive comes from; {SKIP} leaves such members out.",
        )
    match = _MEMBER.fullmatch(path.name)
    if match is None:
        return None
    digits = match[1]
    if not digits.isascii() or len(digits) > _ID_DIGITS or (digits.startswith("0") and digits != "0"):
        raise RecordError(
            f"expected an image id of at most {_ID_DIGITS} digits without leading zeros, found {digits[:40]}",
            where=f"{archive}: {name}",
        )
    return int(digits), match[2]


class Pairing:
    """Joins `sa_N.jpg` and `sa_N.json` in any order, and finds what is there twice or alone."""

    def __init__(self, archive: str, bad: BadRecords) -> None:
        self._archive = archive
        self._bad = bad
        self._names: dict[tuple[int, str], str] = {}

    def is_new(self, image_id: int, ending: str, name: str) -> bool:
        """Remember a member; False (or an error) when this half of the record was there before."""
        first = self._names.setdefault((image_id, ending), name)
        if first is name:
            return True
        self._bad.reject(
            RecordError(
                f"expected image id {image_id} once, found it also as {first}",
                where=f"{self._archive}: {name}",
                hint="Remove one of the two.",
            ),
            archive=self._archive,
            member=name,
        )
        return False

    def forget(self, image_id: int, ending: str) -> None:
        """A member that was remembered turned out to be unusable, and was rejected."""
        self._names.pop((image_id, ending), None)

    def report_orphans(self) -> None:
        """Reject each half that never met its other one."""
        other = {"jpg": "json", "json": "jpg"}
        for (image_id, ending), name in sorted(self._names.items()):
            missing = other[ending]
            if (image_id, missing) in self._names:
                continue
            self._bad.reject(
                RecordError(
                    f"expected sa_{image_id}.{missing} beside it, found none",
                    where=f"{self._archive}: {name}",
                ),
                archive=self._archive,
                member=name,
            )


@contextmanager
def own_hints() -> Iterator[None]:
    """Errors of data that are not SA-1B's do not say that the archive is to be got again: nobody else has it."""
    try:
        yield
    except (RecordError, SourceError) as error:
        if error.marked_hint == type(error).usual_hint:
            error.hint = _OWN_RECORD if isinstance(error, RecordError) else _OWN_SOURCE
        raise


def is_material(name: str) -> bool:
    """Whether a member may be an image or an annotation file, of whatever form."""
    path = PurePosixPath(name)
    return path.suffix.lower() in MATERIAL and not path.name.startswith(".") and "__MACOSX" not in path.parts


def pair_members(
    archive: str,
    members: Iterable[Member],
    bad: BadRecords,
    otherwise: Callable[[list[Member]], Index] | None = None,
) -> Index:
    """Make the index of an archive out of the members found in it, in any order.

    Args:
        archive: path or URL, for messages.
        members: all that may be of use.
        bad: policy.
        otherwise: makes the index of an archive without a single pair of SA-1B's, out of all images and annotation
            files in it, which are one at least.

    Raises:
        RecordError: under the policy `raise`: a member that is there twice, alone, too large, or has a forbidden name.
        SourceError: no record is left.
    """
    pairing = Pairing(archive, bad)
    halves: dict[str, dict[int, Member]] = {"jpg": {}, "json": {}}
    seen, material = 0, list[Member]()
    for member in members:
        try:
            known = member_id(member.name, archive=archive)
            if otherwise is not None and is_material(member.name):
                material.append(member)
            if known is None:
                continue
            check_member_size(member.name, member.size_bytes, archive=archive)
        except RecordError as error:
            bad.reject(error, archive=archive, member=member.name)
            continue
        seen += 1
        if pairing.is_new(*known, member.name):
            halves[known[1]][known[0]] = member
    others = len(material) > len(halves["jpg"]) + len(halves["json"])
    if otherwise is not None and others and not halves["jpg"].keys() & halves["json"].keys():
        return otherwise(material)
    pairing.report_orphans()
    ids = sorted(halves["jpg"].keys() & halves["json"].keys())
    if not ids:
        raise nothing_in(archive, seen)
    return Index(tuple(RecordRef(n, halves["jpg"][n], halves["json"][n]) for n in ids))


def nothing_in(archive: str, seen: int = 0, *, stream: bool = False) -> SourceError:
    """The error for an archive without a single record; of what is read once, other forms are not looked for."""
    return SourceError(
        f"expected pairs of sa_N.jpg and sa_N.json, found {'none' if not seen else f'{seen} members but no pair'}",
        where=archive,
        hint=_STREAMED if stream else FORMS,
    )


def check_member_size(name: str, size_bytes: int, *, archive: str) -> None:
    """Refuse a member larger than `MAX_MEMBER_BYTES`, and JSON larger than `MAX_JSON_BYTES`.

    Raises:
        RecordError: it is larger.
    """
    most = MAX_JSON_BYTES if name.endswith(".json") else MAX_MEMBER_BYTES
    if size_bytes > most:
        raise RecordError(f"expected at most {most} bytes, found {size_bytes}", where=f"{archive}: {name}")


def select(refs: Sequence[RecordRef], ids: frozenset[int] | None) -> tuple[RecordRef, ...]:
    """The records whose id was asked for; all without `ids`."""
    return tuple(ref for ref in refs if ids is None or ref.image_id in ids)
