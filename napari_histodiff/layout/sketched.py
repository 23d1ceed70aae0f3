"""What a sketched gland area means: many glands where it is large, one gland where it is small."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.maps import TISSUE_NAMES
from napari_histodiff.layout.fields import Pixels, whole

if TYPE_CHECKING:
    from napari_histodiff.layout.sketch import Sketch

__all__ = ["SketchedGlands", "coarser"]

_GLAND: Final = TISSUE_NAMES.index("gland")
_LARGE: Final = 75.0  # um from the border to the middle of an area that holds several glands
_AROUND: Final = 150.0  # um; what is nearer than this to such a middle belongs to that area
_FINE: Final = 16.0  # um between the points that distances are measured at
_MOST: Final = 2048  # such points on a side
_DEEPEST: Final = 64  # of their distances; deeper points count as this deep
_AROUND_IT: Final = np.ones((3, 3), np.bool_)  # a point and its eight neighbours


def coarser(sketch: Sketch, scale: int) -> Sketch:
    """Return a sketch in pixels that are `scale` times as large.

    One whose pixels are no multiple of that many is sampled anew, with pixels a little smaller.
    """
    if scale == 1:
        return sketch
    pixel = max(1, sketch.pixel // scale)
    y, x = (
        ((np.arange(-(-side * sketch.pixel // (pixel * scale))) + 0.5) * pixel * scale).astype(int)
        // sketch.pixel
        for side in sketch.classes.shape
    )
    rows, cols = (
        at.clip(0, side - 1) for at, side in zip((y, x), sketch.classes.shape, strict=True)
    )
    origin = sketch.origin[0] // scale, sketch.origin[1] // scale
    return replace(sketch, classes=sketch.classes[np.ix_(rows, cols)], pixel=pixel, origin=origin)


class SketchedGlands:
    """Gland areas of a sketch.

    Parameters
    ----------
    sketch : Sketch
    mpp : float
        Micrometres per pixel of level 0.
    """

    def __init__(self, sketch: Sketch, mpp: float) -> None:
        self._mpp = mpp
        height, width = (side * sketch.pixel for side in sketch.classes.shape)
        step = max(1, round(_FINE / mpp), -(-max(height, width) // _MOST))
        self._y, self._x, self._step = sketch.origin[0] - step, sketch.origin[1] - step, step
        points = Pixels(self._y, self._x, step, height // step + 3, width // step + 3)
        mask = sketch.on(points) == _GLAND
        needed = min(int(_LARGE / (step * mpp)) + 2, _DEEPEST)
        depth = np.maximum(_depth(mask, needed) - 0.5, 0) * step
        large = mask & (depth * mpp >= _LARGE)
        for _ in range(-(-int(_AROUND / mpp) // step)):
            large = ndimage.binary_dilation(large, _AROUND_IT) & mask
        self._depth = depth.astype(np.float32)
        # Borders run between the points.
        self._large = ndimage.binary_dilation(large, _AROUND_IT) & ~(mask & ~large)

    @property
    def reach(self) -> float:
        """How many pixels of level 0 beyond a changed place `large` and `depth` may change."""
        return float((_LARGE + _AROUND) / self._mpp + 3 * self._step)

    def large(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.bool_]:
        """Return whether points of level 0 lie in or at an area that holds several glands."""
        half = self._step // 2
        rows = self._clip(whole(y + half - self._y) // self._step, 0)
        cols = self._clip(whole(x + half - self._x) // self._step, 1)
        found: NDArray[np.bool_] = self._large[rows, cols]
        return found

    def depth(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        """Return about how many pixels of level 0 points lie from the border of their area."""
        rows, fy = self._split(y - self._y)
        cols, fx = self._split(x - self._x)
        r0, r1 = self._clip(rows, 0), self._clip(rows + 1, 0)
        c0, c1 = self._clip(cols, 1), self._clip(cols + 1, 1)
        top = self._depth[r0, c0] + (self._depth[r0, c1] - self._depth[r0, c0]) * fx
        bottom = self._depth[r1, c0] + (self._depth[r1, c1] - self._depth[r1, c0]) * fx
        depth: NDArray[np.float32] = top + (bottom - top) * fy
        return depth

    def _split(self, at: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        steps = whole(at) // self._step
        return steps, (at - steps * self._step).astype(np.float32) / np.float32(self._step)

    def _clip(self, at: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
        return np.clip(at, 0, self._depth.shape[axis] - 1)


def _depth(mask: NDArray[np.bool_], most: int) -> NDArray[np.float64]:
    # Distance in pixels to the nearest pixel outside the mask, at most `most`.
    far: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return np.minimum(far, most)
