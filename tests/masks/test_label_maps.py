"""Label maps to runs against comparing the map with each value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as coco

from asam_datasets.errors import SegmentationError
from asam_datasets.masks import MAX_PIXELS, from_label_map, to_segmentation

DTYPES = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


@given(
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, st.tuples(st.integers(0, 9), st.integers(0, 9)), elements=st.integers(0, 4))
    ),
    st.lists(st.integers(-2, 5), max_size=4),
    st.booleans(),
)
def test_label_map_equals_each_value_by_itself(labels, leave_out, by_columns):
    order = np.asfortranarray(labels) if by_columns else labels
    found = from_label_map(order, leave_out=leave_out)
    assert list(found) == [value for value in np.unique(labels).tolist() if value not in leave_out]
    for value, mask in found.items():
        expected = coco.encode(np.asfortranarray((labels == value).astype(np.uint8)))
        assert to_segmentation(mask) == {"size": expected["size"], "counts": expected["counts"].decode()}


def test_values_at_the_ends_of_their_types() -> None:
    labels = np.array([[0, 65535], [256, 255]], np.uint16)
    assert list(from_label_map(labels)) == [255, 256, 65535]
    assert list(from_label_map(labels, leave_out=(-1, 70000))) == [0, 255, 256, 65535]
    assert list(from_label_map(labels.astype(np.int64) * -(2**40), leave_out=())) == [
        n * -(2**40) for n in (65535, 256, 255, 0)
    ]


def test_what_is_no_label_map() -> None:
    with pytest.raises(SegmentationError, match=r"expected integers .* found float64 \(2, 2\)"):
        from_label_map(np.zeros((2, 2)))  # type: ignore[arg-type]
    with pytest.raises(SegmentationError, match=r"found uint8 \(2, 2, 3\)"):
        from_label_map(np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(SegmentationError, match=rf"at most {MAX_PIXELS} pixels, found 1 × {MAX_PIXELS + 1}"):
        from_label_map(np.broadcast_to(np.uint8(1), (1, MAX_PIXELS + 1)))
    with pytest.raises(SegmentationError, match="at most 65536 values, found 90000"):
        from_label_map(np.arange(90_000).reshape(300, 300), leave_out=())
    checkers = np.arange(2**25, dtype=np.uint8).reshape(2**13, 2**12) % 2
    with pytest.raises(SegmentationError, match=f"at most {2**24} stretches"):
        from_label_map(np.ascontiguousarray(checkers.T))
