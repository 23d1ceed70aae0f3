from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region, WindowGrid
from napari_histodiff.core.noise import ramp_weights
from tests.core.refusals import refused
from tests.strategies import regions


@given(st.integers(2, 48), st.data(), st.integers(-99, 99), regions(min_side=1, max_side=60))
def test_weights_of_overlapping_windows_sum_to_one(
    size: int, data: st.DataObject, offset: int, region: Region
) -> None:
    ramp = data.draw(st.integers(0, size // 2))
    weights = ramp_weights(size, size, ramp)
    total = np.zeros(region.shape, np.float32)
    for window in WindowGrid(size, size - ramp, offset).covering(region):
        part = window.intersect(region)
        total[part.relative_to(region).slices] += weights[part.relative_to(window).slices]
    np.testing.assert_allclose(total, 1, rtol=1e-6)


@given(st.integers(2, 60), st.integers(2, 60), st.data())
def test_weights_are_positive_symmetric_and_flat_inside(
    height: int, width: int, data: st.DataObject
) -> None:
    ramp = data.draw(st.integers(0, min(height, width) // 2))
    weights = ramp_weights(height, width, ramp)
    assert weights.shape == (height, width)
    assert weights.dtype == np.float32
    assert weights.min() > 0
    np.testing.assert_array_equal(weights, weights[::-1, ::-1])
    inside = weights[ramp : height - ramp, ramp : width - ramp]
    np.testing.assert_array_equal(inside, np.ones_like(inside))


@pytest.mark.parametrize("ramp", [-1, 5])
def test_a_ramp_that_does_not_fit_is_refused(ramp: int) -> None:
    with refused(InvalidRequest, "8 x 20"):
        ramp_weights(8, 20, ramp)
