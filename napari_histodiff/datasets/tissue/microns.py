"""Blurs and shapes of masks whose sizes are micrometres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.morphology import remove_small_objects

__all__ = ["Mask", "Microns", "Plane"]

Mask = NDArray[np.bool_]
Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Microns:
    """What is done to planes of an image, (h, w), at its scale.

    Attributes
    ----------
    mpp : float
        Micrometres per pixel.
    """

    mpp: float

    def area(self, square_microns: float) -> int:
        """Return an area in pixels, at least one."""
        return max(1, round(square_microns / self.mpp**2))

    def blur(self, plane: NDArray[Any], microns: float) -> Plane:
        """Return the plane blurred by a Gaussian of that sigma."""
        sigma = microns / self.mpp
        blurred: Plane = ndimage.gaussian_filter(plane.astype(np.float32), sigma, mode="reflect")
        return blurred

    def opened(self, mask: Mask, microns: float) -> Mask:
        """Return the mask without what is thinner than twice `microns`."""
        return ~self.closed(~mask, microns)

    def closed(self, mask: Mask, microns: float) -> Mask:
        """Return the mask with the gaps filled that are narrower than twice `microns`."""
        radius = microns / self.mpp
        pad = int(radius) + 2
        wide = np.pad(mask, pad, mode="edge")
        if not wide.any() or wide.all():
            return mask
        grown = ndimage.distance_transform_edt(~wide) <= radius
        if grown.all():
            return np.ones_like(mask)
        closed: Mask = ndimage.distance_transform_edt(grown) > radius
        return closed[pad:-pad, pad:-pad] | mask

    def without_small(self, mask: Mask, square_microns: float) -> Mask:
        """Return the mask without connected parts of that area or less."""
        kept: Mask = remove_small_objects(mask, max_size=self.area(square_microns))
        return kept
