"""Masks: sizes and runs at random and mutated, PNGs, label maps; judged by NumPy and by rules written a second time."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from archives import encode_runs
from numpy.typing import NDArray

from asam_datasets.errors import SegmentationError
from asam_datasets.masks import (
    MAX_PIXELS,
    conditioning_png,
    decode,
    decode_batch,
    from_label_map,
    from_png,
    from_segmentation,
    to_png,
    to_segmentation,
)
from fuzz import mutate, pngs
from fuzz.target import Target

Bitmap = NDArray[np.bool_]


def runs_of(counts: str | bytes) -> list[int] | None:
    """The runs of compressed counts; None where they are no such text."""
    if isinstance(counts, str):
        if not counts.isascii():
            return None
        counts = counts.encode()
    runs: list[int] = []
    place = 0
    number = 0
    for byte in counts:
        if not 48 <= byte <= 111 or place > 5:
            return None
        group = byte - 48
        number += (group % 32) * 32**place
        place += 1
        if group >= 32:
            continue
        if group >= 16:
            number -= 32**place
        runs.append(number + (runs[-2] if len(runs) >= 3 else 0))
        number = place = 0
    return None if place else runs


def pixels_of(size: Any, counts: str | bytes) -> Bitmap | None:
    """The mask (height, width); None where there is none by the rules of COCO's RLE and our limits."""
    if len(size) != 2 or any(not isinstance(side, int) or side < 0 for side in size):
        return None
    height, width = size
    if height * width > MAX_PIXELS or max(height, width) > MAX_PIXELS:
        return None
    runs = runs_of(counts)
    if runs is None or any(run < 0 for run in runs) or sum(runs) != height * width:
        return None
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape((height, width), order="F")


def counts_of(pixels: Bitmap) -> str:
    """The compressed counts of a mask, the one way that pycocotools writes them."""
    flat = pixels.flatten(order="F")
    if not flat.size:
        return "0"
    ends = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate(([0], ends, [flat.size]))).tolist()
    return encode_runs([0, *runs] if flat[0] else runs)


def bitmap(rng: random.Random, shape: tuple[int, int]) -> Bitmap:
    """A mask of blobs, stripes or noise."""
    dice = np.random.default_rng(rng.getrandbits(32))
    kind = rng.randrange(4)
    if kind == 0 or 0 in shape:
        return dice.random(shape) < rng.choice((0.0, 0.02, 0.5, 1.0))
    if kind == 1:
        return np.broadcast_to(dice.random((1, shape[1])) < 0.5, shape).copy()
    pixels = np.zeros(shape, bool)
    for _ in range(rng.randint(1, 3)):
        y, x = rng.randrange(shape[0]), rng.randrange(shape[1])
        pixels[y : y + rng.randint(1, 20), x : x + rng.randint(1, 20)] ^= True
    return pixels


def _size(rng: random.Random, shape: tuple[int, int]) -> list[Any]:
    kind = rng.randrange(30)
    if kind == 0:
        return [rng.choice(mutate.NUMBERS), rng.choice(mutate.NUMBERS)]
    if kind == 1:
        return rng.choice(([], [shape[0]], [*shape, 1], [float(shape[0]), shape[1]], [str(shape[0]), shape[1]]))
    if kind == 2:
        return [shape[1], shape[0]]
    return list(shape)


def _counts(rng: random.Random, pixels: Bitmap) -> str | bytes:
    counts = counts_of(pixels)
    kind = rng.randrange(12)
    if kind == 0:
        return mutate.blob(rng, counts.encode())
    if kind == 1:
        return mutate.blob(rng, counts.encode()).decode("latin-1")
    runs = runs_of(counts) or [0]
    if kind == 2:
        runs[rng.randrange(len(runs))] += rng.choice((1, -1, *mutate.NUMBERS))
        return encode_runs([max(-(2**40), min(2**40, run)) for run in runs])
    if kind == 3:  # empty runs in between, which change nothing
        at = rng.randrange(len(runs))
        part = rng.randint(0, max(0, runs[at]))
        return encode_runs([*runs[:at], part, 0, runs[at] - part, *runs[at + 1 :]])
    if kind == 4:  # compensating runs: the sum is right, one of them is not
        at, other = rng.randrange(len(runs)), rng.randrange(len(runs))
        change = rng.choice((1, 5, 2**31, 2**32, 2**33))
        runs[at] -= change
        runs[other] += change
        return encode_runs(runs)
    if kind == 5:
        return bytes(rng.choices(range(48, 112), k=rng.randint(0, 40)))
    if kind == 6:  # longer than it needs to be
        return counts[:-1] + chr(ord(counts[-1]) + 32) + rng.choice(("0", "P0", "PPPPP0", "PPPPPP0"))
    return counts if kind % 2 else counts.encode()


def _shape(rng: random.Random) -> tuple[int, int]:
    if rng.random() < 0.002:
        return rng.choice(((8192, 8192), (1, 2**26), (2**26, 1), (8192, 8193), (1500, 2250)))
    return rng.choice(
        ((0, 0), (0, 5), (5, 0), (1, 1), (1, 9), (9, 1), *((rng.randint(1, 40), rng.randint(1, 40)),) * 8)
    )


