"""Masks as files: PNG and conditioning image, against dense NumPy, PIL and OpenCV.

Checks and decoding are tested in `test_masks_rle.py`, with the helpers of this module.
"""

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from asam_datasets import masks
from asam_datasets.errors import SegmentationError
from asam_datasets.masks import PngEncoder, Segmentation

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

Pixels = npt.NDArray[np.uint8]
few = settings(max_examples=60, deadline=None, derandomize=True, database=None)
some = settings(few, max_examples=200)
bit_depths = pytest.mark.parametrize("bit_depth", [1, 8])

RING = """
.......
.#####.
.#...#.
.#####.
.......
"""
DIAGONAL = """
#....
.#...
..#..
...#.
"""
ONE_PIXEL = """
...
..#
"""
TWO_COMPONENTS = """
##........
##.......#
.........#
"""


def grid(text: str) -> Pixels:
    """`#` is foreground."""
    return np.array([[character == "#" for character in line] for line in text.split()], np.uint8)


def encode(pixels: Pixels) -> Segmentation:
    """By pycocotools, the reference."""
    encoded = coco.encode(np.asfortranarray(pixels))
    return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}


def blob(generator: np.random.Generator, height: int, width: int) -> Pixels:
    """A union of ellipses, in integers alone."""
    pixels = np.zeros((height, width), np.uint8)
    y, x = np.ogrid[:height, :width]
    for _ in range(int(generator.integers(1, 4))):
        centre_y, centre_x = generator.integers(0, height), generator.integers(0, width)
        radius_y, radius_x = generator.integers(1, height // 3 + 2), generator.integers(1, width // 3 + 2)
        pixels |= (y - centre_y) ** 2 * radius_x**2 + (x - centre_x) ** 2 * radius_y**2 <= (radius_x * radius_y) ** 2
    return pixels


def sides(smallest: int = 1) -> st.SearchStrategy[int]:
    return st.one_of(
        st.integers(smallest, 20), st.sampled_from([1, 7, 8, 9, 15, 16, 17, 63, 64, 65]), st.integers(1, 70)
    )


@st.composite
def images(draw: st.DrawFn, smallest: int = 1, shape: tuple[int, int] | None = None) -> Pixels:
    height, width = shape or (draw(sides(smallest)), draw(sides(smallest)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["sparse", "dense", "half", "blob", "full", "empty"]))
    if kind == "blob" and height and width:
        return blob(generator, height, width)
    share = {"sparse": 0.03, "dense": 0.97, "full": 1.0, "empty": 0.0}.get(kind, 0.5)
    return (generator.random((height, width)) < share).astype(np.uint8)


# ------------------------------------------------------------------------------------------------------------- PNG


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kinds and contents, every CRC checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position = 8
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        (check,) = struct.unpack_from(">I", data, position + 8 + length)
        assert check == zlib.crc32(kind + content), kind
        yield kind, content
        position += 12 + length


def build_png(width: int, height: int, depth: int, rows: bytes, *, color: int = 0, interlaced: int = 0) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def unfiltered(pixels: Pixels, depth: int) -> bytes:
    return b"".join(b"\0" + (np.packbits(row) if depth == 1 else row * 255).tobytes() for row in pixels)


def pil_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@bit_depths
@some
@given(images())
def test_png_reads_back(bit_depth: Literal[1, 8], pixels: Pixels) -> None:
    data = masks.to_png(encode(pixels), bit_depth=bit_depth)
    assert [kind for kind, _ in png_chunks(data)] == [b"IHDR", b"IDAT", b"IEND"]
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == {1: "1", 8: "L"}[bit_depth]
        assert image.size == pixels.shape[::-1]
        np.testing.assert_array_equal(np.asarray(image), pixels == 1 if bit_depth == 1 else pixels * 255)
    for flag in (cv2.IMREAD_UNCHANGED, cv2.IMREAD_GRAYSCALE):
        np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data, np.uint8), flag), pixels * 255)
    assert masks.from_png(data) == encode(pixels)


