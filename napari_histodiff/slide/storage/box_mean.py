"""Exact 2x2 box averages, the only way a coarser level is made of a finer one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["any_down", "box_down", "repeat_up"]


def box_down(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of 2x2 blocks, halves rounded to even; odd sides repeat their edge.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
        Starting at an even row and column of its level.

    Returns
    -------
    (ceil(h / 2), ceil(w / 2), 3) uint8
    """
    even = _even(pixels).astype(np.uint16)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    # Halves go to the even neighbour: 4q + 2 stays at q when q is even and rises when q is odd.
    quarter = total >> 2
    rest = total & 3
    rises = (rest == 3) | ((rest == 2) & ((quarter & 1) == 1))
    means: NDArray[np.uint8] = (quarter + rises).astype(np.uint8)
    return means


def any_down(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where a 2x2 block has a True, (ceil(h / 2), ceil(w / 2)) bool."""
    even = _even(mask)
    result: NDArray[np.bool_] = (
        even[::2, ::2] | even[1::2, ::2] | even[::2, 1::2] | even[1::2, 1::2]
    )
    return result


def repeat_up(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    """Return every pixel as `scale` x `scale` pixels."""
    return np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)


def _even(pixels: NDArray[Any]) -> NDArray[Any]:
    odd = [(0, side % 2) for side in pixels.shape[:2]]
    if not any(after for _, after in odd):
        return pixels
    return np.pad(pixels, [*odd, *[(0, 0)] * (pixels.ndim - 2)], mode="edge")
