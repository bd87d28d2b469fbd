"""Tars, plain, gzipped and behind a URL: judged by a walker of headers that shares nothing with `tarfile`.

The walker is lenient: it says what a member's bytes may be. What the package takes has to be among it, the same as a
file that is read here and there and as a stream, and everything that is whole has to be taken.
"""

from __future__ import annotations

import gzip
import random
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache

from archives import ENDING, ZEROS, checksummed

from asam_datasets.errors import AsamDatasetsError
from asam_datasets.sources import BadRecords
from asam_datasets.sources.sa1b import RawRecord, StreamSource, open_source
from fuzz import mutate
from fuzz.target import Target, fresh, refused, scratch

KINDS = b"0" + b"\0" + b"1234567SLKxgXVMDN"
SIZES = (
    *(
        b"00000000000\0",
        b"77777777777\0",
        b"-0000000001\0",
        b"           \0",
        b"0x10       \0",
        b"12345678901 ",
        b"1" * 12,
    ),
    *(
        b"\x80" + bytes(11),
        b"\xff" * 12,
        b"\xff" * 4 + bytes(8),
        b"\x80" + bytes(3) + b"\xff" * 8,
        b"\x80\x7f" + b"\xff" * 10,
    ),
)
NAMES = (
    *("sa_1.jpg", "./sa_1.jpg", "a/b/sa_1.json", "../sa_1.jpg", "/sa_1.jpg", "sa_1.jpg/", "sa_01.jpg", "SA_1.JPG"),
    *(
        "sa_1.jpg\0x",
        "sa_1\n.jpg",
        "\x1b[2J/sa_1.jpg",
        "sa_999999999999999999999.json",
        "sa_１.jpg",
        "d" * 300 + "/sa_1.jpg",
    ),
    *("a\\sa_1.jpg", "sa_1.jpg ", "..\\sa_1.jpg", "sa_1..jpg", "notes.txt", ""),
)
PAX_KEYS = (
    *("path", "size", "linkpath", "mtime", "hdrcharset", "comment", "uid", "GNU.sparse.map", "GNU.sparse.size"),
    *("GNU.sparse.major", "GNU.sparse.minor", "GNU.sparse.name", "GNU.sparse.numblocks", "GNU.sparse.realsize"),
)