@few
@given(st.data(), st.lists(st.tuples(images(), st.sampled_from([1, 8, 24])), min_size=2, max_size=12))
def test_an_encoder_used_again_writes_what_a_fresh_one_writes(
    data: st.DataObject, jobs: list[tuple[Pixels, int]]
) -> None:
    encoder = PngEncoder()
    for pixels, kind in jobs:
        mask = masks.from_segmentation(encode(pixels))
        if kind == 24:
            same_size = data.draw(st.lists(images(shape=pixels.shape), max_size=3))
            layers = [mask, *(masks.from_segmentation(encode(p)) for p in same_size)]
            used, fresh = (e.conditioning(layers, pixels.shape) for e in (encoder, PngEncoder()))
        else:
            depth: Literal[1, 8] = 1 if kind == 1 else 8
            used, fresh = (e.mask(mask, bit_depth=depth) for e in (encoder, PngEncoder()))
        assert used == fresh


def test_an_encoder_survives_a_mask_that_it_refuses() -> None:
    encoder, ring = PngEncoder(), masks.from_segmentation(encode(grid(RING)))
    before = encoder.mask(ring)
    with pytest.raises(SegmentationError, match="0 × 5"):
        encoder.mask(masks.from_segmentation({"size": [0, 5], "counts": ""}))
    assert encoder.mask(ring) == before


@few
@given(images())
def test_png_of_others_is_read(pixels: Pixels) -> None:
    levels = pixels * np.random.default_rng(0).integers(1, 256, pixels.shape, np.uint8)  # all but 0 is foreground
    for image in (Image.fromarray(pixels == 1), Image.fromarray(levels)):
        assert masks.from_png(pil_png(image)) == encode(pixels)


@bit_depths
@few
@given(images())
def test_interlaced_png_is_read(bit_depth: int, pixels: Pixels) -> None:
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [pixels[top::down, left::right] for top, left, down, right in passes]
    rows = b"".join(unfiltered(part, bit_depth) for part in parts if part.size)
    height, width = pixels.shape
    data = build_png(width, height, bit_depth, rows, interlaced=1)
    assert masks.from_png(data) == encode(pixels)


TINY = np.zeros((3, 4), np.uint8)
REFUSED = {
    "RGB": (pil_png(Image.new("RGB", (4, 3))), "color type 2"),
    "RGBA": (pil_png(Image.new("RGBA", (4, 3))), "color type 6"),
    "grey with alpha": (pil_png(Image.new("LA", (4, 3))), "color type 4"),
    "palette": (pil_png(Image.new("P", (4, 3))), "color type 3"),
    "16 bits": (pil_png(Image.fromarray(TINY.astype(np.uint16))), "16 bits"),
    "2 bits": (build_png(4, 3, 2, b"\0\0" * 3), "2 bits"),
    "nothing": (b"", "b''"),
    "a JPEG": (b"\xff\xd8\xff\xe0" + bytes(60), "xff"),
    "a signature alone": (b"\x89PNG\r\n\x1a\n", "expected a PNG"),
    "garbage in 8 bits": (masks.to_png(encode(TINY), bit_depth=8)[:33] + b"garbage!" * 9, "readable"),
    "garbage in 1 bit": (masks.to_png(encode(TINY), bit_depth=1)[:33] + b"garbage!" * 9, "readable"),
    "a huge size in 8 bits": (build_png(2**31 - 1, 2**31 - 1, 8, b"\0"), f"at most {2**26} .*2147483647 × 2147483647"),
    "a huge size in 1 bit": (build_png(2**16, 2**16, 1, b"\0"), f"at most {2**26} .*65536 × 65536"),
    "no columns": (build_png(0, 3, 8, b"\0" * 3), "readable"),
    "no rows": (build_png(4, 0, 1, b""), "readable"),
    "a row too few in 8 bits": (build_png(4, 3, 8, b"\0\0\0\xff\xff" * 2), "readable"),
    "a row too few in 1 bit": (build_png(4, 3, 1, b"\0\x30" * 2), "readable"),  # a whole deflate stream, too short
    "an unknown filter in 8 bits": (build_png(4, 3, 8, b"\x09\0\0\xff\xff" * 3), "readable"),
    "an unknown filter in 1 bit": (build_png(4, 3, 1, b"\x09\x30" * 3), "readable"),
    "a bomb": (build_png(4, 3, 8, bytes(10**7)), "readable"),
}


@pytest.mark.parametrize(("data", "problem"), REFUSED.values(), ids=REFUSED)
def test_png_that_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(SegmentationError, match=problem):
        masks.from_png(data)


