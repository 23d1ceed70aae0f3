"""Middles of nuclei as outlines that do not overlap."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import Region
from napari_histodiff.core.nucleus_shapes import draw_nucleus
from napari_histodiff.layout.completion.cells import CELL
from napari_histodiff.layout.fields import key_of, uniforms
from napari_histodiff.layout.invention.sampler import SampledCells

__all__ = ["draw_outlines"]

_LEFT: Final = 0.8  # standard deviation of a nucleus' size that the network does not foresee
_STRETCH: Final = 0.12  # and of its stretch
_MOVES: Final = ((0.0, 0.0), (1.3, 0.0), (-1.3, 0.0), (0.0, 1.3), (0.0, -1.3), (2.0, 2.0),
                 (-2.0, 2.0), (2.0, -2.0), (-2.0, -2.0), (3.4, 0.0), (-3.4, 0.0), (0.0, 3.4),
                 (0.0, -3.4))  # fmt: skip
_MOST_CUT: Final = 0.4  # of an outline that may lie under its neighbours


def draw_outlines(
    cells: SampledCells, frame: Region, mpp: float, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return class map (h, w) uint8 and instance map (h, w) int32 of sampled nuclei.

    Parameters
    ----------
    cells : SampledCells
    frame : Region
        On the plane, in pixels of `mpp` um.
    mpp : float
    seed : int
    """
    region = cells.region
    rows, cols = np.nonzero(cells.tokens > 0)
    dy, dx, rank = uniforms(key_of(seed, 125), rows + region.y, cols + region.x)
    ys = (rows + region.y + dy) * CELL / mpp - frame.y
    xs = (cols + region.x + dx) * CELL / mpp - frame.x
    classes, instances = np.zeros(frame.shape, np.uint8), np.zeros(frame.shape, np.int32)
    number = 0
    for at in np.argsort(rank, kind="stable").tolist():
        row, col = int(rows[at]), int(cols[at])
        # Its own stream: what a nucleus looks like does not depend on which others there are.
        rng = np.random.default_rng([seed, row + region.y + 2**31, col + region.x + 2**31])
        class_id = int(cells.tokens[row, col])
        outline = _outline(class_id, cells.shape[:, row, col], mpp, rng)
        pixels = _best_place(outline, float(ys[at]), float(xs[at]), instances > 0, mpp)
        if pixels is None:
            continue
        number += 1
        classes[pixels], instances[pixels] = class_id, number
    return classes, instances


def _outline(
    class_id: int, shape: NDArray[np.float32], mpp: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    cosine, sine, size, stretch = (float(value) for value in shape)
    stretch = float(np.clip(stretch, 0.05, 0.8))
    sure = min(np.hypot(cosine, sine) / stretch, 0.97)
    spread = sure * (2 - sure**2) / (1 - sure**2)  # of von Mises, by the length of the mean
    angle = 0.5 * rng.vonmises(np.arctan2(sine, cosine), max(spread, 1e-3))
    ratio = 1 - float(np.clip(rng.normal(stretch, _STRETCH), 0.03, 0.78))
    drawn = draw_nucleus(
        class_id, mpp, rng, float(angle), size=rng.normal(size, _LEFT), ratio=ratio
    )
    dy, dx = np.nonzero(drawn)
    middle = len(drawn) // 2
    return dy - middle, dx - middle


def _best_place(
    outline: tuple[NDArray[np.int64], NDArray[np.int64]],
    y: float,
    x: float,
    taken: NDArray[np.bool_],
    mpp: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    height, width = taken.shape
    best, least = None, _MOST_CUT
    for down, right in _MOVES:
        ys = outline[0] + int(np.floor(y + down / mpp))
        xs = outline[1] + int(np.floor(x + right / mpp))
        inside = (ys >= 0) & (ys < height) & (xs >= 0) & (xs < width)
        if not inside.any():
            continue
        ys, xs = ys[inside], xs[inside]
        covered = taken[ys, xs]
        share = float(covered.mean())
        if share < least:
            best, least = (ys[~covered], xs[~covered]), share
            if share == 0:
                break
    return best
