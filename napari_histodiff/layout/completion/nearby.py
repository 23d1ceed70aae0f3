"""Places beside, between and around painted nuclei, as masks of one frame."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["amidst", "areas_with", "around", "mostly", "numbered"]

_THICK: Final = 10.0  # um around nuclei that count as them, along a frame's border


def mostly(
    numbers: NDArray[np.int32], nuclei: NDArray[np.bool_], here: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the pixels of nuclei of which more than half lies in a place, (h, w) bool.

    Parameters
    ----------
    numbers : (h, w) int32
        Which nucleus a pixel belongs to.
    nuclei, here : (h, w) bool
        Pixels of the nuclei in question, and the place.
    """
    _, which = np.unique(numbers[nuclei], return_inverse=True)
    chosen = 2 * np.bincount(which, weights=here[nuclei]) > np.bincount(which)
    found = np.zeros(nuclei.shape, np.bool_)
    found[nuclei] = chosen[which]
    return found


def numbered(instances: NDArray[np.int32], nuclei: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return which nucleus a pixel belongs to, with numbers below 0 for those without an id."""
    pieces, _ = ndimage.label(nuclei & (instances == 0))
    return np.where(instances > 0, instances, -pieces).astype(np.int32)


def areas_with(nuclei: NDArray[np.bool_], tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the areas of painted tissue in which there is some nucleus."""
    areas, _ = ndimage.label(tissue)
    return np.asarray(tissue & np.isin(areas, np.unique(areas[nuclei])), np.bool_)


def amidst(mask: NDArray[np.bool_], reach: float, mpp: float) -> NDArray[np.bool_]:
    """Return what lies between parts of a mask that are at most twice `reach` um apart.

    What a frame's border cuts lies between them, too, where they are on either side along it.
    """
    pad = int(reach / mpp) + 2
    near = ndimage.distance_transform_edt(~np.pad(mask, pad)) * mpp <= reach
    inner = (ndimage.distance_transform_edt(near) * mpp > reach)[pad:-pad, pad:-pad]
    return np.asarray(inner | _along_border(mask, reach, mpp), np.bool_)


def _along_border(mask: NDArray[np.bool_], reach: float, mpp: float) -> NDArray[np.bool_]:
    # What the border of a frame cuts: near it, with the mask on either side along it.
    thick = ndimage.distance_transform_edt(~mask) * mpp <= _THICK
    half = int(reach / 2 / mpp) + 1
    found = np.zeros(mask.shape, np.bool_)
    for along in (0, 1):
        ahead, behind = (
            ndimage.maximum_filter1d(thick, 2 * half + 1, along, mode="constant", origin=origin)
            for origin in (half, -half)
        )
        both, out = (np.moveaxis(a, along, 1) for a in (ahead & behind, found))
        out[:half] |= both[:half]
        out[-half:] |= both[-half:]
    return found


def around(mask: NDArray[np.bool_], reach: float, mpp: float) -> NDArray[np.bool_]:
    """Return what lies within `reach` um of a mask, or is enclosed by that."""
    if not mask.any():
        return mask
    near = ndimage.distance_transform_edt(~mask) * mpp <= reach
    return np.asarray(ndimage.binary_fill_holes(near), np.bool_)
