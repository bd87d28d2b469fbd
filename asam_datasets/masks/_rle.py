"""What a segmentation must be before anything renders it.

A segmentation is COCO's compressed RLE: `{"size": [height, width], "counts": str}`. Runs are column-major, start
with background, and are written as little-endian groups of 5 bits plus 48, each run from the third on as the
difference to the run two before (`rleToString` in pycocotools' `maskApi.c`). The invariants, all enforced by
`from_segmentation`:

1. `size` is two non-negative integers with at most `MAX_PIXELS` pixels, and is the image's when that is known;
2. `counts` holds only the characters `0` to `o`;
3. no run takes more than 6 characters (the engine keeps 32 bits of a run), and the last character ends its run;
4. the runs are not negative and add up to height × width.

pycocotools checks none of this: too few runs give uninitialised memory, a cut last run reads past the string, and a
huge size ends the process (2.0.11). So nothing unchecked reaches it, nor the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray
from rlemasklib import RLEMask

from asam_datasets.errors import SegmentationError

MAX_PIXELS = 2**26
"""Largest image that is rendered, in pixels (8192 × 8192): a hostile size must not allocate gigabytes."""

_FIRST, _LAST, _CONTINUES = ord("0"), ord("o"), 0x20
# Each character's class: does it end a run, promise more of it, or not belong here. One `translate` and three
# searches at memchr speed check a string; a regular expression was five times slower than the decoding itself.
_ENDS, _PROMISES, _FOREIGN = b"e", b"p", b"x"
_CLASSES = b"".join(
    _FOREIGN if not 48 <= byte < 112 else _PROMISES if (byte - 48) & _CONTINUES else _ENDS for byte in range(256)
)
_TOO_LONG = _PROMISES * 6
_SHOWN = 24


Side = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class Runs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mask as COCO RLE: `size` is (height, width) in pixels."""

    size: tuple[Side, Side]
    counts: str


class Segmentation(TypedDict):
    """The same as COCO's JSON and pycocotools have it: `size` is `[height, width]` in pixels, `counts` the runs."""

    size: list[int]
    counts: str | bytes


def from_segmentation(segmentation: Segmentation | Runs, *, shape: tuple[int, int] | None = None) -> RLEMask:
    """Check a COCO RLE and hand it to the engine.

    Args:
        segmentation: `Runs`, or `{"size": [height, width], "counts": str}`; `counts` may be ASCII `bytes` as
            pycocotools returns them.
        shape: (height, width) of the image that the mask belongs to, when known.

    Raises:
        SegmentationError: an invariant of this module does not hold; `where` names the field.
    """
    size, counts = _fields(segmentation)
    height, width = check_size(size, shape=shape)
    if isinstance(counts, str):
        if not counts.isascii():
            odd = next(c for c in counts if not c.isascii())
            raise _bad_counts(f"expected ASCII characters from '0' to 'o', found {odd!r}")
        raw = counts.encode("ascii")
    else:
        raw = counts
    return parse_counts(raw, height, width)


def _fields(segmentation: Any) -> tuple[Any, str | bytes]:
    """`size` and `counts` of what a caller gives.

    Raises:
        SegmentationError: it has no such fields, or other things in them.
    """
    if type(segmentation) is Runs:
        return segmentation.size, segmentation.counts
    try:
        size, counts = segmentation["size"], segmentation["counts"]
    except (KeyError, TypeError, IndexError):
        size = counts = None
    if type(size) is list and type(counts) is str:  # as nearly all are
        return size, counts
    if isinstance(counts, (str, bytes)) and isinstance(size, (list, tuple, Sequence, np.ndarray)):
        return size, counts
    hint = "`pycocotools.mask.frPyObjects` makes compressed RLE of polygons and of lists of runs."
    if isinstance(segmentation, Mapping) and "segmentation" in segmentation:
        hint = "This is an annotation: give its `segmentation`."
    raise SegmentationError(
        f"expected COCO RLE, a `size` and compressed `counts`, found {segmentation!r:.{_SHOWN * 4}}", hint=hint
    )


