"""Whether an edit fits its surroundings: colour and texture on both sides of its border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from skimage.color import deltaE_ciede2000, rgb2lab

from napari_histodiff.core.errors import InvalidImage

__all__ = ["BorderDistances", "border_distances"]


@dataclass(frozen=True, slots=True)
class BorderDistances:
    """Differences between the ring just inside and just outside the border of an edit.

    Attributes
    ----------
    colour : float
        CIEDE2000 colour difference of the mean L*a*b* colours, from 0; about 1 is just visible.
    texture : float
        Length of the two log ratios, inside over outside, of gradient energy and of the standard
        deviation of optical density, from 0; 0.69 is one of them doubled.
    colour_reference, texture_reference : float
        The same on the real image: what tissue itself has across this border.
    """

    colour: float
    texture: float
    colour_reference: float
    texture_reference: float


def border_distances(
    image: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    edit_mask: NDArray[np.bool_],
    *,
    ring_px: int = 16,
) -> BorderDistances:
    """Compare the two sides of an edit's border in the edited and in the real image.

    Parameters
    ----------
    image, reference : (h, w, 3) uint8
        Edited image, and the real one at the same place.
    edit_mask : (h, w) bool
        Where pixels could change.
    ring_px : int
        Width of either ring in pixels. Texture leaves out the pixel next to the border, whose
        gradient belongs to both sides.

    Returns
    -------
    BorderDistances
        NaN when a side has no pixels: the edit mask is empty or full.

    Raises
    ------
    InvalidImage
        When image, reference and edit mask differ in size.
    """
    if image.shape != reference.shape or image.shape != (*edit_mask.shape, 3):
        raise InvalidImage(
            f"expected (h, w, 3) images of the edit mask's size, got {image.shape}, "
            f"{reference.shape} and {edit_mask.shape}; crop them alike"
        )
    mask = edit_mask.astype(bool)
    if mask.all() or not mask.any():
        return BorderDistances(*[float("nan")] * 4)
    depth = np.where(mask, distance_transform_edt(mask), -distance_transform_edt(~mask))
    near = np.abs(depth) <= ring_px
    sides = (near & mask, near & ~mask)
    inner = tuple(side & (np.abs(depth) > 1) for side in sides)
    return BorderDistances(
        colour=_colour(image, sides),
        texture=_texture(image, inner),
        colour_reference=_colour(reference, sides),
        texture_reference=_texture(reference, inner),
    )


def _colour(image: NDArray[np.uint8], sides: tuple[NDArray[np.bool_], ...]) -> float:
    lab = rgb2lab(image)
    inside, outside = (lab[side].mean(0) for side in sides)
    return float(deltaE_ciede2000(inside, outside))


def _texture(image: NDArray[np.uint8], sides: tuple[NDArray[np.bool_], ...]) -> float:
    if not all(side.any() for side in sides):
        return float("nan")
    grey = image.astype(np.float64).mean(-1)
    density = -np.log10((grey + 1) / 256)
    down, right = np.gradient(grey)
    energy = down**2 + right**2
    inside, outside = sides
    # Both are kept above what rounding to grey levels alone gives, so that flat areas compare.
    gradient = np.log((energy[inside].mean() + 1 / 12) / (energy[outside].mean() + 1 / 12))
    spread = np.log((density[inside].std() + 1e-3) / (density[outside].std() + 1e-3))
    return float(np.hypot(gradient, spread))
