"""A page to look into rows: one file for a browser, without a server and without a network.

It is `page/page.html` with the style and the scripts beside it, and three kinds of JSON that they show. Whatever a
dataset says is foreign text, so on the page it is inert, by three walls of which each would do:

1. it is in JSON in which `<` and `>` are escaped: no value ends the element that it stands in;
2. the scripts put it into text and canvases alone, and the page forbids itself to make elements out of text;
3. the page's policy runs no script and no style but its own, known by their hashes, and fetches nothing.

Images are decoded and encoded again, at the size at which they are shown, so nothing of a file but its pixels gets on
the page: no EXIF, which browsers turn images by and masks not, and no position where a photograph was taken.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rlemasklib import RLEMask

from asam_datasets.masks import resize, to_runs
from asam_datasets.preview._options import PreviewOptions
from asam_datasets.preview._palette import overlay_colors
from asam_datasets.preview._panels import box_of, decode_image, fit, largest
from asam_datasets.preview._rows import Record
from asam_datasets.preview._shown import Drawn, Shown
from asam_datasets.preview._still import categories

ENDING = ".html"

_SIDE = 1280  # of the longer side of an image, in pixels: sharp on a page that is 1600 wide
_THUMBNAIL = 160
_PHOTO: dict[str, Any] = {"quality": 80, "method": 4}
_MAP: dict[str, Any] = {"lossless": True, "quality": 60, "method": 3}  # its colors mean something
_SCRIPTS = ("masks.js", "drawing.js", "page.js")
_MARK = re.compile(r"<!-- (policy|style|head|records|script) -->")
_ESCAPES = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


class _Mask(msgspec.Struct, omit_defaults=True):
    """One mask: `runs` as COCO writes them, of the size that is shown; `box`, `points` and `area` in pixels of the
    image as it was published. `color` is its place among the annotations. Ids are text: large numbers get rounded."""

    runs: str
    color: int
    area: int
    box: tuple[float, float, float, float] | None = None
    points: list[tuple[float, float]] | None = None
    id: str | None = None
    iou: float | None = None
    stability: float | None = None
    category: str | None = None
    category_id: str | None = None
    crowd: bool = False


class _Record(msgspec.Struct):
    """What is shown of one row: `size` and `shown` are (height, width), `image` and `map` data URIs. `masks` is None
    where the config shows none; `most` counts those that the row has. `inclusive`: boxes end on their last pixel."""

    size: tuple[int, int]
    shown: tuple[int, int]
    image: str | None
    map: str | None
    masks: list[_Mask] | None
    most: int
    inclusive: bool
    boxes: bool
    worst_iou: float | None


class _Entry(msgspec.Struct):
    """What the list has of one row, and what is searched in it. `said` tells a caption from categories."""

    number: int
    set: str
    file_name: str
    image_id: str
    text: str | None
    said: bool
    thumbnail: str | None


class _Head(msgspec.Struct):
    """What all rows share; `ious` and `areas` are the smallest and largest of their masks, None where there is none."""

    title: str
    dataset: str
    notices: Sequence[str]
    colors: list[str]
    ious: tuple[float, float] | None
    areas: tuple[int, int] | None
    has_maps: bool
    has_points: bool
    entries: list[_Entry]


def draw_page(shown: Shown, records: Iterable[Record], options: PreviewOptions) -> Drawn:
    """Make the page; the same rows give the same bytes.

    Raises:
        RecordError: a row that cannot be shown; the message names it.
    """
    entries: list[_Entry] = []
    blocks: list[str] = []
    masks: list[_Mask] = []  # their numbers; what takes room is in the blocks by then
    count = 0
    for record in records:
        entry, one = _show(record, shown, options)
        entries.append(entry)
        blocks.append(_data(one, "record"))
        masks += [msgspec.structs.replace(mask, runs="") for mask in one.masks or ()]
        count += one.most
    ious = [mask.iou for mask in masks if mask.iou is not None]
    areas = [mask.area for mask in masks]
    head = _Head(
        title=shown.title,
        dataset=shown.dataset,
        notices=shown.notices,
        colors=[f"#{r:02x}{g:02x}{b:02x}" for r, g, b in overlay_colors(max((m.color + 1 for m in masks), default=0))],
        ious=(min(ious), max(ious)) if ious else None,
        areas=(min(areas), max(areas)) if areas else None,
        has_maps="conditioning_image" in shown.config.columns,
        has_points=any(mask.points for mask in masks),
        entries=entries,
    )
    return Drawn(_assemble(_data(head, "head"), blocks).encode(), count, None, None)


def _assemble(head: str, records: Sequence[str]) -> str:
    """The template with everything in its place."""
    folder = files("asam_datasets.preview") / "page"
    style = (folder / "page.css").read_text("utf-8")
    script = "\n".join((folder / name).read_text("utf-8") for name in _SCRIPTS)
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    parts = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "style": f"<style>{style}</style>",
        "head": head,
        "records": "\n".join(records),
        "script": f'<script type="module">{script}</script>',
    }
    # In one pass, over the template alone: marks in foreign text are text.
    return _MARK.sub(lambda mark: parts[mark[1]], (folder / "page.html").read_text("utf-8"))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data(value: msgspec.Struct, kind: str) -> str:
    """JSON that no browser runs, and that cannot end its element."""
    return f'<script type="application/json" class="{kind}">{_inert(msgspec.json.encode(value).decode())}</script>'


def _inert(text: str) -> str:
    return text.translate(_ESCAPES)


def _show(record: Record, shown: Shown, options: PreviewOptions) -> tuple[_Entry, _Record]:
    row = record.row
    size = row.shape if max(row.shape) <= _SIDE else fit(row.shape, _SIDE)
    image = _decode(record, "image", size)
    conditioning = _decode(record, "conditioning_image", size)
    chosen = largest(record.masks, options.max_masks)
    has_masks = "annotations" in shown.config.columns
    small = image if image is not None else conditioning
    entry = _Entry(
        number=record.number,
        set=record.build.name,
        file_name=row.file_name,
        image_id="" if row.image_id is None else str(row.image_id),
        text=row.caption if "caption" in shown.config.columns else categories(record),
        said="caption" in shown.config.columns,
        thumbnail=None if small is None else _encode(_thumbnail(small), _PHOTO),
    )
    drawn = _Record(
        size=row.shape,
        shown=size,
        image=None if image is None else _encode(image, _PHOTO),
        map=None if conditioning is None else _encode(conditioning, _MAP),
        masks=[_mask(record, place, size) for place in chosen] if has_masks else None,
        most=len(record.masks),
        inclusive=record.build.kind == "train",
        boxes=options.shows_boxes(len(chosen)),
        worst_iou=_finite(row.worst_iou),
    )
    return entry, drawn


def _mask(record: Record, place: int, size: tuple[int, int]) -> _Mask:
    mask, annotation = record.masks[place], record.row.annotations[place]
    return _Mask(
        runs=to_runs(_reduced(mask, size)).counts,
        color=place,
        area=int(mask.area()) if annotation.area is None else annotation.area,
        box=annotation.bbox,
        points=annotation.point_coords,
        id=_text(annotation.id),
        iou=_finite(annotation.predicted_iou),
        stability=_finite(annotation.stability_score),
        category=annotation.category,
        category_id=_text(annotation.category_id),
        crowd=bool(annotation.iscrowd),
    )


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _reduced(mask: RLEMask, size: tuple[int, int]) -> RLEMask:
    """A mask in the size that is shown; where nothing is left of it, the pixels that its place falls on."""
    small = resize(mask, size)
    if small.any() or not mask.any():
        return small
    top, bottom, left, right = box_of(small, mask)
    return RLEMask.from_bbox([left, top, right - left + 1, bottom - top + 1], imshape=size)


def _decode(record: Record, column: str, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    image = getattr(record.row, column)
    if image is None or image.content is None:
        return None
    where = f"{record.row.where}: {column}"
    return decode_image(image.content, record.row.shape, size, where, is_map=column == "conditioning_image")


def _thumbnail(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return np.asarray(image)


def _encode(pixels: NDArray[np.uint8], settings: dict[str, Any]) -> str:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "WEBP", **settings)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"
