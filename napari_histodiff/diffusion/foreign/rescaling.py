"""Frames at other micrometres per pixel than a model's: drawn at its own, and resampled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.core.geometry import Region
from napari_histodiff.core.requests import EditRequest
from napari_histodiff.inpainting.rescaling import resized_labels

__all__ = ["REACH", "at_model_scale", "reach", "resized"]

#: How many times finer or coarser than the model's a frame may be: beyond that a nucleus is a dot.
REACH: Final = 4.0

# Scanners write 0.4991 and mean 0.5.
_ROUNDING: Final = 0.002

_LABELS: Final = ("class_map", "instance_map", "tissue_map", "edit_mask")
_PIXELS: Final = ("image", "coarse")


def reach(mpp: tuple[float, float]) -> tuple[float, float]:
    """Return the micrometres per pixel of frames for a model of a range of them."""
    return mpp[0] / REACH, mpp[1] * REACH


def at_model_scale(request: EditRequest, mpp: tuple[float, float]) -> EditRequest:
    """Return a request as it is at the nearest scale of a model; itself where it is one of these.

    Parameters
    ----------
    request : EditRequest
    mpp : (float, float)
        Smallest and largest micrometres per pixel of the model.

    Raises
    ------
    InvalidRequest
        When the scale is beyond `reach`, or a part of a slide is not at the model's.
    """
    low, high = mpp
    if low * (1 - _ROUNDING) <= request.mpp <= high * (1 + _ROUNDING):
        return request
    finest, coarsest = reach(mpp)
    if request.target is not None or not finest <= request.mpp <= coarsest:
        raise InvalidRequest(
            f"expected {finest:g} to {coarsest:g} um per pixel of a frame, and {low:g} to {high:g} "
            f"of a slide's level, got {request.mpp:g}; rescale the image, or use a model trained "
            "at its resolution"
        )
    wanted = min(max(request.mpp, low), high)
    factor = request.mpp / wanted
    sides = [max(1, round(side * factor)) for side in request.shape]
    y, x = (round(start * factor) for start in (request.region.y, request.region.x))
    changes: dict[str, Any] = {}
    for name in (*_LABELS, *_PIXELS):
        value = getattr(request, name)
        if value is not None:
            scaled = resized_labels if name in _LABELS else _smooth
            changes[name] = scaled(value, (sides[0], sides[1]))
    mask = changes.get("edit_mask")
    if mask is not None and not mask.any():
        changes["edit_mask"] = np.ones_like(mask)  # a speck: what is around it is pasted back
    region = Region(request.region.level, y, x, sides[0], sides[1])
    return replace(request, region=region, mpp=wanted, **changes)


def resized(images: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Return (n, h, w, 3) images at another height and width."""
    pixels = torch.from_numpy(images).movedim(-1, 1)
    found = F.interpolate(pixels, size=shape, mode="bicubic", antialias=True)
    return found.movedim(1, -1).contiguous().numpy()


def _smooth(image: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    levels = resized(image[None].astype(np.float32), shape)[0]
    return levels.round().clip(0, 255).astype(np.uint8)
