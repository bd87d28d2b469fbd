"""Prompts and pixel counts against dense arrays, from masks of one pixel up."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from rlemasklib import RLEMask

torch = pytest.importorskip("torch", reason="pip install asam_datasets[evaluate]")
pytest.importorskip("transformers", reason="pip install asam_datasets[evaluate]")

from torch.nn.functional import interpolate  # noqa: E402

from asam_datasets.evaluate._plan import Piece, share  # noqa: E402
from asam_datasets.evaluate._prompts import center_point, draw_points, outer_box, squeeze_mask  # noqa: E402
from asam_datasets.evaluate._samples import Sample  # noqa: E402
from asam_datasets.evaluate._score import (  # noqa: E402
    boundary,
    device_pairs,
    found_masks,
    pixel_pair,
    positive_runs,
    score_sample,
)

Mask = NDArray[np.bool_]

SHAPES = st.tuples(st.integers(1, 24), st.integers(1, 24))
MASKS = SHAPES.flatmap(lambda shape: npst.arrays(np.bool_, shape, elements=st.booleans(), fill=st.booleans()))
SOME = MASKS.filter(np.any)


def runs(mask: Mask) -> RLEMask:
    return RLEMask.from_array(mask.astype(np.uint8))


def dense(mask: RLEMask) -> Mask:
    return mask.to_array().astype(bool)


# ------------------------------------------------------------------------------------------------- prompts


@given(SOME, st.integers(1, 40))
def test_a_squeezed_mask_is_that_of_torch(mask: Mask, size: int) -> None:
    values = torch.from_numpy(mask * np.float32(255))[None, None]
    expected = interpolate(values, (size, size), mode="bilinear", align_corners=False)[0, 0].numpy() > 128
    patch = squeeze_mask(runs(mask), size)
    found = np.zeros((size, size), bool)
    height, width = patch.pixels.shape
    found[patch.top : patch.top + height, patch.left : patch.left + width] = patch.pixels
    assert np.array_equal(found, expected)
    ys, xs = np.nonzero(expected)
    assert patch.box() == ((xs.min(), ys.min(), xs.max(), ys.max()) if len(ys) else None)


@given(SOME)
def test_boxes_are_of_the_outermost_pixels(mask: Mask) -> None:
    ys, xs = np.nonzero(mask)
    assert outer_box(runs(mask)) == (xs.min(), ys.min(), xs.max(), ys.max())


def farthest(mask: Mask) -> tuple[int, int]:
    """By all distances of pixels inside to pixels outside."""
    wide = np.pad(mask, 1)
    inside, outside = np.argwhere(wide), np.argwhere(~wide)
    squares = ((inside[:, None] - outside) ** 2).sum(-1).min(1)
    y, x = inside[squares.argmax()] - 1
    return int(x), int(y)


@given(SOME)
def test_the_center_is_the_first_of_the_farthest_pixels(mask: Mask) -> None:
    assert center_point(runs(mask)) == farthest(mask)


@pytest.mark.parametrize("seed", range(3))
def test_the_center_of_large_masks(seed: int) -> None:
    """So large that most pixels are left out before they are looked at."""
    rng = np.random.default_rng(seed)
    mask = cv2.resize(rng.normal(size=(5, 7)), (640, 480), interpolation=cv2.INTER_CUBIC) > 0.1
    distances = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    x, y = center_point(runs(mask))
    squares = np.rint(distances.astype(np.float64) ** 2)
    assert (y, x) == np.unravel_index(squares.argmax(), mask.shape)


@given(SOME, st.integers(1, 12), st.integers(0, 5))
def test_points_are_different_pixels_of_the_mask(mask: Mask, count: int, seed: int) -> None:
    patch = squeeze_mask(runs(mask), 16)
    where: dict[str, Any] = {"seed": seed, "image_id": "a/b", "annotation": 3}
    points = draw_points(patch, count, **where)
    if patch.pixels.sum() < count:
        assert points is None
        return
    assert points is not None
    assert len({tuple(point) for point in points.tolist()}) == count
    assert patch.pixels[points[:, 1] - patch.top, points[:, 0] - patch.left].all()
    again = draw_points(patch, count, **where)
    assert np.array_equal(points, again)


def test_points_stay_the_same_for_ever() -> None:
    """With any NumPy: a golden value, of the bits of Philox and nothing else."""
    patch = squeeze_mask(runs(np.ones((40, 30), bool)), 64)
    points = draw_points(patch, 4, seed=1, image_id="sa_1", annotation=2)
    assert points is not None
    assert points.tolist() == [[9, 41], [1, 17], [15, 28], [44, 5]]


# ------------------------------------------------------------------------------------------------- scores


@given(st.data(), SHAPES)
def test_pixels_are_counted_as_in_arrays(data: st.DataObject, shape: tuple[int, int]) -> None:
    one, other = (data.draw(npst.arrays(np.bool_, shape)) for _ in range(2))
    expected = (int((one & other).sum()), int((one | other).sum()))
    assert pixel_pair(runs(one), runs(other)) == expected
    found = torch.from_numpy(np.stack([one, ~one]))[None]
    inverted = (int((~one & other).sum()), int((~one | other).sum()))
    assert device_pairs(found, [runs(other)]) == [[expected, inverted]]


@given(MASKS)
def test_a_boundary_is_that_of_its_authors(mask: Mask) -> None:
    assert np.array_equal(dense(boundary(runs(mask))), authors_boundary(mask))


def authors_boundary(mask: Mask) -> Mask:
    steps = max(1, round(0.02 * math.hypot(*mask.shape)))
    padded = np.pad(mask.astype(np.uint8), 1)
    core = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=steps)[1:-1, 1:-1]
    found: Mask = mask & (core == 0)
    return found


def test_a_boundary_of_a_large_mask() -> None:
    mask = cv2.resize(np.random.default_rng(0).normal(size=(5, 7)), (640, 480), interpolation=cv2.INTER_CUBIC) > 0.1
    assert 0 < dense(boundary(runs(mask))).sum() < mask.sum()
    assert np.array_equal(dense(boundary(runs(mask))), authors_boundary(mask))


@given(
    npst.arrays(np.float32, (8, 8), elements=st.sampled_from([-5.0, -0.5, -1e-3, 0.0, 0.1, 7.0]), fill=st.just(-1.0)),
    SHAPES.map(lambda shape: (3 * shape[0], 3 * shape[1])),
    st.integers(1, 32),
    st.integers(1, 32),
)
def test_nothing_positive_is_overlooked(
    logits: NDArray[np.float32], shape: tuple[int, int], height: int, width: int
) -> None:
    sample = interpolate(torch.from_numpy(logits)[None, None], (32, 32), mode="bilinear", align_corners=False)
    large = interpolate(sample[..., :height, :width], shape, mode="bilinear", align_corners=False)[0, 0].numpy()
    found = positive_runs(logits, large, 32, (height, width))
    assert found.shape == shape
    assert np.array_equal(dense(found), large > 0)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tiny_models import make_sam

    from asam_datasets.evaluate import EvaluateOptions
    from asam_datasets.evaluate._model import load_predictor

    folder = make_sam(tmp_path_factory.mktemp("sam"), seed=3, side=64)
    return load_predictor(EvaluateOptions(model=str(folder)), torch.device("cpu"))


def some_sample(masks: int = 5) -> Sample:
    rng = np.random.default_rng(0)
    found = [
        runs(cv2.resize(rng.normal(size=(4, 5)), (90, 70), interpolation=cv2.INTER_CUBIC) > 0.5) for _ in range(masks)
    ]
    return Sample(
        "hrsod_te", 3, "a part: row 3", "7", "7.jpg", (70, 90), fitted=(50, 64),
        pixels=torch.from_numpy(rng.integers(0, 255, (3, 64, 64), dtype=np.uint8)),
        annotations=tuple(range(10, 10 + masks)), masks=tuple(found), prompted=tuple(range(masks)),
        points=torch.from_numpy(rng.uniform(0, 50, (masks, 1, 2)).astype(np.float32)),
    )  # fmt: skip


@pytest.mark.parametrize("candidates", [False, True])
def test_the_device_counts_as_the_runs_do(candidates: bool, predictor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = some_sample()
    by_runs = score_sample(predictor, sample, candidates=candidates, boundaries=True)
    monkeypatch.setattr(predictor, "counts_there", True)
    assert score_sample(predictor, sample, candidates=candidates, boundaries=True) == by_runs
    assert [len(mask.pixels) for mask in by_runs.masks] == [3 if candidates else 1] * 5
    assert len({mask.chosen for mask in by_runs.masks}) > 1 or not candidates


def test_the_sheet_shows_what_was_scored(predictor: Any) -> None:
    sample = some_sample()
    scored = score_sample(predictor, sample, candidates=True, boundaries=False)
    found = found_masks(predictor, sample, [1, 4], candidates=True)
    assert sorted(found) == [1, 4]
    for place, mask in found.items():
        one = scored.masks[place]
        assert pixel_pair(mask, sample.masks[place]) == one.pixels[one.chosen]
        assert one.annotation == 10 + place


def test_many_prompts_are_those_of_few(predictor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them are upscaled together, which the size of the image decides."""
    from asam_datasets.evaluate import _score

    sample = some_sample(40)
    expected = score_sample(predictor, sample, candidates=False, boundaries=False)
    monkeypatch.setattr(_score, "_CPU_BYTES", 1)
    assert score_sample(predictor, sample, candidates=False, boundaries=False) == expected
    assert len(expected.masks) == 40


