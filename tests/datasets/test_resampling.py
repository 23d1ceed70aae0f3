from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.datasets.resampling import reduce_labels, reduce_pixels, reduction, tiles


@pytest.mark.parametrize(
    ("mpp", "step"), [(0.5, 1), (0.4, 1), (1.0, 1), (0.25, 2), (0.275, 2), (0.23, 2), (0.16, 3)]
)
def test_whole_reductions_are_preferred(mpp: float, step: float) -> None:
    assert reduction(mpp) == step


@given(st.floats(0.05, 8))
def test_nothing_stays_finer_than_the_model_knows(mpp: float) -> None:
    assert mpp * reduction(mpp) >= 0.4
    assert mpp * reduction(mpp) == mpp or mpp * reduction(mpp) <= 0.56


@given(st.floats(1, 5), st.integers(5, 40), st.integers(5, 40))
def test_a_flat_image_stays_flat_and_labels_fit_it(step: float, height: int, width: int) -> None:
    pixels = np.full((height, width, 3), 137, np.uint8)
    small = reduce_pixels(pixels, step)
    assert set(small.ravel()) == {137}
    assert reduce_labels(pixels[..., 0], step).shape == small.shape[:2]


def test_a_fractional_area_mean_shares_border_pixels() -> None:
    pixels = np.repeat(np.array([[[0], [90], [240]]], np.uint8), 3, axis=0)
    small = reduce_pixels(pixels, 1.5)
    assert small[..., 0].tolist() == [[30, 190]] * 2


@given(st.integers(1, 50), st.integers(1, 50), st.integers(3, 30))
def test_tiles_cover_every_pixel_once(height: int, width: int, most: int) -> None:
    seen = np.zeros((height, width), int)
    for place in tiles((height, width), most):
        seen[place] += 1
        assert max(seen[place].shape) <= most
    assert (seen == 1).all()
