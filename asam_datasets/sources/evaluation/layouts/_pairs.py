"""Images and the mask files beside them: what all layouts with files of their own share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec
from msgspec import Meta

from asam_datasets.errors import SKIP, SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES
from asam_datasets.sources.evaluation._nearby import archives_near, files_by_ending
from asam_datasets.sources.evaluation._patterns import (
    Budget,
    check_pattern,
    fill,
    find,
    fixed_folder,
    match,
    on_disk,
    shown,
)
from asam_datasets.sources.evaluation._records import EvaluationRef, Evidence, Folder, Object, without_ending
from asam_datasets.sources.evaluation.layouts._base import BaseLayout, Described, Policy

if TYPE_CHECKING:
    from typing_extensions import Self

_MAX_LIST_BYTES = 2**26
_LISTED_BY = ("name", "video")
"""Fields that the list of a split may name."""


class Pair(Described, frozen=True, kw_only=True):
    """A pattern of images, and the pattern of the mask file of each.

    Args:
        listed: a text file of the set that names the images of the split by their field `{name}`, one a line, with or
            without an ending, or whole videos by the field `{video}`; what it does not name is not of the split.
    """

    image: str
    mask: str
    listed: str = ""

    def __post_init__(self) -> None:
        fields = check_pattern(self.image)
        check_pattern(self.mask)
        if self.listed and (check_pattern(self.listed) or fields.isdisjoint(_LISTED_BY)):
            raise ValueError("expected `listed` without fields, and a field {name} or {video} in `image`")

    @property
    def open_fields(self) -> frozenset[str]:
        """Fields of the mask's path that the image's path does not fill."""
        return check_pattern(self.mask) - check_pattern(self.image)


Pairs = Annotated[tuple[Pair, ...], Meta(min_length=1)]


class PairedLayout(BaseLayout, frozen=True, kw_only=True):
    """Base of the layouts whose masks lie in files of their own; what a file says is all that they add."""

    labels: ClassVar[tuple[str, str]] = ("images", "masks")

    pairs: Pairs
    packagings: tuple[Pairs, ...] = ()
    lone_images: Policy = "reject"
    lone_masks: Policy = "reject"

    def __post_init__(self) -> None:
        """One mask file for one image, where a layout does not say otherwise."""
        for pair in chain(self.pairs, *self.packagings):
            if pair.open_fields:
                raise ValueError(f"expected only fields of `image` in `mask`, found {sorted(pair.open_fields)}")

    def objects(self, folder: Folder, name: str, shape: tuple[int, int]) -> Iterator[Object]:
        """The masks in one file, for an image of `shape` (height, width) pixels; empty ones may be among them.

        Args:
            folder: holds the bytes of the file.

        Raises:
            RecordError: the file cannot be used.
        """
        raise NotImplementedError

    def index(self, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
        """Join images and mask files. What is alone, on either side, is reported unless the layout lets it be. Where no
        image at all has a mask, there are none: the folder is another one.

        Raises:
            RecordError: under the policy `raise`: a file that is alone, of no bytes or of too many.
            SourceError: the list of a split is missing.
        """
        if self.lone_images == "reject" and not any(pair.listed for pair in self.pairs) and not self.fits(folder.root):
            return
        seen: set[str] = set()
        for pair in self.pairs:
            listed = _listed(pair, folder)
            masks = _masks(pair, folder)
            own_masks = {name for names in masks.values() for name in names}
            used: set[str] = set()
            advice = ""  # found once, as it takes a walk over the folder
            for name, fields in sorted(find(folder.root, pair.image)):
                if name in seen or name in own_masks or not _is_listed(fields, name, listed):
                    continue
                expected = fill(pair.mask, fields)
                own = sorted(masks.get(expected, ()))
                used.add(expected)
                if own or self.lone_images == "reject":
                    seen.add(name)
                if len(own) > 1 and not pair.open_fields:
                    folder.reject(bad, f"expected one mask, found {' and '.join(own)}", name)
                elif own:
                    yield from _ref(folder, bad, name, tuple(own))
                elif self.lone_images == "reject":
                    advice = advice or archives_near(folder.root, expected) or _counts(pair, folder, expected)
                    folder.reject(bad, f"expected its mask {shown(expected)}, found none", name, advice)
            if listed is not None and self.lone_images == "reject":
                _report_missing(pair, folder, bad, listed)
            if listed is None and self.lone_masks == "reject":
                for expected in sorted(masks.keys() - used):
                    for name in sorted(masks[expected])[:1]:
                        folder.reject(bad, f"expected an image like {shown(pair.image)}, found none", name)

    def companions(self, pair: Pair) -> tuple[str, ...]:
        """Patterns of files that say more of a mask file's masks, with the fields of its path; they may be absent."""
        return ()

    def evidence(self, folder: Folder, ref: EvaluationRef) -> Iterator[Evidence]:
        """The mask files, in the order of their names, each with its companions."""
        for name in ref.masks:
            content = folder.read(name, limit_bytes=MAX_IMAGE_BYTES)
            held = folder.holding(name, content)
            for other in self._beside(folder, name):
                more = folder.read(other, limit_bytes=MAX_IMAGE_BYTES)
                held = held.holding(other, more)
                content = b"".join((len(content).to_bytes(8, "little"), content, more))
            yield Evidence(content, partial(self.objects, held, name))

    def places(self) -> Iterable[tuple[str, tuple[str, ...]]]:
        """Images, and the mask file of each."""
        return [(pair.image, (pair.mask,)) for pair in self.pairs]

    def more(self) -> dict[str, str]:
        """The companions."""
        return {other: "classes, where it is there" for pair in self.pairs for other in self.companions(pair)}

    def lists(self) -> set[str]:
        """Those of the splits."""
        return {pair.listed for pair in self.pairs if pair.listed}

    def ways(self) -> list[Self]:
        """See `BaseLayout`."""
        return [msgspec.structs.replace(self, pairs=each, packagings=()) for each in (self.pairs, *self.packagings)]

    def fits(self, root: Path, budget: Budget | None = None) -> bool:
        """Whether an image has a mask file."""
        return any(_has_mask(root, pair, fields) for pair in self.pairs for _, fields in find(root, pair.image, budget))

    def why_nothing(self, root: Path) -> str:
        """How many files are like images and like masks, and of what kind the files are in the place of masks."""
        said = []
        for pair in self.pairs:
            images = sorted(find(root, pair.image))
            if not images:
                continue
            masks = sum(1 for _ in find(root, pair.mask))
            name, fields = images[0]
            said.append(
                f"{len(images):,} like {shown(pair.image)} and {masks:,} like {shown(pair.mask)}, of which none belong "
                f"together: {name} has no {shown(fill(pair.mask, fields))}{_instead(root, fill(pair.mask, fields))}"
            )
        return "; ".join(said)

    def _beside(self, folder: Folder, mask: str) -> Iterator[str]:
        """The companions of a mask file that are there."""
        for pair in self.pairs:
            fields = match(pair.mask, mask)
            for pattern in self.companions(pair) if fields is not None else ():
                found = on_disk(folder.root, fill(pattern, fields or {}))
                if found is not None:
                    yield found


