"""An evaluation set in a folder: its images in any order, one at a time."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import msgspec

from asam_datasets.errors import CatalogError, RecordError, SegmentationError, SourceError, option
from asam_datasets.images import image_shape, orientation
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._entry import Entry, Kind, Protocol, Reading, Split
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES
from asam_datasets.sources.evaluation._nearby import is_archive
from asam_datasets.sources.evaluation._own import look_at, own_entry
from asam_datasets.sources.evaluation._patterns import shown
from asam_datasets.sources.evaluation._records import (
    EvaluationRead,
    EvaluationRecord,
    EvaluationRef,
    Evidence,
    Folder,
    Object,
    annotate,
    as_stored,
)
from asam_datasets.sources.evaluation._tree import packed, wrong_folder
from asam_datasets.sources.evaluation.layouts import Layout

_SPEC = re.compile(r"([a-z][a-z0-9_]*)(?::([a-z][a-z0-9_-]*))?=(.+)", re.DOTALL)
# Part of every digest: goes up when the same files would give other rows.
_FORM = b"evaluation-2"
# Part of the digest of an image that EXIF turns, where the masks are of the turned one.
_TURNED = b"masks of the image as it is shown"


@dataclass(frozen=True)
class EvaluationSource:
    """One set in one folder, read one way. Cheap to make and to pickle; holds no file open.

    Args:
        entry: what the catalog says of it.
        root: its folder.
        protocol: `asam` reads it as ASAM's own loaders do, where that differs.
        variant: the name of one of the entry's other readings.
        packing: the layout in the way in which the files in `root` are packed.
        taken: how a folder is read that no catalog knows, and why, for people; empty for all others.
    """

    entry: Entry
    root: Path
    protocol: Protocol = "default"
    variant: str | None = None
    packing: Layout | None = None
    taken: str = ""

    @property
    def name(self) -> str:
        """The set's id, which is the name of its config."""
        return self.entry.id

    @property
    def label(self) -> str:
        """What was said on the command line: `hrsod_te=FOLDER`, with the variant after a colon."""
        return f"{self.name}{f':{self.variant}' if self.variant else ''}={self.root}"

    @property
    def layout(self) -> Layout:
        """The layout that this protocol and variant read."""
        if self.packing is not None:
            return self.packing
        reading = self._reading
        layout = self.entry.layout if reading is None else reading.layout
        if layout is None:
            raise _variant_needed(self.entry)
        return layout

    @property
    def split(self) -> Split:
        """Name of the split in the dataset."""
        return (self._reading and self._reading.split) or self.entry.split

    @property
    def source_split(self) -> str:
        """What the source of the set calls the files that are read."""
        return (self._reading and self._reading.source_split) or self.entry.source_split

    @property
    def kind(self) -> Kind:
        """What a mask is in this reading."""
        return (self._reading and self._reading.kind) or self.entry.kind

    @property
    def extra(self) -> tuple[str, ...]:
        """The columns that this reading has besides those of all sets."""
        layout = self.entry.layout if self._reading is None else self._reading.layout
        return tuple(getattr(layout, "columns", ()))

    @property
    def expected(self) -> tuple[int | None, int | None]:
        """Images with masks, and masks, that the catalog expects of this reading; None where nothing is known."""
        stated = self._reading or self.entry
        return stated.expected_images, stated.expected_masks

    def unexpected_counts(self, images: int, masks: int) -> str:
        """A warning for counts that are not the expected ones; empty where they are, or nothing is known."""
        found = {"images with objects": images, "masks": masks}
        differences = [
            f"{expected} {what}, found {found[what]}"
            for what, expected in zip(found, self.expected, strict=True)
            if expected is not None and expected != found[what]
        ]
        return f"{self.label}: expected {'; expected '.join(differences)}" if differences else ""

    def index(self, bad: BadRecords) -> tuple[EvaluationRef, ...]:
        """Find the images, by file name and then by id: an annotation file may list one image under several ids, and
        each is a row. Those without any object are among them: `read` gives None for each.

        Raises:
            RecordError: under the policy `raise`: an image without its mask file, or a mask without its image.
            SourceError: no image is where the layout has them, an annotation file cannot be used, or what reads the
                set is not installed.
        """
        self.layout.require()
        folder = self._folder
        refs: dict[tuple[str, ...], EvaluationRef] = {}
        rejected = len(bad.rejects)
        for ref in self.layout.index(folder, bad):
            if not _is_text(ref.file_name):
                folder.reject(bad, "expected a name in UTF-8, found other bytes", ref.file_name)
            elif refs.setdefault((ref.file_name, ref.image_id, *self._file_of(ref)), ref) is not ref:
                folder.reject(bad, "expected each image once, found it in the annotations again", ref.file_name)
        if not refs and len(bad.rejects) == rejected:
            raise wrong_folder(self.entry, self.layout, self.root, self.label)
        if not refs:
            raise SourceError(
                f"expected images, found none that can be used ({len(bad.rejects) - rejected} were rejected, "
                f"the first: {bad.rejects[rejected].reason})",
                where=self.label,
            )
        return tuple(refs[key] for key in sorted(refs))

    def read(self, ref: EvaluationRef) -> EvaluationRead:
        """Read one image and its masks, each file once. Without a record it has no object, so it is not part of the
        set, where the layout does not keep such images; count it.

        Raises:
            RecordError: the image or what decides its masks cannot be read, or they are not of one size.
            SourceError: an annotation file changed and cannot be used any more.
        """
        digest, image, all_evidence = self._open(ref)
        where = self._folder.place(ref.file_name)
        shape = image_shape(image, where)
        try:
            place = self._folder.place(f"{next(iter(ref.masks), ref.file_name)}: image {ref.image_id}")
            taken: list[Evidence] = []
            kept = _kept(all_evidence, taken)
            objects = [one for evidence in kept for one in _objects(evidence, image, shape)]
            annotations, masks = annotate(objects, place)
        except SegmentationError as error:
            raise RecordError(error.problem, where=where, hint=error.marked_hint) from None
        if not masks and self.layout.without_objects == "drop":
            return EvaluationRead(None, digest.digest())
        record = EvaluationRecord(
            dataset=self.name,
            file_name=ref.file_name,
            image_id=ref.image_id,
            width=shape[1],
            height=shape[0],
            image=image,
            annotations=annotations,
            masks=masks,
            extra={name: fact for evidence in taken for name, fact in evidence.extra.items()},
            skipped=sum(one.skipped for one in objects),
        )
        return EvaluationRead(record, digest.digest())

    def digest(self, ref: EvaluationRef) -> bytes:
        """The digest that `read` gives, with nothing decoded: SHA-256 over all that decides an image's row, which is
        its name, its bytes, what its masks come from, the layout.

        Raises:
            RecordError: a file is gone or cannot be read.
            SourceError: an annotation file changed and cannot be used any more.
        """
        digest, _, all_evidence = self._open(ref)
        for _ in all_evidence:
            pass
        return digest.digest()

    def _open(self, ref: EvaluationRef) -> tuple[hashlib._Hash, bytes, Iterator[Evidence]]:
        """The digest, the image's bytes, and what decides its masks, which goes into the digest as it is taken."""
        digest = hashlib.sha256()
        image = self._folder.read(ref.file_name, limit_bytes=MAX_IMAGE_BYTES)
        named = msgspec.json.encode([self.name, ref.file_name, ref.image_id])
        for content in (_FORM, named, self.layout.form(), image):
            _add(digest, content)

        def taken() -> Iterator[Evidence]:
            for evidence in self.layout.evidence(self._folder, ref):
                _add(digest, evidence.content)
                if evidence.seen is not None and orientation(image) != 1:
                    _add(digest, _TURNED)
                yield evidence

        return digest, image, taken()

    def close(self) -> None:
        """Nothing is held open."""

    def _file_of(self, ref: EvaluationRef) -> tuple[str, ...]:
        """The annotation file of an image, where several may have it under one id: each is another annotator's."""
        return ref.masks if self.extra else ()

    @property
    def _folder(self) -> Folder:
        return Folder(self.root, self.label)

    @property
    def _reading(self) -> Reading | None:
        """The reading that is not the entry's own; None for that one."""
        if self.variant is not None:
            return self.entry.variants[self.variant]
        return self.entry.asam if self.protocol == "asam" else None


