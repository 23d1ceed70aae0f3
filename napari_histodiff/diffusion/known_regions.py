"""Random known regions for training: what inpainting and outpainting look like to the model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["random_known_mask"]


def random_known_mask(rng: np.random.Generator, size: int, share: float) -> NDArray[np.bool_]:
    """Return (size, size) bool, True = known; empty with probability 1 - `share`.

    Otherwise, with equal odds: all but a box, all but a blob, a strip along one side, or a blob.
    """
    known = np.zeros((size, size), bool)
    if rng.random() >= share:
        return known
    match int(rng.integers(4)):
        case 0:
            return ~_box(rng, size)
        case 1:
            return ~_blob(rng, size)
        case 2:
            known[: int(rng.integers(size // 8, 3 * size // 4))] = True
            return np.rot90(known, int(rng.integers(4))).copy()
        case _:
            return _blob(rng, size)


def _box(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    height, width = rng.integers(size // 4, 7 * size // 8, 2)
    y, x = int(rng.integers(size - height + 1)), int(rng.integers(size - width + 1))
    box = np.zeros((size, size), bool)
    box[y : y + height, x : x + width] = True
    return box


def _blob(rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    field = gaussian_filter(rng.standard_normal((size // 4, size // 4)), size / 32, mode="wrap")
    blob = field > np.quantile(field, rng.uniform(0.3, 0.8))
    return blob.repeat(4, 0).repeat(4, 1)