def _masks(pair: Pair, folder: Folder) -> dict[str, list[str]]:
    """The mask files by what their image knows of their path: the pattern with the shared fields filled in."""
    found: dict[str, list[str]] = {}
    open_fields = pair.open_fields
    for name, fields in find(folder.root, pair.mask):
        # Beside the images, `a_mask.png` may look like an image too: it is a mask when there is `a.png`.
        if match(pair.image, name) is not None and on_disk(folder.root, fill(pair.image, fields)) is None:
            continue
        shared = {field: value for field, value in fields.items() if field not in open_fields}
        found.setdefault(fill(pair.mask, shared), []).append(name)
    return found


def _has_mask(root: Path, pair: Pair, fields: Mapping[str, str]) -> bool:
    expected = fill(pair.mask, fields)
    if pair.open_fields:
        return next(find(root, expected), None) is not None
    return on_disk(root, expected) is not None


def _counts(pair: Pair, folder: Folder, expected: str) -> str:
    """A hint for an image without a mask: how many others have one."""
    images = list(find(folder.root, pair.image))
    fit = sum(_has_mask(folder.root, pair, fields) for _, fields in images)
    return (
        f"{fit:,} of {len(images):,} images like {shown(pair.image)} have a mask{_instead(folder.root, expected)}. "
        f"Is the set unpacked whole? {SKIP} leaves such images out."
    )


def _instead(root: Path, mask: str) -> str:
    """What lies in the folder of a mask that is not there, by the endings."""
    inside = fixed_folder(mask)
    return f" ({inside}/ has {files_by_ending(root / inside)})" if inside else ""


def _listed(pair: Pair, folder: Folder) -> frozenset[str] | None:
    if not pair.listed:
        return None
    if folder.size_bytes(pair.listed) is None:
        if next(find(folder.root, pair.image), None) is None:
            return frozenset()  # nothing of this kind is there at all: another pattern may fit
        raise SourceError(
            "expected the list of the split's images, found no such file",
            where=folder.place(pair.listed),
            hint="Get it from the set's archive: without it the split is not known.",
        )
    text = folder.read(pair.listed, limit_bytes=_MAX_LIST_BYTES).decode("utf-8", errors="replace")
    return frozenset(line.strip() for line in text.splitlines())


def _report_missing(pair: Pair, folder: Folder, bad: BadRecords, listed: frozenset[str]) -> None:
    """Report what the list names and nothing is found for."""
    found = set()
    for name, fields in find(folder.root, pair.image):
        found |= {*(fields[field] for field in _LISTED_BY if field in fields), name.rsplit("/", 1)[-1]}
    for line in sorted(listed - found - {""}):
        folder.reject(bad, f"expected the image {line!r} that this list names, found none", pair.listed)


def _is_listed(fields: Mapping[str, str], name: str, listed: frozenset[str] | None) -> bool:
    """Whether the split has an image; without a list it has all."""
    names = {name.rsplit("/", 1)[-1], *(fields[field] for field in _LISTED_BY if field in fields)}
    return listed is None or not names.isdisjoint(listed)


def _ref(folder: Folder, bad: BadRecords, name: str, masks: tuple[str, ...]) -> Iterator[EvaluationRef]:
    for each in (name, *masks):
        size = folder.size_bytes(each)
        if size is None:
            folder.reject(bad, "expected a regular file, found a link to nothing or something else", each)
            return
        if not 0 < size <= MAX_IMAGE_BYTES:
            folder.reject(bad, f"expected 1 to {MAX_IMAGE_BYTES} bytes, found {size}", each)
            return
    yield EvaluationRef(name, folder.size_bytes(name) or 0, without_ending(name), masks)
