"""Segmentations: what is refused, what they are in pixels, at any size; against pycocotools, PIL and dense NumPy."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco
from test_masks import DIAGONAL, ONE_PIXEL, RING, TWO_COMPONENTS, Pixels, encode, few, grid, images, sides, some

from asam_datasets import masks
from asam_datasets.errors import SegmentationError
from asam_datasets.masks import Segmentation

# pycocotools 2.0.11 hands NumPy 2 an array in the way of NumPy 1
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


# ----------------------------------------------------------------------------------------------------------- checks


def read_runs(counts: str) -> list[int] | None:
    """COCO's string step by step, in unbounded integers; None if it is not one, or has a run over 6 characters."""
    runs: list[int] = []
    value = characters = 0
    for character in counts:
        group = ord(character) - 48
        if not 0 <= group < 64 or characters == 6:
            return None
        value += (group & 31) << (5 * characters)
        characters += 1
        if not group & 32:
            if group & 16:
                value -= 1 << (5 * characters)
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = characters = 0
    return None if characters else runs


def oracle(size: tuple[int, int], counts: str) -> Pixels | None:
    """The pixels, or None if an invariant of `asam_datasets.masks._rle` is broken."""
    runs = read_runs(counts)
    if runs is None or sum(runs) != size[0] * size[1] or any(run < 0 for run in runs):
        return None
    columns = [index % 2 for index, run in enumerate(runs) for _ in range(run)]
    pixels: Pixels = np.array(columns, np.uint8).reshape(size[::-1]).T
    return pixels


def write_runs(runs: list[int]) -> str:
    """`rleToString` of pycocotools in unbounded integers: also for runs that no mask has."""
    text = ""
    for index, run in enumerate(runs):
        value = run - runs[index - 2] if index > 2 else run
        more = True
        while more:
            group, value = value & 31, value >> 5
            more = value != (-1 if group & 16 else 0)
            text += chr(48 + group + 32 * more)
    return text


def assert_checked(size: tuple[int, int], counts: str | bytes) -> None:
    """Refused with a place, or decoded as the oracle does."""
    expected = oracle(size, counts.decode("latin-1") if isinstance(counts, bytes) else counts)
    segmentation: Segmentation = {"size": list(size), "counts": counts}
    if expected is None:
        with pytest.raises(SegmentationError, match=r"(?s)^counts: expected .*, found "):
            masks.decode(segmentation)
    else:
        np.testing.assert_array_equal(masks.decode(segmentation), expected)
    if isinstance(counts, str):
        assert_together(size, counts, expected)


def assert_together(size: tuple[int, int], counts: str, expected: Pixels | None) -> None:
    """Between others, a mask is refused or decoded as it is alone."""
    pixels = size[0] * size[1]
    whole = write_runs([0, pixels])
    found = masks.parse_together([whole, counts, whole], *size)
    if expected is None or not pixels:
        assert found is None
    else:
        assert found is not None
        assert [int(mask.area()) for mask in found] == [pixels, int(expected.sum()), pixels]
        np.testing.assert_array_equal(found[1].to_array(), expected)


@given(
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
    st.one_of(
        st.text([chr(code) for code in range(48, 112)], max_size=12),
        st.text("0123456789:", max_size=12),  # small runs, which are likelier to add up
        st.text(st.characters(max_codepoint=127), max_size=12),
        st.text(max_size=12),
        st.binary(max_size=12),
    ),
)
@settings(few, max_examples=1500)
def test_any_text_is_refused_or_decoded(size: tuple[int, int], counts: str | bytes) -> None:
    assert_checked(size, counts)


