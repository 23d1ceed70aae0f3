"""What a napari viewer shows: camera, canvas, region, level, and its world in pixels of a layer."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "camera_of",
    "canvas_size_of",
    "level_shown",
    "look_at",
    "magnification_of",
    "scale_bar_of",
    "show_scale_bar",
    "show_whole",
    "to_data",
    "to_world",
    "view_of",
]

#: Share of the canvas that stays free around an image, as napari has it.
_MARGIN: Final = 0.05

#: Micrometres per pixel times the objective: a 20x scan has 0.5.
_MPP_TIMES_OBJECTIVE: Final = 10.0


def camera_of(viewer: Any) -> Any:
    """Return the camera; it moved in napari 0.9."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


def canvas_size_of(viewer: Any) -> tuple[float, float]:
    """Return height and width of the canvas in screen pixels; public from napari 0.9 on."""
    canvas = getattr(viewer, "canvas", None)
    height, width = viewer._canvas_size if canvas is None else canvas.size
    return float(height), float(width)


def scale_bar_of(viewer: Any) -> Any:
    """Return napari's scale bar; it moved in napari 0.9."""
    overlays = getattr(getattr(viewer, "canvas", None), "overlays", None)
    return viewer.scale_bar if overlays is None else overlays.scale_bar


def show_scale_bar(viewer: Any) -> None:
    """Show napari's scale bar, in the unit of the layers."""
    bar = scale_bar_of(viewer)
    bar.visible = True
    if not hasattr(viewer, "canvas"):  # before napari 0.9 it has a unit of its own
        bar.unit = "um"


def magnification_of(viewer: Any, layer: Any, mpp: float) -> float | None:
    """Return the objective that shows tissue as large as the view does: 20 where 0.5 um is a pixel.

    Parameters
    ----------
    viewer, layer
        The view, and the image in it.
    mpp : float
        Micrometres per pixel of the image's finest level.

    Returns
    -------
    float or None
        None while there is no canvas, or it shows three dimensions.
    """
    view = view_of(viewer, layer)
    if view is None:
        return None
    pixels = (view[1] - view[0])[0] / canvas_size_of(viewer)[0]
    return float(_MPP_TIMES_OBJECTIVE / (mpp * pixels))


def to_data(viewer: Any, layer: Any, position: Any) -> NDArray[np.float64]:
    """Return a place of the viewer's world, (y, x), in pixels of a layer.

    The world has one unit for all layers, which need not be the layer's own.
    """
    place = np.asarray(position, float)[-2:] * _units_per_world(viewer, layer)
    return np.asarray(layer.world_to_data(place), float)[-2:]


def to_world(viewer: Any, layer: Any, place: Any) -> NDArray[np.float64]:
    """Return a place in pixels of a layer, (y, x), in the viewer's world."""
    return np.asarray(layer.data_to_world(place), float)[-2:] / _units_per_world(viewer, layer)


def _units_per_world(viewer: Any, layer: Any) -> NDArray[np.float64]:
    """Return how many units of a layer one unit of the viewer's world is, down and across."""
    world, own = getattr(viewer.layers, "units", None), getattr(layer, "units", None)
    if not world or not own or len(world) < 2:
        return np.ones(2)
    return np.array(
        [
            float((1 * w).to(u).magnitude) if w != u and w.is_compatible_with(u) else 1.0
            for w, u in zip(world[-2:], own[-2:], strict=True)
        ]
    )


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
        to_data(viewer, layer, centre + half * (down, across))
        for down in (-1, 1)
        for across in (-1, 1)
    ]
    # napari's data coordinates count from the middle of pixel (0, 0).
    return np.array([np.min(corners, axis=0), np.max(corners, axis=0)]) + 0.5


def look_at(viewer: Any, layer: Any, corners: NDArray[np.float64]) -> None:
    """Bring a rectangle to the middle of the view, unless all of it is in view and not tiny.

    Parameters
    ----------
    viewer, layer
        The rectangle is in pixels of the layer's finest level.
    corners : (2, 2) float
        [[top, left], [bottom, right]].
    """
    view = view_of(viewer, layer)
    if view is None:
        return
    seen, wanted = view[1] - view[0], corners[1] - corners[0]
    inside = bool((corners[0] >= view[0]).all() and (corners[1] <= view[1]).all())
    if inside and (wanted > seen / 16).any():
        return
    camera = camera_of(viewer)
    camera.center = tuple(to_world(viewer, layer, corners.mean(axis=0) - 0.5))
    # Half of the view, so that what lies around is seen.
    camera.zoom *= float((seen / np.maximum(wanted, 1)).min()) / 2


def show_whole(viewer: Any, layer: Any) -> None:
    """Fit an image to the canvas: napari fits all layers, of which others may be far larger."""
    viewer.reset_view()
    view = view_of(viewer, layer)
    if view is None:
        return
    sides = np.array((layer.data[0] if layer.multiscale else layer.data).shape[:2])
    camera = camera_of(viewer)
    camera.center = tuple(to_world(viewer, layer, (sides - 1) / 2))
    camera.zoom *= (1 - _MARGIN) * float(((view[1] - view[0]) / sides).min())


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
