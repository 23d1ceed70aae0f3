"""Brings images and label maps to about 0.5 micrometres per pixel, and cuts large ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import ceil
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

__all__ = ["TARGET_MPP", "reduce_labels", "reduce_pixels", "reduction", "tiles"]

#: Micrometres per pixel the finest images are brought to.
TARGET_MPP: Final = 0.5

_FINE: Final = 0.4  # below this, images are reduced
_NEAR: Final = 0.12  # a whole reduction is taken when its scale is this near, as a share

_T = TypeVar("_T", bound=np.generic)


def reduction(mpp: float) -> float:
    """Return how many pixels of `mpp` um become one along each axis; 1 at 0.4 um and coarser.

    Whole numbers are preferred where they end within 12 % of 0.5 um/px, because a fractional area
    mean smooths unevenly.
    """
    if mpp >= _FINE:
        return 1.0
    whole = round(TARGET_MPP / mpp)
    if abs(whole * mpp - TARGET_MPP) <= _NEAR * TARGET_MPP:
        return float(whole)
    return TARGET_MPP / mpp


def reduce_pixels(pixels: NDArray[np.uint8], step: float) -> NDArray[np.uint8]:
    """Return the area mean of (h, w, c) uint8 pixels, each axis `step` times shorter."""
    if step == 1:
        return pixels
    rows, columns = (_area_weights(n, step) for n in pixels.shape[:2])
    planes = [
        np.asarray((columns @ (rows @ pixels[..., i].astype(np.float32)).T).T)
        for i in range(pixels.shape[2])
    ]
    means: NDArray[np.float32] = np.stack(planes, -1)
    return np.rint(means).clip(0, 255).astype(np.uint8)


def reduce_labels(labels: NDArray[_T], step: float) -> NDArray[_T]:
    """Return the nearest labels of an (h, w) map, each axis `step` times shorter."""
    if step == 1:
        return labels
    y, x = (_nearest(n, step) for n in labels.shape)
    return labels[np.ix_(y, x)]


def tiles(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, slice]]:
    """Yield the fewest equal tiles of at most `most` pixels a side, row by row."""
    rows, columns = (np.linspace(0, n, max(1, ceil(n / most)) + 1).astype(int) for n in shape[:2])
    for y, y_end in pairwise(rows):
        for x, x_end in pairwise(columns):
            yield slice(int(y), int(y_end)), slice(int(x), int(x_end))


def _length(n: int, step: float) -> int:
    return max(1, int(n / step))


def _nearest(n: int, step: float) -> NDArray[np.int64]:
    centres = ((np.arange(_length(n, step)) + 0.5) * step).astype(np.int64)
    return np.minimum(centres, n - 1)


def _area_weights(n: int, step: float) -> Any:
    """(m, n) sparse: the share of each old pixel in each new one; what is left over is cut off."""
    m = _length(n, step)
    starts = np.arange(m) * step
    first = np.floor(starts).astype(int)
    taps = first[:, None] + np.arange(ceil(step) + 1)
    overlap = np.minimum(taps + 1, (starts + step)[:, None]) - np.maximum(taps, starts[:, None])
    overlap = np.where(taps < n, overlap.clip(0), 0)
    weights = (overlap / overlap.sum(1, keepdims=True)).astype(np.float32)
    where = (np.repeat(np.arange(m), taps.shape[1]), np.minimum(taps, n - 1).ravel())
    return csr_array((weights.ravel(), where), shape=(m, n))
