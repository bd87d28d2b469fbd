"""Annotations of data that are not SA-1B's, and how they become the JSON of SA-1B.

Read are COCO JSON, and a JSON of one image as SA-1B has it, but looser: ids, names and numbers may be missing, other
fields are passed over, and a `segmentation` is anything that COCO has (polygons, runs as text, runs as numbers), by the
rasterizer of the evaluation sets. Written is `sa_N.json` as `read_record` takes it: area and box (inclusive) come from
the mask, whatever the source said; crowds and annotations without a mask are left out.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta

from asam_datasets.errors import SKIP, RecordError, SourceError
from asam_datasets.images import image_shape, orientation
from asam_datasets.masks import MAX_PIXELS, to_segmentation
from asam_datasets.sources._polygons import from_coco
from asam_datasets.sources.sa1b._json import OWN_FORMATS

Identity = int | str
Box = tuple[float, float, float, float]
T = TypeVar("T")

MAX_COCO_BYTES = 2**30
"""Largest COCO file of one archive; each worker holds it. COCO's own for 118,000 images has 0.45 GB."""

KEPT = frozenset(
    ("image_id", "id", "segmentation", "iscrowd", "predicted_iou", "stability_score", "crop_box", "point_coords")
)
"""Fields of an annotation that become something; `area` and `bbox` are made again from the mask."""

_MOST_ID = 10**18
_KEPT_FILES = 2
_SHORT = 200  # bytes: three points take no less than eleven, and rings of fewer no more than this
_NAMES = frozenset(("area", "bbox", *KEPT))


class OwnAnnotation(msgspec.Struct, frozen=True, gc=False):
    """One annotation of somebody's; what is not among these fields is passed over."""

    image_id: Identity | None = None
    id: Identity | None = None
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    iscrowd: int | bool | None = 0
    category_id: Identity | None = None
    predicted_iou: float | None = None
    stability_score: float | None = None
    crop_box: Box | None = None
    point_coords: list[tuple[float, float]] | None = None


class OwnImage(msgspec.Struct, frozen=True, gc=False):
    """What is said of one image; `id` is COCO's word for it, `image_id` SA-1B's."""

    id: Identity | None = None
    image_id: Identity | None = None
    file_name: str = ""
    width: Annotated[int, Meta(ge=1)] | None = None
    height: Annotated[int, Meta(ge=1)] | None = None

    @property
    def number(self) -> int | None:
        """Its id, where that can be one of the table."""
        found = self.image_id if self.id is None else self.id
        return found if isinstance(found, int) and 0 <= found < _MOST_ID else None


class _Coco(msgspec.Struct, frozen=True):
    images: list[OwnImage]
    annotations: list[OwnAnnotation]


class _Alone(msgspec.Struct, frozen=True):
    annotations: list[OwnAnnotation]
    image: OwnImage | None = None
    images: list[OwnImage] | None = None


class _Fields(msgspec.Struct, frozen=True):
    annotations: list[dict[str, msgspec.Raw]]


class _Head(msgspec.Struct, frozen=True):
    images: msgspec.Raw = msgspec.Raw(b"")
    annotations: msgspec.Raw = msgspec.Raw(b"")


class CocoFile(NamedTuple):
    """A parsed COCO file: its images, and of each (by number in the file) the places of its annotations."""

    images: list[OwnImage]
    annotations: list[OwnAnnotation]
    places: dict[int, list[int]]
    strays: int


_COCO = msgspec.json.Decoder(_Coco)
_ALONE = msgspec.json.Decoder(_Alone)
_FIELDS = msgspec.json.Decoder(_Fields)
_HEAD = msgspec.json.Decoder(_Head)
_RINGS = msgspec.json.Decoder(list[list[float]])
_ENCODER = msgspec.json.Encoder()
_files: OrderedDict[tuple[object, ...], CocoFile] = OrderedDict()


class Counts(NamedTuple):
    """What of some annotations does not become a mask, and how many kinds of objects they tell apart."""

    crowds: int
    without_mask: int
    categories: int

    @classmethod
    def of(cls, annotations: Iterable[OwnAnnotation]) -> Counts:
        """Count them."""
        crowds = without = 0
        kinds = set()
        for one in annotations:
            kinds.add(one.category_id)
            if one.iscrowd:
                crowds += 1
            else:
                without += not has_mask(one.segmentation)
        return cls(crowds, without, len(kinds - {None}))


def has_mask(segmentation: msgspec.Raw) -> bool:
    """Whether there is a mask, or something that would have to be one."""
    text = bytes(segmentation).strip()
    if text == b"null":
        return False
    if not text.startswith(b"[") or len(text) > _SHORT:
        return True
    try:
        return any(len(ring) >= 6 for ring in _RINGS.decode(text))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True


def looks_like_coco(content: bytes) -> bool:
    """Whether a JSON has what makes a COCO file: a list of images, and one of annotations."""
    try:
        head = _HEAD.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return all(bytes(field).lstrip().startswith(b"[") for field in (head.images, head.annotations))


