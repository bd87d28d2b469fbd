"""Images and the mask files beside them: what all layouts with files of their own share."""

from __future__ import annotations

from collections.abc import Iterator

from asam_datasets.errors import SourceError
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES
from asam_datasets.sources.evaluation._patterns import fill, find, match, shown
from asam_datasets.sources.evaluation._records import EvaluationRef, Folder, without_ending
from asam_datasets.sources.evaluation.layouts._structs import Pair, Paired

_MAX_LIST_BYTES = 2**26


def index_pairs(layout: Paired, folder: Folder, bad: BadRecords) -> Iterator[EvaluationRef]:
    """Join images and mask files. What is alone, on either side, is reported unless the layout lets it be.

    Raises:
        RecordError: under the policy `raise`: a file that is alone, of no bytes or of too many.
        SourceError: the list of a split is missing.
    """
    seen: set[str] = set()
    for pair in layout.pairs:
        listed = _listed(pair, folder)
        masks = _masks(pair, folder)
        own_masks = {name for names in masks.values() for name in names}
        used: set[str] = set()
        for name, fields in sorted(find(folder.root, pair.image)):
            if (
                name in seen
                or name in own_masks
                or (listed is not None and not _is_listed(fields["name"], name, listed))
            ):
                continue
            expected = fill(pair.mask, fields)
            own = sorted(masks.get(expected, ()))
            used.add(expected)
            if own:
                seen.add(name)
                yield from _ref(folder, bad, name, tuple(own))
            elif layout.lone_images == "reject":
                seen.add(name)
                folder.reject(bad, f"expected its mask {shown(expected)}, found none", name)
        if listed is not None and layout.lone_images == "reject":
            _report_missing(pair, folder, bad, listed)
        if listed is None and layout.lone_masks == "reject":
            for expected in sorted(masks.keys() - used):
                for name in sorted(masks[expected])[:1]:
                    folder.reject(bad, f"expected an image like {shown(pair.image)}, found none", name)


def evidence_of_files(folder: Folder, ref: EvaluationRef) -> Iterator[bytes]:
    """The contents of the mask files, in order."""
    for name in ref.masks:
        yield folder.read(name, limit_bytes=MAX_IMAGE_BYTES)


def _masks(pair: Pair, folder: Folder) -> dict[str, list[str]]:
    """The mask files by what their image knows of their path: the pattern with the shared fields filled in."""
    found: dict[str, list[str]] = {}
    open_fields = pair.open_fields
    for name, fields in find(folder.root, pair.mask):
        # Beside the images, `a_mask.png` may look like an image too: it is a mask when there is `a.png`.
        if match(pair.image, name) is not None and folder.size_bytes(fill(pair.image, fields)) is None:
            continue
        shared = {field: value for field, value in fields.items() if field not in open_fields}
        found.setdefault(fill(pair.mask, shared), []).append(name)
    return found


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
        found |= {fields["name"], name.rsplit("/", 1)[-1]}
    for line in sorted(listed - found - {""}):
        folder.reject(bad, f"expected the image {line!r} that this list names, found none", pair.listed)


def _is_listed(stem: str, name: str, listed: frozenset[str]) -> bool:
    return stem in listed or name.rsplit("/", 1)[-1] in listed


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