# -------------------------------------------------------------------------------------------------- shares


@given(st.lists(st.integers(1, 9), max_size=6), st.integers(1, 5))
def test_shares_are_even_and_whole(sizes: list[int], of: int) -> None:
    pieces = [Piece(f"set {number}", None, tuple(range(3, 3 + size))) for number, size in enumerate(sizes)]  # type: ignore[arg-type]
    shares = [list(share(pieces, number, of)) for number in range(of)]
    rows = [(piece.config, row) for one in shares for piece in one for row in piece.rows]
    assert rows == [(piece.config, row) for piece in pieces for row in piece.rows]
    counts = [sum(len(piece.rows) for piece in one) for one in shares]
    assert max(counts) - min(counts) <= 1


def test_the_papers_figures_are_of_sets_in_the_catalog() -> None:
    from asam_datasets.evaluate._paper import PUBLISHED, is_fine
    from asam_datasets.sources.evaluation import load_catalog

    assert set(PUBLISHED) <= set(load_catalog())
    assert len(PUBLISHED) == 14
    assert all(figures.sam < figures.asam for figures in PUBLISHED.values())
    assert is_fine("hrsod_te")
    assert is_fine("big")
    assert is_fine("dis5k_te1")
    assert not is_fine("coco2017_val")
    assert not is_fine("biggest")
