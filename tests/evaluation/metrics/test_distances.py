from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.evaluation.metrics.distances import (
    frechet_distance,
    kernel_distance,
    random_patches,
)

Floats = NDArray[np.float64]


def exact(mean: Floats, covariance: Floats, seed: int, n: int = 200) -> Floats:
    """Rows whose sample mean and unbiased covariance are exactly these."""
    rows = np.random.default_rng(seed).normal(size=(n, len(mean)))
    rows -= rows.mean(0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows.T))).T
    return rows @ np.linalg.cholesky(covariance).T + mean


def test_frechet_distance_of_gaussians_has_the_closed_form() -> None:
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(2, 4, 4))
    a, b = (f @ f.T + np.eye(4) for f in factors)
    root = sqrtm(a)
    shift = np.array([3.0, -1, 0, 2])
    expected = shift @ shift + np.trace(a + b - 2 * sqrtm(root @ b @ root).real)
    found = frechet_distance(exact(np.zeros(4), a, 1), exact(shift, b, 2))
    assert found == pytest.approx(float(expected), rel=1e-6)


def test_frechet_distance_of_independent_features() -> None:
    a = exact(np.zeros(2), np.diag([1.0, 4.0]), 1)
    b = exact(np.array([0.0, 5.0]), np.diag([9.0, 4.0]), 2)
    assert frechet_distance(a, b) == pytest.approx(25 + (3 - 1) ** 2)
    assert frechet_distance(a + 1e5, b + 1e5) == pytest.approx(29, rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_fewer_rows_than_features_still_give_a_distance() -> None:
    rows = np.random.default_rng(0).normal(size=(10, 30))
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(rows, rows + 1) == pytest.approx(30, rel=1e-9)


def test_features_that_depend_on_each_other_lose_no_digits() -> None:
    # shares of three classes sum to one, so that their covariance has no full rank
    shares = np.eye(3)[np.arange(300) % 3] * 200
    assert frechet_distance(shares, shares + 2) == pytest.approx(12, rel=1e-9)


def test_kernel_distance_by_hand() -> None:
    # k(x, y) = (x y + 1)^3: within the sets 1 and 1, between them (1 + 1 + 1 + 27) / 4
    a, b = np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]])
    mean, std = kernel_distance(a, b, 2, 3, seed=0)
    assert mean == pytest.approx(1 + 1 - 2 * 7.5)
    assert std == pytest.approx(0)


def test_kernel_distance_is_unbiased_and_follows_the_seed() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 400, 5))
    state = torch.random.get_rng_state()
    mean, std = kernel_distance(a, b, 100, 50, seed=1)
    assert abs(mean) < 0.05
    assert std > 0
    assert kernel_distance(a, b, 100, 50, seed=1) == (mean, std)
    assert kernel_distance(a, b, 100, 50, seed=2) != (mean, std)
    assert kernel_distance(a, b + 0.5, 100, 50, seed=1)[0] > 0.3
    assert torch.equal(torch.random.get_rng_state(), state)


def test_unusable_features_are_refused() -> None:
    rows = np.zeros((5, 3))
    with pytest.raises(InvalidRequest, match="one extractor"):
        frechet_distance(rows, rows[:, :2])
    with pytest.raises(InvalidRequest, match="at least 2 rows"):
        frechet_distance(rows, rows[:1])
    with pytest.raises(InvalidRequest, match="smaller subsets"):
        kernel_distance(rows, rows, 6, 1, seed=0)
    with pytest.raises(InvalidRequest, match="0 of 3"):
        kernel_distance(rows, rows, 3, 0, seed=0)


def places() -> list[NDArray[np.uint8]]:
    """Images whose pixels tell image, row and column."""
    sizes = [(20, 30), (16, 16)]
    return [
        np.stack([np.full(size, i), *np.indices(size)], axis=-1).astype(np.uint8)
        for i, size in enumerate(sizes)
    ]


def test_random_squares_lie_inside_and_repeat() -> None:
    squares = random_patches(places(), 8, 300, 5)
    assert squares.shape == (300, 8, 8, 3)
    corners = squares[:, 0, 0]
    np.testing.assert_array_equal(np.ptp(squares[..., 1], axis=(1, 2)), 7)
    assert corners[corners[:, 0] == 0].max(0).tolist() == [0, 12, 22]  # every place can occur
    assert corners[corners[:, 0] == 1].max(0).tolist() == [1, 8, 8]
    np.testing.assert_array_equal(squares, random_patches(places(), 8, 300, 5))


def test_unusable_images_are_refused() -> None:
    with pytest.raises(InvalidImage, match="smaller squares"):
        random_patches(places(), 17, 4, 0)
    with pytest.raises(InvalidImage, match="at least 8 px"):
        random_patches([], 8, 4, 0)
