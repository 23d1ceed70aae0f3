"""What a viewer shows of a layer, and when that changed: by camera and canvas size only.

Neither `corner_pixels` (widened to chunks, in pixels of some level, late) nor `data_level` (absent
without a window) tell; napari's own rule for the level is repeated here and tested against it.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_histodiff.core.geometry import PyramidSpec, Region
from napari_histodiff.slide.streaming.planning import AT_REST, Motion, centre_of

__all__ = ["ViewWatcher", "camera_of", "canvas_size_of", "level_shown", "view_of"]

#: Seconds that a view must rest before it is told.
_QUIET: Final = 0.1

# A view in flight is told at least so often, so that a long pan shows tissue on its way.
_LONGEST_WAIT: Final = 0.2

# Seconds over which motion is averaged: frames come unevenly.
_SPAN: Final = 0.4


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


class ViewWatcher:
    """Tells what is in view of one slide layer, once it rests.

    Parameters
    ----------
    viewer : napari ViewerModel
        Whose camera and canvas are looked at.
    layer : napari Image
        The slide.
    """

    def __init__(self, viewer: Any, layer: Any) -> None:
        self._viewer = viewer
        self._layer = layer
        self._seen: Region | None = None
        self._told: Region | None = None
        self._since = self._moving_since = float("-inf")
        self._motion = AT_REST
        self._track: deque[tuple[float, Region]] = deque()

    @property
    def told(self) -> Region | None:
        """The view told last; None when nothing is in view."""
        return self._told

    @property
    def motion(self) -> Motion:
        """How it moved when it was told, (y, x) in pixels of level 0 a second."""
        return self._motion

    def region(self, spec: PyramidSpec) -> Region | None:
        """Return the part of the slide in view, in pixels of the level shown; None when hidden."""
        if not self._layer.visible or self._layer not in self._viewer.layers:
            return None
        view = view_of(self._viewer, self._layer)
        if view is None:
            return None
        level = min(level_shown(self._viewer, self._layer, view), spec.levels - 1)
        inside = _whole(level, view / (1 << level)).intersect(spec.bounds(level))
        return None if inside.is_empty else inside

    def box(self, spec: PyramidSpec) -> Region:
        """Return the part of the slide the canvas covers, in pixels of level 0; may be empty."""
        view = view_of(self._viewer, self._layer)
        bounds = spec.bounds(0)
        return bounds if view is None else _whole(0, view).intersect(bounds)

    def poll(self, spec: PyramidSpec, now: float) -> bool:
        """Look; True when there is a view to tell that was not told yet.

        Parameters
        ----------
        spec : PyramidSpec
            The slide as it is now.
        now : float
            Seconds of a steady clock.
        """
        region = self.region(spec)
        if region != self._seen:
            if self._seen == self._told:
                self._moving_since = now
            self._seen, self._since = region, now
        resting = region is None or now - self._since >= _QUIET
        self._follow(region, now, resting=resting)
        if region == self._told and not (resting and self._motion != AT_REST):
            return False
        if resting or now - self._moving_since >= _LONGEST_WAIT:
            self._told, self._moving_since = region, now
            self._motion = AT_REST if resting else self._speed()
            return True
        return False

    def forget(self) -> None:
        """Tell the view again at the next look."""
        self._seen = self._told = None
        self._track.clear()

    def _follow(self, region: Region | None, now: float, *, resting: bool) -> None:
        """Keep where the view was since it began to move, or lately; a leap is no motion."""
        if resting or (region and self._track and _leaps(self._track[-1][1], region)):
            self._track.clear()
        if region is not None:
            self._track.append((now, region))
        while self._track and self._track[0][0] < now - _SPAN:
            self._track.popleft()

    def _speed(self) -> Motion:
        (start, first), (end, last) = self._track[0], self._track[-1]
        if end <= start:
            return AT_REST
        (top, left), (bottom, right) = centre_of(first), centre_of(last)
        return (bottom - top) / (end - start), (right - left) / (end - start)


def _leaps(before: Region, region: Region) -> bool:
    """Whether nothing is in view that was in view at the last look, or another level is shown."""
    return before.level != region.level or before.intersect(region).is_empty


def _whole(level: int, view: NDArray[np.float64]) -> Region:
    (top, left), (bottom, right) = np.floor(view[0]), np.ceil(view[1])
    return Region(level, int(top), int(left), int(bottom - top), int(right - left))
