"""The picture that an inpainting of less than the whole strength starts from."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, uniform_filter

from napari_histodiff.core.steering.start import Fill

__all__ = ["filled"]

#: How wide the colours of the border are mixed, as a share of how deep the hole is.
_MIXED = 0.25


def filled(image: NDArray[np.uint8], edit_mask: NDArray[np.bool_], fill: Fill) -> NDArray[np.uint8]:
    """Return an image with other pixels under the edit mask.

    Parameters
    ----------
    image : (h, w, 3) uint8
        RGB.
    edit_mask : (h, w) bool
        Where pixels may change: some of them, not all.
    fill : Fill
        ORIGINAL and NOISE leave what is there. BLUR: the mean of the pixels around, the nearer the
        weightier, over a distance that is as wide as the mask is deep. BORDER: the colour of the
        nearest pixel that stays, mixed with those beside it.

    Returns
    -------
    (h, w, 3) uint8
        Pixels outside the mask are those of `image`.
    """
    if fill not in (Fill.BLUR, Fill.BORDER):
        return image
    # Nothing lies nearer to a pixel of the mask than what is next to the mask's box.
    depth = distance_transform_edt(edit_mask[_around(edit_mask, 1)]).max()
    size = max(3, 2 * math.ceil(depth * (1 if fill is Fill.BLUR else _MIXED) / 2) + 1)
    part = _around(edit_mask, 2 * size)
    mask, pixels = edit_mask[part], image[part].astype(np.float64)
    if fill is Fill.BLUR:
        weights = _blurred((~mask).astype(np.float64), size, "constant")
        colours = _blurred(np.where(mask[..., None], 0, pixels), size, "constant")
        new = colours[mask] / weights[mask][:, None]
    else:
        nearest = distance_transform_edt(mask, return_distances=False, return_indices=True)
        new = _blurred(pixels[tuple(nearest)], size, "nearest")[mask]
    result = image.copy()
    result[part][mask] = np.rint(new).clip(0, 255)
    return result


def _around(mask: NDArray[np.bool_], by: int) -> tuple[slice, slice]:
    """Return the box of a mask, wider by some pixels to each side, within its frame."""
    rows, columns = find_objects(mask.astype(np.uint8))[0]
    return (
        slice(max(0, rows.start - by), rows.stop + by),
        slice(max(0, columns.start - by), columns.stop + by),
    )


def _blurred(values: NDArray[np.float64], size: int, beyond: str) -> NDArray[np.float64]:
    """Return values blurred by three boxes, near to a Gaussian, as dear however wide they are."""
    for _ in range(3):
        values = uniform_filter(values, size, mode=beyond, axes=(0, 1))
    return values
