"""The direction of the stroma's fibres, and the streaks they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.layout.fields import Field, Pixels
from napari_histodiff.core.layout.hashing import key_of, uniform

__all__ = ["Fibres"]

_STRANDS: Final = 1024  # shades before they repeat
_WIDTH: Final = 4.0  # um of the height between neighbouring strands


@dataclass(frozen=True, slots=True)
class Fibres:
    """Contour lines of a smooth landscape: wavy, never crossing, their direction slowly varying.

    Parameters
    ----------
    seed : int
    mpp : float
        Micrometres per pixel of level 0.
    """

    seed: int
    mpp: float
    _height: Field = field(init=False)
    _shades: NDArray[np.float32] = field(init=False)

    def __post_init__(self) -> None:
        cells = tuple(max(2, round(um / self.mpp)) for um in (640, 230, 80))
        heights = Field(self.seed, 40, cells, (170.0, 42.0, 8.0))
        strands = np.arange(_STRANDS + 1) % _STRANDS
        shades = 2 * uniform(key_of(self.seed, 41), strands, np.zeros_like(strands)) - 1
        object.__setattr__(self, "_height", heights)
        object.__setattr__(self, "_shades", shades)

    def across(self, y: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
        """Return vectors (y, x) across the fibres at points of level 0, (2, n) float32."""
        far = max(1, round(5 / self.mpp))
        up = self._height.at(y + far, x) - self._height.at(y - far, x)
        right = self._height.at(y, x + far) - self._height.at(y, x - far)
        return np.stack([up, right])

    def streaks(
        self,
        pixels: Pixels,
        along: NDArray[np.bool_] | None = None,
        depth: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return lighter and darker strands on a lattice of points, (h, w) float32 in -1..1.

        Where `along`, they follow the lines of equal `depth`, in pixels of level 0.
        """
        height = self._height.on(pixels)
        if along is not None and depth is not None and along.any():
            height = np.where(along, depth * np.float32(self.mpp), height)
        strand = height * np.float32(1 / _WIDTH)
        whole = np.floor(strand)
        part = strand - whole
        index = whole.astype(np.int32) & (_STRANDS - 1)
        low = np.take(self._shades, index)
        part *= part * (np.float32(3) - np.float32(2) * part)
        streaks: NDArray[np.float32] = low + (np.take(self._shades, index + 1) - low) * part
        return streaks
