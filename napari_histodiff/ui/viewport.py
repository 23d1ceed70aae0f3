"""What a napari viewer shows: camera, canvas, region and level."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["camera_of", "canvas_size_of", "level_shown", "view_of"]


def camera_of(viewer: Any) -> Any:
    """Return the camera; it moved in napari 0.9."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def canvas_size_of(viewer: Any) -> tuple[float, float]:
    """Return height and width of the canvas in screen pixels; public from napari 0.9 on."""
    canvas = getattr(viewer, "canvas", None)
    height, width = viewer._canvas_size if canvas is None else canvas.size
    return float(height), float(width)


def view_of(viewer: Any, layer: Any) -> NDArray[np.float64] | None:
    """Return what the canvas shows, [[top, left], [bottom, right]] in pixels of the finest level.

    Not clipped; edges of pixel (0, 0) lie at 0 and 1. None while there is no canvas to show it on,
    or it shows three dimensions.
    """
    camera, size = camera_of(viewer), canvas_size_of(viewer)
    if viewer.dims.ndisplay != 2 or min(size) <= 0 or not camera.zoom > 0:
        return None
    half = np.array(size) / camera.zoom / 2
    centre = np.asarray(camera.center[-2:], float)
    corners = [
        layer.world_to_data(centre + half * (down, across))[-2:]
        for down in (-1, 1)
        for across in (-1, 1)
    ]
    # napari's data coordinates count from the middle of pixel (0, 0).
    return np.array([np.min(corners, axis=0), np.max(corners, axis=0)]) + 0.5


def level_shown(viewer: Any, layer: Any, view: NDArray[np.float64]) -> int:
    """Return the level napari draws: the coarsest with a data pixel for each screen pixel.

    Sides that fit on the canvas do not count, as in napari from 0.9 on; a level the user locked
    is taken as it is.
    """
    locked = getattr(layer, "locked_data_level", None)
    if locked is not None:
        return int(locked)
    factors = np.asarray(layer.downsample_factors, float)[:, -2:]
    seen = np.ceil(view[1] - 0.5) - np.floor(view[0] - 0.5)
    size = np.array(canvas_size_of(viewer))
    counting = (seen > size) & (factors > 1).any(axis=0)
    if not counting.any():
        return 0
    dense = ((seen / factors > size)[:, counting]).all(axis=1)
    return int(np.flatnonzero(dense)[-1]) if dense.any() else 0
