"""Mask images of every format and kind: judged by the pixels that were written, by OpenCV, and by a reader of PNG."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asam_datasets.errors import AsamDatasetsError
from asam_datasets.sources.evaluation import EvaluationRecord
from fuzz import mutate, pngs, sets
from fuzz.target import Target, refused

Pixels = NDArray[Any]
Made = tuple[bytes, Pixels | None]
"""A file, and its pixels (height, width) or (height, width, 3) where nothing of them may be lost."""

H, W = sets.SHAPE
MODES = ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr")
FORMATS = (
    "PNG",
    "JPEG",
    "TIFF",
    "BMP",
    "WEBP",
    "GIF",
    "PPM",
    "ICO",
    "TGA",
    "EPS",
    "PDF",
    "JPEG2000",
    "DIB",
    "SGI",
    "PCX",
)


def _labels(rng: random.Random, top: int) -> Pixels:
    values = np.array([0, *(rng.randint(0, top) for _ in range(rng.randint(1, 5)))])
    cells = np.random.default_rng(rng.getrandbits(32)).integers(0, len(values), (5, 6))
    return np.kron(values[cells], np.ones((4, 4), np.int64))


def _by_pillow(rng: random.Random) -> Made:
    """An image of any mode in any format that Pillow writes."""
    mode, kind = rng.choice(MODES), rng.choice(FORMATS[:5] if rng.random() < 0.8 else FORMATS)
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}.get(mode, np.uint8)
    labels = _labels(rng, 65535 if mode in ("I;16", "I") else 255)
    image = Image.fromarray(labels.astype(dtype))
    if mode == "P":
        image.putpalette(rng.randbytes(3 * rng.choice((1, 2, 16, 256))))
    elif mode not in ("I;16", "I", "F"):
        image = image.convert(mode)
    file = io.BytesIO()
    options: dict[str, Any] = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    if kind == "TIFF":
        options = {"compression": rng.choice((None, "tiff_lzw", "tiff_deflate", "packbits", "group4", "jpeg"))}
    if kind in ("JPEG", "TIFF", "PNG", "WEBP") and rng.random() < 0.3:
        exif = Image.Exif()
        exif[274] = rng.choice((1, 2, 3, 6, 8, 9, 255))
        options["exif"] = exif
    if kind in ("PNG", "TIFF", "WEBP", "GIF") and rng.random() < 0.2:  # APNG, several pages
        options |= {"save_all": True, "append_images": [image.copy(), image.copy()]}
    if kind == "JPEG":
        options |= {"progressive": rng.random() < 0.5, "quality": rng.choice((30, 95, 100))}
    try:
        image.save(file, kind, **options)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SystemError):
        return b"", None
    exact = kind in ("PNG", "BMP") and mode in ("L", "RGB") and "append_images" not in options
    return file.getvalue(), np.asarray(image) if exact else None


def _by_hand(rng: random.Random) -> Made:
    """A PNG of any depth, color, filter and interlacing."""
    color = rng.choice((0, 0, 2, 3, 3, 4, 6))
    depth = rng.choice(pngs.DEPTHS[color])
    samples = np.stack([_labels(rng, 2**depth - 1) for _ in range(pngs.CHANNELS[color])], axis=2).astype(np.uint16)
    if color == 3:
        samples %= 4
    extra = pngs.chunk(b"PLTE", rng.randbytes(3 * rng.choice((4, 4, 2**depth)))) if color == 3 else b""
    extra += rng.choice((b"", b"", *_chunks(rng)))
    data = pngs.encode(samples, depth, color, rng, interlaced=rng.random() < 0.4, extra=extra)
    return data, samples[:, :, 0] if color == 0 and depth == 8 and b"tRNS" not in extra else None


@lru_cache(maxsize=3)
def _zeros(count: int) -> bytes:
    """So many zeros, packed."""
    return zlib.compress(bytes(count), 9)


def _chunks(rng: random.Random) -> list[bytes]:
    """Chunks that a mask does not need; some unpack to megabytes."""
    bomb = _zeros(rng.choice((10, 2**20, 2**24)))
    return [
        pngs.chunk(b"tRNS", rng.randbytes(rng.choice((0, 1, 2, 6, 256)))),
        pngs.chunk(b"zTXt", b"a\0\0" + bomb),
        pngs.chunk(b"iCCP", b"a\0\0" + bomb),
        pngs.chunk(b"iTXt", b"a\0\1\0\0\0" + bomb),
        pngs.chunk(b"eXIf", rng.randbytes(30)),
        pngs.chunk(b"acTL", bytes(3) + b"\2" + bytes(4)),
        pngs.chunk(b"fcTL", rng.randbytes(26)),
        pngs.chunk(b"tEXt", b"a\0" + b"x" * 70_000),
        pngs.chunk(b"IHDR", rng.randbytes(13)),
    ]


def _bomb(rng: random.Random) -> Made:
    """Few bytes that say they are many pixels."""
    height, width = rng.choice(
        ((H, 2**26 // H), (8192, 8192), (60_000, 60_000), (2**31 - 1, 1), (1, 2**31 - 1), (H, W))
    )
    color, depth = rng.choice(((0, 8), (0, 16), (2, 16), (6, 16), (3, 8)))
    pixels = _zeros(2**20)
    end = pngs.chunk(b"IDAT", pixels) + pngs.chunk(b"IEND", b"")
    png = pngs.header(width, height, depth, color) + pngs.chunk(b"PLTE", bytes(6)) * (color == 3) + end
    kind = rng.randrange(4)
    if kind == 0:
        return png, None
    if kind == 1:
        return b"BM" + rng.randbytes(8) + (54).to_bytes(4, "little") + (40).to_bytes(4, "little") + width.to_bytes(
            4, "little"
        ) + height.to_bytes(4, "little") + b"\1\0\1\0" + bytes(24) + bytes(100), None
    small = io.BytesIO()
    Image.fromarray(np.zeros(sets.SHAPE, np.uint8)).save(small, "JPEG" if kind == 2 else "TIFF")
    data = bytearray(small.getvalue())
    at = data.find(b"\xff\xc0")
    if kind == 2:
        data[at + 5 : at + 9] = min(height, 65535).to_bytes(2, "big") + min(width, 65535).to_bytes(2, "big")
        return bytes(data), None
    return bytes(data).replace(W.to_bytes(4, "little"), min(width, 2**32 - 1).to_bytes(4, "little")), None


def _scans(rng: random.Random) -> Made:
    """A progressive JPEG whose scans come again and again."""
    file = io.BytesIO()
    Image.fromarray(_labels(rng, 255).astype(np.uint8)).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    last = data.rfind(b"\xff\xda")
    return data[:last] + data[last:-2] * rng.choice((2, 50, 500)) + data[-2:], None


MAKERS: tuple[Callable[[random.Random], Made], ...] = (
    _by_pillow,
    _by_pillow,
    _by_pillow,
    _by_hand,
    _by_hand,
    _bomb,
    _scans,
)


def try_one(rng: random.Random) -> bool:
    """One mask file, read as a grey map, as numbers, or as colors."""
    data, pixels = rng.choice(MAKERS)(rng)
    if rng.random() < 0.4:
        data, pixels = mutate.blob(rng, data), None
    name = rng.choice(("fuzz_binary", "fuzz_numbers", "fuzz_colors"))
    sets.write(sets.root(name) / "masks/one.bin", data)
    try:
        record = sets.read(name)
    except AsamDatasetsError as error:
        return refused(error)
    _confirm(name, record, data, pixels)
    return True


def _confirm(name: str, record: EvaluationRecord | None, data: bytes, pixels: Pixels | None) -> None:
    found = sets.bitmaps(record)
    if pixels is None and data.startswith(pngs.SIGNATURE):
        try:
            png = pngs.decode(data)
        except ValueError:
            return  # damaged in what does not matter to its pixels
        grey = png.color in (0, 3) and png.depth in (8, 16) and png.samples.shape[:2] == sets.SHAPE
        pixels = png.samples[:, :, 0] if grey and name == "fuzz_numbers" else None
    if pixels is None:
        pixels = _by_opencv(name, data)
    if pixels is None:
        return
    if name == "fuzz_binary":
        grey = pixels if pixels.ndim == 2 else pixels[:, :, 0]
        expected = [grey >= 100]
    elif name == "fuzz_numbers":
        expected = [pixels == value for value in np.unique(pixels) if value]
    else:
        colors = np.repeat(pixels[:, :, None], 3, 2) if pixels.ndim == 2 else pixels
        folded = colors.astype(np.int64) @ np.array([1, 256, 65536])
        expected = [folded == value for value in np.unique(folded) if value]
    expected = [mask for mask in expected if mask.any()]
    assert len(found) == len(expected), f"{len(found)} masks for {len(expected)}"
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)), "other pixels"


def _by_opencv(name: str, data: bytes) -> Pixels | None:
    """The pixels as OpenCV reads them, where it and Pillow mean the same by them."""
    if name != "fuzz_colors" or not data.startswith((b"BM", b"RIFF")):
        return None
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        return None
    return np.ascontiguousarray(pixels[:, :, ::-1])


TARGET = Target("mask-images", try_one, share=25_000, short=100)