@given(st.data(), st.text([chr(code) for code in range(48, 80)], min_size=1, max_size=12))
@settings(few, max_examples=500)
def test_any_runs_that_add_up_are_decoded(data: st.DataObject, counts: str) -> None:
    pixels = sum(read_runs(counts) or [])
    if 0 < pixels < 2000:
        height = data.draw(st.sampled_from([n for n in range(1, pixels + 1) if pixels % n == 0]))
        assert_checked((height, pixels // height), counts)


@given(
    st.tuples(st.integers(0, 6), st.integers(0, 6)),
    st.lists(st.integers(0, 12), max_size=8),
    st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from([-1, 1, 2**31, -(2**31), 2**32, -(2**32), 2**33])), max_size=2
    ),
    st.booleans(),
)
@settings(few, max_examples=1500)
def test_any_runs_are_refused_or_decoded(
    size: tuple[int, int], runs: list[int], changes: list[tuple[int, int]], complete: bool
) -> None:
    """With runs that are negative, or that add up only in 32 bits."""
    pixels = size[0] * size[1]
    if complete and sum(runs) <= pixels:
        runs = [*runs, pixels - sum(runs)]
    for index, change in changes:
        if index < len(runs):
            runs[index] += change
    assert_checked(size, write_runs(runs))


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        ((1, 1), write_runs([2**32 + 1])),  # 7 characters
        ((1, 1), write_runs([2**32, 1])),
        ((1, 1), write_runs([0, 1, 0, 2**32])),
        ((2, 2), write_runs([2**33, 4])),
        ((1, 1), write_runs([2**31, 2**31, 1])),
        ((1, 1), write_runs([2**32 - 1, 2])),
        ((1, 1), write_runs([-(2**32), 1])),
    ],
)
def test_runs_that_add_up_in_32_bits_only_are_refused(size: tuple[int, int], counts: str) -> None:
    with pytest.raises(SegmentationError, match=f"(cover {size[0]} × {size[1]} = .*found|negative|characters)"):
        masks.decode({"size": list(size), "counts": counts})


@pytest.mark.parametrize("counts", ["1", "01", write_runs([2**32])])
@pytest.mark.parametrize("size", [[0, 5], [5, 0], [0, 0]])
def test_runs_over_no_pixels_are_refused(size: list[int], counts: str) -> None:
    with pytest.raises(SegmentationError, match=r"counts: expected .*, found "):
        masks.decode({"size": size, "counts": counts})


COUNTS: dict[str, tuple[str | bytes, list[str]]] = {
    "too short": ("3", ["2 × 3 = 6 pixels", "found 3 (too short)"]),
    "too long": ("034", ["2 × 3 = 6 pixels", "found 7 (too long)"]),
    "longer than memory": (write_runs([2**28, 0, 2**28]), ["2 × 3 = 6 pixels", f"found {2**29} (too long)"]),
    "empty": ("", ["2 × 3 = 6 pixels", "empty"]),
    "empty bytes": (b"", ["2 × 3 = 6 pixels", "empty"]),
    "a space": ("3 3", ["'0' to 'o'", "found ' '"]),
    "below 0": ("3/3", ["'0' to 'o'", "found '/'"]),
    "above o": ("33p", ["'0' to 'o'", "found 'p'"]),
    "a null": ("33\0", ["'0' to 'o'", r"found '\x00'"]),
    "a high byte": (b"33\xff", ["'0' to 'o'", "found 'ÿ'"]),
    "not ASCII": ("3é3", ["'0' to 'o'", "found 'é'"]),
    "wide digits": ("３３", ["'0' to 'o'", "found '３'"]),
    "a surrogate": ("3\ud8003", ["'0' to 'o'", r"found '\ud800'"]),
    "cut": ("33P", ["complete last run", "'33P'"]),
    "cut after seven": ("P" * 7, ["complete last run", "'PPPPPPP'"]),
    "a run of eight characters": ("P" * 7 + "06", ["at most", "characters"]),
    "a run of a thousand characters": ("o" * 1000 + "06", ["at most", "characters"]),
    "negative": ("8N", ["at least 0 pixels", "negative"]),
    "negative at first": ("O7", ["at least 0 pixels", "negative"]),
    "negative by a difference": (write_runs([1, 6, 1, -2]), ["at least 0 pixels", "negative"]),
}


@pytest.mark.parametrize(("counts", "said"), COUNTS.values(), ids=COUNTS)
def test_counts_that_are_refused(counts: str | bytes, said: list[str]) -> None:
    for entry in ENTRIES.values():
        with pytest.raises(SegmentationError) as caught:
            entry({"size": [2, 3], "counts": counts})
        assert caught.value.where.endswith("counts")
        assert str(caught.value).startswith(f"{caught.value.where}: expected ")
        for part in said:
            assert part in str(caught.value)
    for text in [counts] if isinstance(counts, str) else []:
        assert masks.parse_together(["06", text, "06"], 2, 3) is None


def test_no_masks_together_are_none() -> None:
    """An image of no pixel has masks as well, whose runs are checked one by one."""
    assert masks.parse_together([], 2, 3) is None
    assert masks.parse_together(["0"], 0, 3) is None
    assert masks.parse_together([write_runs([2**26 + 2**13])], 2**13 + 1, 2**13) is None


