"""Weights that sum to one where windows overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.errors import InvalidRequest

__all__ = ["ramp_weights"]


def ramp_weights(height: int, width: int, ramp: int) -> NDArray[np.float32]:
    """Return the weights of one window, a trapezoid on each axis, (h, w) float32 in (0, 1].

    Windows laid out with a stride of (height - ramp, width - ramp) have weights that sum to 1 at
    every pixel, to float32 rounding. No weight is 0, so a lone window can be normalised.

    Parameters
    ----------
    height, width : int
        Sides of the window in pixels.
    ramp : int
        Pixels by which neighbours overlap; at most half a side. 0 = no overlap, all weights 1.

    Raises
    ------
    InvalidRequest
        When the ramp is negative or longer than half a side.
    """
    if not 0 <= 2 * ramp <= min(height, width):
        raise InvalidRequest(
            f"expected a ramp from 0 to {min(height, width) // 2} pixels for a window of "
            f"{height} x {width}, got {ramp}; choose a shorter ramp or a larger window"
        )
    weights = np.outer(_trapezoid(height, ramp), _trapezoid(width, ramp))
    return weights.astype(np.float32)


def _trapezoid(side: int, ramp: int) -> NDArray[np.float64]:
    weights = np.ones(side)
    if ramp:
        rise = (np.arange(ramp) + 0.5) / ramp
        weights[:ramp] = rise
        weights[side - ramp :] = rise[::-1]
    return weights
