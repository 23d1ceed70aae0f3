"""Edits of images that are finer than a model knows: drawn at its pixel size, and enlarged."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.inpainting.blending import keep_known

__all__ = ["at_pixel_size", "enlarged", "resized_labels"]

T = TypeVar("T", bound=np.generic)


def at_pixel_size(request: EditRequest, mpp: float) -> EditRequest:
    """Return the same edit with larger pixels; a feather is left to `enlarged`.

    A large pixel may change where any small one in it may, so that what is drawn reaches as far.
    What is known there is the mean of small pixels that may not.

    Parameters
    ----------
    request : EditRequest
        Of a frame: not of a part of the endless plane, and without a coarse image.
    mpp : float
        Micrometres per pixel, more than the request's.

    Raises
    ------
    InvalidRequest
        When the request has a target or a coarse image, or its pixels are not smaller.
    """
    if request.target is not None or request.coarse is not None or mpp <= request.mpp:
        raise InvalidRequest(
            f"expected an edit of a frame finer than {mpp:g} um per pixel, got {request.kind} at "
            f"{request.mpp:g}; draw it at a pixel size that the model knows"
        )
    factor = request.mpp / mpp
    height, width = (max(1, round(side * factor)) for side in request.shape)
    place = request.region
    region = Region(place.level, round(place.y * factor), round(place.x * factor), height, width)
    mask = request.edit_mask
    if mask is not None:
        # The least share is one small pixel's; what is below is rounding.
        share = _resized(mask.astype(np.float32), region.shape, Image.Resampling.BOX)
        mask = share > 1e-4
    return replace(
        request,
        region=region,
        mpp=mpp,
        image=None
        if request.image is None
        else _resized(request.image, region.shape, Image.Resampling.BOX),
        edit_mask=mask,
        class_map=_resized_map(request.class_map, region.shape),
        instance_map=_resized_map(request.instance_map, region.shape),
        tissue_map=_resized_map(request.tissue_map, region.shape),
        feather=0.0,
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
    large = [_resized(image, request.shape, Image.Resampling.BICUBIC) for image in drawn]
    return keep_known(np.stack(large), request)


def resized_labels(labels: NDArray[T], shape: tuple[int, int]) -> NDArray[T]:
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


def _resized_map(array: NDArray[np.generic] | None, shape: tuple[int, int]) -> NDArray[Any] | None:
    return None if array is None else resized_labels(array, shape)