def pixels_or_none(data: bytes) -> list[list[int]] | None:
    try:
        return masks.decode(masks.from_png(data)).tolist()  # type: ignore[no-any-return]
    except SegmentationError:
        return None


@bit_depths
def test_damaged_png_is_refused_or_harmless(bit_depth: Literal[1, 8]) -> None:
    """Cut anywhere, or with any one bit flipped: never another mask."""
    pixels = blob(np.random.default_rng(1), 21, 27)
    data = masks.to_png(encode(pixels), bit_depth=bit_depth)
    pixels_end = data.index(b"IEND") - 14  # what follows are the end of the stream, checks and IEND
    for end in range(len(data)):
        assert pixels_or_none(data[:end]) in ([None] if end < pixels_end else [None, pixels.tolist()]), end
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert pixels_or_none(bytes(flipped)) in [None, pixels.tolist()], bit


# ----------------------------------------------------------------------------------------------- conditioning image


def painted(layers: list[Pixels], shape: tuple[int, int]) -> Pixels:
    canvas = np.zeros((*shape, 3), np.uint8)
    for index in sorted(range(len(layers)), key=lambda i: -int(layers[i].sum())):  # `sorted` is stable
        canvas[layers[index] == 1] = masks.colors(len(layers))[index]
    return canvas


def assert_painted(layers: list[Pixels], shape: tuple[int, int]) -> None:
    data = masks.conditioning_png([encode(layer) for layer in layers], shape)
    assert [kind for kind, _ in png_chunks(data)] == [b"IHDR", b"IDAT", b"IEND"]
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), painted(layers, shape))
    np.testing.assert_array_equal(
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), painted(layers, shape)
    )


@some
@given(st.data(), st.tuples(sides(), sides()))
def test_conditioning_image_is_a_painting(data: st.DataObject, shape: tuple[int, int]) -> None:
    assert_painted(data.draw(st.lists(images(shape=shape), max_size=8)), shape)


def test_conditioning_image_paints_equal_areas_in_order() -> None:
    layers = [grid(text) for text in ("##.. ....", ".##. ....", "..## ....", "#### ####")]
    assert_painted(layers, (2, 4))
    palette = masks.colors(4)
    np.testing.assert_array_equal(painted(layers, (2, 4))[0], palette[[0, 1, 2, 2]])


@pytest.mark.parametrize("count", [0, 1, 256, 300, 1024, 1100])
def test_conditioning_image_of_many_masks(count: int) -> None:
    generator = np.random.default_rng(count)
    assert_painted([blob(generator, 30, 41) for _ in range(count)], (30, 41))


def test_conditioning_image_refuses_masks_of_another_image() -> None:
    segmentations = [encode(grid(RING)), encode(grid(RING).T)]
    with pytest.raises(SegmentationError, match=r"size: .*\[5, 7\], found \[7, 5\]"):
        masks.conditioning_png(segmentations, (5, 7))
    with pytest.raises(SegmentationError, match="1 to 67108864 pixels, found 0 × 7"):
        masks.conditioning_png([], (0, 7))
    with pytest.raises(SegmentationError, match="1000000 × 1000000"):
        masks.conditioning_png([], (10**6, 10**6))


def test_colors() -> None:
    everything = masks.colors(1023)
    assert everything.dtype == np.uint8
    assert everything.shape == (1023, 3)
    assert hashlib.sha256(everything.tobytes()).hexdigest() == COLORS
    assert everything[:4].tolist() == FIRST_COLORS
    assert len(np.unique(everything, axis=0)) == 1023
    assert everything.any(axis=1).all()  # none is black
    for count in (0, 1, 2, 100, 255, 1022):
        np.testing.assert_array_equal(masks.colors(count), everything[:count])
    np.testing.assert_array_equal(masks.colors(2100), np.concatenate([everything] * 3)[:2100])


def test_the_first_colors_are_far_apart() -> None:
    points = np.concatenate([np.zeros((1, 3), np.int64), masks.colors(255).astype(np.int64)])  # and from black
    squares = ((points[:, None] - points[None]) ** 2 * [2, 4, 3]).sum(axis=2)
    assert np.sqrt(squares[~np.eye(256, dtype=bool)]).min() >= 60


# ------------------------------------------------------------------------------------------------------ golden bytes