Entry = Callable[[Segmentation], object]
ENTRIES: dict[str, Entry] = {
    "from_segmentation": masks.from_segmentation,
    "decode": masks.decode,
    "decode to a size": lambda s: masks.decode(s, (4, 4)),
    "decode_batch": lambda s: masks.decode_batch([s]),
    "decode_batch to a size": lambda s: masks.decode_batch([{"size": [1, 1], "counts": "1"}, s], (4, 4)),
    "to_png": masks.to_png,
    "conditioning_png": lambda s: masks.conditioning_png([s], (2, 3)),
}
SIZES: dict[str, tuple[list[int], list[str]]] = {
    "huge": ([10**6, 10**6], [f"{2**26}", "1000000"]),
    "just too large": ([2**13, 2**13 + 1], [f"{2**26}", "8193"]),
    "huge without pixels": ([0, 10**20], ["100000000000000000000"]),
    "negative": ([-2, 3], ["[height, width]", "-2"]),
    "both negative": ([-2, -3], ["[height, width]", "-3"]),
    "one number": ([6], ["[height, width]", "6"]),
    "three numbers": ([1, 2, 3], ["[height, width]", "3"]),
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
@pytest.mark.parametrize(("size", "said"), SIZES.values(), ids=SIZES)
def test_sizes_that_are_refused(entry: Entry, size: list[int], said: list[str]) -> None:
    with pytest.raises(SegmentationError) as caught:
        entry({"size": size, "counts": "06"})
    assert caught.value.where.endswith("size")
    for part in said if entry is not ENTRIES["conditioning_png"] else said[1:]:
        assert part in str(caught.value)


@pytest.mark.parametrize("size", [[2.0, 3.0], ["2", "3"], [None, 3], "23"])
def test_sizes_of_other_types_are_refused(size: list[int]) -> None:
    with pytest.raises(SegmentationError, match=r"size: expected \[height, width\] in pixels, found"):
        masks.from_segmentation({"size": size, "counts": "06"})


@pytest.mark.parametrize("shape", [(3, 2), (2, 4), (1, 6)])
def test_size_must_be_the_images(shape: tuple[int, int]) -> None:
    with pytest.raises(SegmentationError) as caught:
        masks.from_segmentation({"size": [2, 3], "counts": "06"}, shape=shape)
    assert str(caught.value).startswith(f"size: expected the image's [height, width] {list(shape)}, found [2, 3]")
    assert "swapped" in caught.value.hint
    assert masks.from_segmentation({"size": [2, 3], "counts": "06"}, shape=(2, 3)).area() == 6


@pytest.mark.parametrize("shape", [(10**6, 10**6), (-1, 4), (4, -1), (0, 10**20)])
def test_shapes_that_are_refused(shape: tuple[int, int]) -> None:
    segmentation: Segmentation = {"size": [2, 3], "counts": "06"}
    for decode in (masks.decode, lambda s, shape: masks.decode_batch([s], shape)):
        with pytest.raises(SegmentationError, match=f"{shape[0]}.*{shape[1]}") as caught:
            decode(segmentation, shape)
        assert caught.value.where == "shape"


def test_a_batch_of_several_sizes_needs_a_shape() -> None:
    segmentations: list[Segmentation] = [{"size": [2, 3], "counts": "06"}, {"size": [3, 2], "counts": "06"}]
    with pytest.raises(SegmentationError, match=r"\(2, 3\), found \(3, 2\)") as caught:
        masks.decode_batch(segmentations)
    assert caught.value.where == "segmentations[1].size"
    np.testing.assert_array_equal(masks.decode_batch(segmentations, (4, 5)), np.ones((2, 4, 5)))


# ------------------------------------------------------------------------------------------------------- round trip


@some
@given(images(smallest=0))
@example(np.zeros((0, 0), np.uint8))
@example(np.zeros((0, 9), np.uint8))
@example(np.zeros((9, 0), np.uint8))
@example(np.ones((1, 70), np.uint8))
@example(np.ones((70, 1), np.uint8))
def test_round_trip_is_the_counts_of_pycocotools(pixels: Pixels) -> None:
    segmentation = encode(pixels)
    mask = masks.from_segmentation(segmentation, shape=pixels.shape)
    assert mask.area() == pixels.sum()
    assert masks.to_segmentation(mask) == segmentation
    as_bytes: Segmentation = {"size": segmentation["size"], "counts": str(segmentation["counts"]).encode()}
    assert masks.to_segmentation(masks.from_segmentation(as_bytes)) == segmentation
    if pixels.size:
        np.testing.assert_array_equal(oracle(pixels.shape, str(segmentation["counts"])), pixels)


@pytest.mark.parametrize(
    ("image", "counts"),
    [
        (RING, "632NO010O010O0124"),
        (DIAGONAL, "014000000"),
        (ONE_PIXEL, "51"),
        (TWO_COMPONENTS, "0210f00"),
        ("...\n...", "6"),
        ("###\n###", "06"),
    ],
)
def test_counts_of_a_image(image: str, counts: str) -> None:
    pixels = grid(image)
    segmentation: Segmentation = {"size": list(pixels.shape), "counts": counts}
    assert encode(pixels) == segmentation
    np.testing.assert_array_equal(masks.decode(segmentation), pixels)
    assert masks.to_segmentation(masks.from_segmentation(segmentation)) == segmentation


def test_the_largest_image_is_taken() -> None:
    side = 2**13
    assert side * side == masks.MAX_PIXELS
    for runs in ([side * side], [0, side * side], [side * side - 1, 1], [1, 1, side * side - 3, 1]):
        segmentation: Segmentation = {"size": [side, side], "counts": write_runs(runs)}
        mask = masks.from_segmentation(segmentation)
        assert mask.area() == sum(runs[1::2])
        assert masks.to_segmentation(mask) == segmentation


# ---------------------------------------------------------------------------------------------------------- decode


def sampled(inputs: int, outputs: int) -> npt.NDArray[np.int64]:
    """floor((i + 0.5) * inputs / outputs), exactly."""
    return (2 * np.arange(outputs) + 1) * inputs // (2 * outputs)


def has_ties(inputs: int, outputs: int) -> bool:
    """Whether an output pixel's centre falls exactly between two input pixels, where rounding errors decide."""
    return bool(((2 * np.arange(outputs) + 1) * inputs % (2 * outputs) == 0).any())


def nearest(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    return pixels[np.ix_(sampled(pixels.shape[0], shape[0]), sampled(pixels.shape[1], shape[1]))]


def pil_nearest(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize(shape[::-1], Image.Resampling.NEAREST))


shapes = st.tuples(st.integers(1, 90), st.integers(1, 90))


@some
@given(images(smallest=0), st.sampled_from([1, 2, 255]))
def test_decode_gives_the_pixels(pixels: Pixels, value: int) -> None:
    decoded = masks.decode(encode(pixels), value=value)
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, pixels * value)
    np.testing.assert_array_equal(decoded, coco.decode(encode(pixels)) * value)


@some
@given(images(), shapes)
@example(np.array([[0, 1]], np.uint8), (1, 1))  # the centre of the one output pixel is the border of the two inputs
@example(np.array([[0, 1]], np.uint8), (1, 3))
def test_decode_at_another_size_takes_the_pixels_of_the_formula(pixels: Pixels, shape: tuple[int, int]) -> None:
    np.testing.assert_array_equal(masks.decode(encode(pixels), shape), nearest(pixels, shape))


@some
@given(images(), shapes)
def test_decode_at_another_size_is_nearest_of_pil(pixels: Pixels, shape: tuple[int, int]) -> None:
    """Where no centre is between two pixels: there PIL adds up floats and goes either way, up for half the sizes."""
    shape = (
        shape[0] if not has_ties(pixels.shape[0], shape[0]) else pixels.shape[0],
        shape[1] if not has_ties(pixels.shape[1], shape[1]) else pixels.shape[1],
    )
    np.testing.assert_array_equal(masks.decode(encode(pixels), shape), pil_nearest(pixels, shape))


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((1500, 2250), (1024, 1024)),
        ((1500, 2250), (683, 1024)),  # ties in the rows
        ((1500, 2250), (750, 1125)),  # nothing but ties
        ((333, 517), (256, 256)),
        ((256, 256), (1024, 1024)),
        ((1024, 1024), (256, 256)),  # nothing but ties
        ((1200, 1600), (1600, 1200)),
    ],
)
def test_decode_at_real_sizes(shape: tuple[int, int], target: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 2, shape, np.uint8)
    decoded = masks.decode(encode(pixels), target)
    np.testing.assert_array_equal(decoded, nearest(pixels, target))
    if not has_ties(shape[0], target[0]) and not has_ties(shape[1], target[1]):
        np.testing.assert_array_equal(decoded, pil_nearest(pixels, target))


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_decode_at_a_whole_fraction_of_the_size_is_nearest_of_pil(factor: int) -> None:
    """All ties, and no rounding in PIL either: the later of two pixels."""
    pixels = np.random.default_rng(0).integers(0, 2, (16 * factor, 24 * factor), np.uint8)
    np.testing.assert_array_equal(masks.decode(encode(pixels), (16, 24)), pil_nearest(pixels, (16, 24)))


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_mask_without_pixels_decodes_to_background_at_any_size(size: tuple[int, int]) -> None:
    segmentation: Segmentation = {"size": list(size), "counts": ""}
    assert masks.decode(segmentation).shape == size
    np.testing.assert_array_equal(masks.decode(segmentation, (3, 4)), np.zeros((3, 4)))
    assert masks.decode({"size": [1, 1], "counts": "01"}, size).shape == size


