"""How much memory the pages of a column take when Arrow decodes them, found out before it does.

A few bytes of Parquet may stand for gigabytes: a text of a megabyte that is the one entry of a dictionary and the value
of every row, a billion nulls in a row, a page of zeros. The headers of pages say how many values they have and how many
bytes those take, and Arrow trusts them as well.
"""

from __future__ import annotations

import pyarrow as pa

from asam_datasets.published._footer import Chunk
from asam_datasets.published._thrift import Kind, Struct, ThriftError, get, read_struct

_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_PLAIN, _PLAIN_DICTIONARY, _RLE, _PACKED, _LENGTHS, _FRONT_CODED, _DICTIONARY, _SPLIT = 0, 2, 3, 5, 6, 7, 8, 9
_SLOT_BYTES = 9
"""What a value takes besides its own bytes: its levels, its place in lists, whether it is null."""

_MOST_PAGES = 2**16
_WALKED_BYTES = 2**24
"""A dictionary up to this size is looked into for its longest entry; those of usual writers are a megabyte at most."""

_CODECS = {1: "snappy", 2: "gzip", 4: "brotli", 5: "lz4", 6: "zstd", 7: "lz4_raw"}


def decoded_bytes(content: memoryview, chunk: Chunk, start: int, most: int) -> int:
    """At most how many bytes a column takes when it is decoded.

    Args:
        content: holds the column.
        chunk: what the footer says of it.
        start: where it begins in `content`.
        most: what there is room for.

    Raises:
        ThriftError: its pages are none, or take more than there is room for.
    """
    at, stop = start, start + chunk.stop - chunk.start
    seen = pages = total = longest = 0
    while seen < chunk.values:
        pages += 1
        if at >= stop or pages > _MOST_PAGES:
            raise ThriftError(f"a column {chunk.leaf.path} that is cut, or in too many pages")
        header, at = read_struct(content, at)
        kind, unpacked, packed = (get(header, number, Kind.I32) for number in (1, 2, 3))
        if unpacked < 0 or not 0 <= packed <= stop - at:
            raise ThriftError(f"a page of {packed} bytes in a column {chunk.leaf.path}, of which {stop - at} are left")
        total += unpacked
        if kind == _DICTIONARY_PAGE:
            page = content[at : at + packed]
            longest = max(longest, chunk.leaf.width or _longest(page, unpacked, chunk.codec))
        elif kind in (_DATA_PAGE, _DATA_PAGE_V2):
            values, each = _values(header, kind, chunk, unpacked, longest)
            seen += values
            total += values * (each + _SLOT_BYTES)
        if total > most:
            raise ThriftError(f"a column {chunk.leaf.path} that takes more than {most} bytes in a row group")
        at += packed
    return total


def _values(header: Struct, kind: int, chunk: Chunk, unpacked: int, longest: int) -> tuple[int, int]:
    """The number of values of a page, and the most bytes of one that the page itself does not have."""
    page = get(header, 5 if kind == _DATA_PAGE else 8, Kind.STRUCT)
    values, encoding = get(page, 1, Kind.I32), get(page, 2 if kind == _DATA_PAGE else 4, Kind.I32)
    if values < 0:
        raise ThriftError(f"a page of {values} values")
    if encoding in (_DICTIONARY, _PLAIN_DICTIONARY):
        return values, longest
    if encoding == _FRONT_CODED:  # each value may begin with all of the one before it
        return values, unpacked
    if encoding in (_PLAIN, _RLE, _PACKED, _LENGTHS, _SPLIT):
        return values, chunk.leaf.width
    raise ThriftError(f"a page in encoding {encoding}")


def _longest(page: memoryview, unpacked: int, codec: int) -> int:
    """The length of the longest text of a dictionary, or the size of the whole where it is too large to look into."""
    if unpacked > _WALKED_BYTES or (codec and codec not in _CODECS):
        return unpacked
    content = page if not codec else pa.Codec(_CODECS[codec]).decompress(page, unpacked, asbytes=True)
    at = longest = 0
    while at + 4 <= len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        longest = max(longest, length)
        at += 4 + length
    return min(longest, unpacked)
