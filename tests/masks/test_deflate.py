"""The compressor for bytes that are mostly zero, against the stdlib's decompressor."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asam_datasets.masks._deflate import deflate


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    before=st.integers(0, 5000), between=st.binary(max_size=300), after=st.integers(0, 5000), slack=st.integers(0, 300)
)
def test_any_stretches_of_zeros_come_back(before: int, between: bytes, after: int, slack: int) -> None:
    content = np.frombuffer(bytes(before) + between + bytes(after), np.uint8)
    start, stop = max(before - slack, 0), min(before + len(between) + slack, content.size)
    for stream in (deflate(content, start, stop), deflate(content)):
        inflater = zlib.decompressobj()
        assert inflater.decompress(stream) == content.tobytes()
        assert inflater.eof
        assert inflater.unused_data == b""


@pytest.mark.parametrize("size", [258 * 4, 258 * 4 + 1, 258 * 4 + 2, 65_521, 65_522, 500_000, 20_000_000])
def test_long_stretches_and_their_checksum(size: int) -> None:
    content = np.zeros(2 * size + 1, np.uint8)
    content[size] = 7
    stream = deflate(content, size, size + 1)
    assert zlib.decompress(stream) == content.tobytes()
    assert len(stream) < 200 + size // 400
