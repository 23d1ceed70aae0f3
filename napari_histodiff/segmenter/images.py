"""Images as the segmenter's networks take them: checked, and at the scale they look at."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize
from torch.nn import functional as F

from napari_histodiff.core.errors import InvalidImage, InvalidRequest
from napari_histodiff.segmenter.postprocess import MPP

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["at_scale", "check_image", "described", "rescaled"]

_SMALLEST: Final = 0.05  # um/px; finer is a mistaken unit
_COARSEST: Final = 4.0


def rescaled(image: NDArray[np.uint8], mpp: float, wanted: float) -> NDArray[np.uint8]:
    """Return an (h, w, 3) uint8 image at `wanted` micrometres per pixel.

    Errors are those of `check_image`.
    """
    check_image(image, mpp)
    if mpp == wanted:
        return image
    height, width = image.shape[:2]
    shape = (max(1, round(height * mpp / wanted)), max(1, round(width * mpp / wanted)), 3)
    scaled = resize(image, shape, order=1, anti_aliasing=mpp < wanted, preserve_range=True)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def at_scale(images: Tensor, mpp: float, multiple: int) -> Tensor:
    """Return images at the pixel size the judge works at; torch can differentiate it.

    Parameters
    ----------
    images : (b, 3, h, w) float32
    mpp : float
        Their micrometres per pixel.
    multiple : int
        Sides are extended to multiples of so many pixels.
    """
    sides = [max(1, round(side * mpp / MPP)) for side in images.shape[-2:]]
    if sides != list(images.shape[-2:]):
        images = F.interpolate(images, size=sides, mode="bilinear", antialias=mpp < MPP)
    down, right = (-side % multiple for side in sides)
    return F.pad(images, (0, right, 0, down), mode="replicate") if down or right else images


def described(value: object) -> str:
    """Return what a value is, for a message: the shape and type of an array."""
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype}"
    return type(value).__name__


def check_image(image: Any, mpp: float) -> None:
    """Check an image and its scale.

    Raises
    ------
    InvalidImage
        When the image is not (h, w, 3) uint8 with at least one pixel.
    InvalidRequest
        When `mpp` is not within 0.05 to 4.
    """
    good = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,)
    if not good or 0 in image.shape:
        raise InvalidImage(
            f"expected an image of shape (h, w, 3) uint8, got {described(image)}; "
            "convert it to 8-bit RGB"
        )
    if not (math.isfinite(mpp) and _SMALLEST <= mpp <= _COARSEST):
        raise InvalidRequest(
            f"expected micrometres per pixel of {_SMALLEST} to {_COARSEST}, got {mpp}; "
            "give the scale of the image"
        )
