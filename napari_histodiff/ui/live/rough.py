"""From an edit to one that is drawn fast: fewer and larger pixels, one step, one variant."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from napari_histodiff.core.errors import InvalidRequest
from napari_histodiff.inpainting.rescaling import at_pixel_size

if TYPE_CHECKING:
    from napari_histodiff.core.backend import BackendInfo
    from napari_histodiff.core.requests import EditRequest

__all__ = ["rough"]

#: Pixels of the longest side that is drawn, as far as the model knows pixels that large.
_SIDE: Final = 256

#: Steps of a model that cannot jump; one step of it is a blur.
_FLOW_STEPS: Final = 2


def rough(request: EditRequest, info: BackendInfo) -> EditRequest:
    """Return an edit of the same place that costs as little as the model allows.

    Parameters
    ----------
    request : EditRequest
        Of a frame; its pixels may be finer than the model knows.
    info : BackendInfo
        Of the model.

    Raises
    ------
    InvalidRequest
        When the model draws no frames of that pixel size.
    """
    drawn = info.drawn_mpp(request.mpp)
    if drawn is None:
        raise InvalidRequest(
            f"expected {info.frames_mpp[0]:g} to {info.frames_mpp[1]:g} um per pixel, got "
            f"{request.mpp:g}; resample the image"
        )
    steps = 1 if info.jump_steps else _FLOW_STEPS
    fast = replace(
        request,
        steps=steps,
        guidance_scale=1.0,
        strength=1.0,
        strength_map=None,
        variants=1,
        region_captions=(),
    )
    wanted = request.mpp * max(1.0, max(request.shape) / _SIDE)
    mpp = max(drawn, min(wanted, info.mpp[1]))
    return at_pixel_size(fast, mpp) if mpp > request.mpp else fast
