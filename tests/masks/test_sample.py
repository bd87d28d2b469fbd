"""Masks at some of their pixels: against dense arrays, also where places need more than 32 bits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rlemasklib import RLEMask

from asam_datasets.masks import centers, resize, sample


@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    bits=st.integers(0, 2**64 - 1),
    share=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    taken=st.tuples(st.lists(st.integers(0, 11), max_size=14), st.sets(st.integers(0, 11))),
    added=st.integers(0, 3),
)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_samples_are_pixels(
    shape: tuple[int, int], bits: int, share: float, taken: tuple[list[int], set[int]], added: int
) -> None:
    random = np.random.default_rng(bits)
    dense = [(random.random(shape) < share).astype(np.uint8) for _ in range(3)]
    rows, columns = (
        np.array(sorted(one for one in some if one < side), np.int32) for some, side in zip(taken, shape, strict=True)
    )
    found = sample([RLEMask.from_array(one) for one in dense], rows, columns, len(columns) + added)
    for mask, one in zip(found, dense, strict=True):
        expected = np.pad(one[rows][:, columns], ((0, 0), (0, added)))
        assert np.array_equal(mask.to_array(), expected)
        assert mask == RLEMask.from_array(expected)


def test_many_large_masks() -> None:
    """33 of the largest masks have more than 2**31 pixels together."""
    masks = [RLEMask.from_bbox([100 * n, 200 * n, 900, 700], imshape=(8192, 8192)) for n in range(33)]
    grid = centers(64, 8192)
    assert sample(masks, grid, grid) == [resize(mask, (64, 64)) for mask in masks]


def test_no_masks() -> None:
    assert sample([], centers(2, 4), centers(2, 4)) == []