def generated() -> list[Pixels]:
    generator = np.random.Generator(np.random.PCG64(20240607))
    return [blob(generator, 500, 700) for _ in range(12)]


def digests(layers: list[Pixels]) -> dict[str, str]:
    """Of the counts (so that a changed image is told from changed bytes), and of the three kinds of PNG."""
    segmentations = [encode(layer) for layer in layers]
    contents = {
        "counts": "/".join(str(s["counts"]) for s in segmentations).encode(),
        "1 bit": b"".join(masks.to_png(s, bit_depth=1) for s in segmentations),
        "8 bits": b"".join(masks.to_png(s, bit_depth=8) for s in segmentations),
        "conditioning": masks.conditioning_png(segmentations, layers[0].shape),
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


# The bytes are part of the published dataset. These hold for zlib-ng 1.1.0 (the package): another one may
# compress otherwise. `counts` tells a changed test image from changed bytes.
COLORS = "383114e5dd9dd91cc1d1b8c1deb192ee976e51d03bc263f85377f91c8b81d9e4"
FIRST_COLORS = [[255, 255, 255], [51, 255, 0], [204, 0, 255], [0, 153, 221]]
GOLDEN: dict[str, tuple[list[Pixels], dict[str, str]]] = {
    "ring": (
        [grid(RING)],
        {
            "counts": "e47a22389933033dff2e0dba147cd2240eba1aed37979860a9f8449160287f35",
            "1 bit": "a2b687c89a6c39eeadd8a8dfa1b48fcaee83f1c7210cd4dd4d639b68363064ec",
            "8 bits": "e97bef4ee205a068e299be760cda0b5f4e0053fe240c7ea0a514bb93aef1b20b",
            "conditioning": "a0cdd4d413d8456bcc3fd81eab6e00821d84e06ac805c71bd5e9bfccb86ba58c",
        },
    ),
    "diagonal": (
        [grid(DIAGONAL)],
        {
            "counts": "88894e3f0fc924d58d8ab1404da1dfeb10cdc538b49888301d256f3fd7311358",
            "1 bit": "53c988826345857cfd59b852913ddd6fc344398d0811ca3cebf5def8b4e5e996",
            "8 bits": "001de479640f0ed93abfd8ce97d22b4ea62c4101690551b0b026c24e089c9fd3",
            "conditioning": "a4fe6a7738a40edd554a543de415f35666d948e49256227a53a4b3f546c2774c",
        },
    ),
    "two components": (
        [grid(TWO_COMPONENTS)],
        {
            "counts": "fdf772d453ddf639d641df9a06181213cdff0eccbcbe2d505c68d25415019117",
            "1 bit": "d04041c57b85072e0e2a409399b70e15c3c56a21d27b71571d0d223d3572c885",
            "8 bits": "81dbcda16ff6b61210bbe96035c97537dde181e786102e6d92c7813cfc2866be",
            "conditioning": "285917f369c39ae1c0822d1f6e67d85a8bf9f0e6d30bff3a5d61ed24819a4f00",
        },
    ),
    "generated": (
        generated(),
        {
            "counts": "aac463364976dc79a62cdcf0dcc96da1780d2353f0a1e6106c8ff7607ef9b87c",
            "1 bit": "03072faec03dcaaeeeb4f15611a2379fc817499659b901d284cdb353847252a1",
            "8 bits": "80c3d3a17483f660caf96671a9e4fdc2b0a706a4360ad396fd2625550d29d841",
            "conditioning": "6ddc0802e29c33577204c96594e0568a2a965536722cc5c56028c98855536896",
        },
    ),
}


@pytest.mark.parametrize(("layers", "expected"), GOLDEN.values(), ids=GOLDEN)
def test_golden_bytes(layers: list[Pixels], expected: dict[str, str]) -> None:
    assert digests(layers) == expected


def test_a_fresh_process_with_other_hashes_writes_the_same_bytes() -> None:
    program = "import json, test_masks as t; print(json.dumps(t.digests(t.generated())))"
    root = Path(__file__).parent
    printed = set()
    for seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{root.parents[1]}{os.pathsep}{root}"}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program], env=environment, capture_output=True, check=True, text=True
        )
        printed.add(done.stdout)
    assert printed == {json.dumps(digests(generated())) + "\n"}