Window = Callable[[Pixels, int, int], Pixels]
WINDOWS: dict[str, Window] = {
    "contiguous": lambda big, h, w: big.ravel()[: h * w].reshape(h, w),
    "slice": lambda big, h, w: big[5 : 5 + h, 7 : 7 + w],
    "every other": lambda big, h, w: big[1 : 1 + 2 * h : 2, 2 : 2 + 2 * w : 2],
    "F order": lambda big, h, w: big.ravel()[: h * w].reshape(w, h).T,
    "slice in F order": lambda big, h, w: big[5 : 5 + w, 7 : 7 + h].T,
}


@pytest.mark.parametrize("dirt", [0, 77])
@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
@few
@given(images(), st.one_of(st.none(), shapes), st.sampled_from([1, 255]))
def test_decode_into_out_and_nowhere_else(
    window: Window, dirt: int, pixels: Pixels, shape: tuple[int, int] | None, value: int
) -> None:
    height, width = shape or pixels.shape
    big = np.full((200, 200), dirt, np.uint8)
    expected = np.full((200, 200), dirt, np.uint8)
    window(expected, height, width)[...] = masks.decode(encode(pixels), shape, value=value)
    out = window(big, height, width)
    assert masks.decode(encode(pixels), shape, out=out, value=value) is out
    np.testing.assert_array_equal(big, expected)


