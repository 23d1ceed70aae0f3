from __future__ import annotations

import math

import numpy as np
import pytest

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.evaluation.metrics.seams import zoom_error


def test_zoom_error_by_hand() -> None:
    fine = np.zeros((2, 4, 3), np.uint8)
    fine[:, :2] = np.array([[10, 20], [30, 41]])[..., None]  # mean 25.25
    fine[:, 2:] = 8
    coarse = np.array([[[25, 25, 25], [8, 8, 5]]], np.uint8)
    mean, worst = zoom_error(fine, coarse)
    assert worst == pytest.approx(3)
    assert mean == pytest.approx((3 * 0.25 + 3) / 6)


def test_rounded_box_means_are_within_half_a_grey_level() -> None:
    fine = np.random.default_rng(0).integers(0, 256, (64, 32, 3), np.uint8)
    coarse = np.rint(fine.reshape(16, 4, 8, 4, 3).mean((1, 3))).astype(np.uint8)
    mean, worst = zoom_error(fine, coarse)
    assert 0 < mean < worst <= 0.5


def test_sizes_that_do_not_fit_are_refused_and_nothing_is_nan() -> None:
    for shape in [(64, 30, 3), (64, 64, 3), (16, 8, 3)]:
        with pytest.raises(InvalidImage, match="k times"):
            zoom_error(np.zeros(shape, np.uint8), np.zeros((32, 16, 3), np.uint8))
    nothing = np.zeros((0, 0, 3), np.uint8)
    assert all(map(math.isnan, zoom_error(nothing, nothing)))
