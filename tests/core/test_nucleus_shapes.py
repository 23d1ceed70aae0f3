from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.nucleus_shapes import draw_nucleus, nucleus_statistics

CLASSES = range(1, 7)


@pytest.mark.parametrize("class_id", CLASSES)
def test_statistics_are_those_of_nuclei(class_id):
    statistics = nucleus_statistics(class_id)
    diameter = 2 * math.sqrt(math.exp(statistics.log_area_mean) / math.pi)
    assert statistics.n > 100
    assert 3 < diameter < 12  # um
    assert list(statistics.axis_ratio_quantiles) == sorted(statistics.axis_ratio_quantiles)
    assert 0 < statistics.axis_ratio_quantiles[0] < statistics.axis_ratio_quantiles[-1] <= 1
    assert 100 < statistics.density < 20000


def test_statistics_know_the_classes_apart():
    epithelial, lymphocyte, connective = (nucleus_statistics(i) for i in (2, 3, 6))
    assert epithelial.log_area_mean > lymphocyte.log_area_mean
    assert connective.axis_ratio_quantiles[4] < lymphocyte.axis_ratio_quantiles[4]


@pytest.mark.parametrize("class_id", [0, 7, -1, "epithelial"])
def test_unknown_class_is_refused(class_id):
    with pytest.raises(InvalidRequest, match="class from 1 to 6"):
        nucleus_statistics(class_id)


@given(st.sampled_from(CLASSES), st.integers(0, 2**32), st.floats(0.2, 1.0))
def test_a_nucleus_is_star_shaped_about_the_middle(class_id, seed, mpp):
    nucleus = draw_nucleus(class_id, mpp, np.random.default_rng(seed))
    side = nucleus.shape[0]
    assert nucleus.shape == (side, side)
    assert side % 2 == 1
    middle = side // 2
    for line in (nucleus[middle], nucleus[:, middle], nucleus.diagonal()):
        assert line[middle]
        assert np.count_nonzero(np.diff(line.astype(int))) <= 2


@pytest.mark.parametrize("class_id", CLASSES)
def test_drawn_areas_follow_the_statistics(class_id):
    rng = np.random.default_rng(class_id)
    statistics, mpp = nucleus_statistics(class_id), 0.25
    areas = [np.log(draw_nucleus(class_id, mpp, rng).sum() * mpp**2) for _ in range(200)]
    error = statistics.log_area_sd / math.sqrt(len(areas))
    assert abs(np.mean(areas) - statistics.log_area_mean) < 5 * error
    # Cut at two standard deviations, so a little narrower than measured.
    assert 0.75 < np.std(areas) / statistics.log_area_sd < 1.1


def test_same_seed_same_nucleus_and_another_seed_another():
    first, again, other = (draw_nucleus(2, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
