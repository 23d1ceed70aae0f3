"""Means of square blocks of pixels: the only way a coarser level is made of a finer one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SMOOTH_REACH",
    "any_down",
    "block_means",
    "box_down",
    "repeat_up",
    "share_down",
    "smooth_up",
]

#: How many pixels on each side `smooth_up` looks at, and leaves out of what it returns.
SMOOTH_REACH: Final = 4


def box_down(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the means of 2x2 blocks, halves rounded to even; odd sides repeat their edge.

    Parameters
    ----------
    pixels : (h, w, ...) uint8
        Starting at an even row and column of its level.

    Returns
    -------
    (ceil(h / 2), ceil(w / 2), ...) uint8
    """
    total = _sum(pixels, np.uint16)
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


def share_down(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return which share of each 2x2 block is True, (ceil(h / 2), ceil(w / 2)) float32 in 0-1."""
    return _sum(mask, np.uint8).astype(np.float32) * np.float32(0.25)


def block_means(pixels: NDArray[Any], side: int) -> NDArray[np.float64]:
    """Return the means of whole blocks of `side` x `side` pixels.

    Parameters
    ----------
    pixels : (h, w, ...)
        Numbers; the last rows and columns that fill no block are left out.
    side : int
        1 or more.

    Returns
    -------
    (h // side, w // side, ...) float64
    """
    height, width = (n // side for n in pixels.shape[:2])
    whole = pixels[: height * side, : width * side]
    blocks = whole.reshape(height, side, width, side, *pixels.shape[2:])
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3), dtype=np.float64)
    return means


def repeat_up(pixels: NDArray[Any], scale: int) -> NDArray[Any]:
    """Return every pixel as `scale` x `scale` pixels."""
    return np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)


def smooth_up(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image at twice the scale without steps, whose 2x2 blocks have its pixels as means.

    Parameters
    ----------
    pixels : (h, w, c) uint8
        With `SMOOTH_REACH` more pixels on every side than are wanted.

    Returns
    -------
    (2 * (h - 2 * SMOOTH_REACH), 2 * (w - 2 * SMOOTH_REACH), c) uint8
    """
    # A smooth image misses some of the means, and what it misses is smoothed in its turn, at the
    # scale of the pixels. float64 holds all these numbers exactly, so the order of sums is free.
    lack, smooth = pixels.astype(np.float64), np.zeros(pixels.shape)
    for _ in range(SMOOTH_REACH):
        smooth += lack
        lack -= _means_between(_means_between(lack, 0), 1)
    fine = _between(_between(smooth, 0), 1)
    for row, col in np.ndindex(2, 2):
        fine[row::2, col::2] += lack
    fine.clip(0, 255, out=fine)
    rim = 2 * SMOOTH_REACH
    fine = fine[rim:-rim, rim:-rim]
    goal = pixels[SMOOTH_REACH:-SMOOTH_REACH, SMOOTH_REACH:-SMOOTH_REACH].astype(np.int32) * 4
    whole = np.empty(fine.shape, np.uint8)
    total, before = np.zeros(goal.shape), np.zeros(goal.shape, np.int32)
    for row, col in ((0, 0), (0, 1), (1, 0)):
        total += fine[row::2, col::2]
        # The last pixel makes up for what rounding and clipping cost; it has to be able to.
        left = 3 - 2 * row - col
        reached = np.minimum(np.rint(total).astype(np.int32), before + 255)
        reached = reached.clip(goal - 255 * left, goal)
        whole[row::2, col::2] = reached - before
        before = reached
    whole[1::2, 1::2] = goal - before
    return whole


def _between(pixels: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    # Twice as many, each a quarter of the way to its neighbour.
    here, before, after = _neighbours(pixels, axis)
    fine = np.empty((2 * len(here), *here.shape[1:]))
    np.add(here, before, out=fine[::2])
    np.add(here, after, out=fine[1::2])
    return fine.swapaxes(0, axis)


def _means_between(pixels: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    # Means of the two that `_between` makes of each.
    here, before, after = _neighbours(pixels, axis)
    return (here + 0.5 * (before + after)).swapaxes(0, axis)


def _neighbours(pixels: NDArray[np.float64], axis: int) -> tuple[NDArray[np.float64], ...]:
    # Three quarters of each, and a quarter of the one before and after it; `axis` comes first.
    rows = pixels.swapaxes(0, axis)
    quarter = 0.25 * rows
    before = np.concatenate([quarter[:1], quarter[:-1]])
    after = np.concatenate([quarter[1:], quarter[-1:]])
    return 0.75 * rows, before, after


def _sum(pixels: NDArray[Any], dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    even = _even(pixels)
    rows = np.add(even[::2], even[1::2], dtype=dtype)
    total: NDArray[Any] = rows[:, ::2] + rows[:, 1::2]
    return total


def _even(pixels: NDArray[Any]) -> NDArray[Any]:
    odd = [(0, side % 2) for side in pixels.shape[:2]]
    if not any(after for _, after in odd):
        return pixels
    return np.pad(pixels, [*odd, *[(0, 0)] * (pixels.ndim - 2)], mode="edge")
