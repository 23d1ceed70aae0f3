"""How nuclei lie in painted tissue: epithelium stands on its border, spindles lie along it."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_histodiff.core.maps import CLASS_NAMES, TISSUE_NAMES

__all__ = ["TissueGrain"]

_STANDING: Final = CLASS_NAMES.index("epithelial") + 1
_LYING: Final = CLASS_NAMES.index("connective") + 1

#: What a gland may enclose; its border to anything else is where its nuclei stand.
_INNER: Final = [TISSUE_NAMES.index(name) for name in ("gland", "lumen", "mucus")]

_STEP: Final = 3.0  # um between the points that are looked at
_BLUR: Final = 12.0  # um around a nucleus that its direction is told by
_LEAST: Final = 0.01  # change of what is gland, per point, below which there is no direction
_SWAY: Final = 0.25  # radians


class TissueGrain:
    """Directions of nuclei in a tissue map.

    Parameters
    ----------
    tissue : (h, w) uint8
        Ids of `core.maps.TISSUE_NAMES`.
    mpp : float
        Micrometres per pixel.
    """

    def __init__(self, tissue: NDArray[np.uint8], mpp: float) -> None:
        self._step = max(1, round(_STEP / mpp))
        seen = np.isin(tissue[:: self._step, :: self._step], _INNER).astype(np.float32)
        blurred = ndimage.gaussian_filter(seen, _BLUR / (self._step * mpp), mode="nearest")
        self._slope = [ndimage.sobel(blurred, axis) / 8 for axis in (0, 1)]

    def rotation(self, class_id: int, y: float, x: float, rng: np.random.Generator) -> float | None:
        """Return how a nucleus at a pixel is turned, in radians as `draw_nucleus` takes them.

        None when it may lie in any way: of another class, or far from the border of a gland.
        """
        if class_id not in (_STANDING, _LYING):
            return None
        height, width = self._slope[0].shape
        row = min(max(int(y) // self._step, 0), height - 1)
        col = min(max(int(x) // self._step, 0), width - 1)
        down, right = (float(slope[row, col]) for slope in self._slope)
        if math.hypot(down, right) < _LEAST:
            return None
        inwards = math.atan2(down, right)
        sway = float(rng.normal(0.0, _SWAY))
        return inwards + sway + (0.0 if class_id == _STANDING else math.pi / 2)
