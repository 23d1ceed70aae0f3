"""Makes zooming out give back the image that was zoomed into, to the last bit."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditKind, EditRequest

__all__ = ["even_target", "project_on_coarse"]

#: Whole numbers per gray level: sums of them are exact, and a block never misses by a level.
_UNIT: Final = 256
_WHITE: Final = 255 * _UNIT

#: Each pass saturates at least one of the four pixels of a block, or ends.
_PASSES: Final = 4

#: The four pixels of every block, each (n, rows, columns, c) int32.
_Quarters = list[NDArray[np.int32]]


def even_target(request: EditRequest) -> Region | None:
    """Return a target, grown to the whole 2 x 2 blocks of the plane that projection works on."""
    if request.target is None or request.kind is not EditKind.ZOOM:
        return request.target
    return request.target.snap(2)


def project_on_coarse(
    x: NDArray[np.floating], coarse: NDArray[np.uint8], region: Region
) -> NDArray[np.uint8]:
    """Round an image so that every 2 x 2 block has the sum it has in `coarse`.

    Each block is shifted by one number, and by more where pixels saturate: the range-space step of
    DDNM (Wang et al., arXiv 2212.00490), and rounding that hands its error on to the next pixel of
    the block. A block's pixels depend on that block alone.

    Parameters
    ----------
    x : (n, h, w, c) float in [-1, 1]
        Images.
    coarse : (h, w, c) uint8
        The same place one level up, already upsampled.
    region : Region
        The place: blocks lie on even coordinates of the plane and are cut at its border.

    Returns
    -------
    (n, h, w, c) uint8
    """
    levels = np.rint((x + 1) * np.float32(_WHITE / 2)).clip(0, _WHITE).astype(np.int32)
    quarters = _quarters(levels, region)
    inside = _quarters(np.ones((1, *region.shape, 1), np.int32), region)
    goal = _sum(_quarters(coarse[None].astype(np.int32), region)) * _UNIT
    lack = goal - _sum(quarters)
    step = lack // _sum(inside)
    shifted = [(q + step * i).clip(0, _WHITE) for q, i in zip(quarters, inside, strict=True)]
    _settle(shifted, goal, inside)
    return _joined(_round(shifted, goal // _UNIT), region)


def _settle(quarters: _Quarters, goal: NDArray[np.int32], inside: _Quarters) -> None:
    """Go on, in place, with the blocks that miss their sum because a pixel saturated."""
    lack = goal - _sum(quarters)
    missing = np.abs(lack) >= 4  # what is left by whole division
    if not missing.any():
        return
    valid = np.stack([np.broadcast_to(i, missing.shape)[missing] for i in inside]) > 0
    values = np.stack([q[missing] for q in quarters])
    wanted = np.broadcast_to(goal, missing.shape)[missing]
    for _ in range(_PASSES):
        lack = wanted - values.sum(0)
        free = valid & np.where(lack > 0, values < _WHITE, values > 0)
        count = np.maximum(free.sum(0), 1)
        step = np.sign(lack) * (np.abs(lack) // count)
        values = np.where(free, values + step, values).clip(0, _WHITE)
    for quarter, value in zip(quarters, values, strict=True):
        quarter[missing] = value


def _round(quarters: _Quarters, goal: NDArray[np.int32]) -> _Quarters:
    """Round running sums: each pixel is off by less than a level, their sum not at all."""
    rounded: _Quarters = []
    total = np.full_like(goal, _UNIT // 2)
    before = np.zeros_like(goal)
    for quarter in quarters[:3]:
        total = total + quarter
        reached = total // np.int32(_UNIT)
        rounded.append(reached - before)
        before = reached
    return [*rounded, goal - before]


def _sum(quarters: _Quarters) -> NDArray[np.int32]:
    return quarters[0] + quarters[1] + quarters[2] + quarters[3]


def _quarters(a: NDArray[np.int32], region: Region) -> _Quarters:
    """Take (n, h, w, c) apart; what a cut block lacks is 0."""
    whole = region.snap(2)
    if whole != region:
        rows = (region.y - whole.y, whole.bottom - region.bottom)
        columns = (region.x - whole.x, whole.right - region.right)
        a = np.pad(a, ((0, 0), rows, columns, (0, 0)))
    return [np.ascontiguousarray(a[:, i::2, j::2]) for i in (0, 1) for j in (0, 1)]


def _joined(quarters: _Quarters, region: Region) -> NDArray[np.uint8]:
    n, rows, columns, c = quarters[0].shape
    whole: NDArray[Any] = np.empty((n, 2 * rows, 2 * columns, c), np.uint8)
    for k, quarter in enumerate(quarters):
        whole[:, k // 2 :: 2, k % 2 :: 2] = quarter
    return np.ascontiguousarray(whole[:, *region.relative_to(region.snap(2)).slices])