def open_evaluation(
    entry: Entry, root: str | Path, *, protocol: Protocol = "default", variant: str | None = None
) -> EvaluationSource:
    """A set in a folder, with everything checked that can be checked without reading it.

    Raises:
        CatalogError: the entry has no such variant, or only the user can say which one the folder holds; or both a
            variant and ASAM's reading were asked for, where the entry has such a reading.
        SourceError: the folder is not there.
    """
    if variant is not None and variant not in entry.variants:
        known = ", ".join(entry.variants) or "none"
        raise CatalogError(f"expected a variant of {entry.id} ({known}), found {variant!r}", where=entry.id)
    if variant is not None and protocol == "asam" and entry.asam is not None:
        raise CatalogError(
            f"expected a variant or the protocol asam, found both for {entry.id}",
            where=f"{entry.id}:{variant}",
            hint="ASAM's loaders read the files of one variant: leave it out.",
        )
    if variant is None and entry.layout is None and not (protocol == "asam" and entry.asam):
        raise _variant_needed(entry)
    source = EvaluationSource(entry, Path(root), protocol, variant)
    if source.root.is_file():
        what = "an archive" if is_archive(source.root.name) else "a file"
        hint = "Unpack it, and name the folder." if is_archive(source.root.name) else "Name the folder that it is in."
        raise SourceError(f"expected the folder of an evaluation set, found {what}", where=source.label, hint=hint)
    if not source.root.is_dir():
        raise SourceError(
            "expected the folder of an evaluation set, found nothing there", where=source.label, hint="Check the path."
        )
    layout = packed(source.layout, source.root)
    return replace(source, packing=layout.as_asam() if protocol == "asam" else layout)


