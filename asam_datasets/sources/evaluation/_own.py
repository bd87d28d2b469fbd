"""A set of one's own without a catalog: what lies in a folder is found out by looking at it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from asam_datasets.errors import RecordError, SourceError
from asam_datasets.images import decoding, open_image
from asam_datasets.sources._bad import BadRecords
from asam_datasets.sources.evaluation._entry import RESERVED, Entry, Kind
from asam_datasets.sources.evaluation._images import MAX_IMAGE_BYTES
from asam_datasets.sources.evaluation._nearby import head_of
from asam_datasets.sources.evaluation._patterns import fill, find
from asam_datasets.sources.evaluation._records import Folder
from asam_datasets.sources.evaluation.layouts import Layout
from asam_datasets.sources.evaluation.layouts._binary import Binary
from asam_datasets.sources.evaluation.layouts._coco import Coco
from asam_datasets.sources.evaluation.layouts._index_map import IndexMap
from asam_datasets.sources.evaluation.layouts._json import AnnotationFile
from asam_datasets.sources.evaluation.layouts._objects import Objects
from asam_datasets.sources.evaluation.layouts._pairs import Pair
from asam_datasets.sources.evaluation.layouts._rgb_map import RGBMap

_IMAGE_FOLDERS = ("images", "image", "imgs")
_MASK_FOLDERS = ("masks", "mask", "gts", "labels", "label")
"""Names that the two folders of a set may have, in the order in which they are looked for."""

_ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp")
# What people put behind the name of an image to name its mask.
_MARKS = ("", "_mask", "-mask", "_gt", "_seg", "_segmentation", "_label", "_labels")
_LOOKED_AT = 8
_BRIGHT = 245
_BINARY_SHARE = 0.8
_HEAD_BYTES = 2**16


class Found(NamedTuple):
    """How a folder can be read, what a mask is then, and why it was taken for that."""

    layout: Layout
    kind: Kind
    why: str


def look_at(root: Path, label: str) -> Found | None:
    """Find out how a folder can be read: `images/` and `masks/` (or `imgs/` and `gts/`, and the like), with one mask
    image or map for each image, or one file per object; or a COCO JSON. None for anything else.

    Args:
        label: how the folder is called in messages.

    Raises:
        SourceError: a folder cannot be read.
    """
    folders = {path.name.lower(): path.name for path in root.iterdir() if path.is_dir()}
    for images in (folders[name] for name in _IMAGE_FOLDERS if name in folders):
        for masks in (folders[name] for name in _MASK_FOLDERS if name in folders):
            found = _beside(Folder(root, label), images, masks)
            if found is not None:
                return found
    return _coco(root)


def own_entry(identity: str, found: Found) -> Entry:
    """The entry of a set that nothing is known of but how it is read.

    Raises:
        ValueError: no set may have that id.
    """
    return Entry(
        id=identity,
        name=identity,
        homepage="",
        license="",
        redistributable="unknown",
        split="test",
        source_split="all",
        kind=found.kind,
        layout=found.layout,
    )


def begin_entry(root: Path) -> tuple[Entry, str]:
    """An entry to begin a catalog of one's own with, and what the folder was taken for.

    It is named after the folder. Where that looks like nothing known, the layout is an example.

    Raises:
        SourceError: the folder is not there, or cannot be read.
    """
    if not root.is_dir():
        raise SourceError("expected the folder of a set, found none", where=str(root), hint="Check the path.")
    name = re.sub(r"[^a-z0-9]+", "_", root.resolve().name.lower()).strip("_")[:60]
    identity = name if name[:1].isalpha() and name not in RESERVED else f"my_{name or 'set'}"
    found = look_at(root, str(root))
    if found is not None:
        return own_entry(identity, found), found.why
    layout = Binary(pairs=(Pair(image="images/{name}.jpg", mask="masks/{name}.png"),))
    return own_entry(identity, Found(layout, "binary", "")), "it looks like nothing known, so the layout is an example"


def _beside(folder: Folder, images: str, masks: str) -> Found | None:
    """Image and mask files in two folders."""
    image_endings, mask_endings = _endings(folder.root / images), _endings(folder.root / masks)
    for mark in _MARKS:
        pairs = [
            Pair(image=f"{images}/{{path**}}{{name}}{a}", mask=f"{masks}/{{path**}}{{name}}{mark}{b}")
            for a in image_endings
            for b in mask_endings
        ]
        fitting = [pair for pair in pairs if _fits(folder.root, pair)]
        if fitting:
            return _by_values(folder, tuple(fitting))
    for pattern in ("{name}/{object}", "{name}_{object}", "{name}-{object}"):
        pairs = [
            Pair(image=f"{images}/{{name}}{a}", mask=f"{masks}/{pattern}{b}")
            for a in image_endings
            for b in mask_endings
        ]
        fitting = [pair for pair in pairs if _fits(folder.root, pair)]
        if fitting:
            look = _look(folder, fitting)
            threshold = min(128, *look.numbers) if len(look.numbers) == 1 else 128
            return Found(Objects(pairs=tuple(fitting), threshold=threshold), "instance", "there are files per object")
    return None


def _fits(root: Path, pair: Pair) -> bool:
    return any(next(find(root, fill(pair.mask, fields)), None) for _, fields in islice(find(root, pair.image), 1000))


def _endings(folder: Path) -> list[str]:
    """The endings of images that files have below a folder, in small letters; the most common spelling is not asked."""
    there: set[str] = set()
    for _, _, files in os.walk(folder):
        there.update(PurePosixPath(file).suffix.lower() for file in files)
    return [ending for ending in _ENDINGS if ending in there]


def _by_values(folder: Folder, pairs: tuple[Pair, ...]) -> Found | None:
    """Binary masks or maps, by the values of the first few.

    What has 0 and one other value, or is nearly all 0 or nearly white, is one mask with soft edges. Palettes and
    numbers of 16 bits belong to maps.
    """
    look = _look(folder, pairs)
    if not look.files:
        return None
    if look.lossy:
        return Found(Binary(pairs=pairs), "binary", "the masks are JPEG, which holds no numbers of objects")
    if look.colored:
        return Found(RGBMap(pairs=pairs), "instance", "the masks are maps of colors: each is taken for an object")
    if not look.numbers:
        return Found(Binary(pairs=pairs), "binary", "the first masks are empty: taken for binary ones")
    single, largest = len(look.numbers) == 1, max(look.numbers)
    if not look.palette and largest <= 255 and (single or look.bright >= _BINARY_SHARE * look.foreground):
        known = f"0 and {largest}" if single else "0 and white, with soft edges"
        threshold = min(128, largest) if single else 128
        return Found(Binary(pairs=pairs, threshold=threshold), "binary", f"the masks hold {known}")
    shown = ", ".join(map(str, sorted(look.numbers)[:4])) + (", ..." if len(look.numbers) > 4 else "")
    why = f"the masks are maps of numbers ({shown}): each is taken for an object"
    layout: Layout = RGBMap(pairs=pairs) if look.channels else IndexMap(pairs=pairs)
    return Found(layout, "instance", why)


@dataclass
class _Look:
    """What the first mask files hold: values but 0, pixels that are not 0, and of these the nearly white ones."""

    files: int = 0
    numbers: set[int] = field(default_factory=set)
    foreground: int = 0
    bright: int = 0
    lossy: bool = False
    palette: bool = False
    channels: bool = False
    colored: bool = False


def _look(folder: Folder, pairs: Sequence[Pair]) -> _Look:
    """Look at the first mask files; what cannot be read is passed over here."""
    look = _Look()
    for pair in pairs:
        for name, _ in islice(sorted(find(folder.root, pair.mask)), _LOOKED_AT):
            where = folder.place(name)
            try:
                with open_image(folder.read(name, limit_bytes=MAX_IMAGE_BYTES), where) as image, decoding(where):
                    values, mode, lossy = np.array(image), image.mode, image.format == "JPEG"
            except RecordError:
                continue
            look.files += 1
            look.palette |= mode == "P"
            look.lossy |= lossy
            if values.ndim == 3:
                colors = values[:, :, :3] if values.shape[2] >= 3 else values[:, :, :1]
                look.channels |= values.shape[2] >= 3
                look.colored |= bool((colors != colors[:, :, :1]).any())
                values = values[:, :, 0]
            values = values * np.uint8(255) if values.dtype == np.bool_ else values
            look.numbers |= set(np.unique(values).tolist()) - {0}
            look.foreground += int(np.count_nonzero(values))
            look.bright += int(np.count_nonzero((values >= _BRIGHT) & (values <= 255)))
    return look


def _coco(root: Path) -> Found | None:
    """A COCO JSON in the folder or in one of its folders, and the images that it names."""
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())
    inside = ["", *(f"{name}/" for name in folders if not set("{}") & set(name))]
    found = [name for pattern in ("{json}.json", "{folder}/{json}.json") for name, _ in sorted(find(root, pattern))]
    for name in found:
        head = head_of(root, name, _HEAD_BYTES)
        if not any(key in head for key in (b'"images"', b'"annotations"', b'"info"')) or set("{}") & set(name):
            continue
        places = [f"{folder}{{file_name}}" for folder in inside]
        beside = PurePosixPath(name).parent.as_posix()
        for place in [*places, *(f"{beside}/{one}" for one in places if beside != "." and one not in places)]:
            layout = Coco(files=(AnnotationFile(json=name, images=(place,)),))
            if layout.fits(root) and _is_coco(layout, root):
                return Found(layout, "instance", f"{name} is a COCO JSON, whose images are {place}")
    return None


def _is_coco(layout: Coco, root: Path) -> bool:
    """Whether the file has what COCO's have; other JSON may name images too."""
    try:
        return next(layout.index(Folder(root, str(root)), BadRecords("skip")), None) is not None
    except SourceError:
        return False