def header(rng: random.Random, name: bytes, size: int | bytes, kind: bytes) -> bytes:
    """A header of 512 bytes."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    link = rng.choice((b"", b"sa_1.jpg", b"/etc/passwd", b"../../x"))
    magic = rng.choice((b"ustar\x0000", b"ustar  \0", bytes(8)))
    block = name[:100].ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field[:12].ljust(12, b"\0")
    block += b"00000000000\0" + b" " * 8 + kind + link.ljust(100, b"\0") + magic
    return checksummed(block.ljust(512, b"\0"))


def member(
    rng: random.Random, name: str, content: bytes, *, size: int | bytes | None = None, kind: bytes = b"0"
) -> bytes:
    """A header, the content, and what fills its last block."""
    head = header(rng, name.encode("utf-8", "surrogatepass"), len(content) if size is None else size, kind)
    return head + content + bytes(-len(content) % 512)


def _pax(rng: random.Random, kind: bytes) -> bytes:
    records = b""
    for _ in range(rng.randint(1, 3)):
        key = rng.choice(PAX_KEYS)
        text = rng.choice(
            (*NAMES, "5", "0", "-1", "99999999999999999999999", "1.5", "nan", "BINARY", "0,5,9,1", "9" * 3000)
        )
        body = f" {key}={text}\n".encode("utf-8", "surrogatepass")
        length = len(body) + len(str(len(body) + 3))
        records += str(rng.choice((length, length, length, length, length + 1, 0, 10**20))).encode() + body
    if rng.random() < 0.2:
        records = mutate.blob(rng, records)
    return member(rng, "pax", records, kind=kind, size=rng.choice((None, None, None, *SIZES)))


def _hostile(rng: random.Random) -> bytes:
    kind = rng.randrange(8)
    name, content = rng.choice(NAMES), rng.randbytes(rng.choice((0, 10, 512, 700)))
    if kind == 0:
        return member(rng, name, content, kind=bytes([rng.choice(KINDS)]))
    if kind == 1:
        return member(rng, name, content, size=rng.choice(SIZES))
    if kind in (2, 3):
        return _pax(rng, rng.choice((b"x", b"x", b"g")))
    if kind == 4:
        long = name.encode("utf-8", "surrogatepass") * rng.choice((1, 2, 40)) + b"\0"
        return member(rng, "././@LongLink", long, kind=rng.choice((b"L", b"K")), size=rng.choice((None, None, *SIZES)))
    if kind == 5:
        sparse = b"".join(
            b"%011o\0%011o\0" % (rng.choice((0, 5, 512, 2**30)), rng.choice((0, 5, 2**30))) for _ in range(4)
        )
        block = bytearray(header(rng, name.encode("utf-8", "surrogatepass"), len(content), b"S"))
        block[386 : 386 + len(sparse)] = sparse
        block[482] = rng.randrange(2)
        return checksummed(bytes(block)) + content + bytes(-len(content) % 512)
    if kind == 6:
        return ENDING[: rng.choice((512, 1024))]
    return member(rng, name, content)


def _tar(rng: random.Random) -> bytes:
    pieces = []
    for number in range(rng.randint(1, 4)):
        for ending in rng.sample(("jpg", "json"), 2):
            name = rng.choice(("", "./", "images/")) + f"sa_{number}.{ending}"
            pieces.append(member(rng, name, rng.randbytes(rng.choice((0, 1, 300, 512, 1500)))))
    for _ in range(rng.choice((0, 0, 1, 1, 2))):
        pieces.insert(rng.randint(0, len(pieces)), _hostile(rng))
    data = b"".join(pieces) + ENDING
    kind = rng.randrange(8)
    if kind == 0:
        data = mutate.blob(rng, data)
    elif kind == 1:  # inside of a header, with a sum that fits
        at = 512 * rng.randrange(len(data) // 512)
        data = data[:at] + checksummed(mutate.blob(rng, data[at : at + 512])[:512].ljust(512, b"\0")) + data[at + 512 :]
    elif kind == 2:
        data = data[: rng.randint(0, len(data))]
    elif kind == 3:
        data += rng.choice((bytes(10240), rng.randbytes(100), b"x", data))
    return data


@lru_cache(maxsize=2)
def _bomb(bits: int) -> bytes:
    """A gzip stream of zeros."""
    return gzip.compress(bytes(2**bits), 9)


def _packed(rng: random.Random, data: bytes) -> bytes:
    kind = rng.randrange(6)
    cut = rng.randint(0, len(data))
    packed = gzip.compress(data, 1)
    if kind == 0:
        return gzip.compress(data[:cut], 1) + gzip.compress(data[cut:], 9)
    if kind == 1:
        return packed + rng.choice((b"\0" * 600, b"x", rng.randbytes(50), packed))
    if kind == 2:
        return mutate.blob(rng, packed)
    if kind == 3 and rng.random() < 0.05:
        bits = rng.choice((*(22,) * 15, 28))
        bomb = _bomb(bits)
        return rng.choice((bomb, packed + bomb, gzip.compress(member(rng, "sa_1.jpg", b"", size=2**bits), 1) + bomb))
    return packed


def try_one(rng: random.Random) -> bool:
    """One archive, read in each way that there is for its packing."""
    data = _tar(rng)
    packed = _packed(rng, data) if rng.random() < 0.4 else b""
    folder = scratch() / "tars"
    path = (folder if folder.is_dir() else fresh("tars")) / "sa_000000.tar"
    path.write_bytes(packed or data)
    plain = _unpacked(packed) if packed else data
    ways = [lambda bad: list(StreamSource(path.as_uri(), "sa_000000").records(bad))]
    if not packed:
        ways.append(_indexed(path))
    outcomes = [_read(way) for way in ways]
    whole = set(walk(plain)) if any(outcomes) else ()
    for records in outcomes:
        for record in records or ():
            for name, content in ((record.image, record.jpeg), (record.annotations, record.json)):
                assert (name, content) in whole, f"made up {name!r}"
    if len(outcomes) == 2:
        assert (outcomes[0] is None) == (outcomes[1] is None), "a stream and a file are not taken alike"
        if outcomes[0] is not None and outcomes[1] is not None:
            assert sorted(map(_bytes, outcomes[0])) == sorted(map(_bytes, outcomes[1])), (
                "a stream and a file give other records"
            )
    return outcomes[0] is not None


def _indexed(path: object):  # type: ignore[no-untyped-def]
    def read(bad: BadRecords) -> list[RawRecord]:
        source = open_source(str(path))
        if isinstance(source, StreamSource):
            return list(source.records(bad))
        try:
            return [source.read(ref) for ref in source.index(bad).records]
        finally:
            source.close()

    return read


def _read(way) -> list[RawRecord] | None:  # type: ignore[no-untyped-def]
    """The records under the policy `raise`, None where it refuses. Under `skip` there are as many, or some are lost."""
    skipping = BadRecords("skip")
    try:
        loose = way(skipping)
    except AsamDatasetsError as error:
        refused(error)
        loose = None
    try:
        strict = way(BadRecords())
    except AsamDatasetsError as error:
        refused(error)
        assert loose is None or skipping.rejects, "refused under one policy, and nothing rejected under the other"
        return None
    assert loose is not None
    assert not skipping.rejects
    assert sorted(map(_bytes, loose)) == sorted(map(_bytes, strict))
    return strict


def _bytes(record: RawRecord) -> tuple[int, bytes, bytes]:
    return record.image_id, record.jpeg, record.json


def _unpacked(data: bytes) -> bytes:
    """What all members of a gzip stream hold, as far as they go."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    out = b""
    while data:
        inflater = zlib.decompressobj(31)
        try:
            out += inflater.decompress(data, 2**29)
        except zlib.error:
            break
        data = inflater.unused_data.lstrip(b"\0") if inflater.eof else b""
    return out