def parse_coco(key: tuple[object, ...], where: str, read: Callable[[], bytes]) -> CocoFile:
    """Parse a COCO file, or take what this process parsed before.

    Args:
        key: place and state of the file: another one when its content is.
        where: the file, for messages.
        read: gives its content.

    Raises:
        SourceError: it is no COCO file, or what `read` raises.
    """
    if key in _files:
        _files.move_to_end(key)
        return _files[key]
    parsed = _decode(_COCO, read(), where, "COCO JSON", SourceError)
    numbers: dict[Identity | None, int] = {}
    for number, image in enumerate(parsed.images):
        if image.id is None or numbers.setdefault(image.id, number) != number:
            found = "none" if image.id is None else f"{image.id!r} again"
            raise SourceError(
                f"expected an id of its own for each image, found {found}", where=f"{where}: $.images[{number}]"
            )
    places: dict[int, list[int]] = {}
    strays = 0
    for place, one in enumerate(parsed.annotations):
        if one.image_id in numbers:
            places.setdefault(numbers[one.image_id], []).append(place)
        else:
            strays += 1
    _files[key] = found_file = CocoFile(parsed.images, parsed.annotations, places, strays)
    while len(_files) > _KEPT_FILES:
        _files.popitem(last=False)
    return found_file


def parse_alone(content: bytes, where: str) -> tuple[OwnImage, list[OwnAnnotation]]:
    """A JSON of one image: SA-1B's, looser, or COCO's with a single image.

    Raises:
        RecordError: it is neither.
    """
    parsed = _decode(_ALONE, content, where, "JSON of one image, as SA-1B or COCO have it", RecordError)
    if parsed.images is not None and len(parsed.images) != 1:
        raise RecordError(f"expected one image, found {len(parsed.images)}", where=f"{where}: $.images")
    return parsed.image or (parsed.images or [OwnImage()])[0], parsed.annotations


def unknown_fields(content: bytes) -> Iterator[str]:
    """The fields of annotations that nothing is made of, once for each annotation that has them."""
    try:
        found = _FIELDS.decode(content).annotations
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for one in found:
        yield from one.keys() - _NAMES


def to_sa1b(
    image: bytes,
    info: OwnImage,
    own: Iterable[tuple[str, OwnAnnotation]],
    *,
    image_id: int,
    file_name: str,
    image_where: str,
    where: str,
) -> bytes:
    """The JSON of SA-1B for one image.

    Args:
        image: encoded.
        info: what its source says of it.
        own: its annotations, each with its place for messages.
        image_id, file_name: what the table calls it.
        image_where, where: the image, and what says something of it, for messages.

    Raises:
        RecordError: the image is none, of another size than is said, or wants to be turned; or a segmentation is none.
    """
    height, width = shape = image_shape(image, image_where, formats=OWN_FORMATS)
    if height * width > MAX_PIXELS:
        raise RecordError(f"expected at most {MAX_PIXELS} pixels, found {height} × {width}", where=image_where)
    turned = orientation(image)
    if turned != 1:
        raise RecordError(
            f"expected an image that is stored as it is shown, found one that EXIF wants to be turned ({turned})",
            where=image_where,
            hint="`datasets` would turn it, and its masks would not fit. Store it upright (and its masks with it), or "
            f"take the orientation out of it. {SKIP} leaves such images out.",
        )
    said = (info.height or height, info.width or width)
    if said != shape:
        raise RecordError(
            f"expected the image's size, {height} × {width} (height × width), found {said[0]} × {said[1]}",
            where=where,
            hint="The annotations belong to another image, or it was resized.",
        )
    written = [_annotation(one, place, shape) for place, one in own if not one.iscrowd]
    about = {"image_id": image_id, "width": width, "height": height, "file_name": file_name}
    return _ENCODER.encode({"image": about, "annotations": [one for one in written if one is not None]})


def _annotation(one: OwnAnnotation, place: str, shape: tuple[int, int]) -> dict[str, Any] | None:
    mask = from_coco(one.segmentation, shape, f"{place}.segmentation")
    if mask is None:
        return None
    area = int(mask.area())
    x, y, width, height = (float(number) for number in mask.bbox())
    box = [x, y, width - 1, height - 1] if area else [0.0, 0.0, 0.0, 0.0]
    numbers = {
        "id": one.id if isinstance(one.id, int) and abs(one.id) < 2**63 else None,
        "predicted_iou": one.predicted_iou,
        "stability_score": one.stability_score,
        "crop_box": one.crop_box,
        "point_coords": one.point_coords,
    }
    kept = {name: value for name, value in numbers.items() if value is not None}
    return {"segmentation": to_segmentation(mask), "bbox": box, "area": area, **kept}


def _decode(
    decoder: msgspec.json.Decoder[T], content: bytes, where: str, expected: str, kind: type[SourceError | RecordError]
) -> T:
    try:
        return decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # msgspec ends its message with the place: "Expected `int`, got `str` - at `$.annotations[3].area`".
        problem, _, place = str(error).partition(" - at ")
        problem = problem.replace("Expected", "expected", 1).replace(", got ", ", found ", 1)
        if not problem.startswith("expected"):
            problem = f"expected {expected}, found: {problem}"
        hint = f"It was taken for {expected}. Correct the file, or leave it out: {SKIP}."
        raise kind(problem, where=f"{where}: {place.strip('`') or '$'}", hint=hint) from None
