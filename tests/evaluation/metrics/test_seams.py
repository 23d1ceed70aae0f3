from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.evaluation.metrics.seams import line_profile, seam_test

LINES = (32, 64, 96, 128, 160)


def field(seed: int, sigma: float = 2.0) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=(96, 192, 3))
    return gaussian_filter(noise, (sigma, sigma, 0))


def patched(seed: int, sigma: float = 2.0) -> NDArray[np.float64]:
    """A field whose columns of windows do not know each other."""
    image = field(seed, sigma)
    for i, line in enumerate(LINES):
        image[:, line:] = field(1000 + 10 * seed + i, sigma)[:, line:]
    return image


def test_profiles_by_hand() -> None:
    row = np.array([0.0, 1, 4, 4, 0])
    image = np.repeat(row[None, :, None], 3, axis=0)
    profile, start = line_profile(image, 1, "first")
    assert start == 1
    np.testing.assert_allclose(profile, [1, 9, 0, 16])
    profile, start = line_profile(image, 1, "second")  # bends 2, -3, -4 at pixels 1, 2, 3
    assert start == 2
    np.testing.assert_allclose(profile, [(4 + 9) / 2, (9 + 16) / 2])
    np.testing.assert_allclose(line_profile(image, 0, "first")[0], 0)


def test_covariance_profile_by_hand() -> None:
    image = np.random.default_rng(0).normal(size=(5, 30, 1))
    centred = image - image.mean()
    profile, start = line_profile(image, 1, "covariance")
    assert (start, len(profile)) == (12, 30 - 2 * 12 + 1)
    pairs = [(centred[:, i] * centred[:, i + 12]).mean() for i in range(14 - 12, 14)]
    assert profile[14 - 12] == pytest.approx(np.mean(pairs))


def test_ratios_by_hand() -> None:
    image = np.zeros((4, 10, 3))
    image[:, :, 0] = np.cumsum([0, 1, 1, 1, 1, 3, 1, 1, 2, 1])  # lines 5 and 8 stand out
    result = seam_test(image, [5, 8], axis=1, period=1)
    assert result.ratio_max == pytest.approx(9)
    assert result.ratio_mean == pytest.approx((9 + 4) / 2)
    assert (result.lines, result.others) == (2, 7)
    # one of the 36 pairs of lines is as bad
    assert result.p_value == pytest.approx(1 / 36, abs=0.015)


@pytest.mark.parametrize("statistic", ["first", "second", "covariance"])
def test_seams_are_found_and_continuous_fields_are_not_accused(statistic: str) -> None:
    sigma = 6.0 if statistic == "covariance" else 2.0
    found = seam_test(patched(0, sigma), LINES, axis=1, period=1, statistic=statistic)  # type: ignore[arg-type]
    assert found.p_value <= 0.01
    assert found.ratio_max < 0.5 if statistic == "covariance" else found.ratio_max > 2
    p_values = [
        seam_test(
            field(s, sigma), LINES, axis=1, period=1, permutations=199, statistic=statistic
        ).p_value  # type: ignore[arg-type]
        for s in range(12)
    ]
    assert sum(p <= 0.05 for p in p_values) <= 3
    assert 0.25 < np.mean(p_values) < 0.75


def test_one_bad_seam_is_found_by_the_worst_line() -> None:
    image = field(3)
    image[:, 96:] += 0.2
    result = seam_test(image, LINES, axis=1, period=1)
    assert result.p_value_max <= 0.05
    turned = seam_test(image.swapaxes(0, 1), LINES, axis=0, period=1)
    assert turned == result


def test_the_period_takes_the_grid_of_patches_out() -> None:
    image = field(4)
    image += 0.2 * (np.arange(192) // 4)[:, None]  # every fourth line is sharper, seam or not
    plain = seam_test(image, LINES, axis=1, period=1)
    fair = seam_test(image, LINES, axis=1, period=4)
    assert plain.ratio_mean > 1.5
    assert fair.ratio_mean == pytest.approx(1, abs=0.35)
    assert plain.p_value < 0.05 < fair.p_value
    assert fair.others == 192 // 4 - 1 - len(LINES)


def test_a_flat_image_has_no_seam() -> None:
    result = seam_test(np.full((20, 20, 3), 7, np.uint8), [10], axis=1, period=1)
    assert math.isnan(result.ratio_max)
    assert result.p_value == 1


def test_bytes_do_not_wrap_around() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 4:] = 200
    assert line_profile(image, 1)[0].max() == 200**2


def test_unusable_lines_are_refused() -> None:
    image = field(0)
    for lines in ([], [0, 32], [192]):
        with pytest.raises(InvalidRequest, match="lines from 1 to 191"):
            seam_test(image, lines, axis=1, period=1)
    with pytest.raises(InvalidRequest, match="not the distance of windows"):
        seam_test(image, LINES, axis=1, period=32)