def walk(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Name and content of what may be a member: of every regular header that a reader may come to."""
    starts = range(0, len(data) - 511, 512)
    for start in starts:
        block = data[start : start + 512]
        if block == ZEROS:
            continue
        if block[156:157] not in (b"0", b"\0", b"7") and not block[156:157].isalnum():
            continue
        for size in {*_sizes(block), *_pax_sizes(data[:start])}:
            content = data[start + 512 : start + 512 + size]
            for name in _names(block, data[:start]):
                yield name, content


def _sizes(block: bytes) -> Iterator[int]:
    field = block[124:136]
    if field[0] & 0x80:
        yield int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") if field[0] == 0x80 else 0
    else:
        digits = re.match(rb"\s*([0-7]*)", field)
        yield int(digits[1] or b"0", 8) if digits else 0


def _pax_sizes(before: bytes) -> Iterator[int]:
    for found in re.finditer(rb"size=(\d{1,15})\n", before[-4096:]):
        yield int(found[1])


def _names(block: bytes, before: bytes) -> Iterator[str]:
    name = block[:100].split(b"\0")[0]
    prefix = block[345:500].split(b"\0")[0]
    candidates = [name, prefix + b"/" + name]
    candidates += [found[1] for found in re.finditer(rb"(?:path|name)=([^\n]*)\n", before[-8192:])]
    candidates += [found[0] for found in re.finditer(rb"[^\0]+(?=\0)", before[-16384:]) if b"LongLink" in before]
    for candidate in candidates:
        for text in (candidate.decode("utf-8", "surrogateescape"), candidate.decode("latin-1")):
            yield text
            yield text.rstrip("/")


TARGET = Target("tar", try_one, share=25_000, short=250)
