"""Distances of sets of images in a feature space: Frechet (FID) and kernel (KID).

A number says something only beside others from the same feature extractor and the same number of
images (1911.07023): with features of our own it is no "FID".
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_histodiff.core.errors import InvalidImage, InvalidRequest

__all__ = [
    "GivenFeatures",
    "frechet_distance",
    "kernel_distance",
    "random_patches",
]


class GivenFeatures(nn.Module):
    """Takes (n, k) features for images, so that torchmetrics need not compute them again."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        """Return the features."""
        return features


def frechet_distance(features_a: NDArray[np.floating], features_b: NDArray[np.floating]) -> float:
    """Return the squared Frechet distance of Gaussians fitted to (n, k) and (m, k) features.

    |mean difference|^2 + trace(A + B - 2 (A B)^(1/2)) with unbiased covariances A and B (Heusel et
    al. 2017), from 0. Biased upwards for small n: compare at equal n, with real against real as the
    floor. Cost grows with k^3: about a second for k = 500.

    Raises
    ------
    InvalidRequest
        When a set has fewer than two rows, or the feature sizes differ.
    """
    _require_sets(features_a, features_b, 2)
    (mean_a, factor_a), (mean_b, factor_b) = map(_gaussian, (features_a, features_b))
    # With the centred rows A = Q R, tr(cov_a cov_b)^(1/2) is the sum of the singular values of
    # R_a R_b'. Roots of eigenvalues of the product would turn the rounding error of a covariance
    # that lacks rank, 1e-16, into 1e-8 of its largest value, with the sign left to chance.
    shared = np.linalg.svd(factor_a @ factor_b.T, compute_uv=False).sum()
    parts = (mean_a - mean_b, factor_a, factor_b)
    return max(0.0, float(sum(np.sum(part**2) for part in parts) - 2 * shared))


def _gaussian(
    features: NDArray[np.floating],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of (n, k) features, and R (r, k) with R' R their covariance."""
    rows = np.asarray(features, np.float64)
    mean = rows.mean(0)
    factor: NDArray[np.float64] = np.linalg.qr((rows - mean) / np.sqrt(len(rows) - 1)).R
    return mean, factor


def kernel_distance(
    features_a: NDArray[np.floating],
    features_b: NDArray[np.floating],
    subset_size: int,
    subsets: int,
    seed: int,
) -> tuple[float, float]:
    """Return mean and standard deviation of the kernel distance (KID) over random subsets.

    Unbiased squared maximum mean discrepancy with the kernel (x y / k + 1)^3 (Binkowski et al.
    2018). About 0, and then slightly negative half of the time, for equal distributions. Scale
    features to about unit variance, as the kernel has a scale of its own.

    Parameters
    ----------
    features_a, features_b : (n, k) and (m, k)
        Features of two sets of images.
    subset_size, subsets : int
        Rows of each set in a subset, at least 2, and number of subsets.
    seed : int
        Of the subsets; torch's own generator is left as it was.

    Raises
    ------
    InvalidRequest
        When a set has fewer rows than a subset, or the feature sizes differ.
    """
    from torchmetrics.image.kid import KernelInceptionDistance

    _require_sets(features_a, features_b, max(2, subset_size))
    if subset_size < 2 or subsets < 1:
        raise InvalidRequest(
            f"expected subsets of at least 2 rows, got {subsets} of {subset_size}; ask for more"
        )
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message=".*will save all extracted features.*")
        torch.manual_seed(seed)
        metric = KernelInceptionDistance(
            feature=GivenFeatures(features_a.shape[1]), subsets=subsets, subset_size=subset_size
        )
        metric.update(_tensor(features_a), real=True)
        metric.update(_tensor(features_b), real=False)
        mean, std = metric.compute()
    return float(mean), float(std)


def random_patches(
    images: Sequence[NDArray[np.uint8]], patch: int, count: int, seed: int | tuple[int, ...]
) -> NDArray[np.uint8]:
    """Return (count, patch, patch, 3) uint8 squares; the same places for images of the same sizes.

    An image is drawn in proportion to the number of squares it has room for.

    Raises
    ------
    InvalidImage
        When an image is smaller than a square, or there is none.
    """
    rooms = np.array([[n - patch + 1 for n in image.shape[:2]] for image in images])
    if not rooms.size or rooms.min() < 1:
        raise InvalidImage(
            f"expected images of at least {patch} px, got "
            f"{[image.shape[:2] for image in images]}; ask for smaller squares"
        )
    rng = np.random.default_rng(seed)
    weights = rooms.prod(1)
    chosen = rng.choice(len(images), count, p=weights / weights.sum())
    ys, xs = (rng.random((count, 2)) * rooms[chosen]).astype(int).T
    return np.stack(
        [images[i][y : y + patch, x : x + patch] for i, y, x in zip(chosen, ys, xs, strict=True)]
    )


def _require_sets(a: NDArray[np.floating], b: NDArray[np.floating], rows: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise InvalidRequest(
            f"expected (n, k) and (m, k) features, got {a.shape} and {b.shape}; "
            "compute both with one extractor"
        )
    if min(len(a), len(b)) < rows:
        raise InvalidRequest(
            f"expected at least {rows} rows on either side, got {len(a)} and {len(b)}; "
            "give more images or smaller subsets"
        )


def _tensor(features: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(features, np.float64))