@few
@given(st.data(), st.tuples(sides(), sides()), st.one_of(st.none(), shapes), st.booleans())
def test_decode_batch_is_decode_of_each(
    data: st.DataObject, size: tuple[int, int], shape: tuple[int, int] | None, with_out: bool
) -> None:
    segmentations = [encode(p) for p in data.draw(st.lists(images(shape=size), min_size=1, max_size=4))]
    if shape is not None:
        segmentations.append(encode(data.draw(images())))
    out = np.full((len(segmentations), *(shape or size)), 99, np.uint8) if with_out else None
    batch = masks.decode_batch(segmentations, shape, out=out, value=255)
    assert out is None or batch is out
    np.testing.assert_array_equal(batch, np.stack([masks.decode(s, shape, value=255) for s in segmentations]))


def test_decode_batch_of_nothing() -> None:
    assert masks.decode_batch([], (5, 6)).shape == (0, 5, 6)
    with pytest.raises(SegmentationError, match="`shape`"):
        masks.decode_batch([])


@pytest.mark.parametrize(
    "out", [np.zeros((2, 3), np.int8), np.zeros((2, 3), np.bool_), np.zeros((3, 2), np.uint8), np.zeros(6, np.uint8)]
)
def test_out_must_fit(out: Pixels) -> None:
    segmentation = encode(grid(ONE_PIXEL))
    with pytest.raises(SegmentationError, match=r"^out: expected a uint8 array") as single:
        masks.decode(segmentation, out=out)
    with pytest.raises(SegmentationError, match=r"^out: expected a uint8 array") as batch:
        masks.decode_batch([segmentation], out=out[None])
    assert f"(2, 3), found {out.dtype} {out.shape}" in str(single.value)
    assert f"(1, 2, 3), found {out.dtype} {out[None].shape}" in str(batch.value)
