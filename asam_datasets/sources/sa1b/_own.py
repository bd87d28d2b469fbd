"""Data of one's own: images of any name, and who says what is in them.

    photos/cat.jpg  photos/cat.json                  pairs: a JSON of one image, of the image's name, beside it, or
    photos/images/cat.png  photos/labels/cat.json    elsewhere in the archive where no other has that name
    photos/cat.jpg  photos/dog.png  photos/any.json  one COCO JSON for all, anywhere in the archive

Which of these it is follows from what is there; messages say what was recognised, and what was missing. An image is
called by its path below the folder that all images lie in. Image ids are those of the JSON where each image has a
number of its own; otherwise they are given in the order of the names, from a number that follows from the archive's
name, so that those of two archives differ.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol

from asam_datasets.errors import SKIP, RecordError, SourceError, option
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.sa1b._own_json import (
    MAX_COCO_BYTES,
    CocoFile,
    Counts,
    OwnImage,
    has_mask,
    looks_like_coco,
    parse_alone,
    parse_coco,
    to_sa1b,
    unknown_fields,
)
from asam_datasets.sources.sa1b._records import (
    FORMS,
    Index,
    Member,
    Own,
    RawRecord,
    RecordRef,
    check_member_size,
    own_hints,
)

_MOST_PEEKED = 64
_MOST_NAME = 2**12
_SHOWN = 3
_CHANGED = "The archive changed while it was read: run it again when nothing writes there any more."


class Container(Protocol):
    """What holds members, whatever they are."""

    name: str
    label: str

    def content(self, member: Member, *, limit_bytes: int = ...) -> bytes:
        """The bytes of a member. Raises SourceError or RecordError."""

    def state(self, member: Member) -> tuple[object, ...]:
        """What changes when the content of a member does."""


class _Found(NamedTuple):
    """An image, who speaks of it, the place of it there, what is said of it, and the size of that."""

    image: Member
    json: Member
    key: int
    info: OwnImage
    size_bytes: int


def index_own(source: Container, material: Sequence[Member], bad: BadRecords, *, coco: str = "") -> Index:
    """Make the index of an archive that is not SA-1B's.

    Args:
        source: the archive.
        material: the images and annotation files in it.
        bad: policy.
        coco: the COCO JSON that was asked for; it is looked for if none was.

    Raises:
        SourceError: no form was recognised, or nothing of it is there.
        RecordError: under the policy `raise`: an image or an annotation file is alone, too large, or there twice.
    """
    with own_hints():
        return _index(source, material, bad, coco)


def _index(source: Container, material: Sequence[Member], bad: BadRecords, coco: str) -> Index:
    members = _members(source, material, bad)
    jsons = {name: one for name, one in members.items() if name.lower().endswith(".json")}
    images = {name: one for name, one in members.items() if name not in jsons}
    if coco and coco not in jsons:
        raise _missing(source, f"no annotation file {coco} that can be read")
    if not images:
        raise _missing(source, f"{len(jsons):,} annotation files and no image (.jpg, .jpeg, .png)")
    paired = {} if coco else _pairs(images, jsons)
    rest = [name for name in jsons if name not in paired.values()]
    files = [coco] if coco else _coco_files(source, [jsons[name] for name in rest])
    if len(files) > 1 or (files and paired):
        what = [*files, *(["pairs such as " + next(iter(paired))] if paired else [])]
        raise SourceError(
            f"expected one form of annotations, recognised {' and '.join(map(repr, what[:_SHOWN]))}",
            where=source.label,
            hint=f"Give the COCO JSON that counts ({option('train', 'PATH.json')}), or move the others elsewhere.",
        )
    if files:
        found, notes = _of_coco(source, images, jsons[files[0]], bad, told=not coco)
    elif paired:
        found, notes = _of_pairs(source, images, jsons, paired, bad)
    else:
        raise _missing(source, f"{len(images):,} images and no annotations for them{_beside(rest)}")
    if not found:
        raise _missing(source, "no image that has annotations", files[0] if files else "pairs")
    records, numbered = _records(source, found)
    return Index(records, (f"{source.name}: {notes[0]}; {numbered}", *(f"{source.name}: {note}" for note in notes[1:])))


def read_own(source: Container, ref: RecordRef, own: Own) -> RawRecord:
    """Read one record, in the form of SA-1B.

    Raises:
        SourceError: a member is gone or changed.
        RecordError: the image or its annotations are bad.
    """
    with own_hints():
        return _read(source, ref, own)


def _read(source: Container, ref: RecordRef, own: Own) -> RawRecord:
    image = source.content(ref.image)
    where = f"{source.label}: {own.json.name}"
    if own.key < 0:
        info, annotations = parse_alone(source.content(own.json), where)
        placed = [(f"{where}: $.annotations[{number}]", one) for number, one in enumerate(annotations)]
    else:
        coco = _coco(source, own.json)
        if own.key >= len(coco.images):
            raise SourceError(f"expected image {own.key} as before, found none", where=where, hint=_CHANGED)
        info = coco.images[own.key]
        places = coco.places.get(own.key, ())
        placed = [(f"{where}: $.annotations[{number}]", coco.annotations[number]) for number in places]
        where = f"{where}: image {info.id!r}"
    json = to_sa1b(
        image,
        info,
        placed,
        image_id=ref.image_id,
        file_name=own.file_name,
        image_where=f"{source.label}: {ref.image.name}",
        where=where,
    )
    return RawRecord(
        source.name, source.label, ref.image_id, ref.image.name, ref.annotations.name, image, json, own.file_name
    )


def _members(source: Container, material: Sequence[Member], bad: BadRecords) -> dict[str, Member]:
    """By name, in the order of names; what is too large or there twice is rejected."""
    found: dict[str, Member] = {}
    for member in sorted(material):
        problem = ""
        if member.name in found:
            problem = "expected each file once, found it again"
        elif len(member.name) > _MOST_NAME:
            problem = f"expected a path of at most {_MOST_NAME} letters, found {len(member.name)}"
        elif not member.name.lower().endswith(".json"):
            try:
                check_member_size(member.name, member.size_bytes, archive=source.label)
            except RecordError as error:
                problem = error.problem
        if problem:
            unusable = RecordError(problem, where=f"{source.label}: {member.name}")
            bad.reject(unusable, archive=source.label, member=member.name)
        else:
            found[member.name] = member
    return found


def _pairs(images: Mapping[str, Member], jsons: Mapping[str, Member]) -> dict[str, str]:
    """The annotation file of each image: of its name beside it, or the one of its name anywhere."""
    found = {}
    stems = Counter(PurePosixPath(name).stem for name in images)
    elsewhere: dict[str, list[str]] = {}
    for name in jsons:
        elsewhere.setdefault(PurePosixPath(name).stem, []).append(name)
    for name in images:
        path = PurePosixPath(name)
        beside = str(path.with_suffix(".json"))
        others = elsewhere.get(path.stem, [])
        if beside in jsons:
            found[name] = beside
        elif stems[path.stem] == 1 and len(others) == 1:
            found[name] = others[0]
    return found


def _coco_files(source: Container, rest: Sequence[Member]) -> list[str]:
    """Those of some JSONs that are COCO files with masks in them."""
    if len(rest) > _MOST_PEEKED:
        return []
    found = []
    for member in rest:
        if member.size_bytes > MAX_COCO_BYTES:
            continue
        if not looks_like_coco(source.content(member, limit_bytes=MAX_COCO_BYTES)):
            continue
        if any(has_mask(one.segmentation) for one in _coco(source, member).annotations):
            found.append(member.name)
    return found


def _coco(source: Container, json: Member) -> CocoFile:
    key = (source.label, json, *source.state(json))
    return parse_coco(key, f"{source.label}: {json.name}", lambda: source.content(json, limit_bytes=MAX_COCO_BYTES))


def _of_coco(
    source: Container, images: Mapping[str, Member], json: Member, bad: BadRecords, *, told: bool
) -> tuple[list[_Found], list[str]]:
    """The images that a COCO file names, and what is to be said of it; `told` says that others are told as well."""
    coco, found = _coco(source, json), list[_Found]()
    by_name: dict[str, list[str]] = {}
    for name in images:
        by_name.setdefault(PurePosixPath(name).name, []).append(name)
    taken: dict[str, int] = {}
    for key, info in enumerate(coco.images):
        places = _located(info.file_name, PurePosixPath(json.name).parent, by_name)
        problem = ""
        if len(places) != 1:
            among = f"{len(places)} that it may be, such as {places[0]}" if places else "none"
            problem = f"expected the image {info.file_name!r}, found {among}"
        elif taken.setdefault(places[0], key) != key:
            problem = f"expected {info.file_name!r} once, found it again as image {coco.images[taken[places[0]]].id!r}"
        if problem:
            error = RecordError(
                problem,
                where=f"{source.label}: {json.name}: $.images[{key}]",
                hint=f"{json.name} was taken for the COCO JSON of this archive. {SKIP} leaves such images out.",
            )
            bad.reject(error, archive=source.label, member=f"{json.name}: image {info.id!r}")
            continue
        size = sum(len(bytes(coco.annotations[place].segmentation)) for place in coco.places.get(key, ()))
        found.append(_Found(images[places[0]], json, key, info, size))
    counts = Counts.of(coco.annotations)
    notes = [f"{len(found):,} images by {json.name} (COCO JSON)"]
    bare = sum(not coco.places.get(one.key) for one in found)
    left = [
        (counts.crowds, "annotations of crowds"),
        (counts.without_mask, "annotations without a mask"),
        (coco.strays, "annotations of images that it does not name"),
        (len(images) - len(taken) if told else 0, "images that it does not name"),
    ]
    notes += [f"left out: {number:,} {what}" for number, what in left if number]
    if counts.categories:
        # A note is read by whoever shows a plan, so it names no argument.
        notes.append(
            f"left out: categories ({counts.categories:,}), for which the train table has no column; published as an "
            "evaluation set it keeps them"
        )
    if bare:
        notes.append(f"{bare:,} images have no annotation")
    return found, notes


def _located(file_name: str, folder: PurePosixPath, by_name: Mapping[str, Sequence[str]]) -> list[str]:
    """The images that a name in a COCO file may mean: exactly that path, from the file's folder or from the top; else
    those whose path ends in it; else those of that name. Names are compared, and nothing is opened by them."""
    name = PurePosixPath(file_name.replace("\\", "/"))
    candidates = by_name.get(name.name, ())
    for exact in (str(folder / name), str(name)):
        if exact in candidates:
            return [exact]
    ending = [one for one in candidates if f"/{one}".endswith(f"/{name}")]
    return ending or list(candidates)


def _of_pairs(
    source: Container,
    images: Mapping[str, Member],
    jsons: Mapping[str, Member],
    paired: Mapping[str, str],
    bad: BadRecords,
) -> tuple[list[_Found], list[str]]:
    """The images that have a JSON each, and what is to be said of them."""
    users = Counter(paired.values())
    found, others, counts = list[_Found](), Counter[str](), Counts(0, 0, 0)
    for name in (*images, *(one for one in jsons if one not in users)):
        try:
            where = f"{source.label}: {name}"
            if name not in paired:
                missing = "image of its name" if name in jsons else f"{PurePosixPath(name).stem}.json"
                raise RecordError(f"expected a pair of an image and its JSON, found no {missing}", where=where)
            json = jsons[paired[name]]
            if users[json.name] > 1:
                raise RecordError(f"expected one image of {json.name}, found {users[json.name]}", where=where)
            check_member_size(json.name, json.size_bytes, archive=source.label)
            content = source.content(json)
            info, annotations = parse_alone(content, f"{source.label}: {json.name}")
            if info.file_name and PurePosixPath(info.file_name.replace("\\", "/")).name != PurePosixPath(name).name:
                problem = f"expected {PurePosixPath(name).name!r}, found {info.file_name!r}"
                raise RecordError(problem, where=f"{source.label}: {json.name}: $.image.file_name")
        except RecordError as error:
            bad.reject(error, archive=source.label, member=name)
            continue
        others.update(unknown_fields(content))
        counts = Counts(*(one + more for one, more in zip(counts, Counts.of(annotations), strict=True)))
        found.append(_Found(images[name], json, -1, info, json.size_bytes))
    notes = [f"{len(found):,} images with a JSON each"]
    left = [(counts.crowds, "annotations of crowds"), (counts.without_mask, "annotations without a mask")]
    notes += [f"left out: {number:,} {what}" for number, what in left if number]
    if others:
        fields = ", ".join(f"`{name}` of {count:,}" for name, count in sorted(others.items())[:_SHOWN])
        notes.append(f"left out: fields for which the train table has no column ({fields} annotations)")
    return found, notes


def _records(source: Container, found: Sequence[_Found]) -> tuple[tuple[RecordRef, ...], str]:
    """The records in the order of their ids, and where those come from."""
    names = _names([one.image.name for one in found])
    ordered = sorted(zip(names, found, strict=True))
    # What is called as SA-1B's images are has the id that is in its name: everybody takes it for that.
    named = [re.fullmatch(r"sa_(0|[1-9][0-9]{0,17})\.jpg", name) for name in names]
    numbers = [int(name[1]) if name else one.info.number for name, one in zip(named, found, strict=True)]
    if None not in numbers and len(set(numbers)) == len(numbers):
        ids = {one.image.name: number or 0 for one, number in zip(found, numbers, strict=True)}
        said = "image ids are those of the names" if all(named) else "image ids are those of the JSON"
    else:
        first = (int.from_bytes(hashlib.sha256(source.name.encode()).digest()[:3], "big") >> 4 << 32) + 1
        ids = {one.image.name: first + number for number, (_, one) in enumerate(ordered)}
        said = f"image ids are given in the order of the names, from {first}"
    refs = [
        RecordRef(
            ids[one.image.name],
            one.image,
            Member(one.json.name, one.size_bytes, one.json.offset),
            Own(name, one.json, one.key),
        )
        for name, one in ordered
    ]
    return tuple(sorted(refs, key=lambda ref: ref.image_id)), said


def _names(paths: Sequence[str]) -> list[str]:
    """The paths below the folder that all of them are in."""
    parents = [PurePosixPath(path).parts[:-1] for path in paths]
    common = parents[0]
    for parts in parents[1:]:
        while common != parts[: len(common)]:
            common = common[:-1]
    return ["/".join(PurePosixPath(path).parts[len(common) :]) for path in paths]


def _beside(rest: Sequence[str]) -> str:
    if not rest:
        return ""
    shown = ", ".join(rest[:_SHOWN])
    more = f" and {len(rest) - _SHOWN:,} more" if len(rest) > _SHOWN else ""
    return f" ({shown}{more}: neither of the name of an image, nor COCO JSON with masks)"


def _missing(source: Container, found: str, form: str = "") -> SourceError:
    taken = f"{form} was recognised. " if form else ""
    return SourceError(f"expected images with annotations, found {found}", where=source.label, hint=f"{taken}{FORMS}")
