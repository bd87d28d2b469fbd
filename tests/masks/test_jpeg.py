"""JPEG whose pixels are other bytes, and files that keep a reader busy: found before a pixel is decoded."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from asam_datasets.errors import RecordError
from asam_datasets.images import MAX_READS, MAX_SCANS, check_whole, image_shape, open_image
from asam_datasets.published._rows import EncodedImage
from asam_datasets.published._verify_records import _check_image

SHAPE = (240, 320)
_Y, _X = np.mgrid[: SHAPE[0], : SHAPE[1]]
PIXELS = np.stack([(_X * _Y) % 251, (_X**2 + _Y) % 241, _X + _Y], axis=-1).astype(np.uint8)


def jpeg(**settings: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "JPEG", **{"quality": 92, **settings})
    return content.getvalue()


FORMS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "no subsampling": {"subsampling": 0},
    "with a preview": {"exif": b"Exif\0\0" + jpeg(quality=30)},
    "profile": {"icc_profile": random.Random(0).randbytes(150_000)},
    "comment": {"comment": random.Random(1).randbytes(60_000)},
}


def decodes(data: bytes) -> bool:
    try:
        Image.open(io.BytesIO(data)).load()
    except OSError:
        return False
    return True


@pytest.mark.parametrize("settings", FORMS.values(), ids=FORMS)
def test_whole_jpegs_stay_whole(settings: dict[str, Any]) -> None:
    data = jpeg(**settings)
    for whole in (data, data + b"maker's note", data + data, data[:-2] + b"\xff\xff\xff\xd9"):
        assert image_shape(whole, "here") == SHAPE


@pytest.mark.parametrize("settings", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("size", [4_000, 0])
def test_noise_in_place_of_pixels_is_found(settings: dict[str, Any], size: int) -> None:
    """A third of the pixels, and four thousand bytes of them: libjpeg makes an image of many, and says nothing."""
    data = jpeg(**settings)
    first = data.rfind(b"\xff\xda") if "progressive" not in settings else len(data) // 4
    passed = 0
    for seed in range(20):
        draw = random.Random(seed)
        length = size or (len(data) - first) // 3
        start = draw.randrange(first + 20, len(data) - length - 2) if size else first + length
        spoiled = data[:start] + draw.randbytes(length) + data[start + length :]
        with contextlib.suppress(RecordError):
            check_whole(spoiled, "JPEG", "here")
            passed += 1
    assert passed <= 1


def test_verify_finds_what_was_published_before() -> None:
    data = jpeg()
    middle = len(data) // 2
    noise = (random.Random(seed).randbytes(4000) for seed in range(100))
    # What a decoder takes for an image.
    spoiled = next(one for one in (data[:middle] + each + data[middle + 4000 :] for each in noise) if decodes(one))
    ((place, problem),) = _check_image(EncodedImage(spoiled), SHAPE, True)
    assert place == ".image"
    assert "expected a whole JPEG, found one that is damaged: byte" in problem
    assert not list(_check_image(EncodedImage(data), SHAPE, True))


# ------------------------------------------------------------------------------------------------ busy readers


def test_thousands_of_scans() -> None:
    """Each goes over all pixels: 3,000 of them took 16 seconds."""
    data = jpeg(progressive=True)
    last = data.rfind(b"\xff\xda")
    for more in (MAX_SCANS - data.count(b"\xff\xda"), 3000):
        many = data[:-2] + data[last:-2] * more + data[-2:]
        if more < 3000:
            assert image_shape(many, "here") == SHAPE
            continue
        with pytest.raises(RecordError, match=rf"here: expected at most {MAX_SCANS} scans, found 30\d\d"):
            open_image(many, "here")


def png_of_chunks(count: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (4, 3)).save(content, "PNG")
    png, chunk = content.getvalue(), struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    return png[:33] + chunk * count + png[33:]


def jpeg_of_segments(piece: bytes, count: int) -> bytes:
    data = jpeg()
    return data[:2] + piece * count + data[2:]


@pytest.mark.parametrize(
    "data",
    [
        png_of_chunks(MAX_READS // 2),
        jpeg_of_segments(b"\xff\xe5\0\2", MAX_READS),
        jpeg_of_segments(b"\xff", MAX_READS + 1),
        jpeg_of_segments(b"\xff\0", MAX_READS),
    ],
    ids=["chunks", "segments", "filling", "junk"],
)
def test_files_of_a_million_pieces(data: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(RecordError, match=f"here: expected a .* found .*more than {MAX_READS} pieces"):
        open_image(data, "here")
    assert time.monotonic() - started < 10