def check_size(size: list[int] | tuple[int, ...], *, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Check `[height, width]` against the limits and against the image's (height, width).

    Raises:
        SegmentationError: not two non-negative integers, more than `MAX_PIXELS`, or not the image's size.
    """
    height, width = size if len(size) == 2 else (-1, -1)
    if type(height) is not int or type(width) is not int:  # NumPy's
        height, width = (int(n) if isinstance(n, (int, np.integer)) else -1 for n in (height, width))
    if height < 0 or width < 0:
        raise SegmentationError(f"expected [height, width] in pixels, found {size!r}", where="size")
    if shape is not None and (height, width) != tuple(shape):
        raise SegmentationError(
            f"expected the image's [height, width] [{shape[0]}, {shape[1]}], found [{height}, {width}]",
            where="size",
            hint="The mask belongs to another image, or height and width are swapped.",
        )
    if height * width > MAX_PIXELS or max(height, width) > MAX_PIXELS:
        raise SegmentationError(
            f"expected at most {MAX_PIXELS} pixels, found {height} × {width} = {height * width}",
            where="size",
        )
    return height, width


def parse_counts(raw: bytes, height: int, width: int) -> RLEMask:
    """Parse compressed runs whose size was checked already.

    Raises:
        SegmentationError: invariant 2, 3 or 4 of this module does not hold.
    """
    pixels = height * width
    if not raw:
        if pixels == 0:
            return RLEMask.zeros((height, width))
        raise _bad_counts(f"expected runs that cover {height} × {width} = {pixels} pixels, found an empty string")
    classes = raw.translate(_CLASSES)
    foreign = classes.find(_FOREIGN)
    if foreign >= 0:
        found = raw[foreign : foreign + 1].decode("latin-1")
        raise _bad_counts(f"expected characters from '0' to 'o', found {found!r}")
    if classes.endswith(_PROMISES):
        raise _bad_counts(f"expected a complete last run, found a string cut after {raw[-_SHOWN:].decode()!r}")
    if _TOO_LONG in classes:
        raise _bad_counts("expected runs of at most 6 characters, found a longer one")
    try:
        if pixels == 0 and _sum_of_runs(raw) != (0, False):
            raise ValueError
        return RLEMask.from_dict({"size": (height, width), "counts": raw})
    except ValueError:
        covered, negative = _sum_of_runs(raw)
        if negative:
            raise _bad_counts("expected runs of at least 0 pixels, found a negative one") from None
        relation = "too short" if covered < pixels else "too long"
        raise _bad_counts(
            f"expected runs that cover {height} × {width} = {pixels} pixels, found {covered} ({relation})"
        ) from None


def parse_together(counts: Sequence[str], height: int, width: int) -> list[RLEMask] | None:
    """Parse the compressed runs of several masks whose size was checked already: all of them are looked at end to end,
    in a few passes.

    Returns:
        None where an invariant of this module does not hold for one of them: `from_segmentation` says for which.
    """
    text = "".join(counts)
    if not text.isascii() or not counts or not all(counts) or not 0 < height * width <= MAX_PIXELS:
        return None
    characters = np.frombuffer(text.encode("ascii"), np.uint8)
    if characters.min() < _FIRST or characters.max() > _LAST:
        return None
    promises = characters >= _FIRST + _CONTINUES
    two = promises[:-1] & promises[1:]
    four = two[:-2] & two[2:]
    if promises[np.cumsum([len(one) for one in counts]) - 1].any() or (four[:-2] & two[4:]).any():
        return None
    try:
        return [RLEMask.from_dict({"size": (height, width), "counts": one}) for one in counts]
    except ValueError:
        return None


def encode(mask: NDArray[Any]) -> Segmentation:
    """Write an array as COCO's compressed RLE: what is not 0 is foreground.

    Args:
        mask: booleans or integers (height, width), of NumPy or what NumPy takes, such as a tensor on the CPU.

    Raises:
        SegmentationError: another type, other axes, or more than `MAX_PIXELS`.
    """
    try:
        array = np.asarray(mask)
    except (ValueError, RuntimeError) as error:  # rows of different lengths; a tensor that has a gradient
        raise SegmentationError(f"expected booleans or integers (height, width), found: {error}") from None
    if array.ndim != 2 or array.dtype.kind not in "biu":
        raise SegmentationError(
            f"expected booleans or integers (height, width), found {array.dtype} {array.shape}",
            hint="A threshold makes booleans of numbers: `mask > 0.5`.",
        )
    check_size(array.shape, shape=None)
    return to_segmentation(RLEMask.from_array(np.ascontiguousarray(array != 0, np.uint8)))


def to_segmentation(mask: RLEMask) -> Segmentation:
    """Write a mask as COCO's compressed RLE, equal to `pycocotools.mask.encode` with `counts` decoded to `str`."""
    encoded = mask.to_dict()
    return {"size": [int(n) for n in encoded["size"]], "counts": encoded["counts"].decode("ascii") or "0"}


def to_runs(mask: RLEMask) -> Runs:
    """Write a mask as `Runs`; see `to_segmentation`."""
    encoded = mask.to_dict()
    height, width = encoded["size"]
    return Runs((int(height), int(width)), encoded["counts"].decode("ascii") or "0")


def _sum_of_runs(raw: bytes) -> tuple[int, bool]:
    """The pixels that the runs cover, and whether one is negative: slow, for the error message only."""
    runs: list[int] = []
    value = shift = 0
    for byte in raw:
        group = byte - 48
        value |= (group & 0x1F) << shift
        shift += 5
        if group & _CONTINUES:
            continue
        if group & 0x10:
            value -= 1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        value = shift = 0
    return sum(runs), any(run < 0 for run in runs)


def _bad_counts(problem: str) -> SegmentationError:
    return SegmentationError(problem, where="counts")