def parse_evaluation(text: str, catalog: Mapping[str, Entry], *, protocol: Protocol = "default") -> EvaluationSource:
    """A set as the command line names it: `hrsod_te=FOLDER`, or `ibd:coco=FOLDER` for a variant.

    A set that the catalog does not have is read as what it looks like, where its folder has `images/` and `masks/` or a
    COCO JSON; `taken` says so.

    Raises:
        CatalogError: not of this form, or a set that is not in the catalog and looks like nothing known. Otherwise as
            `open_evaluation`.
        SourceError: the folder is not there, or cannot be read.
    """
    found = _SPEC.fullmatch(text)
    if found is None:
        raise CatalogError(
            f"expected ID=FOLDER, such as hrsod_te=/data/HRSOD, found {text!r}",
            hint="`asam-datasets catalog` lists the ids.",
        )
    identity, variant, root = found.groups()
    root = os.path.expanduser(root)
    if identity not in catalog and variant is None and Path(root).is_dir():
        return _own(text, identity, Path(root), catalog, protocol)
    return open_evaluation(find_entry(catalog, identity), root, protocol=protocol, variant=variant)


def _own(text: str, identity: str, root: Path, catalog: Mapping[str, Entry], protocol: Protocol) -> EvaluationSource:
    """A set that the catalog does not have, by what its folder looks like; a slip of the pen is still one.

    Raises:
        CatalogError: the folder is that of a set with nearly this id, or looks like nothing known; or no set may be
            called so.
    """
    near = [catalog[name].layout for name in _near(catalog, identity)]
    look = None if any(way.fits(root) for layout in near if layout for way in layout.ways()) else look_at(root, text)
    if look is None:
        raise _unknown(catalog, identity)
    try:
        entry = own_entry(identity, look)
    except ValueError as error:
        raise CatalogError(str(error), where=text) from None
    ((first, seconds), *_) = look.layout.places()
    read_as = f"{shown(first)} with {shown(seconds[0])}, masks are {look.kind}"
    taken = f"{text}: no catalog knows this set; it is read as {read_as}: {look.why}"
    return replace(open_evaluation(entry, root, protocol=protocol), taken=taken)


def find_entry(catalog: Mapping[str, Entry], identity: str) -> Entry:
    """The set of that id.

    Raises:
        CatalogError: there is none; the message names the nearest ids first.
    """
    if identity in catalog:
        return catalog[identity]
    raise _unknown(catalog, identity)


def _near(catalog: Mapping[str, Entry], identity: str) -> list[str]:
    """The ids that may have been meant."""
    near = [name for name in sorted(catalog) if name.startswith(identity)]
    return near or get_close_matches(identity, sorted(catalog), n=3)


def _unknown(catalog: Mapping[str, Entry], identity: str) -> CatalogError:
    near = _near(catalog, identity)
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return CatalogError(
        f"expected a set of the catalog, found {identity!r}",
        hint=f"{meant}`asam-datasets catalog` lists the ids; a set of your own has images/ beside masks/, or a COCO "
        f"JSON, or a TOML file, {option('catalog', 'mine.toml')}: `asam-datasets catalog new FOLDER` begins one.",
    )


def _variant_needed(entry: Entry) -> CatalogError:
    ways = " or ".join(f"{entry.id}:{variant}=FOLDER" for variant in entry.variants)
    return CatalogError(f"expected the variant that the folder holds, found none: say {ways}", where=entry.id)


def _kept(all_evidence: Iterable[Evidence], into: list[Evidence]) -> Iterator[Evidence]:
    for evidence in all_evidence:
        into.append(evidence._replace(content=b""))
        yield evidence


def _objects(evidence: Evidence, image: bytes, shape: tuple[int, int]) -> Iterable[Object]:
    """The masks of a piece of evidence, for the pixels as they are stored: (height, width) of `shape`."""
    turns = 1 if evidence.seen is None else orientation(image)
    shown = shape[::-1] if turns > 4 else shape
    if turns == 1 or (None not in (evidence.seen or ()) and evidence.seen != shown):
        return evidence.objects(shape)
    return as_stored(evidence.objects(shown), turns)


def _add(digest: hashlib._Hash, content: bytes) -> None:
    """With its length in front, so that bytes cannot move from one piece to the next."""
    digest.update(len(content).to_bytes(8, "little"))
    digest.update(content)


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8: a file system may hold bytes that are not."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
