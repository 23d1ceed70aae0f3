"""An image at another pixel size, as a new layer on the same place."""

from __future__ import annotations

from typing import Final

import numpy as np
from napari.layers import Image
from skimage.transform import resize

from napari_histodiff.core.errors import InvalidImage
from napari_histodiff.core.geometry import Region
from napari_histodiff.ui.canvas import Target
from napari_histodiff.ui.placing import place_on

__all__ = ["resampled"]

#: Largest side that is resampled; the whole image passes through memory.
_MAX_SIDE: Final = 8192


def resampled(target: Target, mpp: float) -> Image:
    """Return a coarser copy of an image, as a layer on the same place.

    Parameters
    ----------
    target : Target
        The image; it is only read.
    mpp : float
        Micrometres per pixel of the copy, above those of the image.

    Raises
    ------
    InvalidImage
        When a side is above 8192 px.
    """
    bounds = target.bounds
    if max(bounds.shape) > _MAX_SIDE:
        raise InvalidImage(
            f"expected an image of at most {_MAX_SIDE} x {_MAX_SIDE} px to resample, got "
            f"{bounds.height} x {bounds.width}; crop it, or open a coarser level of the file"
        )
    factor = mpp / target.mpp
    height, width = (max(1, int(side / factor)) for side in bounds.shape)
    # Whole pixels of exactly `mpp`: the rest, less than one of them, is cut off.
    part = Region(0, 0, 0, round(height * factor), round(width * factor)).intersect(bounds)
    pixels = target.read(part)
    planes = [resize(pixels[..., i], (height, width), anti_aliasing=True) for i in range(3)]
    layer = target.layer
    # Pixel centres: the first of the copy lies in the middle of `factor` pixels.
    place = place_on(layer, (factor - 1) / 2, (factor - 1) / 2)
    place["scale"] = np.asarray(layer.scale) * factor
    copy = np.stack([np.round(plane * 255) for plane in planes], axis=-1).astype(np.uint8)
    return Image(copy, rgb=True, name=f"{layer.name} at {mpp:g} um per px", **place)
