"""Frames of another pixel size than a model knows: drawn at its own, and brought back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.inpainting.blending import keep_known

__all__ = ["at_pixel_size", "enlarged", "resized"]

T = TypeVar("T", bound=np.generic)


def at_pixel_size(request: EditRequest, mpp: float) -> EditRequest:
    """Return the same edit with larger or smaller pixels; a feather is left to `enlarged`.

    A large pixel may change where any small one in it may, so that what is drawn reaches as far.
    What is known there is the mean of small pixels that may not.

    Parameters
    ----------
    request : EditRequest
        Of a frame: not of a part of the endless plane.
    mpp : float
        Micrometres per pixel, others than the request's.

    Raises
    ------
    InvalidRequest
        When the request has a target, or such pixels already.
    """
    if request.target is not None or mpp == request.mpp:
        raise InvalidRequest(
            f"expected an edit of a frame at other than {mpp:g} um per pixel, got {request.kind} "
            f"at {request.mpp:g}; draw it at a pixel size that the model knows"
        )
    factor = request.mpp / mpp
    height, width = (max(1, round(side * factor)) for side in request.shape)
    place = request.region
    region = Region(place.level, round(place.y * factor), round(place.x * factor), height, width)
    mask, strengths = request.edit_mask, request.strength_map
    if mask is not None:
        # The least share is one small pixel's; what is below is rounding.
        share = _resized(mask.astype(np.float32), region.shape, Image.Resampling.BOX)
        mask = share > 1e-4
        if strengths is not None:
            sums = _resized(strengths, region.shape, Image.Resampling.BOX)
            # Of those small pixels that may change; what is above 1 is rounding.
            strengths = np.where(mask, np.minimum(sums / np.maximum(share, 1e-4), 1), 0)
    changes: dict[str, Any] = {}
    for name, like in _LIKE.items():
        value = getattr(request, name)
        changes[name] = None if value is None else like(value, region.shape)
    return replace(
        request,
        region=region,
        mpp=mpp,
        edit_mask=mask,
        feather=0.0,
        strength_map=strengths,
        **changes,
    )


def enlarged(drawn: NDArray[np.uint8], request: EditRequest) -> NDArray[np.uint8]:
    """Return what was drawn with larger pixels at the pixel size of the request.

    Pixels that may not change are those of the request, byte for byte.

    Parameters
    ----------
    drawn : (variants, h, w, 3) uint8
        Of `at_pixel_size(request, ...)`.
    request : EditRequest
        Of the finer pixels.

    Returns
    -------
    (variants, h, w, 3) uint8
    """
    return keep_known(np.stack([resized(image, request.shape) for image in drawn]), request)


def resized(image: NDArray[T], shape: tuple[int, int]) -> NDArray[T]:
    """Return a picture at another height and width: means of smaller pixels, or between larger.

    Parameters
    ----------
    image : (h, w, 3) uint8 or float32
    shape : (int, int)
    """
    shrinks = shape[0] * shape[1] < image.shape[0] * image.shape[1]
    how = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    if image.dtype == np.uint8:
        return _resized(image, shape, how)
    return np.stack([_resized(plane, shape, how) for plane in np.moveaxis(image, -1, 0)], -1)


def _resized_labels(labels: NDArray[T], shape: tuple[int, int]) -> NDArray[T]:
    """Return (h, w) numbers that cannot be mixed at another height and width.

    Each pixel has the number in its middle.
    """
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(np.intp)
        for new, old in zip(shape, labels.shape, strict=True)
    )
    return labels[np.ix_(rows, columns)]


def _resized(array: NDArray[T], shape: tuple[int, int], how: Image.Resampling) -> NDArray[T]:
    """Resize an image of bytes or floats; whole on whole, so that there and back agree."""
    height, width = shape
    return np.array(Image.fromarray(array).resize((width, height), how))


_PIXELS: Final = ("image", "coarse")
_LABELS: Final = ("class_map", "instance_map", "tissue_map")
_LIKE: Final = dict.fromkeys(_PIXELS, resized) | dict.fromkeys(_LABELS, _resized_labels)
