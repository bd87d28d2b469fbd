"""Changes at random: of bytes, of JSON. Most are small, so that what changes is deep inside and not the first byte."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 8, 255, 256, 65535, 65536, 2**24, 2**26, 2**26 + 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32),
    *(2**33, 2**53 + 1, 2**63 - 1, 2**63, -(2**31), -(2**63), -(2**63) - 1, 2**64, 10**30, -(10**30)),
)
TEXTS = (
    *("", " ", "0", "../x", "/etc/passwd", "a\0b", "a\nb", "\x1b[2J", "x" * 5000, "é", "\ud800", "\u202e", "null"),
    *(
        "sa_1.jpg",
        "SA_1.JPG",
        "sa_01.jpg",
        "C:\\x",
        "..",
        ".",
        "*",
        "{a}",
        "data/../../x",
        "#",
        "- a",
        "&a",
        "*a",
        "!!x",
    ),
)


def blob(rng: random.Random, data: bytes, most: int = 3) -> bytes:
    """Some changes of bytes."""
    for _ in range(rng.randint(1, most)):
        data = rng.choice(_CHANGES)(rng, data)
    return data


def _flip(rng: random.Random, data: bytes) -> bytes:
    return _put(rng, data, lambda old: bytes([old[0] ^ 1 << rng.randrange(8)]), 1)


def _byte(rng: random.Random, data: bytes) -> bytes:
    return _put(rng, data, lambda old: rng.choice((b"\0", b"\xff", b"\x7f", b"\x80", b"0", b"-", rng.randbytes(1))), 1)


def _number(rng: random.Random, data: bytes) -> bytes:
    size = rng.choice((2, 4, 8))
    order = rng.choice(("little", "big"))
    value = rng.choice(NUMBERS) % 2 ** (8 * size)
    return _put(rng, data, lambda old: value.to_bytes(size, order), size)


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randint(0, len(data))]


def _drop(rng: random.Random, data: bytes) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + data[start + rng.choice((1, 1, 2, 4, 8, 64, 512)) :]


def _again(rng: random.Random, data: bytes) -> bytes:
    start = rng.randint(0, len(data))
    stop = start + rng.choice((1, 1, 2, 4, 8, 64, 512))
    return data[:stop] + data[start:stop] * rng.choice((1, 1, 2, 50)) + data[stop:]


def _insert(rng: random.Random, data: bytes) -> bytes:
    start = rng.randint(0, len(data))
    return data[:start] + rng.randbytes(rng.choice((1, 1, 2, 4, 16))) + data[start:]


def _swap(rng: random.Random, data: bytes) -> bytes:
    first, second, size = rng.randint(0, len(data)), rng.randint(0, len(data)), rng.choice((1, 4, 16, 64))
    first, second = sorted((first, second))
    if second - first < size:
        return data
    one, two = data[first : first + size], data[second : second + size]
    return data[:first] + two + data[first + size : second] + one + data[second + size :]


def _put(rng: random.Random, data: bytes, new: Callable[[bytes], bytes], size: int) -> bytes:
    if len(data) < size:
        return data
    start = rng.randint(0, len(data) - size)
    return data[:start] + new(data[start : start + size]) + data[start + size :]


_CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_flip, _flip, _flip, _byte, _byte, _number, _number, _cut, _drop, _again, _insert, _swap),
)


def value(rng: random.Random, depth: int = 0) -> Any:
    """A value of JSON that a reader may not expect."""
    kind = rng.randrange(8)
    if kind < 3:
        return rng.choice(NUMBERS)
    if kind == 3:
        return rng.choice((0.0, -0.0, 0.5, 1e300, -1e300, 1e-320, 5e-324, 1.7976931348623157e308, 2.5))
    if kind == 4:
        return rng.choice(TEXTS)
    if kind == 5:
        return rng.choice((None, True, False))
    if depth > 2:
        return []
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    return {rng.choice(TEXTS): value(rng, depth + 1) for _ in range(rng.randint(0, 3))}


def tree(rng: random.Random, root: Any, most: int = 2) -> Any:
    """A copy of some JSON with values replaced, removed, repeated, renamed or moved."""
    root = copy.deepcopy(root)
    for _ in range(rng.randint(1, most)):
        places = list(_places(root))
        if not places:
            return value(rng)
        parent, key = rng.choice(places)
        kind = rng.randrange(8)
        if kind < 4:
            parent[key] = value(rng)
        elif kind == 4:
            del parent[key]
        elif kind == 5 and isinstance(parent, list):
            parent[key:key] = [copy.deepcopy(parent[key])] * rng.choice((1, 2, 20))
        elif kind == 5:
            parent[rng.choice(TEXTS)] = parent[key]
        elif kind == 6:
            other, where = rng.choice(places)
            parent[key] = copy.deepcopy(other[where]) if _is_there(other, where) else None
        elif isinstance(parent[key], (int, float)):
            parent[key] = rng.choice(
                (float(max(min(parent[key], 10**300), -(10**300))), str(parent[key]), -parent[key])
            )
    return root


def _is_there(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def _places(root: Any) -> Any:
    items = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list) else ()
    for key, child in list(items):
        yield root, key
        yield from _places(child)


def json_text(rng: random.Random, root: Any) -> bytes:
    """JSON that was changed as a tree, as text, both or neither."""
    kind = rng.randrange(10)
    if kind < 6:
        root = tree(rng, root)
    text = json.dumps(root, ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, None, 1)))
    data = text.encode("utf-8", "surrogatepass")
    if kind == 6:
        data = (
            data.replace(b'":', b'": ' + rng.choice(_ODD_TOKENS) + b" ", 1) if rng.random() < 0.5 else nested(rng, data)
        )
    return blob(rng, data) if kind in (7, 8) else data


_ODD_TOKENS = (
    *(
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e400",
        b"-1e400",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"'a'",
        b"tru",
        b"//",
    ),
    *(b"1" * 5000, b"1e-99999", b'"\\ud800"', b'"\\u0000"', b'"\\x"', b'"\xff"', b'"\xed\xa0\x80"'),
)


def nested(rng: random.Random, data: bytes) -> bytes:
    """The text with many brackets in front of a value."""
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    depth = rng.choice((10, 600, 1100, 20_000))
    start = data.find(b":", rng.randint(0, len(data))) + 1
    return data[:start] + opening * depth + b"1" + rng.choice((closing * depth, b"")) + data[start:]