def try_runs(rng: random.Random) -> bool:
    """One segmentation, in one of the ways that there are to use it."""
    shape = _shape(rng)
    small = shape if shape[0] * shape[1] <= 10_000 else (0, 0)
    pixels = bitmap(rng, small)
    counts = _counts(rng, pixels) if small == shape else rng.choice((encode_runs([shape[0] * shape[1]]), "0", "PPPP2"))
    segmentation: Any = {"size": _size(rng, shape), "counts": counts}
    expected = pixels_of(segmentation["size"], counts)
    try:
        found = _use(rng, segmentation, expected)
    except SegmentationError:
        assert expected is None, "refused, and it is a mask"
        return False
    assert expected is not None, "taken, and it is no mask"
    return found


def _use(rng: random.Random, segmentation: Any, expected: Bitmap | None) -> bool:
    kind = rng.randrange(7)
    if kind == 0:
        height, width = (rng.choice((0, 1, 2, 7, 64, rng.randint(0, 50))) for _ in range(2))
        resized = decode(segmentation, (height, width))
        if expected is not None:
            _same(resized, nearest(expected, (height, width)))
        return True
    if kind == 1:
        many = decode_batch([segmentation] * 2, value=rng.choice((1, 255)))
        if expected is not None:
            _same(many[1] > 0, expected)
        return True
    mask = from_segmentation(segmentation)
    if expected is None:
        return True
    if kind == 2 and expected.size:
        depth: Any = rng.choice((1, 8))
        png = to_png(segmentation, bit_depth=depth)
        if expected.size <= 10_000:
            _same(pngs.decode(png).samples[:, :, 0], expected * (1 if depth == 1 else 255))
        assert from_png(png)["counts"] == counts_of(expected)
    elif kind == 3:
        written = to_segmentation(mask)
        assert (written["size"], written["counts"]) == (list(expected.shape), counts_of(expected))
    elif kind == 4 and 0 < expected.size <= 10_000:
        painted = pngs.decode(conditioning_png([segmentation], (expected.shape[0], expected.shape[1])))
        _same(painted.samples.any(axis=2), expected)
    elif kind == 5:
        rows, columns = np.nonzero(expected)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1] if rows.size else [0, 0, 0, 0]
        assert (int(mask.area()), mask.bbox().tolist()) == (rows.size, [int(number) for number in box])
    else:
        _same(decode(segmentation), expected)
    return True


def nearest(pixels: Bitmap, shape: tuple[int, int]) -> Bitmap:
    """Resized: output pixel `i` takes input pixel `floor((i + 0.5) * n_in / n_out)`, in whole numbers."""
    if 0 in (*shape, *pixels.shape):
        return np.zeros(shape, bool)
    rows, columns = (
        (2 * np.arange(out) + 1) * inside // (2 * out) for out, inside in zip(shape, pixels.shape, strict=True)
    )
    return pixels[np.ix_(rows, columns)]


def _same(found: Any, expected: Any) -> None:
    assert found.shape == expected.shape
    assert np.array_equal(found, expected), "other pixels"


def try_png(rng: random.Random) -> bool:
    """A PNG of a mask: whole, mutated, or of a kind that the package does not write."""
    color, depth = rng.choice(((0, 1), (0, 8), (0, 1), (0, 8), (0, 16), (2, 8), (3, 1), (0, 4)))
    shape = (rng.randint(1, 20), rng.randint(1, 20))
    samples = np.repeat(bitmap(rng, shape)[:, :, None], pngs.CHANNELS[color], 2) * (2**depth - 1)
    extra = pngs.chunk(b"PLTE", bytes(6)) if color == 3 else b""
    data = pngs.encode(samples.astype(np.uint16), depth, color, rng, interlaced=rng.random() < 0.2, extra=extra)
    changed = rng.random() < 0.6
    if changed:
        data = mutate.blob(rng, data)
    try:
        found = from_png(data)
    except SegmentationError:
        assert changed or color != 0 or depth not in (1, 8), "refused, and it is whole"
        return False
    expected = pixels_of(found["size"], found["counts"])
    assert expected is not None
    if changed:
        try:
            samples = pngs.decode(data).samples
        except ValueError:
            return True  # damaged behind its pixels: what could be read is the same
    _same(expected, samples[:, :, 0] > 0)
    return True


def try_labels(rng: random.Random) -> bool:
    """A label map: integers of any type and layout in memory."""
    dice = np.random.default_rng(rng.getrandbits(32))
    kind = rng.choice(
        ("uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", ">i4", "float32", "bool")
    )
    shape = rng.choice(((7, 9), (0, 4), (1, 1), (12, 5), (2, 3, 4), (6,)))
    labels = dice.integers(0, rng.choice((2, 5, 120)), shape).astype(kind)
    if kind not in ("float32", "bool") and rng.random() < 0.5:
        limits = np.iinfo(kind)
        labels = np.where(dice.random(shape) < 0.3, np.array(rng.choice((limits.min, limits.max)), kind), labels)
    if labels.ndim == 2:
        labels = rng.choice((labels, labels.T, labels[::-1], labels[:, ::2]))
    leave_out = rng.choice(((0,), (), (0, 255), (-1,), (2**64, 1)))
    try:
        found = from_label_map(labels, leave_out=leave_out)
    except SegmentationError:
        assert labels.ndim != 2 or labels.dtype.kind not in "iu"
        return False
    expected = [number for number in np.unique(labels).tolist() if number not in leave_out]
    assert list(found) == expected
    for number, mask in found.items():
        _same(mask.to_array(order="C") > 0, labels == number)
    return True


def try_one(rng: random.Random) -> bool:
    """Mostly runs."""
    kind = rng.randrange(20)
    return try_png(rng) if kind == 0 else try_labels(rng) if kind == 1 else try_runs(rng)


TARGET = Target("masks", try_one, share=500_000, short=2_000)
