"""Zips: judged by a walker of local headers that shares nothing with `zipfile`.

The walker is lenient: it says what a member's bytes may be, at every place that looks like the header of one. What the
package takes has to be among it.
"""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator

from fuzz import mutate
from fuzz.target import Target, fresh, scratch
from fuzz.tars import NAMES, _indexed, _read

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
# Of a member's entry in the directory: flags, method, checksum, sizes, lengths, attributes, offset.
FIELDS = ((8, "H"), (10, "H"), (16, "I"), (20, "I"), (24, "I"), (28, "H"), (30, "H"), (32, "H"), (38, "I"), (42, "I"))
NUMBERS = (0, 1, 2, 8, 14, 99, 0xFFFF, 2**31, 2**32 - 1, 2**32 - 2, 0o120777 << 16)


def _zip(rng: random.Random) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)  # a name twice, which is what some are for
        for number in range(rng.randint(1, 4)):
            for ending in rng.sample(("jpg", "json"), 2):
                name = rng.choice(("", "./", "images/")) + f"sa_{number}.{ending}"
                content = rng.choice((rng.randbytes(rng.choice((0, 1, 300))), b"x" * rng.choice((10, 3000))))
                archive.writestr(zipfile.ZipInfo(name), content, rng.choice(METHODS[:3]))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            name = rng.choice(NAMES).encode("utf-8", "replace").decode() or "x"
            archive.writestr(zipfile.ZipInfo(name), rng.randbytes(20), rng.choice(METHODS))
    data = bytearray(file.getvalue())
    kind = rng.randrange(8)
    if kind == 0:
        return mutate.blob(rng, bytes(data))
    if kind in (1, 2):
        places = [place for place in range(len(data)) if data[place : place + 4] == CENTRAL]
        place, (offset, form) = rng.choice(places), rng.choice(FIELDS)
        number = rng.choice(NUMBERS) & (0xFFFF if form == "H" else 0xFFFFFFFF)
        struct.pack_into(f"<{form}", data, place + offset, number)
    elif kind == 3:
        place = data.rindex(END)
        offset, form = rng.choice(((8, "H"), (10, "H"), (12, "I"), (16, "I"), (20, "H")))
        number = rng.choice(NUMBERS) & (0xFFFF if form == "H" else 0xFFFFFFFF)
        struct.pack_into(f"<{form}", data, place + offset, number)
    elif kind == 4:
        return bytes(data[: rng.randint(0, len(data))])
    elif kind == 5:
        return bytes(data) + rng.choice((b"x", bytes(600), bytes(data)))
    return bytes(data)


def _members(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What may begin at every local header: the method, and the bytes that follow."""
    place = data.find(LOCAL)
    while place >= 0:
        if place + 30 <= len(data):
            name, extra = struct.unpack_from("<HH", data, place + 26)
            yield struct.unpack_from("<H", data, place + 8)[0], data[place + 30 + name + extra :]
        place = data.find(LOCAL, place + 1)


def _may_be(content: bytes, data: bytes) -> bool:
    for _, packed in _members(data):
        if packed.startswith(content):
            return True
        try:
            if zlib.decompressobj(-15).decompress(packed, 2**20).startswith(content):
                return True
        except zlib.error:
            continue
    return False


def try_one(rng: random.Random) -> bool:
    """One zip, under both policies."""
    data = _zip(rng)
    folder = scratch() / "zips"
    path = (folder if folder.is_dir() else fresh("zips")) / "sa_000000.zip"
    path.write_bytes(data)
    records = _read(_indexed(path))
    for record in records or ():
        for name, content in ((record.image, record.jpeg), (record.annotations, record.json)):
            assert _may_be(content, data), f"made up {name!r}"
    return records is not None


TARGET = Target("zip", try_one, share=25_000, short=250)
